"""Airliners as numbers: what each drawn variant has, in fuselage heights from the nose.

They are drawn after real airliners where a name is real, and simplified: what two of
one family differ in is meant, what they have in common is only alike. The 737-300 and
737-400 differ in their windows alone, as the example of the notes has it; the real
737-400 is about three meters longer, too. The LC-1 is this book's own.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Airframe:
    """What a variant is drawn from; lengths in fuselage heights.

    Attributes:
        length: from nose to tail.
        windows: how many of them in the row.
        doors: where passengers' doors are, as shares of the length.
        exits: how many small doors there are over the wing.
        engines: "one" or "two" under the near wing, "rear", or "three" with one in
            the tail.
        engine_size: of their diameter and length.
        tips: of the wings: "plain", "winglet", "fence" (up and down) or "raked".
        tail: "low" or "T", where the horizontal part is.
        hump: how far the upper deck reaches, from the nose; 0 for none.
        antennas: blades on the roof.
        dorsal: whether a ridge leads up to the fin.
    """

    length: float
    windows: int
    doors: tuple[float, ...] = (0.14, 0.78)
    exits: int = 1
    engines: str = "one"
    engine_size: float = 1.0
    tips: str = "plain"
    tail: str = "low"
    hump: float = 0.0
    antennas: int = 1
    dorsal: bool = False


_B737 = Airframe(length=6.2, windows=11, dorsal=True)
_B747 = Airframe(
    length=7.4,
    windows=17,
    doors=(0.13, 0.29, 0.62, 0.8),
    exits=0,
    engines="two",
    engine_size=0.9,
    hump=2.1,
)
_B767 = Airframe(length=6.6, windows=13, engine_size=1.25)
_A320 = Airframe(length=6.3, windows=12, exits=2, tips="fence", engine_size=1.1)
_A340 = Airframe(
    length=7.6,
    windows=17,
    doors=(0.12, 0.35, 0.6, 0.83),
    exits=0,
    engines="two",
    engine_size=0.8,
    tips="winglet",
)
_MD80 = Airframe(length=7.6, windows=16, doors=(0.12,), engines="rear", tail="T")
_DC10 = Airframe(
    length=6.8, windows=14, doors=(0.13, 0.36, 0.7), exits=0, engines="three"
)
_LC1 = Airframe(length=6.6, windows=13, exits=0, tips="winglet", engine_size=1.1)

# Manufacturer, family, variant. Within a family, the least that tells them apart.
AIRFRAMES: dict[tuple[str, str, str], Airframe] = {
    ("Boeing", "Boeing 737", "737-300"): _B737,
    ("Boeing", "Boeing 737", "737-400"): replace(_B737, windows=13),
    ("Boeing", "Boeing 737", "737-500"): replace(_B737, length=5.7, windows=9),
    ("Airbus", "A320", "A319"): replace(_A320, length=5.8, windows=10, exits=1),
    ("Airbus", "A320", "A320"): _A320,
    ("Airbus", "A320", "A321"): replace(
        _A320, length=7.1, windows=15, doors=(0.12, 0.32, 0.6, 0.82), exits=0
    ),
    ("McDonnell Douglas", "MD-80", "MD-80"): _MD80,
    ("McDonnell Douglas", "MD-80", "MD-87"): replace(_MD80, length=6.9, windows=13),
    ("McDonnell Douglas", "MD-80", "MD-90"): replace(_MD80, engine_size=1.35),
    ("Look Closer", "LC-1", "LC-1"): _LC1,
    ("Look Closer", "LC-1", "LC-1 Antenna"): replace(_LC1, antennas=3),
    ("Look Closer", "LC-1", "LC-1 Door"): replace(_LC1, doors=(0.14, 0.46, 0.78)),
    ("Look Closer", "LC-1", "LC-1 Fin"): replace(_LC1, dorsal=True),
    ("Boeing", "Boeing 747", "747-200"): _B747,
    ("Boeing", "Boeing 747", "747-300"): replace(_B747, hump=3.1),
    ("Boeing", "Boeing 747", "747-400"): replace(_B747, hump=3.1, tips="winglet"),
    ("Airbus", "A340", "A340-200"): replace(_A340, length=7.1, windows=15),
    ("Airbus", "A340", "A340-300"): _A340,
    ("Airbus", "A340", "A340-600"): replace(
        _A340, length=8.4, windows=20, engine_size=1.05
    ),
    ("McDonnell Douglas", "DC-10", "DC-10"): _DC10,
    ("McDonnell Douglas", "DC-10", "MD-11"): replace(_DC10, tips="winglet"),
    ("Boeing", "Boeing 767", "767-200"): _B767,
    ("Boeing", "Boeing 767", "767-300"): replace(_B767, length=7.3, windows=15),
    ("Boeing", "Boeing 767", "767-400"): replace(
        _B767, length=7.9, windows=17, tips="raked"
    ),
}

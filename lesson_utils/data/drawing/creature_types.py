"""The types of `creatures`: their palettes and what is typical of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CreatureType:
    """What creatures of one type have in common.

    Attributes:
        palettes: colors of body, accent, belly and growths, as hexadecimal RGB.
        growths: names from `GROWTHS`; one named twice is twice as likely.
        ears: likewise.
        plans: the body plans it prefers, likewise.
    """

    palettes: dict[str, tuple[str, str, str, str]]
    growths: tuple[str, ...]
    ears: tuple[str, ...]
    plans: tuple[str, ...]


TYPES = {
    "fire": CreatureType(
        {
            "ember": ("f0703c", "b83828", "fce0a0", "ffb020"),
            "magma": ("c83430", "60282c", "f8b070", "ff9018"),
            "candle": ("f8a848", "d85020", "fff0c0", "f04820"),
        },
        ("flame", "flame", "ember crest"),
        ("pointed ear", "curved horn", "tipped ear", "round ear", "none"),
        ("dragon", "quadruped", "bird", "biped"),
    ),
    "water": CreatureType(
        {
            "river": ("5898e0", "2c5cb0", "d8ecfc", "78d0f8"),
            "lagoon": ("38b8c8", "187890", "e0f8e8", "4880e0"),
            "abyss": ("3858b0", "f08080", "b0c8f0", "60c8f0"),
        },
        ("fin", "fin", "droplet"),
        ("ear fin", "round ear", "none", "ear fin"),
        ("fish", "crab", "serpent", "blob"),
    ),
    "grass": CreatureType(
        {
            "meadow": ("70c058", "e87098", "e8f0a8", "388840"),
            "moss": ("4c9058", "f0c040", "c8e0a0", "88d050"),
            "sprig": ("b0d860", "f0f0e0", "f8f8d0", "409048"),
        },
        ("leaf", "two leaves", "flower"),
        ("long ear", "floppy ear", "none", "round ear"),
        ("sprout", "quadruped", "snail", "biped"),
    ),
    "electric": CreatureType(
        {
            "spark": ("f8d838", "403830", "fff4b0", "fff080"),
            "storm": ("f0c020", "3868c8", "fcf0c0", "58c8f8"),
            "lemon": ("fce870", "e88830", "fffbe0", "f8b818"),
        },
        ("bolt", "bolt", "sparks"),
        ("tipped ear", "long ear", "pointed ear", "none"),
        ("biped", "quadruped", "bird", "bat"),
    ),
    "ice": CreatureType(
        {
            "frost": ("b8e4f4", "6898d8", "f4fcff", "88d8f8"),
            "glacier": ("90c8f0", "f8f8ff", "e8f4fc", "b0f0f8"),
            "aurora": ("c8e8f0", "b090e0", "f8ffff", "80e0d8"),
        },
        ("crystals", "crystals", "snow cap"),
        ("round ear", "pointed ear", "none", "curved horn"),
        ("phantom", "golem", "quadruped", "bird"),
    ),
    "rock": CreatureType(
        {
            "granite": ("a09890", "686058", "d0c8b8", "807870"),
            "sandstone": ("c8a470", "886040", "ecd8b0", "a88050"),
            "ore": ("806858", "d89848", "b8a088", "b0b0b8"),
        },
        ("boulders", "plates", "horn"),
        ("none", "curved horn", "none", "round ear"),
        ("golem", "crab", "snail", "dragon"),
    ),
    "poison": CreatureType(
        {
            "venom": ("a050b8", "58286c", "e0b8e8", "78d048"),
            "toad": ("8860c8", "98d840", "d8c8f0", "e060a8"),
            "sludge": ("74487c", "c860b0", "b090b8", "a8e038"),
        },
        ("spikes", "bubbles", "spikes"),
        ("none", "pointed ear", "ear fin", "curved horn"),
        ("serpent", "blob", "bat", "beetle"),
    ),
    "fairy": CreatureType(
        {
            "rose": ("f8a8c8", "e0609c", "fff0f4", "fff0a0"),
            "petal": ("f8c8dc", "a8d8f0", "ffffff", "f080b8"),
            "berry": ("e878a8", "a04888", "fcd8e8", "f8e8f8"),
        },
        ("curl", "bow", "star", "gauze wings"),
        ("long ear", "floppy ear", "round ear", "pointed ear"),
        ("blob", "biped", "sprout", "bat"),
    ),
    "ghost": CreatureType(
        {
            "dusk": ("7868a8", "483870", "9888b8", "a070e0"),
            "lantern": ("686884", "f0a030", "787890", "f8d058"),
            "fog": ("9c9cbc", "585878", "d0d0e4", "60e0c8"),
        },
        ("wisp", "wisp", "horn"),
        ("none", "curved horn", "tuft", "pointed ear"),
        ("phantom", "phantom", "bat", "blob"),
    ),
    "bug": CreatureType(
        {
            "leafhopper": ("a8c030", "486820", "e8f0b0", "f0d050"),
            "ladybird": ("d84838", "302828", "f0c890", "504848"),
            "hornet": ("e8b030", "482c20", "f8e8b0", "e86030"),
        },
        ("feelers", "feelers", "gauze wings"),
        ("none", "none", "tuft", "curved horn"),
        ("beetle", "beetle", "crab", "snail"),
    ),
}
# What one would call the body's color, in one word, and the palettes it is said of.
BODY_COLORS = {
    "red": ("magma", "ladybird"),
    "orange": ("ember", "candle"),
    "yellow": ("spark", "storm", "lemon", "hornet"),
    "green": ("meadow", "moss", "sprig", "leafhopper"),
    "turquoise": ("lagoon",),
    "blue": ("river", "abyss", "glacier"),
    "purple": ("venom", "toad", "sludge", "dusk"),
    "pink": ("rose", "petal", "berry"),
    "brown": ("sandstone", "ore"),
    "gray": ("granite", "lantern", "fog"),
    "white": ("frost", "aurora"),
}
# Colors of eyes, as hexadecimal RGB.
IRISES = {
    "amber": "f0b040",
    "green": "68c860",
    "blue": "60a0f0",
    "violet": "b080e8",
    "red": "f07070",
}

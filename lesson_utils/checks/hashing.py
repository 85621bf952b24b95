"""The exercises of the chapter `book/losses/hashing.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import hashing
from lesson_utils.grading.draws import normal, seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# pack_codes -------------------------------------------------------------------------


def _by_numpy(codes: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(codes.numpy(), axis=1))


def _bits(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(2, shape, generator=seeded(seed)).bool()


def _pack_cases() -> Iterator[Case]:
    codes = torch.tensor([[1, 0, 0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0, 0, 0]]).bool()
    due = torch.tensor([[131], [64]], dtype=torch.uint8)
    yield Case("two codes of eight bits: 128 + 2 + 1, and 64", (codes,), expected=due)
    three = torch.tensor([[1, 0, 1]]).bool()
    due = torch.tensor([[160]], dtype=torch.uint8)
    yield Case("three bits: 128 + 32, and zeros", (three,), expected=due)
    for bits in (16, 20, 64):
        yield Case.from_reference(
            f"five codes of {bits} bits", _by_numpy, _bits(5, bits)
        )
    ones = torch.ones(2, 16, dtype=torch.bool)
    yield Case.from_reference("nothing but ones", _by_numpy, ones)
    none = torch.zeros(0, 2, dtype=torch.uint8)
    yield Case("no code", (_bits(0, 16),), expected=none, hardening=True)
    yield Case("numbers, not booleans", (normal(2, 8),), raises=ValueError)
    yield Case("one code without its batch", (_bits(8),), raises=ValueError)
    yield Case("no bit", (_bits(3, 0),), raises=ValueError)


def _groups(codes: Tensor, front: bool = False) -> Tensor:
    """(N, bytes, 8), int64, filled up behind, or in front."""
    if codes.dim() != 2 or codes.dtype != torch.bool or not codes.shape[1]:
        raise ValueError("codes must be (N, B) and boolean")
    missing = -codes.shape[1] % 8
    padded = F.pad(codes.long(), (missing, 0) if front else (0, missing))
    return padded.unflatten(1, (-1, 8))


def _weighed(
    weights: Callable[[Tensor], Tensor], codes: Tensor, *, front: bool = False
) -> Tensor:
    bits = _groups(codes, front)
    return (bits * weights(torch.arange(8))).sum(2).to(torch.uint8)


def _highest_first(places: Tensor) -> Tensor:
    return 2 ** (7 - places)


def _cut_off(codes):
    _groups(codes)
    whole = codes[:, : codes.shape[1] // 8 * 8]
    return _by_numpy(whole) if whole.shape[1] else whole.to(torch.uint8)


def _not_packed(codes):
    _groups(codes)
    return codes.to(torch.uint8)


def _flat(codes):
    _groups(codes)
    return torch.from_numpy(np.packbits(codes.numpy()))


def _along_rows(codes):
    _groups(codes)
    return torch.from_numpy(np.packbits(codes.numpy(), axis=0))


def _not_bytes(codes):
    return (_groups(codes) * _highest_first(torch.arange(8))).sum(2)


def _inverted(codes):
    _groups(codes)
    return _by_numpy(~codes)


def _strided(codes):
    """Bit i goes to byte i mod the number of bytes."""
    bits = _groups(codes)
    turned = bits.flatten(1).unflatten(1, (8, -1)).mT
    return (turned * _highest_first(torch.arange(8))).sum(2).to(torch.uint8)


_PACK = Exercise(
    name="pack_codes",
    solution=hashing.pack_codes,
    cases=_pack_cases,
    mistakes=(
        Mistake(
            "The first bit is the highest: it counts 128, the eighth counts 1.",
            partial(_weighed, lambda places: 2**places),
        ),
        Mistake(
            "What is missing in the last byte is filled up behind, and not in front.",
            partial(_weighed, _highest_first, front=True),
        ),
        Mistake(
            "Bits that fill no whole byte must not get lost: pad with zeros to a "
            "multiple of 8.",
            _cut_off,
        ),
        Mistake(
            "Each bit still has a byte of its own. Eight of them go into one.",
            _not_packed,
        ),
        Mistake(
            "You pack all rows into one: pack along the bits of each row, dimension 1.",
            _flat,
        ),
        Mistake(
            "You pack down the columns: pack along the bits of each row, dimension 1.",
            _along_rows,
        ),
        Mistake("The numbers are right; they are due as bytes, uint8.", _not_bytes),
        Mistake("Ones and zeros have changed places.", _inverted),
        Mistake(
            "You count the ones of each byte. Weigh them: 128, 64, …, 1.",
            partial(_weighed, torch.ones_like),
        ),
        Mistake(
            "Eight neighbors go into one byte: yours are taken from places that are "
            "far apart. Unflatten to (bytes, 8), not to (8, bytes).",
            _strided,
        ),
    ),
    hints=(
        "Pad to a multiple of 8, then look at groups of eight bits: (N, bytes, 8).",
        "Each group is a number in binary: multiply by 128, 64, 32, …, 1, and add up.",
        "`(groups * weights).sum(2)`, cast to `torch.uint8` at the end.",
    ),
)


# hamming_distance -------------------------------------------------------------------


def _by_bits(codes1: Tensor, codes2: Tensor) -> Tensor:
    one, other = (np.unpackbits(c.numpy(), axis=1) for c in (codes1, codes2))
    return torch.from_numpy((one[:, None] != other).sum(2))


def _bytes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=seeded(seed), dtype=torch.uint8)


def _hamming_cases() -> Iterator[Case]:
    one = torch.tensor([[0b10000011]], dtype=torch.uint8)
    two = torch.tensor([[0b10000000], [0b01111100]], dtype=torch.uint8)
    due = torch.tensor([[2, 8]])
    yield Case("10000011 to 10000000 and to 01111100", (one, two), expected=due)
    for size in (1, 3, 8, 16):
        yield Case.from_reference(
            f"4 codes to 6, {size} bytes each",
            _by_bits,
            _bytes(4, size),
            _bytes(6, size, seed=1),
        )
    yield Case(
        "40 bytes that differ in all 320 bits",
        (_bytes(2, 40), 255 - _bytes(2, 40)[:1]),
        expected=_by_bits(_bytes(2, 40), 255 - _bytes(2, 40)[:1]),
        hardening=True,
    )
    same = _bytes(3, 4)
    yield Case.from_reference("codes to themselves", _by_bits, same, same)
    none = torch.zeros(0, 6, dtype=torch.int64)
    yield Case("no code", (_bytes(0, 2), _bytes(6, 2)), expected=none, hardening=True)
    yield Case(
        "codes of 2 and of 3 bytes", (_bytes(4, 2), _bytes(6, 3)), raises=ValueError
    )
    yield Case("bytes as int64", (_bytes(4, 2).long(),) * 2, raises=ValueError)


def _pairs(codes1: Tensor, codes2: Tensor) -> tuple[Tensor, Tensor]:
    if codes1.dtype != torch.uint8 or codes2.dtype != torch.uint8:
        raise ValueError("codes must be of bytes")
    if codes1.shape[1] != codes2.shape[1]:
        raise ValueError("as many bytes")
    return codes1[:, None], codes2[None]


def _unpacked(values: Tensor) -> Tensor:
    places = torch.arange(7, -1, -1)
    return ((values.long()[..., None] >> places) & 1).flatten(-2)


def _counted(
    rule: Callable[[Tensor, Tensor], Tensor], codes1: Tensor, codes2: Tensor
) -> Tensor:
    one, other = _pairs(codes1, codes2)
    return rule(one, other).long().sum(2)


def _in_a_byte(codes1, codes2):
    return _bits_apart(codes1, codes2).to(torch.uint8).long()


def _as_share(codes1, codes2):
    return _bits_apart(codes1, codes2) / (8 * codes1.shape[1])


def _bits_apart(codes1, codes2):
    return _counted(lambda a, b: _unpacked(a ^ b), codes1, codes2)


def _row_by_row(codes1, codes2):
    _pairs(codes1, codes2)
    number = min(len(codes1), len(codes2))
    different = _unpacked(codes1[:number] ^ codes2[:number])
    return different.sum(1)


_HAMMING = Exercise(
    name="hamming_distance",
    solution=hashing.hamming_distance,
    cases=_hamming_cases,
    mistakes=(
        Mistake(
            "You count bytes that differ. Two bytes may differ in one bit or in eight.",
            partial(_counted, lambda a, b: a != b),
        ),
        Mistake(
            "You add up the bytes of the exclusive or: count their ones.",
            partial(_counted, lambda a, b: a ^ b),
        ),
        Mistake(
            "You count ones that both codes share. What differs is in the exclusive "
            "or, `^`.",
            partial(_counted, lambda a, b: _unpacked(a & b)),
        ),
        Mistake(
            "You count bits that agree: the distance counts those that differ.",
            partial(_counted, lambda a, b: 1 - _unpacked(a ^ b)),
        ),
        Mistake(
            "Every code of the first set is compared with every one of the second: "
            "(N, M). Yours are compared row by row.",
            _row_by_row,
        ),
        Mistake(
            "Rows are for the first set, columns for the second: yours are turned.",
            lambda codes1, codes2: (
                _counted(lambda a, b: _unpacked(a ^ b), codes1, codes2).T
            ),
        ),
        Mistake(
            "The count is kept in a byte, which ends at 255: add up in int64.",
            _in_a_byte,
        ),
        Mistake("The number of bits is wanted, int64, not their share.", _as_share),
        Mistake(
            "You count bits that are 1 in either code. What differs is in the "
            "exclusive or, `^`.",
            partial(_counted, lambda a, b: _unpacked(a | b)),
        ),
        Mistake(
            "You take the difference of bytes as numbers. 127 and 128 are neighbors "
            "there, and differ in all eight bits.",
            partial(_counted, lambda a, b: (a.long() - b.long()).abs()),
        ),
    ),
    hints=(
        "`a ^ b`, the exclusive or, has a 1 wherever two bytes differ.",
        "`codes1[:, None] ^ codes2` has the shape (N, M, bytes). Its ones are to be "
        "counted.",
        "To count: shift by 0 to 7, `& 1`, and add up; or look the 256 answers up in a "
        "table.",
    ),
)


# quantization_loss ------------------------------------------------------------------


def _distance_to_signs(outputs: Tensor) -> Tensor:
    """By the nearer of -1 and 1."""
    target = torch.where(outputs.detach() >= 0, 1.0, -1.0).to(outputs)
    return F.l1_loss(outputs, target, reduction="sum") / len(outputs)


def _quantization_cases() -> Iterator[Case]:
    outputs = torch.tensor([[0.5, -1.0], [3.0, -0.25]])
    yield Case(
        "distances 0.5, 0, 2 and 0.75",
        (outputs,),
        expected=torch.tensor(3.25 / 2),
    )
    slopes = torch.tensor([[-0.5, 0.5], [0.5, 0.5]])
    tilted = torch.tensor([[0.5, -0.9], [3.0, -0.25]])
    yield Case(
        "its gradient",
        (tilted,),
        expected=torch.tensor(3.35 / 2),
        gradients=(slopes,),
    )
    for shape in ((7, 12), (1, 5), (16, 1)):
        yield Case.from_reference(
            f"random outputs {shape}",
            _distance_to_signs,
            2 * normal(*shape),
            gradient=True,
        )
    codes = torch.tensor([[1.0, -1.0, 1.0]])
    yield Case("outputs that are a code", (codes,), expected=torch.tensor(0.0))
    zero = torch.tensor([[0.0, 0.5]])
    due = torch.tensor(1.5)
    yield Case("an output of exactly 0", (zero,), expected=due, hardening=True)
    yield Case("no row", (normal(0, 4),), raises=ValueError)
    yield Case("one row without its batch", (normal(4),), raises=ValueError)


def _away(rule: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    if outputs.dim() != 2 or not outputs.numel():
        raise ValueError("outputs")
    return rule(outputs)


_QUANTIZATION = Exercise(
    name="quantization_loss",
    solution=hashing.quantization_loss,
    cases=_quantization_cases,
    mistakes=(
        Mistake(
            "The sum is over bits, the mean over rows alone: you take the mean of "
            "both.",
            partial(_away, lambda x: (x.abs() - 1).abs().mean()),
        ),
        Mistake(
            "The sum is over bits, the mean over rows: you have summed over both.",
            partial(_away, lambda x: (x.abs() - 1).abs().sum()),
        ),
        Mistake(
            "The distance is absolute, and not squared.",
            partial(_away, lambda x: (x.abs() - 1).square().sum(1).mean()),
        ),
        Mistake(
            "You pull all outputs to 1. Negative ones go to −1: take their absolute "
            "value first.",
            partial(_away, lambda x: (x - 1).abs().sum(1).mean()),
        ),
        Mistake(
            "Outputs beyond 1 make yours negative: take the absolute value of the "
            "difference, too.",
            partial(_away, lambda x: (1 - x.abs()).sum(1).mean()),
        ),
        Mistake(
            "The sign of 0 is 0, and so yours finds 0 where it is: it is 1 away from "
            "both. Take the absolute value, and 1 off it.",
            partial(_away, lambda x: (x - x.sign()).abs().sum(1).mean()),
        ),
        Mistake(
            "The distance to the nearer of −1 and 1 is wanted, not of 0 and 1.",
            partial(
                _away,
                lambda x: torch.minimum(x.abs(), (x - 1).abs()).sum(1).mean(),
            ),
        ),
        Mistake(
            "Outputs within 1 make yours negative: take the absolute value of the "
            "difference, too.",
            partial(_away, lambda x: (x.abs() - 1).sum(1).mean()),
        ),
        Mistake(
            "Add up the distances of a row; you take the root of their squares.",
            partial(_away, lambda x: (x.abs() - 1).norm(dim=1).mean()),
        ),
        Mistake(
            "Outputs beyond 1 are to come back as well: yours stop at 1.",
            partial(_away, lambda x: (1 - x.abs()).clamp(min=0).sum(1).mean()),
        ),
        Mistake(
            "`sign` has no slope, and of signs the distance is always 0: the outputs "
            "themselves are compared.",
            partial(_away, lambda x: (1 - x.sign().abs()).sum(1).mean() + 0 * x.sum()),
        ),
    ),
    hints=(
        "What is the distance of 0.5 from the nearer of −1 and 1? Of −3?",
        "It is | |x| − 1 |.",
        "`.sum(1).mean()`: over bits the sum, over rows the mean.",
    ),
)


# expected_collisions ----------------------------------------------------------------


def _by_loop(features1: Tensor, features2: Tensor, bits: int = 1) -> Tensor:
    shares = []
    for a, b in zip(features1.double(), features2.double(), strict=True):
        cosine = float(a @ b / (a.norm() * b.norm()))
        shares.append(1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi)
    return (bits * torch.tensor(shares, dtype=torch.float64)).to(features1.dtype)


def _collision_cases() -> Iterator[Case]:
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    two = torch.tensor([[2.0, 2.0], [0.0, 5.0], [-1.0, 1.0]])
    due = torch.tensor([0.75, 0.5, 0.25])
    yield Case("45, 90 and 135 degrees", (one, two), expected=due)
    yield Case("the same for 32 bits", (one, two, 32), expected=32 * due)
    x, y = normal(6, 5), 3 * normal(6, 5, seed=1)
    yield Case.from_reference("random features of five numbers", _by_loop, x, y, 64)
    yield Case.from_reference("one pair of 100 numbers", _by_loop, *normal(2, 1, 100))
    parallel = torch.full((1, 3), 0.1)
    equal = normal(200, 3, dtype=torch.float32)  # by each way to round, some are above
    yield Case(
        "equal features, whose cosine may come out above 1",
        (equal, equal, 8),
        expected=torch.full((200,), 8.0),
        hardening=True,
        atol=5e-3,
    )
    yield Case(
        "opposite features",
        (parallel, -3 * parallel, 8),
        expected=torch.tensor([0.0]),
        hardening=True,
        atol=5e-3,
    )
    yield Case("a row of zeros", (x, 0 * y), raises=ValueError)
    yield Case("shapes (6, 5) and (1, 5)", (x, y[:1]), raises=ValueError)
    yield Case("no bit", (x, y, 0), raises=ValueError)


def _cosines(features1: Tensor, features2: Tensor, bits: int) -> Tensor:
    if features1.shape != features2.shape or bits < 1:
        raise ValueError("shapes, bits")
    if not (features1.any(1) & features2.any(1)).all():
        raise ValueError("zero")
    return F.cosine_similarity(features1, features2, dim=1).clamp(-1, 1)


def _by_cosine(
    rule: Callable[[Tensor], Tensor],
    features1: Tensor,
    features2: Tensor,
    bits: int = 1,
) -> Tensor:
    return bits * rule(_cosines(features1, features2, bits))


def _all_pairs(features1, features2, bits=1):
    _cosines(features1, features2, bits)
    cosine = F.normalize(features1, dim=1) @ F.normalize(features2, dim=1).T
    return bits * (1 - cosine.clamp(-1, 1).acos() / math.pi)


def _not_normalized(features1, features2, bits=1):
    _cosines(features1, features2, bits)
    return bits * (1 - (features1 * features2).sum(1).clamp(-1, 1).acos() / math.pi)


def _all_agree(features1, features2, bits=1):
    return (1 - _cosines(features1, features2, bits).acos() / math.pi) ** bits


def _unclamped(features1, features2, bits=1):
    _cosines(features1, features2, bits)
    one, other = (
        x / x.square().sum(1, keepdim=True).sqrt() for x in (features1, features2)
    )
    return bits * (1 - (one * other).sum(1).acos() / math.pi)


def _unclamped_units(features1, features2, bits=1):
    _cosines(features1, features2, bits)
    product = F.normalize(features1, dim=1) * F.normalize(features2, dim=1)
    return bits * (1 - product.sum(1).acos() / math.pi)


def _without_bits(features1, features2, bits=1):
    return 1 - _cosines(features1, features2, bits).acos() / math.pi


_COLLISIONS = Exercise(
    name="expected_collisions",
    solution=hashing.expected_collisions,
    cases=_collision_cases,
    mistakes=(
        Mistake(
            "This is how many bits differ in the mean. Those that agree are the rest.",
            partial(_by_cosine, lambda c: c.acos() / math.pi),
        ),
        Mistake(
            "The probability is linear in the angle, and not in its cosine: "
            "1 − angle / π.",
            partial(_by_cosine, lambda c: (1 + c) / 2),
        ),
        Mistake(
            "The cosine itself is no probability: take the angle, and 1 − angle / π.",
            partial(_by_cosine, lambda c: c),
        ),
        Mistake(
            "The angle is divided by π, half a turn, and not by 2π: two opposite "
            "features share no bit.",
            partial(_by_cosine, lambda c: 1 - c.acos() / (2 * math.pi)),
        ),
        Mistake(
            "The angle is in radians: divide by π, or by 180 after a conversion.",
            partial(_by_cosine, lambda c: 1 - c.acos() / 180),
        ),
        Mistake("Times the number of bits.", _without_bits),
        Mistake(
            "That is the probability that *all* bits agree. How many agree in the mean "
            "is a sum, bits · (1 − angle / π).",
            _all_agree,
        ),
        *(
            Mistake(
                "Rounding brings the cosine of equal features above 1, where `acos` is "
                "NaN: clamp it to [−1, 1].",
                answer,
            )
            for answer in (_unclamped, _unclamped_units)
        ),
        Mistake(
            "Row by row, (N,): the first with the first, the second with the second. "
            "You compare all with all.",
            _all_pairs,
        ),
        Mistake(
            "A product is a cosine only if both have length 1: divide by the lengths.",
            _not_normalized,
        ),
    ),
    hints=(
        "A random plane separates two features if its normal falls into the wedge "
        "between them. How wide is the wedge, of how much?",
        "The angle is the arc cosine of the product of the two unit vectors, clamped "
        "to [−1, 1].",
        "`bits * (1 - angle / torch.pi)`.",
    ),
)


EXERCISES = (_PACK, _HAMMING, _QUANTIZATION, _COLLISIONS)

"""Hashing: by hand, against numpy and faiss, degenerate cases, gradients, errors."""

import math

import faiss
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch import nn
from torch.autograd import gradcheck

from lesson_utils import hashing as h
from lesson_utils.checks import hashing as hashing_checks
from lesson_utils.common.studies import read_study
from lesson_utils.common.training import batch_of_step
from lesson_utils.data.mnist import mnist
from tests.answers import ExerciseTests


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=dice(seed), dtype=torch.float64)


def codes(number, size, seed=0):
    shape = (number, size)
    return torch.randint(256, shape, generator=dice(seed), dtype=torch.uint8)


class TestCodes:
    def test_by_hand(self):
        values = torch.tensor([[2.0, -1.0, 0.0, 0.1]])
        assert h.sign_codes(values).tolist() == [[True, False, False, True]]
        assert h.pack_codes(h.sign_codes(values)).tolist() == [[0b10010000]]

    @given(st.integers(0, 5), st.integers(1, 70))
    @settings(max_examples=40, deadline=None)
    def test_packs_as_numpy_does(self, number, bits):
        values = h.sign_codes(normal(number, bits))
        theirs = np.packbits(values.numpy(), axis=1)
        assert np.array_equal(h.pack_codes(values).numpy(), theirs)

    def test_errors(self):
        with pytest.raises(ValueError, match="no NaN"):
            h.sign_codes(torch.tensor([math.nan]))
        with pytest.raises(ValueError, match="values must be"):
            h.sign_codes(torch.tensor([1, -1]))
        with pytest.raises(ValueError, match="boolean"):
            h.pack_codes(torch.ones(2, 8))
        with pytest.raises(ValueError, match="a bit at least"):
            h.pack_codes(torch.ones(2, 0).bool())
        with pytest.raises(ValueError, match="codes must be"):
            h.pack_codes(torch.ones(8).bool())


class TestHammingDistance:
    def test_by_hand(self):
        one = torch.tensor([[0b10000011], [0]], dtype=torch.uint8)
        two = torch.tensor([[0b10000000], [255]], dtype=torch.uint8)
        assert h.hamming_distance(one, two).tolist() == [[2, 5], [1, 8]]

    @given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 20))
    @settings(max_examples=40, deadline=None)
    def test_is_a_count_of_bits(self, n, m, size):
        one, two = codes(n, size), codes(m, size, seed=1)
        bits1, bits2 = (np.unpackbits(c.numpy(), axis=1) for c in (one, two))
        due = (bits1[:, None] != bits2).sum(2)
        assert np.array_equal(h.hamming_distance(one, two).numpy(), due)

    def test_every_byte_and_the_highest_bit_of_a_word(self):
        every = torch.arange(256, dtype=torch.uint8)[:, None]
        ones = torch.tensor([bin(byte).count("1") for byte in range(256)])
        assert torch.equal(h.hamming_distance(every, every[:1])[:, 0], ones)
        full = torch.full((1, 8), 255, dtype=torch.uint8)
        assert h.hamming_distance(full, 0 * full).item() == 64

    def test_a_slice_of_bytes(self):
        wide = codes(5, 24)
        ours = h.hamming_distance(wide[:, 3:19], wide[1:, 3:19])
        assert torch.equal(
            ours, h.hamming_distance(wide[:, 3:19].clone(), wide[1:, 3:19].clone())
        )

    def test_errors(self):
        with pytest.raises(ValueError, match="must have 2 bytes a code"):
            h.hamming_distance(codes(2, 2), codes(2, 3))
        with pytest.raises(ValueError, match="uint8"):
            h.hamming_distance(codes(2, 2), codes(2, 2).long())
        with pytest.raises(ValueError, match="codes1 must be"):
            h.hamming_distance(codes(2, 2)[0], codes(2, 2))


class TestSearch:
    @pytest.mark.parametrize("shard", [3, 50, 2**14])
    def test_is_faiss(self, shard, monkeypatch):
        monkeypatch.setattr(h, "SHARD", shard)
        base, queries = codes(200, 4), codes(7, 4, seed=1)
        index = faiss.IndexBinaryFlat(32)
        index.add(base.numpy())
        theirs, _ = index.search(queries.numpy(), 12)
        distances, places = h.search(base, queries, 12)
        assert np.array_equal(distances.numpy(), theirs)
        whole = h.hamming_distance(queries, base)
        assert torch.equal(whole.gather(1, places), distances)
        stable = whole.argsort(dim=1, stable=True)[:, :12]
        assert torch.equal(places, stable)  # the earlier of two that are equally far

    def test_finds_itself_first(self):
        base = codes(60, 16)
        distances, places = h.search(base, base, 1)
        assert not distances.any()
        assert torch.equal(places[:, 0], torch.arange(60))

    def test_no_query(self):
        distances, places = h.search(codes(5, 2), codes(0, 2), 3)
        assert distances.shape == places.shape == (0, 3)

    def test_errors(self):
        for k in (0, 6, 1.5):
            with pytest.raises(ValueError, match="k must be"):
                h.search(codes(5, 2), codes(1, 2), k)

    def test_precision(self):
        base = torch.tensor([[0], [1], [255]], dtype=torch.uint8)
        share = h.precision(
            base, torch.tensor([0, 1, 1]), base[:1], torch.tensor([0]), k=2
        )
        assert share == 0.5
        with pytest.raises(ValueError, match="labels must be"):
            h.precision(base, torch.tensor([0]), base, torch.zeros(3), k=1)


class TestHyperplanes:
    def test_collisions_by_hand(self):
        one = torch.tensor([[1.0, 0.0]]).repeat(5, 1)
        two = torch.tensor(
            [[3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 1.0], [-4.0, 0.0]]
        )
        found = h.expected_collisions(one, two, 4)
        assert found.tolist() == pytest.approx([4, 3, 2, 1, 0], abs=1e-6)

    def test_collisions_measured(self):
        """Within four deviations of a count of 20,000 bits."""
        one, two = normal(6, 30).float(), normal(6, 30, seed=1).float()
        two = one + torch.linspace(0.1, 3, 6)[:, None] * two
        planes = h.random_hyperplanes(30, 20_000, generator=dice(2))
        same = h.sign_codes(one @ planes) == h.sign_codes(two @ planes)
        share = same.float().mean(1)
        expected = h.expected_collisions(one, two)
        assert (share - expected).abs().max() < 4 * 0.5 / 20_000**0.5

    def test_close_directions_keep_their_digits_and_a_finite_slope(self):
        one = torch.tensor([[1.0, 1e-6]], requires_grad=True)
        share = h.expected_collisions(one, torch.tensor([[1.0, 0.0]]))
        assert (1 - share).item() == pytest.approx(1e-6 / math.pi, rel=0.2)
        equal = torch.ones(1, 3, requires_grad=True)
        h.expected_collisions(equal, torch.ones(1, 3)).sum().backward()
        assert equal.grad.isfinite().all()

    def test_size_does_not_matter(self):
        one, two = normal(4, 5).float(), normal(4, 5, seed=1).float()
        due = h.expected_collisions(one, two)
        torch.testing.assert_close(h.expected_collisions(1e-30 * one, 1e30 * two), due)

    def test_gradient(self):
        one, two = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
        assert gradcheck(h.expected_collisions, (one, two))

    def test_the_same_seed_the_same_planes(self):
        one, other = (h.random_hyperplanes(4, 6, generator=dice(3)) for _ in range(2))
        assert torch.equal(one, other)
        assert one.shape == (4, 6)

    def test_errors(self):
        with pytest.raises(ValueError, match="dimension"):
            h.random_hyperplanes(0, 4)
        with pytest.raises(ValueError, match="bits"):
            h.random_hyperplanes(4, 1.5)
        x = torch.ones(2, 3)
        with pytest.raises(ValueError, match="none of them zero"):
            h.expected_collisions(x, 0 * x)
        with pytest.raises(ValueError, match="finite"):
            h.expected_collisions(x, math.inf * x)
        with pytest.raises(ValueError, match="features2 must be"):
            h.expected_collisions(x, x[:1])
        with pytest.raises(ValueError, match="features2 must be"):
            h.expected_collisions(x, x[:, :2])


def pair_by_pair(outputs, labels, margin, alpha):
    """The paper's loss, one pair after another; y is 1 for two classes."""
    total, count = 0.0, 0
    for i in range(len(outputs)):
        for j in range(i + 1, len(outputs)):
            d = (outputs[i] - outputs[j]).norm() ** 2
            y = float(labels[i] != labels[j])
            total += (1 - y) * d / 2 + y * max(margin - d, torch.tensor(0.0)) / 2
            for b in (outputs[i], outputs[j]):
                total += alpha * (b.abs() - 1).abs().sum()
            count += 1
    return total / count


class TestLosses:
    def test_by_hand(self):
        outputs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        assert h.quantization_loss(outputs).item() == 0
        assert h.balance_loss(outputs).item() == 1  # the first bit is always on
        same = h.hashing_loss(outputs, torch.tensor([3, 3]))
        assert same.item() == 2  # half of the squared distance 4
        other = h.hashing_loss(outputs, torch.tensor([3, 5]), margin=5.0)
        assert other.item() == 0.5

    def test_is_the_papers(self):
        outputs, labels = 2 * normal(9, 6), torch.tensor([0, 1, 2] * 3)
        for margin, alpha in ((12.0, 0.01), (5.0, 0.3)):
            ours = h.hashing_loss(outputs, labels, margin=margin, alpha=alpha)
            due = pair_by_pair(outputs, labels, margin, alpha)
            torch.testing.assert_close(ours, due)
        torch.testing.assert_close(
            h.hashing_loss(outputs, labels), pair_by_pair(outputs, labels, 12, 0.01)
        )

    def test_beta_adds_the_balance(self):
        outputs, labels = normal(5, 4), torch.tensor([0, 1, 0, 1, 2])
        more = h.hashing_loss(outputs, labels, beta=0.5) - h.hashing_loss(
            outputs, labels
        )
        torch.testing.assert_close(more, h.balance_loss(outputs) / 2)

    def test_gradient(self):
        outputs, labels = normal(5, 4).requires_grad_(), torch.tensor([0, 1, 0, 1, 2])
        assert gradcheck(lambda x: h.hashing_loss(x, labels, beta=0.5), outputs)

    def test_codes_of_one_class_fall_together(self):
        outputs = torch.randn(8, 6, generator=dice()).requires_grad_()
        labels = torch.tensor([0, 1] * 4)
        optimizer = torch.optim.Adam([outputs], lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            h.hashing_loss(outputs, labels).backward()
            optimizer.step()
        found = h.sign_codes(outputs.detach())
        assert (found[::2] == found[0]).all()
        assert (found[1::2] == found[1]).all()
        assert (found[0] != found[1]).sum() >= 3

    def test_errors(self):
        labels = torch.tensor([0, 1])
        with pytest.raises(ValueError, match="2 rows or more"):
            h.hashing_loss(torch.ones(1, 4), labels[:1])
        with pytest.raises(ValueError, match="labels must be"):
            h.hashing_loss(torch.ones(3, 4), labels)
        for name in ("alpha", "beta"):
            with pytest.raises(ValueError, match=name):
                h.hashing_loss(torch.ones(2, 4), labels, **{name: -1.0})
        with pytest.raises(ValueError, match="margin"):
            h.hashing_loss(torch.ones(2, 4), labels, margin=0.0)
        for loss in (h.quantization_loss, h.balance_loss):
            with pytest.raises(ValueError, match="outputs must"):
                loss(torch.ones(0, 4))


class TestTraining:
    def test_the_first_loss_by_hand(self):
        images, labels = normal(70, 1, 2, 2).float(), torch.arange(70) % 3
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 8))
        batch = batch_of_step(70, 64, 0, 0)
        with torch.no_grad():
            outputs = network(images[batch])
        wanted = h.hashing_loss(outputs, labels[batch], alpha=0.01)
        history = h.train(network, images, labels, steps=1, progress=False)
        assert history["loss"] == [pytest.approx(wanted.item())]

    def test_a_short_training_finds_digits(self):
        images, labels = mnist("train")
        images, labels = images[:600], labels[:600]
        torch.manual_seed(0)
        network = h.HashNet(12)
        options = {"steps": 60, "batch_size": 32, "learning_rate": 3e-3}
        history = h.train(network, images, labels, progress=False, **options)["loss"]
        assert sum(history[-10:]) < 0.6 * sum(history[:10])
        with torch.no_grad():
            found = h.pack_codes(h.sign_codes(network(images)))
        assert h.precision(found, labels, found[:100], labels[:100], k=10) > 0.4

    def test_errors(self):
        with pytest.raises(ValueError, match="bits"):
            h.HashNet(0)
        with pytest.raises(ValueError, match="labels"):
            h.train(h.HashNet(4), torch.rand(4, 1, 28, 28), torch.tensor([0, 1]))


def test_the_study_says_what_the_chapter_needs():
    rows = read_study("hashing")["rows"]

    def mean(part, method, bits):
        values = [
            row["precision"]
            for row in rows
            if (row["part"], row.get("method"), row.get("bits")) == (part, method, bits)
        ]
        return sum(values) / len(values)

    for bits in (16, 32, 64):
        assert mean("digits", "learned", bits) > mean("digits", "random", bits)
    assert mean("digits", "random", 64) > mean("digits", "random", 8)
    seconds = {
        (row["method"], row["kind"]): row["seconds"]
        for row in rows
        if row["part"] == "search" and row["queries"] == 1
    }
    assert seconds["faiss", "bits"] < seconds["faiss", "floats"]


# The exercises: right answers written in another way than the module's.


def pack_by_strings(values):
    if values.dtype != torch.bool or values.dim() != 2 or not values.shape[1]:
        raise ValueError("codes")
    rows = []
    for row in values.tolist():
        text = "".join("01"[bit] for bit in row)
        text += "0" * (-len(text) % 8)
        rows.append([int(text[i : i + 8], 2) for i in range(0, len(text), 8)])
    size = -(-values.shape[1] // 8)
    return torch.tensor(rows, dtype=torch.uint8).view(len(values), size)


def distance_by_table(one, other):
    if one.dtype != torch.uint8 or other.dtype != torch.uint8:
        raise ValueError("bytes")
    if one.shape[1] != other.shape[1]:
        raise ValueError("sizes")
    table = torch.tensor([bin(byte).count("1") for byte in range(256)])
    return table[(one[:, None] ^ other).long()].sum(2)


def quantization_by_two_distances(outputs):
    if outputs.dim() != 2 or not len(outputs):
        raise ValueError("outputs")
    nearer = torch.minimum((outputs - 1).abs(), (outputs + 1).abs())
    return nearer.sum() / len(outputs)


def collisions_by_arcs(one, other, bits=1):
    if one.shape != other.shape or bits < 1:
        raise ValueError("shapes, bits")
    lengths = one.norm(dim=1) * other.norm(dim=1)
    if not lengths.all():
        raise ValueError("zero")
    cosine = ((one * other).sum(1) / lengths).clamp(-1, 1)
    return bits - bits * cosine.acos() / math.pi


def distance_of_bits(one, other):
    places = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)
    bits1, bits2 = (((c[..., None] & places) > 0).flatten(1) for c in (one, other))
    return (bits1[:, None] != bits2[None]).sum(-1)


def distance_by_scipy(one, other):
    bits1, bits2 = (np.unpackbits(c.numpy(), axis=1) for c in (one, other))
    share = cdist(bits1, bits2, "hamming")
    return torch.from_numpy(share * bits1.shape[1]).round().long()


RIGHT = {
    "pack_codes": pack_by_strings,
    "hamming_distance": distance_by_table,
    "quantization_loss": quantization_by_two_distances,
    "expected_collisions": collisions_by_arcs,
}
PLAIN = {
    "pack_codes": lambda c: (
        (
            F.pad(c, (0, -c.shape[1] % 8)).reshape(len(c), -1, 8)
            * 2 ** torch.arange(7, -1, -1)
        )
        .sum(-1)
        .to(torch.uint8)
    ),
    "hamming_distance": distance_of_bits,
    "quantization_loss": lambda x: (x.abs() - 1).abs().sum(dim=1).mean(),
    "expected_collisions": lambda a, b, bits=1: (
        bits * (1 - torch.acos(F.cosine_similarity(a, b)) / math.pi)
    ),
}
LIBRARY = {
    "pack_codes": lambda c: torch.from_numpy(np.packbits(c.numpy(), axis=1)),
    "hamming_distance": distance_by_scipy,
    "quantization_loss": lambda x: (
        F.l1_loss(x.abs(), torch.ones_like(x), reduction="sum") / len(x)
    ),
    "expected_collisions": "no library has it",
}
WRONG = {
    "pack_codes": [
        (
            lambda c: torch.from_numpy(
                np.packbits(c.numpy(), axis=1, bitorder="little")
            ),
            "first bit is the highest",
        ),
        (
            lambda c: torch.from_numpy(
                np.packbits(F.pad(c, (-c.shape[1] % 8, 0)).numpy(), axis=1)
            ),
            "not in front",
        ),
        (lambda c: c.byte(), "a byte of its own"),
        (
            lambda c: (
                F.pad(c, (0, -c.shape[1] % 8)).unflatten(1, (-1, 8)).sum(2).byte()
            ),
            "count the ones",
        ),
        (
            lambda c: torch.from_numpy(np.packbits(c.numpy(), axis=1)).long(),
            "uint8",
        ),
        (
            lambda c: torch.from_numpy(
                np.packbits(c[:, : c.shape[1] // 8 * 8].numpy(), axis=1)
            ),
            "get lost",
        ),
    ],
    "hamming_distance": [
        (lambda a, b: (a[:, None] != b).sum(2), "count bytes"),
        (lambda a, b: (a[:, None] ^ b).sum(2), "count their ones"),
        (lambda a, b: distance_of_bits(b, a), "yours are turned"),
        (
            lambda a, b: 8 * a.shape[1] - distance_of_bits(a, b),
            "bits that agree",
        ),
        (
            lambda a, b: distance_of_bits(a, b).diagonal(),
            "row by row",
        ),
    ],
    "quantization_loss": [
        (lambda x: (x.abs() - 1).abs().mean(), "mean of both"),
        (lambda x: (x.abs() - 1).square().sum(1).mean(), "not squared"),
        (lambda x: (x - 1).abs().sum(1).mean(), "all outputs to 1"),
        (lambda x: (1 - x.abs()).sum(1).mean(), "negative"),
        (lambda x: F.relu(1 - x.abs()).sum(1).mean(), "stop at 1"),
        (lambda x: (x.abs() - 1).abs().sum(), "summed over both"),
    ],
    "expected_collisions": [
        (
            lambda a, b, bits=1: bits - collisions_by_arcs(a, b, bits),
            "differ in the mean",
        ),
        (
            lambda a, b, bits=1: bits * (1 + F.cosine_similarity(a, b)) / 2,
            "not in its cosine",
        ),
        (lambda a, b, bits=1: collisions_by_arcs(a, b), "number of bits"),
        (
            lambda a, b, bits=1: (
                bits * (1 - F.cosine_similarity(a, b).clamp(-1, 1).acos() / 2 / math.pi)
            ),
            "not by 2π",
        ),
        (
            lambda a, b, bits=1: (
                bits * (1 - F.cosine_similarity(a, b).clamp(-1, 1).acos() / 180)
            ),
            "radians",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = hashing_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

"""First steps: by hand, against torch, SciPy and scikit-learn, and errors."""

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from torch.autograd import gradcheck
from torch.utils.data import random_split

from lesson_utils import first_steps as fs
from lesson_utils.checks import first_steps as first_steps_checks
from lesson_utils.checks import grade
from lesson_utils.common.training import batch_of_step
from lesson_utils.data.mnist import mnist
from tests.answers import ExerciseTests


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def blobs(number=200, seed=0):
    """Pictures whose class is the row that is bright: easy to learn."""
    images = 0.1 * torch.rand(number, 1, 28, 28, generator=dice(seed))
    labels = torch.randint(10, (number,), generator=dice(seed + 1))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 2 * label + 3 : 2 * label + 6] = 1
    return images, labels


def dice(seed):
    return torch.Generator().manual_seed(seed)


class TestConvolve:
    def test_by_hand(self):
        image = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
        kernel = torch.tensor([[1.0, 2], [0, -1]])
        assert fs.convolve(image, kernel).tolist() == [[0, 2]]
        assert fs.convolve(image, kernel, padding=1, stride=3).tolist() == [[-1, 0]]

    @given(
        st.tuples(*2 * [st.integers(1, 9)]), st.tuples(*2 * [st.integers(1, 4)]),
        st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**20),
    )  # fmt: skip
    @settings(max_examples=60, deadline=None)
    def test_is_conv2d(self, size, window, stride, padding, seed):
        image, kernel = normal(*size, seed=seed), normal(*window, seed=seed + 1)
        if any(k > s + 2 * padding for k, s in zip(window, size, strict=True)):
            with pytest.raises(ValueError, match="kernel must have pixels and fit"):
                fs.convolve(image, kernel, stride=stride, padding=padding)
            return
        expected = F.conv2d(
            image[None, None], kernel[None, None], None, stride, padding
        )
        found = fs.convolve(image, kernel, stride=stride, padding=padding)
        torch.testing.assert_close(found, expected[0, 0])

    def test_does_not_flip(self):
        image, kernel = normal(6, 7), normal(3, 2, seed=1)
        expected = correlate2d(image.numpy(), kernel.numpy(), mode="valid")
        torch.testing.assert_close(fs.convolve(image, kernel), torch.tensor(expected))

    def test_gradients(self):
        inputs = normal(4, 5).requires_grad_(), normal(2, 3, seed=1).requires_grad_()
        assert gradcheck(lambda i, k: fs.convolve(i, k, stride=2, padding=1), inputs)

    def test_errors(self):
        image, kernel = normal(4, 5), normal(3, 3)
        for args, words, kind in (
            ((image[None], kernel), {}, r"image must be \(H, W\)"),
            ((image, kernel[0]), {}, r"kernel must be \(m, n\)"),
            ((image, normal(5, 3)), {}, "got 5 by 3 on 4 by 5"),
            ((image, normal(3, 0)), {}, "kernel must have pixels"),
            ((image, kernel), {"stride": 0}, "stride must be a whole number >= 1"),
            ((image, kernel), {"stride": 1.5}, "stride must be"),
            ((image, kernel), {"padding": -1}, "padding must be a whole number >= 0"),
        ):
            with pytest.raises(ValueError, match=kind):
                fs.convolve(*args, **words)


class TestAccuracy:
    def test_by_hand(self):
        logits = torch.tensor([[2.0, 1], [0, 3], [5, -5], [-2, -1]])
        assert fs.accuracy(logits, torch.tensor([0, 1, 1, 1])) == 0.75

    @given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 2**20))
    @settings(max_examples=40, deadline=None)
    def test_is_scikit_learns(self, number, classes, seed):
        logits = normal(number, classes, seed=seed)
        labels = torch.randint(classes, (number,), generator=dice(seed))
        expected = accuracy_score(labels, logits.argmax(1))
        assert fs.accuracy(logits, labels) == pytest.approx(expected)

    def test_errors(self):
        logits, labels = normal(3, 4), torch.tensor([0, 1, 2])
        for args, words in (
            ((logits[:0], labels[:0]), "at least one picture"),
            ((logits, labels[:, None]), r"labels must be \(3,\)"),
            ((logits, labels.float()), "labels must be whole numbers"),
            ((logits, labels + 2), r"labels must lie in \[0, 3\]"),
            ((logits, labels - 1), r"labels must lie in \[0, 3\]"),
            ((logits[0], labels), r"logits must be \(N, K\)"),
        ):
            with pytest.raises(ValueError, match=words):
                fs.accuracy(*args)


class TestSplit:
    @given(
        st.integers(0, 200), st.lists(st.integers(0, 20), min_size=1, max_size=6),
        st.integers(0, 2**20),
    )  # fmt: skip
    @settings(max_examples=80, deadline=None)
    def test_nobody_twice_and_nobody_missing(self, num, weights, seed):
        weights[0] += 1
        shares = [weight / sum(weights) for weight in weights]
        sets = fs.split_indices(num, shares, seed=seed)
        assert len(sets) == len(shares)
        assert sorted(torch.cat(sets).tolist()) == list(range(num))
        for part, share in zip(sets, shares, strict=True):
            assert abs(len(part) - num * share) <= 1 + 1e-9
            assert part.dtype == torch.int64

    def test_is_random_by_its_seed_alone(self):
        before = torch.get_rng_state()
        first = fs.split_indices(100, (0.5, 0.5), seed=1)
        assert torch.equal(before, torch.get_rng_state())
        torch.rand(3)
        for one, same in zip(first, fs.split_indices(100, (0.5, 0.5), seed=1),
                             strict=True):  # fmt: skip
            assert torch.equal(one, same)
        other = fs.split_indices(100, (0.5, 0.5), seed=2)[0]
        assert not torch.equal(first[0].sort().values, other.sort().values)
        # About half of the first half lands in the first set.
        assert 10 < (first[0] < 50).sum() < 40

    def test_errors(self):
        for num, shares, words in (
            (-1, [1.0], "num must be a whole number >= 0, got -1"),
            (2.5, [1.0], "num must be a whole number"),
            (10, [1.2, -0.2], "a share must be"),
            (10, [0.5, 0.4], "shares must add up to 1, got 0.9"),
            (10, [], "shares must add up to 1, got 0"),
        ):
            with pytest.raises(ValueError, match=words):
                fs.split_indices(num, shares)


class TestTraining:
    def test_network(self):
        network = fs.make_network(seed=3)
        assert sum(weight.numel() for weight in network.parameters()) == 9226
        assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
        state = torch.get_rng_state()
        same = fs.make_network(seed=3)
        assert torch.equal(state, torch.get_rng_state())
        assert torch.equal(network[0].weight, same[0].weight)
        assert not torch.equal(network[0].weight, fs.make_network(seed=4)[0].weight)
        zero, default = fs.make_network(seed=0), fs.make_network()
        assert torch.equal(zero[0].weight, default[0].weight)

    def test_a_step_by_hand(self):
        images, labels = blobs(60)
        network, twin = fs.make_network(seed=0), fs.make_network(seed=0)
        losses = fs.train(network, images, labels, steps=1, rate=0.3)
        batch = batch_of_step(60, 50, 0, 0)
        loss = F.cross_entropy(twin(images[batch]), labels[batch])
        assert losses == [pytest.approx(loss.item())]
        slopes = torch.autograd.grad(loss, list(twin.parameters()))
        for new, old, slope in zip(
            network.parameters(), twin.parameters(), slopes, strict=True
        ):
            torch.testing.assert_close(new, old - 0.3 * slope)

    def test_learns(self):
        images, labels = blobs()
        network = fs.make_network(seed=0)
        losses = fs.train(network, images, labels, steps=120)
        assert losses[0] == pytest.approx(math.log(10), abs=0.1)
        with torch.no_grad():
            fresh = blobs(seed=7)
            assert fs.accuracy(network(fresh[0]), fresh[1]) > 0.9

    def test_forgetting_adds_slopes_up(self):
        """Two steps on one batch: the second walks along both slopes."""
        images, labels = blobs(50)
        start, one, two = (fs.make_network(seed=0) for _ in range(3))
        fs.train(one, images, labels, steps=1)
        fs.train(two, images, labels, steps=2, zero_grad=False)
        loss = F.cross_entropy(one(images), labels)
        slope = torch.autograd.grad(loss, one[-1].weight)[0]
        first = start[-1].weight - one[-1].weight  # the first step's stride
        torch.testing.assert_close(
            two[-1].weight, one[-1].weight - first - 0.2 * slope, atol=1e-6, rtol=1e-4
        )

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu(self):
        images, labels = (each.cuda() for each in blobs())
        network = fs.make_network(seed=0).cuda()
        assert fs.train(network, images, labels, steps=120)[-1] < 1


class TestFaults:
    """Each fault shows where the page says it shows."""

    @pytest.fixture
    def batch(self):
        images, labels = mnist("train")
        return images[:16], labels[:16]

    def one_batch(self, name, batch, **settings):
        return fs.FAULTS[name].run(*batch, steps=200, **settings)[1]

    @pytest.mark.parametrize("name", ["nothing wrong", "labels shuffled"])
    def test_learned_by_heart(self, name, batch):
        assert self.one_batch(name, batch)[-1] < 0.05

    def test_labels_are_the_same_but_elsewhere(self, batch):
        images, labels = fs.FAULTS["labels shuffled"].prepare(*batch)
        assert torch.equal(images, batch[0])
        assert torch.equal(labels.sort().values, batch[1].sort().values)
        assert (labels != batch[1]).double().mean() > 0.5

    def test_softmax_twice_has_a_floor(self, batch):
        floor = math.log(math.e + 9) - 1
        losses = self.one_batch("softmax twice", batch, rate=1.0)
        assert floor < min(losses) < 2.2
        assert floor == pytest.approx(1.461, abs=1e-3)

    def test_rates(self, batch):
        assert fs.FAULTS["rate × 100"].rate == 100 * fs.FAULTS["nothing wrong"].rate
        assert fs.FAULTS["rate / 100"].rate == fs.FAULTS["nothing wrong"].rate / 100
        assert self.one_batch("rate / 100", batch)[-1] > 1.5
        assert not self.one_batch("rate × 100", batch)[-1] < 1

    def test_bytes_begin_far_off(self, batch):
        assert self.one_batch("pixels 0 to 255", batch)[0] > 2 * math.log(10)

    def test_dead_layers_get_no_gradient(self, batch):
        first, second, last = fs.FAULTS["dead ReLU"].first_gradients(*batch)
        assert first == second == 0 < last
        assert min(fs.FAULTS["nothing wrong"].first_gradients(*batch)) > 0

    def test_gradients_are_those_of_the_loss(self, batch):
        network = fs.make_network(seed=0)
        loss = F.cross_entropy(network(batch[0]), batch[1])
        weights = [network[k].weight for k in (0, 2, 5)]
        expected = [g.norm().item() for g in torch.autograd.grad(loss, weights)]
        found = fs.FAULTS["nothing wrong"].first_gradients(*batch)
        assert found == pytest.approx(expected, rel=1e-4)


# Exercises --------------------------------------------------------------------------


def by_unfolding(image, kernel, *, stride=1, padding=0):
    if image.dim() != 2 or kernel.dim() != 2 or stride < 1 or padding < 0:
        raise ValueError("two axes each, stride at least 1, padding at least 0")
    height, width = (side + 2 * padding for side in image.shape)
    if kernel.shape[0] > height or kernel.shape[1] > width:
        raise ValueError("too large")
    padded = torch.zeros(height, width)
    padded[padding : height - padding, padding : width - padding] = image
    windows = padded.unfold(0, kernel.shape[0], stride).unfold(
        1, kernel.shape[1], stride
    )
    return torch.einsum("yxij,ij->yx", windows, kernel)


def two_loops(image, kernel, *, stride=1, padding=0):
    H, W = image.shape  # noqa: N806
    m, n = kernel.shape
    big = torch.zeros(H + 2 * padding, W + 2 * padding)
    big[padding : padding + H, padding : padding + W] = image
    out = torch.zeros((H + 2 * padding - m) // stride + 1,
                      (W + 2 * padding - n) // stride + 1)  # fmt: skip
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for i in range(m):
                for j in range(n):
                    out[y, x] += big[y * stride + i, x * stride + j] * kernel[i, j]
    return out


def torchs(image, kernel, *, stride=1, padding=0):
    return F.conv2d(
        image[None, None], kernel[None, None], stride=stride, padding=padding
    )[0, 0]


def counted(logits, labels):
    if len(logits) == 0 or tuple(labels.shape) != (len(logits),):
        raise ValueError("shapes")
    hits = 0
    for row, label in zip(logits, labels, strict=True):
        if label < 0 or label >= len(row):
            raise ValueError("label")
        hits += int(row[label.long()] == row.max())
    return hits / len(logits)


def by_numpy(num, shares, *, seed=0):
    if (
        num < 0
        or any(share < 0 for share in shares)
        or not math.isclose(sum(shares), 1, abs_tol=1e-9)
    ):
        raise ValueError("num, or shares")
    order = np.random.default_rng(seed).permutation(num)
    ends = np.round(np.cumsum(shares) * num).astype(int)[:-1]
    return [torch.from_numpy(part) for part in np.split(order, ends)]


def rest_to_the_last(num, shares, *, seed=0):
    order, sets, start = list(range(num)), [], 0
    random.Random(seed).shuffle(order)
    for share in shares[:-1]:
        size = int(num * share)
        sets.append(torch.tensor(order[start : start + size], dtype=torch.long))
        start += size
    return (*sets, torch.tensor(order[start:], dtype=torch.long))


def torchs_split(num, shares, *, seed=0):
    parts = random_split(range(num), shares, generator=dice(seed))
    return [torch.tensor(list(part), dtype=torch.long) for part in parts]


def scikit_learns(num, shares, *, seed=0):
    left, sets = np.arange(num), []
    for share in shares[:-1]:
        part, left = train_test_split(left, train_size=round(num * share),
                                      random_state=seed)  # fmt: skip
        sets.append(torch.from_numpy(part))
    return [*sets, torch.from_numpy(left)]


def test_scikit_learns_split_is_right():
    outcome = grade("first_steps.split_indices", scikit_learns)
    assert outcome.correct, outcome.failures


def rest_to_the_last_in_order(num, shares):
    ends = np.round(np.cumsum(shares) * num).astype(int)[:-1]
    return [torch.from_numpy(part) for part in np.split(np.arange(num), ends)]


def globally(num, shares, seed):
    torch.manual_seed(seed)
    order, ends = torch.randperm(num), np.cumsum(shares)[:-1] * num
    return order.tensor_split(tuple(round(end) for end in ends))


RIGHT = {
    "convolve": by_unfolding,
    "accuracy": counted,
    "split_indices": by_numpy,
}
PLAIN = {
    "convolve": two_loops,
    "accuracy": lambda logits, labels: (logits.argmax(1) == labels).float().mean(),
    "split_indices": rest_to_the_last,
}
LIBRARY = {
    "convolve": torchs,
    "accuracy": lambda logits, labels: accuracy_score(labels, logits.argmax(1)),
    "split_indices": torchs_split,
}
WRONG = {
    "convolve": [
        (lambda i, k, *, stride=1, padding=0:
            torchs(i, k.flip(0).flip(1), stride=stride, padding=padding),
         "turned round"),
        (lambda i, k, *, stride=1, padding=0: two_loops(i, k), "plain version"),
        (lambda i, k, *, stride=1, padding=0:
            two_loops(i, k, padding=padding), "stride is left out"),
        (lambda i, k, *, stride=1, padding=0:
            two_loops(i, k, stride=stride), "padding is left out"),
        (lambda i, k, *, stride=1, padding=0:
            two_loops(i, k, stride=stride, padding=padding) / k.numel(),
         "not the mean"),
        (lambda i, k, *, stride=1, padding=0:
            torchs(F.pad(i, (padding, 0, padding, 0)), k, stride=stride),
         "all round"),
        (lambda i, k, *, stride=1, padding=0:
            torchs(i, k, stride=(stride, 1), padding=padding), "one direction"),
        (lambda i, k, *, stride=1, padding=0:
            F.conv2d(i[None, None], k[None, None], None, stride, padding),
         "four axes"),
        (lambda i, k, *, stride=1, padding=0:
            two_loops(i, k, stride=stride, padding=padding).T, "transposed"),
    ],
    "accuracy": [
        (lambda z, y: (z.argmax(1) == y).float().mean() * 100, "percentage"),
        (lambda z, y: int((z.argmax(1) == y).sum()), "how many are right"),
        (lambda z, y: (z.argmax(0) == y).float().mean(), "along axis 1"),
        (lambda z, y: (z.argmax() == y).float().mean(), "of *all* numbers"),
        (lambda z, y: (z.argmax(1) != y).float().mean(), "*wrong* answers"),
        (lambda z, y: (z.argmax(1, keepdim=True) == y).float().mean(),
         "every picture with every label"),
        (lambda z, y: (z.max(1).values == y).float().mean(), "*place*"),
        (lambda z, y: sum(z.argmax(1) == y).item() // len(y), "rounds down"),
        (lambda z, y: (z.argmax(1) == y).float(), "take the mean"),
        (lambda z, y: (z.argmin(1) == y).float().mean(), "`argmax`"),
    ],
    "split_indices": [
        (lambda num, shares, *, seed=0: rest_to_the_last_in_order(num, shares),
         "in order"),
        (lambda num, shares, *, seed=0: by_numpy(num, shares), "Another seed"),
        (lambda num, shares, *, seed=0: by_numpy(num, shares, seed=None),
         "seed is not used"),
        (lambda num, shares, *, seed=0: [
            1 + part for part in by_numpy(num, shares, seed=seed)],
         "start at 0"),
        (lambda num, shares, *, seed=0: [
            torch.from_numpy(np.random.default_rng(seed + k).permutation(num)
                             [: round(num * share)])
            for k, share in enumerate(shares)], "sets overlap"),
        (lambda num, shares, *, seed=0: globally(num, shares, seed),
         "dice of your own"),
        (lambda num, shares, *, seed=0: [
            part[: int(num * share + 1e-6)] for part, share in
            zip(by_numpy(num, shares, seed=seed), shares, strict=True)],
         "somebody is lost"),
    ],
}  # fmt: skip


class TestExercises(ExerciseTests):
    checks = first_steps_checks
    right, plain, library, wrong = RIGHT, PLAIN, LIBRARY, WRONG

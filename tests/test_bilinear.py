"""Bilinear pooling: by hand, against torch and scipy, edges, gradients, exercises."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch.autograd import gradcheck

from lesson_utils import bilinear
from lesson_utils.bilinear import CompactBilinear
from lesson_utils.checks import bilinear as bilinear_checks
from lesson_utils.common.studies import read_study
from lesson_utils.style_transfer import gram_matrix
from studies import bilinear as study_bilinear
from tests.answers import ExerciseTests

METHODS = bilinear.METHODS
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def hashes(channels, size, seed=0):
    """Buckets and signs of a count sketch."""
    generator = torch.Generator().manual_seed(seed)
    buckets = torch.randint(size, (channels,), generator=generator)
    return buckets, 2 * torch.randint(2, (channels,), generator=generator) - 1


class TestBilinearPool:
    def test_by_hand(self):
        first = torch.tensor([[[[1.0, 2]], [[0, 3]]]])  # two channels, two positions
        second = torch.tensor([[[[4.0, 5]]]])
        got = bilinear.bilinear_pool(first, second)
        assert got.tolist() == [[(1 * 4 + 2 * 5) / 2, (0 * 4 + 3 * 5) / 2]]

    def test_order_of_entries(self):
        first, second = torch.zeros(1, 2, 1, 1), torch.zeros(1, 3, 1, 1)
        first[0, 1], second[0, 2] = 1, 1
        assert bilinear.bilinear_pool(first, second)[0].tolist() == [0] * 5 + [1]

    @pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4)])
    def test_matches_numpy_einsum(self, size):
        first, second = random(4, 3, *size), random(4, 5, *size, seed=1)
        expected = np.einsum("bihw,bjhw->bij", first.numpy(), second.numpy())
        got = bilinear.bilinear_pool(first, second)
        np.testing.assert_allclose(
            got.numpy(), expected.reshape(4, 15) / math.prod(size), atol=1e-12
        )

    def test_one_position_is_the_outer_product(self):
        first, second = random(3), random(4, seed=1)
        got = bilinear.bilinear_pool(
            first.reshape(1, 3, 1, 1), second.reshape(1, 4, 1, 1)
        )
        torch.testing.assert_close(got[0], torch.outer(first, second).flatten())

    def test_is_the_gram_matrix_of_style_transfer(self):
        features = random(2, 5, 4, 3)
        got = bilinear.bilinear_pool(features, features)
        torch.testing.assert_close(got, 5 * gram_matrix(features).flatten(1))

    def test_places_do_not_matter_but_pairs_do(self):
        features = random(1, 4, 2, 6)
        order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
        moved = features.flatten(2)[:, :, order].reshape(1, 4, 3, 4)
        pool = bilinear.bilinear_pool
        torch.testing.assert_close(pool(moved, moved), pool(features, features))
        assert not torch.allclose(
            pool(moved.reshape(1, 4, 2, 6), features), pool(features, features)
        )

    def test_inner_product_is_the_mean_squared_kernel(self):
        """What one sums over pairs of channels is a sum over pairs of positions."""
        one, other = random(1, 3, 2, 2), random(1, 3, 2, 3, seed=1)
        descriptors = [bilinear.bilinear_pool(f, f)[0] for f in (one, other)]
        kernel = (one.flatten(2)[0].T @ other.flatten(2)[0]).square().mean()
        torch.testing.assert_close(descriptors[0] @ descriptors[1], kernel)

    def test_normalized(self):
        first, second = random(3, 2, 4, 4), random(3, 5, 4, 4, seed=1)
        got = bilinear.bilinear_pool(first, second, normalize=True)
        plain = bilinear.bilinear_pool(first, second).numpy()
        root = np.sign(plain) * np.sqrt(np.abs(plain))
        expected = root / np.linalg.norm(root, axis=1, keepdims=True)
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_picture_of_nothing(self, dtype):
        features = torch.zeros(2, 3, 2, 2, dtype=dtype)
        features[1] = 1
        features.requires_grad_()
        got = bilinear.bilinear_pool(features, features, normalize=True)
        assert got.dtype == dtype
        assert got[0].tolist() == [0] * 9
        got.sum().backward()
        assert features.grad.isfinite().all()
        assert (features.grad[0] == 0).all()

    def test_half_precision_does_not_overflow(self):
        features = torch.full((1, 2, 40, 40), 16.0, dtype=torch.float16)
        got = bilinear.bilinear_pool(features, features)  # a sum would be 409,600
        assert got[0].tolist() == pytest.approx([256] * 4, rel=2e-3)

    def test_empty_batch(self):
        empty = torch.zeros(0, 3, 2, 2)
        assert bilinear.bilinear_pool(empty, empty).shape == (0, 9)
        assert bilinear.bilinear_pool(empty, empty, normalize=True).shape == (0, 9)

    @pytest.mark.parametrize("normalize", [False, True])
    def test_gradient(self, normalize):
        inputs = [random(2, c, 2, 3, seed=c).requires_grad_() for c in (2, 3)]
        assert gradcheck(
            lambda a, b: bilinear.bilinear_pool(a, b, normalize=normalize), inputs
        )

    def test_gradient_of_features_with_themselves(self):
        features = random(2, 3, 2, 2).requires_grad_()
        assert gradcheck(lambda f: bilinear.bilinear_pool(f, f), features)

    @pytest.mark.parametrize(
        ("first", "second", "message"),
        [
            (torch.ones(2, 3), torch.ones(2, 3), r"features1 must be .*\(2, 3\)"),
            (torch.ones(1, 2, 3, 3), torch.ones(2, 3, 3), r"features2 .*\(2, 3, 3\)"),
            (
                torch.ones(1, 2, 3, 4),
                torch.ones(1, 2, 4, 3),
                r"share B, H and W, got \(1, 2, 3, 4\) and \(1, 2, 4, 3\)",
            ),
            (torch.ones(1, 2, 3, 4), torch.ones(2, 2, 3, 4), "share B"),
            (torch.ones(1, 2, 0, 4), torch.ones(1, 2, 0, 4), "a position"),
            (torch.ones(1, 2, 3, 3).long(), torch.ones(1, 2, 3, 3), "int64"),
            (torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3).double(), "one dtype"),
        ],
    )
    def test_errors(self, first, second, message):
        with pytest.raises(ValueError, match=message):
            bilinear.bilinear_pool(first, second)


class TestSignedSqrt:
    def test_by_hand(self):
        values = torch.tensor([-4.0, -0.25, 0.0, 0.25, 9.0])
        assert bilinear.signed_sqrt(values).tolist() == [-2, -0.5, 0, 0.5, 3]

    def test_gradient(self):
        values = torch.tensor([-4.0, 0.0, 1e-20, 0.25], requires_grad=True)
        bilinear.signed_sqrt(values).sum().backward()
        assert values.grad.tolist() == pytest.approx([0.25, 0, 0.5e10, 1], rel=1e-5)
        away = random(7).requires_grad_()
        assert gradcheck(bilinear.signed_sqrt, away)

    def test_nan_and_infinity_are_not_hidden(self):
        got = bilinear.signed_sqrt(torch.tensor([math.nan, -math.inf]))
        assert got[0].isnan()
        assert got[1] == -math.inf

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_keeps_dtype_and_shape(self, dtype):
        got = bilinear.signed_sqrt(torch.zeros(2, 0, 3, dtype=dtype))
        assert (got.dtype, got.shape) == (dtype, (2, 0, 3))

    def test_error(self):
        with pytest.raises(ValueError, match="floating point, got torch.int64"):
            bilinear.signed_sqrt(torch.ones(2).long())


class TestCountSketch:
    def test_by_hand(self):
        values = torch.tensor([[1.0, 2, 3, 4]])
        buckets, signs = torch.tensor([2, 0, 2, 1]), torch.tensor([1, -1, -1, 1])
        got = bilinear.count_sketch(values, buckets, signs, 4)
        assert got.tolist() == [[-2, 4, 1 - 3, 0]]

    def test_matches_a_matrix(self):
        values = random(2, 5, 7)
        buckets, signs = hashes(7, 4)
        matrix = F.one_hot(buckets, 4).double() * signs[:, None]
        got = bilinear.count_sketch(values, buckets, signs, 4)
        torch.testing.assert_close(got, values @ matrix)

    def test_inner_products_on_average(self):
        """Over all buckets and signs of two channels, exactly."""
        one, other, total, count = random(2), random(2, seed=1), 0.0, 0
        for b in range(9):
            for s in range(4):
                buckets = torch.tensor([b // 3, b % 3])
                signs = torch.tensor([2 * (s // 2) - 1, 2 * (s % 2) - 1])
                sketches = [
                    bilinear.count_sketch(v, buckets, signs, 3) for v in (one, other)
                ]
                total, count = total + sketches[0] @ sketches[1], count + 1
        torch.testing.assert_close(total / count, one @ other)

    @pytest.mark.parametrize(
        ("buckets", "signs", "message"),
        [
            ([0, 1], [1, 1, 1], r"buckets must be \(3,\) for 3 channels, got \(2,\)"),
            ([0, 1, 1], [1, 1], r"signs must be \(3,\)"),
            ([0, 1, 2], [1, 1, 1], "from 0 to 1 for size 2, got 0 to 2"),
            ([0, -1, 1], [1, 1, 1], "got -1 to 1"),
            ([0, 1, 1], [1, 0, 1], "signs must each be 1 or -1, got 0"),
            ([0, 1, 1], [1, -1, 2], "got 2"),
            ([0, 1, 1], [1, math.nan, 1], "got nan"),
        ],
    )
    def test_errors(self, buckets, signs, message):
        with pytest.raises(ValueError, match=message):
            bilinear.count_sketch(
                torch.ones(3), torch.tensor(buckets), torch.tensor(signs), 2
            )


class TestTensorSketch:
    @pytest.mark.parametrize("size", [1, 6, 7])
    def test_is_the_count_sketch_of_the_descriptor(self, size):
        """With pair (i, j) in bucket b1[i] + b2[j], modulo the size."""
        first, second = random(3, 4, 2, 3), random(3, 5, 2, 3, seed=1)
        (b1, s1), (b2, s2) = hashes(4, size), hashes(5, size, seed=1)
        pairs = ((b1[:, None] + b2) % size).flatten()
        signs = (s1[:, None] * s2).flatten()
        expected = bilinear.count_sketch(
            bilinear.bilinear_pool(first, second), pairs, signs, size
        )
        got = bilinear.tensor_sketch(first, second, (b1, b2), (s1, s2), size)
        torch.testing.assert_close(got, expected)

    def test_matches_scipy_convolution(self):
        """One position: the circular convolution of two sketches."""
        first, second, size = random(1, 6, 1, 1), random(1, 6, 1, 1, seed=1), 5
        (b1, s1), (b2, s2) = hashes(6, size), hashes(6, size, seed=1)
        sketches = [
            bilinear.count_sketch(f.flatten(), b, s, size).numpy()
            for f, b, s in ((first, b1, s1), (second, b2, s2))
        ]
        linear = np.append(scipy.signal.convolve(*sketches), 0)
        got = bilinear.tensor_sketch(first, second, (b1, b2), (s1, s2), size)
        np.testing.assert_allclose(got[0].numpy(), linear[:5] + linear[5:], atol=1e-12)

    def test_gradient(self):
        (b1, s1), (b2, s2) = hashes(3, 4), hashes(2, 4, seed=1)
        inputs = [random(2, c, 2, 2, seed=c).requires_grad_() for c in (3, 2)]
        assert gradcheck(
            lambda a, b: bilinear.tensor_sketch(a, b, (b1, b2), (s1, s2), 4), inputs
        )


class TestRandomMaclaurin:
    def test_by_hand(self):
        first = torch.tensor([1.0, 2]).reshape(1, 2, 1, 1)
        second = torch.tensor([3.0, 5]).reshape(1, 2, 1, 1)
        signs = torch.tensor([[1, 1], [1, -1], [1, 1], [-1, -1]])
        got = bilinear.random_maclaurin(first, second, signs, signs.flip(0))
        assert got.tolist() == [[3 * -8 / 2, -1 * 8 / 2, 3 * -2 / 2, -3 * 8 / 2]]

    def test_all_signs_give_the_exact_kernel(self):
        """With every pair of sign vectors once, the average is no estimate."""
        signs = torch.cartesian_prod(*[torch.tensor([1, -1])] * 4)  # (16, 4)
        f1, f2 = (random(1, 2, 3, 2, seed=s) for s in (0, 1))
        g1, g2 = (random(1, 2, 3, 2, seed=s) for s in (2, 3))
        exact = bilinear.bilinear_pool(f1, f2)[0] @ bilinear.bilinear_pool(g1, g2)[0]
        sketches = [
            bilinear.random_maclaurin(a, b, signs[:, :2], signs[:, 2:])[0]
            for a, b in ((f1, f2), (g1, g2))
        ]
        torch.testing.assert_close(sketches[0] @ sketches[1], exact)

    def test_errors(self):
        features = torch.ones(1, 3, 2, 2)
        with pytest.raises(ValueError, match=r"\(D, 3\) and \(D, 3\), got \(5, 3\)"):
            bilinear.random_maclaurin(
                features, features, torch.ones(5, 3), torch.ones(5, 2)
            )
        ones = torch.ones(5, 3)
        for name, pair in (("signs1", (0 * ones, ones)), ("signs2", (ones, -2 * ones))):
            with pytest.raises(ValueError, match=f"{name} must each be 1 or -1"):
                bilinear.random_maclaurin(features, features, *pair)


class TestCompactBilinear:
    @pytest.mark.parametrize("method", METHODS)
    def test_error_falls_with_the_root_of_the_size(self, method):
        features = random(8, 12, 3, 3)
        exact = bilinear.bilinear_pool(features, features)
        kernel = exact @ exact.T

        def error(size):
            squares = []
            for seed in range(30):
                generator = torch.Generator().manual_seed(seed)
                pool = CompactBilinear(12, 12, size, method=method, generator=generator)
                sketch = pool(features, features)
                squares.append((sketch @ sketch.T - kernel).square().mean())
            return torch.stack(squares).mean().sqrt().item()

        assert 3 < error(64) / error(1024) < 5.3  # the root of 16 is 4

    @pytest.mark.parametrize("method", METHODS)
    def test_unbiased(self, method):
        features = random(2, 3, 2, 2)
        exact = bilinear.bilinear_pool(features, features)
        kernel = (exact[0] @ exact[1]).item()
        generator = torch.Generator().manual_seed(0)
        draws = []
        for _ in range(2000):
            pool = CompactBilinear(3, 3, 4, method=method, generator=generator)
            sketch = pool(features, features)
            draws.append((sketch[0] @ sketch[1]).item())
        standard_error = np.std(draws) / len(draws) ** 0.5
        assert abs(np.mean(draws) - kernel) < 4 * standard_error

    @pytest.mark.parametrize("method", METHODS)
    def test_generator_state_and_dtype(self, method):
        pools = [
            CompactBilinear(
                3, 4, 8, method=method, generator=torch.Generator().manual_seed(7)
            )
            for _ in range(2)
        ]
        first, second = random(2, 3, 2, 2), random(2, 4, 2, 2, seed=1)
        assert torch.equal(pools[0](first, second), pools[1](first, second))
        other = CompactBilinear(3, 4, 8, method=method)
        other.load_state_dict(pools[0].state_dict())
        assert torch.equal(other(first, second), pools[0](first, second))
        assert not list(other.parameters())
        for dtype in (torch.float16, torch.bfloat16):
            half = pools[0](first.to(dtype), second.to(dtype))
            assert half.dtype == dtype
            exact = pools[0](first, second)
            torch.testing.assert_close(half.double(), exact, atol=0.1, rtol=0.05)

    @pytest.mark.parametrize("method", METHODS)
    def test_empty_batch(self, method):
        pool = CompactBilinear(3, 3, 8, method=method)
        empty = torch.zeros(0, 3, 2, 2)
        assert pool(empty, empty).shape == (0, 8)

    def test_errors(self):
        with pytest.raises(ValueError, match="size must be a whole number >= 1, got 0"):
            CompactBilinear(3, 3, 0)
        with pytest.raises(ValueError, match="channels2 .* got 2.5"):
            CompactBilinear(3, 2.5, 4)
        with pytest.raises(ValueError, match="one of tensor sketch, .* got 'fft'"):
            CompactBilinear(3, 3, 4, method="fft")
        with pytest.raises(ValueError, match="share B, H and W"):
            CompactBilinear(3, 3, 4)(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 3))
        with pytest.raises(ValueError, match=r"buckets must be \(5,\) for 5 channels"):
            CompactBilinear(3, 3, 4)(torch.ones(1, 5, 2, 2), torch.ones(1, 3, 2, 2))


class TestPool:
    def test_by_hand(self):
        maps = torch.tensor([[[[1.0, 3]], [[0, 2]]]])  # means 2 and 1
        assert bilinear.pool(maps, "average").tolist() == [[2, 1]]
        # Their products 4, 2, 2, 1, and means of products 5, 3, 3, 2; the squared
        # length of the roots is the sum.
        for pooling, products in (
            ("products", (4, 2, 2, 1)),
            ("bilinear", (5, 3, 3, 2)),
        ):
            wanted = (torch.tensor(products) / sum(products)).sqrt()
            torch.testing.assert_close(bilinear.pool(maps, pooling)[0], wanted)

    def test_products_know_nothing_of_places(self):
        maps = random(2, 3, 4, 5)
        shuffled = maps.clone()
        shuffled[:, 0] = maps[:, 0].flatten(1).flip(1).unflatten(1, (4, 5))
        for pooling, same in (
            ("average", True),
            ("products", True),
            ("bilinear", False),
        ):
            pooled = [bilinear.pool(each, pooling) for each in (maps, shuffled)]
            assert torch.allclose(*pooled) == same

    @pytest.mark.parametrize(
        ("maps", "pooling", "message"),
        [
            (torch.rand(1, 2, 3, 3), "max", "pooling must be"),
            (torch.rand(2, 3, 3), "average", "must be"),
            (torch.rand(1, 2, 0, 3), "average", "position"),
        ],
    )
    def test_errors(self, maps, pooling, message):
        with pytest.raises(ValueError, match=message):
            bilinear.pool(maps, pooling)


class TestPooledNet:
    @pytest.mark.parametrize("pooling", bilinear.POOLINGS)
    def test_is_a_linear_layer_on_the_descriptor(self, pooling):
        network = bilinear.PooledNet(torch.nn.ReLU(), 3, 4, pooling).double()
        images = random(2, 3, 4, 5)
        descriptor = bilinear.pool(images.clamp(min=0), pooling)
        torch.testing.assert_close(network(images), network.classifier(descriptor))

    @pytest.mark.parametrize("arguments", [(0, 2), (3, 1.5), (3, 2, "max")])
    def test_errors(self, arguments):
        with pytest.raises(ValueError, match="must be"):
            bilinear.PooledNet(torch.nn.Identity(), *arguments)


class TestFitClassifier:
    def test_fits_what_can_be_told_apart_and_changes_nothing_else(self):
        features = torch.nn.Conv2d(2, 3, 1)
        before = features.weight.clone()
        network = bilinear.PooledNet(features, 3, 2, "average").eval()
        labels = torch.arange(20) % 2
        images = random(20, 2, 4, 4, dtype=torch.float32)
        images[:, 0] += labels[:, None, None]
        bilinear.fit_classifier(network, images, labels)
        assert (network(images).argmax(dim=1) == labels).all()
        assert torch.equal(features.weight, before)
        assert all(p.grad is None for p in network.parameters())

    def test_is_logistic_regression(self):
        """Scikit-learn's, on descriptors of mean 0 and mean length 1."""
        images, labels = random(30, 2, 3, 3), torch.arange(30) % 3
        images += labels[:, None, None, None] * torch.tensor([0.3, -0.2])[:, None, None]
        network = bilinear.PooledNet(torch.nn.Identity(), 2, 3, "average").double()
        bilinear.fit_classifier(network.eval(), images, labels, penalty=0.01)
        inputs = images.mean((2, 3))
        scaled = inputs - inputs.mean(0)
        scaled = scaled / scaled.norm(dim=1).mean()
        # Its penalty is half the squared weights, beside the losses' sum times C.
        theirs = LogisticRegression(C=1 / (2 * 0.01 * 30), tol=1e-8, max_iter=1000)
        theirs.fit(scaled.numpy(), labels.numpy())
        wanted = torch.from_numpy(theirs.predict_proba(scaled.numpy()))
        got = network(images).softmax(dim=1)
        torch.testing.assert_close(got, wanted, atol=0.01, rtol=0)

    @pytest.mark.parametrize(
        ("labels", "penalty", "message"),
        [
            ([0, 1, 2], 0.1, "labels must"),
            ([0, 1], 0.1, "labels"),
            ([0, 1, 1], -1, "pen"),
        ],
    )
    def test_errors(self, labels, penalty, message):
        network = bilinear.PooledNet(torch.nn.Identity(), 2, 2).eval()
        with pytest.raises(ValueError, match=message):
            bilinear.fit_classifier(
                network, torch.rand(3, 2, 2, 2), torch.tensor(labels), penalty=penalty
            )


class TestStudy:
    def test_its_table_is_whole(self):
        rows = read_study("bilinear")["rows"]
        for network in study_bilinear.GROUNDS:
            own = [row for row in rows if row["network"] == network]
            tuned = [(r["seed"], r["pool"]) for r in own if r["part"] == "tuned"]
            assert tuned == [(s, p) for s in range(3) for p in bilinear.POOLINGS]
            ways = [*study_bilinear.describe(torch.rand(1, 2, 2, 2))]
            if network != study_bilinear.CHOOSES:
                ways.append(study_bilinear.LAST)
            frozen = [(r["seed"], r["way"]) for r in own if r["part"] == "frozen"]
            assert frozen == [(s, way) for s in range(3) for way in ways]

    def test_seven_ways_are_of_the_module(self):
        maps = random(2, 3, 4, 5)
        found = {way: make() for way, make in study_bilinear.describe(maps).items()}
        pairs = bilinear.bilinear_pool(maps, maps)
        torch.testing.assert_close(found["bilinear"], pairs)
        for way in ("average, √, length", "bilinear, length", "bilinear, √, length"):
            torch.testing.assert_close(found[way].norm(dim=1), torch.ones(2).double())
        torch.testing.assert_close(found["bilinear, √"].abs().square(), pairs.abs())


# The exercises: right answers written in another way than the module's.


def signed_sqrt_by_where(values):
    safe = torch.where(values == 0, torch.ones_like(values), values)
    root = torch.sqrt(torch.abs(safe))
    return torch.where(values > 0, root, torch.where(values < 0, -root, 0))


def bilinear_pool_by_broadcasting(features1, features2, *, normalize=False):
    if features1.shape[0] != features2.shape[0]:
        raise ValueError("batch")
    if features1.shape[-2:] != features2.shape[-2:]:
        raise ValueError("map")
    product = features1[:, :, None] * features2[:, None]  # (B, C1, C2, H, W)
    values = product.mean(dim=(-1, -2))
    values = values.reshape(-1, features1.shape[1] * features2.shape[1])
    if normalize:
        values = signed_sqrt_by_where(values)
        length = values.square().sum(1, keepdim=True)
        values = values / torch.where(length == 0, 1, length).sqrt()
    return values


def tensor_sketch_by_full_transform(features1, features2, buckets, signs, size):
    spectrum = 1
    for features, bucket, sign in zip(
        (features1, features2), buckets, signs, strict=True
    ):
        matrix = torch.zeros(len(bucket), size, dtype=features.dtype)
        matrix[torch.arange(len(bucket)), bucket] = sign.to(features.dtype)
        sketch = torch.einsum("bchw,cd->bhwd", features, matrix)
        spectrum = spectrum * torch.fft.fft(sketch, dim=-1)
    return torch.fft.ifft(spectrum, dim=-1).real.mean(dim=(1, 2))


RIGHT = {
    "signed_sqrt": signed_sqrt_by_where,
    "bilinear_pool": bilinear_pool_by_broadcasting,
    "tensor_sketch": tensor_sketch_by_full_transform,
}


def with_refusal(pool):
    """A wrong answer to bilinear_pool that at least looks at the shapes."""

    def answer(a, b, *, normalize=False):
        if a.shape[:1] + a.shape[2:] != b.shape[:1] + b.shape[2:]:
            raise ValueError("shapes")
        return pool(a, b, normalize)

    return answer


def with_refusal_and_length(pool):
    """And that divides the signed roots by their length where it should."""

    def pool_and_divide(a, b, normalize):
        values = pool(a, b)
        if normalize:
            values = F.normalize(signed_sqrt_by_where(values), eps=1e-6)
        return values

    return with_refusal(pool_and_divide)


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "signed_sqrt": [
        (torch.sqrt, "negative number is NaN"),
        (lambda v: torch.sign(v) * torch.sqrt(torch.abs(v)), "gradient at 0 is NaN"),
        (
            lambda v: torch.where(v == 0, 0, torch.sign(v) * torch.sqrt(torch.abs(v))),
            "before it is taken",
        ),
        (lambda v: torch.sign(v) * torch.sqrt(torch.abs(v) + 1e-5), "constant under"),
        (lambda v: torch.relu(v) ** 0.5, "become 0"),
        (lambda v: signed_sqrt_by_where(v).data, "no gradient"),
    ],
    "bilinear_pool": [
        (
            with_refusal(
                lambda a, b, n: torch.einsum("bchw,bdhw->bcd", a, b).flatten(1)
            ),
            "sum over the positions",
        ),
        (
            with_refusal_and_length(
                lambda a, b: torch.einsum(
                    "bc,bd->bcd", a.mean((2, 3)), b.mean((2, 3))
                ).flatten(1)
            ),
            "multiply the means",
        ),
        (
            with_refusal_and_length(
                lambda a, b: (
                    torch.einsum("bchw,bdhw->bdchw", a, b).mean((3, 4)).flatten(1)
                )
            ),
            "other order",
        ),
        (
            with_refusal(lambda a, b, n: bilinear_pool_by_broadcasting(a, b)),
            "changes nothing",
        ),
        (
            with_refusal(
                lambda a, b, n: (
                    F.normalize(bilinear_pool_by_broadcasting(a, b), eps=1e-6)
                    if n
                    else bilinear_pool_by_broadcasting(a, b)
                )
            ),
            "without the signed root",
        ),
        (
            with_refusal(
                lambda a, b, n: (
                    F.normalize(
                        torch.sign(bilinear_pool_by_broadcasting(a, b))
                        * bilinear_pool_by_broadcasting(a, b).abs() ** 0.5
                    )
                    if n
                    else bilinear_pool_by_broadcasting(a, b)
                )
            ),
            "slope is infinite",
        ),
        (
            lambda a, b, *, normalize=False: bilinear_pool_by_broadcasting(
                a.flatten(2)[..., None],
                b.flatten(2)[..., None],
                normalize=normalize,
            ),
            "raise `ValueError` yourself",
        ),
    ],
    "tensor_sketch": [
        (
            lambda a, b, h, s, size: tensor_sketch_by_full_transform(
                a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True), h, s, size
            ),
            "before the product",
        ),
        (
            lambda a, b, h, s, size: (
                tensor_sketch_by_full_transform(a, b, h, s, size) * a.shape[2:].numel()
            ),
            "Average",
        ),
        (
            lambda a, b, h, s, size: tensor_sketch_by_full_transform(
                a, b, h, [x.abs() for x in s], size
            ),
            "signs are not used",
        ),
        (
            lambda a, b, h, s, size: tensor_sketch_by_full_transform(
                a, b, (h[0], (-h[1]) % size), s, size
            ),
            "subtracted",
        ),
        (
            lambda a, b, h, s, size: (
                bilinear.count_sketch(a.flatten(2).mT, h[0], s[0], size)
                * bilinear.count_sketch(b.flatten(2).mT, h[1], s[1], size)
            ).mean(1),
            "bucket by bucket",
        ),
    ],
}


def bilinear_pool_plainly(features1, features2, *, normalize=False):
    positions = features1.shape[2] * features1.shape[3]
    pairs = features1.flatten(2) @ features2.flatten(2).transpose(1, 2) / positions
    values = pairs.flatten(1)
    if not normalize:
        return values
    root = values.sign() * values.abs().sqrt()
    return root / root.norm(dim=1, keepdim=True)


def bilinear_pool_of_torch(features1, features2, *, normalize=False):
    pairs = torch.einsum("bihw,bjhw->bij", features1, features2).flatten(1)
    values = pairs / features1[0, 0].numel()
    if not normalize:
        return values
    return F.normalize(torch.sign(values) * torch.sqrt(torch.abs(values)))


def tensor_sketch_by_pairs(features1, features2, buckets, signs, size):
    sketch = features1.new_zeros(len(features1), size)
    for i in range(features1.shape[1]):
        for j in range(features2.shape[1]):
            mean = (features1[:, i] * features2[:, j]).mean((1, 2))
            place = (buckets[0][i] + buckets[1][j]) % size
            sketch[:, place] = sketch[:, place] + signs[0][i] * signs[1][j] * mean
    return sketch


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "signed_sqrt": lambda values: values.sign() * values.abs().sqrt(),
    "bilinear_pool": bilinear_pool_plainly,
    "tensor_sketch": tensor_sketch_by_pairs,
}
LIBRARY = {
    "signed_sqrt": lambda values: torch.copysign(values.abs().sqrt(), values),
    "bilinear_pool": bilinear_pool_of_torch,
    "tensor_sketch": "torch has no count sketch",
}


class TestExercises(ExerciseTests):
    checks, right, wrong = bilinear_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

"""Pixel losses: by hand, against libraries, degenerate cases, gradients, errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torch.autograd import gradcheck
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
)

from lesson_utils import pixel_losses as pl
from lesson_utils.checks import pixel_losses as pixel_losses_checks
from lesson_utils.common.studies import read_study
from lesson_utils.data.photographs import photograph, random_crops
from tests.answers import ExerciseTests

LOSSES = (pl.l1_loss, pl.l2_loss, pl.huber_loss)


def uniform(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=dtype)


def spoilt(images, amount=0.1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return (images + amount * noise).clamp(0, 1)


class TestLosses:
    def test_by_hand(self):
        predictions, targets = torch.tensor([0.5, 3.0, -2.0]), torch.zeros(3)
        assert pl.l1_loss(predictions, targets).item() == pytest.approx(5.5 / 3)
        assert pl.l2_loss(predictions, targets).item() == pytest.approx(13.25 / 3)
        huber = pl.huber_loss(predictions, targets, delta=2.0)
        assert huber.item() == pytest.approx((0.125 + 4 + 2) / 3)

    @given(st.integers(1, 30), st.floats(0.01, 10), st.integers(0, 99))
    @settings(max_examples=60, deadline=None)
    def test_is_torch(self, number, delta, seed):
        x, y = 4 * uniform(number, seed=seed), 4 * uniform(number, seed=seed + 1)
        torch.testing.assert_close(pl.l1_loss(x, y), F.l1_loss(x, y))
        torch.testing.assert_close(pl.l2_loss(x, y), F.mse_loss(x, y))
        ours, theirs = pl.huber_loss(x, y, delta=delta), F.huber_loss(x, y, delta=delta)
        torch.testing.assert_close(ours, theirs)

    def test_best_single_answers_are_mean_and_median(self):
        answers = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.6], dtype=torch.float64)
        guesses = torch.linspace(0, 1, 101, dtype=torch.float64)

        def best(loss):
            values = [loss(guess.expand(5), answers) for guess in guesses]
            return guesses[torch.stack(values).argmin()].item()

        assert best(pl.l2_loss) == pytest.approx(answers.mean().item(), abs=0.006)
        assert best(pl.l1_loss) == 0.0
        huber = best(lambda x, y: pl.huber_loss(x, y, delta=0.1))
        assert 0.0 < huber < answers.mean()

    def test_huber_lies_between(self):
        x, y = uniform(50), uniform(50, seed=1)
        half = pl.l2_loss(x, y) / 2
        torch.testing.assert_close(pl.huber_loss(x, y, delta=10.0), half)
        tiny = pl.huber_loss(x, y, delta=1e-9) / 1e-9
        torch.testing.assert_close(tiny, pl.l1_loss(x, y), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("loss", [pl.l2_loss, pl.huber_loss])
    def test_gradient(self, loss):
        x, y = (4 * uniform(3, 4, seed=seed).requires_grad_() for seed in (0, 1))
        assert gradcheck(loss, (x, y))

    def test_a_large_error_has_a_finite_slope(self):
        error = torch.tensor([1e30]).requires_grad_()
        pl.huber_loss(error, torch.zeros(1)).backward()
        assert error.grad.item() == 1

    @pytest.mark.parametrize("loss", LOSSES)
    def test_half_precision_is_summed_in_float32(self, loss):
        x = torch.full((70000,), 1.0, dtype=torch.float16)
        result = loss(x, torch.zeros_like(x))
        assert result.dtype == torch.float32
        assert result.item() in (0.5, 1.0)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_errors(self, loss):
        x = torch.rand(4)
        with pytest.raises(ValueError, match=r"shape of predictions.*\(4,\) for"):
            loss(x[:, None], x)
        with pytest.raises(ValueError, match="a number at least"):
            loss(x[:0], x[:0])
        with pytest.raises(ValueError, match="floating"):
            loss(x.byte(), x.byte())

    def test_delta(self):
        for delta in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(ValueError, match="delta must be"):
                pl.huber_loss(torch.rand(4), torch.rand(4), delta=delta)


class TestPsnr:
    def test_by_hand(self):
        x = torch.zeros(2, 1, 1, 2)
        y = torch.tensor([[0.1, 0.1], [1.0, 0.0]]).view(2, 1, 1, 2)
        assert pl.psnr(x, y).tolist() == pytest.approx([20, 10 * math.log10(2)])

    def test_is_torchmetrics(self):
        x = uniform(4, 3, 9, 8)
        y = spoilt(x)
        for scale in (1.0, 255.0):
            theirs = peak_signal_noise_ratio(
                scale * x,
                scale * y,
                data_range=scale,
                dim=(1, 2, 3),
                reduction="none",
            )
            ours = pl.psnr(scale * x, scale * y, data_range=scale)
            torch.testing.assert_close(ours, theirs, check_dtype=False)

    def test_equal_pictures_have_infinitely_many_and_no_slope(self):
        x = uniform(2, 1, 3, 3).requires_grad_()
        found = pl.psnr(x, x.detach().clone())
        assert found.tolist() == [math.inf] * 2
        found.sum().backward()
        assert torch.equal(x.grad, torch.zeros_like(x))


def by_scikit_image(one, other, **options):
    return structural_similarity(
        one.numpy(),
        other.numpy(),
        channel_axis=0,
        gaussian_weights=True,
        use_sample_covariance=False,
        **options,
    )


class TestSsim:
    @pytest.mark.parametrize("sigma", [1.5, 0.8, 2.2])
    def test_is_scikit_image(self, sigma):
        x = photograph("chelsea", size=(60, 75)).double()
        y = spoilt(x)
        theirs = by_scikit_image(x, y, sigma=sigma, data_range=1.0)
        size = 2 * int(3.5 * sigma + 0.5) + 1
        ours = pl.ssim(x[None], y[None], sigma=sigma, window_size=size)
        assert ours.item() == pytest.approx(theirs, abs=1e-9)

    def test_another_range(self):
        x = uniform(2, 3, 20, 16)
        y = spoilt(x)
        ours = pl.ssim(255 * x, 255 * y, data_range=255.0)
        torch.testing.assert_close(ours, pl.ssim(x, y))
        assert ours[1].item() == pytest.approx(
            by_scikit_image(x[1], y[1], sigma=1.5, data_range=1.0), abs=1e-9
        )

    def test_by_hand_on_flat_pictures(self):
        x, y = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.4)
        due = (2 * 0.08 + 1e-4) / (0.04 + 0.16 + 1e-4)
        assert pl.ssim(x, y).item() == pytest.approx(due, rel=1e-5)
        luminance, structure = pl.ssim_maps(x, y)
        assert luminance.item() == pytest.approx(due, rel=1e-5)
        assert structure.item() == pytest.approx(1)

    def test_equal_pictures_and_opposites(self):
        x = uniform(2, 3, 14, 15)
        torch.testing.assert_close(pl.ssim(x, x), torch.ones(2, dtype=torch.float64))
        assert pl.ssim(x, 1 - x).max() < -0.5

    def test_statistics_far_from_zero(self):
        x = uniform(1, 1, 13, 13)
        y = spoilt(x)
        near = pl.local_statistics(x, y)
        far = pl.local_statistics((x + 1000).float(), (y + 1000).float())
        for one, other in zip(near[2:], far[2:], strict=True):
            torch.testing.assert_close(one.float(), other, atol=1e-4, rtol=1e-3)

    def test_a_batch_is_its_pictures(self):
        x = uniform(3, 3, 12, 13)
        y = spoilt(x)
        each = torch.cat([pl.ssim(x[i : i + 1], y[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(pl.ssim(x, y), each)

    def test_gradient(self):
        x, y = uniform(1, 2, 6, 7).requires_grad_(), uniform(1, 2, 6, 7, seed=1)
        options = {"window_size": 5, "sigma": 1.0}
        assert gradcheck(lambda x: pl.ssim(x, y, **options), x)
        # At its maximum the slope is 0.
        top = y.clone().requires_grad_()
        pl.ssim(top, y, **options).sum().backward()
        assert top.grad.abs().max() < 1e-9

    def test_errors(self):
        x = torch.rand(1, 1, 12, 12)
        with pytest.raises(ValueError, match="sides of at least window_size, 13"):
            pl.ssim(x, x, window_size=13)
        with pytest.raises(ValueError, match="shape of images1"):
            pl.ssim(x, x[..., :11])
        with pytest.raises(ValueError, match="images1 must be"):
            pl.ssim(x[0], x[0])
        with pytest.raises(ValueError, match="floating"):
            pl.ssim(x.byte(), x.byte())
        with pytest.raises(ValueError, match="sigma must be"):
            pl.ssim(x, x, sigma=0.0)
        with pytest.raises(ValueError, match="data_range must be"):
            pl.ssim(x, x, data_range=0.0)


class TestMsSsim:
    def test_weights_add_up_to_one(self):
        assert sum(pl.SCALE_WEIGHTS) == pytest.approx(1, abs=2e-4)

    @pytest.mark.parametrize("size", [(176, 176), (180, 201)])
    def test_is_torchmetrics(self, size):
        x = photograph("astronaut", size=size)[None].double()
        for amount in (0.02, 0.1, 0.5):
            y = spoilt(x, amount)
            theirs = multiscale_structural_similarity_index_measure(
                y, x, data_range=1.0, betas=pl.SCALE_WEIGHTS
            )
            assert pl.ms_ssim(x, y).item() == pytest.approx(theirs.item(), abs=1e-6)

    def test_opposites_have_none_and_a_finite_slope(self):
        x = uniform(1, 1, 161, 165, dtype=torch.float32).requires_grad_()
        found = pl.ms_ssim(x, (1 - x).detach())
        assert found.item() == 0
        found.backward()
        assert x.grad.isfinite().all()

    def test_the_shortest_side(self):
        x = uniform(1, 1, 161, 170)
        assert pl.ms_ssim(x, x).item() == pytest.approx(1)
        with pytest.raises(ValueError, match="more than 160 pixels"):
            pl.ms_ssim(x[:, :, :160], x[:, :, :160])


class TestDenoiser:
    def test_shapes_and_layers(self):
        network = pl.Denoiser(width=4, depth=3)
        assert network(torch.rand(2, 3, 5, 6)).shape == (2, 3, 5, 6)
        layers = [tuple(p.shape) for p in network.parameters() if p.dim() > 1]
        assert layers == [(4, 3, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)]

    @pytest.mark.parametrize("loss", [pl.l2_loss, pl.mixed_loss])
    def test_a_short_training_lowers_the_loss(self, loss):
        crops = random_crops(["chelsea", "coffee"], 40, size=20)
        torch.manual_seed(0)
        network = pl.Denoiser(width=8, depth=3)
        options = {"steps": 60, "batch_size": 8, "learning_rate": 5e-3}
        history = pl.train(network, crops, loss, progress=False, **options)["loss"]
        assert sum(history[-10:]) < 0.9 * sum(history[:10])

    def test_mixed_loss(self):
        x = uniform(2, 3, 12, 12)
        y = spoilt(x)
        due = 0.25 * (1 - pl.ssim(x, y).mean()) + 0.75 * pl.l1_loss(x, y)
        torch.testing.assert_close(pl.mixed_loss(x, y, alpha=0.25), due)
        assert pl.mixed_loss(x, x).item() == pytest.approx(0, abs=1e-9)
        with pytest.raises(ValueError, match="alpha"):
            pl.mixed_loss(x, y, alpha=1.5)

    def test_errors(self):
        with pytest.raises(ValueError, match="width"):
            pl.Denoiser(width=0)
        with pytest.raises(ValueError, match="depth"):
            pl.Denoiser(depth=1)
        with pytest.raises(ValueError, match=r"crops must be \(N, 3, S, S\)"):
            pl.train(pl.Denoiser(), torch.zeros(4, 1, 9, 9).byte(), pl.l2_loss)
        crops = torch.zeros(4, 3, 9, 9).byte()
        with pytest.raises(ValueError, match="noise"):
            pl.train(pl.Denoiser(), crops, pl.l2_loss, noise=-1.0)


def test_the_study_says_what_the_chapter_needs():
    from studies.pixel_losses import LOSSES

    rows = read_study("pixel_losses")["rows"]
    assert {row["loss"] for row in rows} == {"none", *LOSSES}
    noisy = next(row for row in rows if row["loss"] == "none")
    for row in rows:
        if row["loss"] != "none":
            assert row["ssim"] > 2 * noisy["ssim"]
            assert row["psnr"] > noisy["psnr"] + 2


# The exercises: right answers written in another way than the module's.


def huber_by_cases(predictions, targets, *, delta=1.0):
    if predictions.shape != targets.shape or not predictions.numel() or delta <= 0:
        raise ValueError("shapes, numbers or delta")
    e = (predictions - targets).abs()
    near = e <= delta
    # The square of what is far would be infinite: it is never taken.
    square = 0.5 * e.masked_fill(~near, 0) ** 2
    line = (delta * (e - 0.5 * delta)).masked_fill(near, 0)
    return (square + line).mean()


def psnr_of_norms(images1, images2, *, data_range=1.0):
    if images1.shape != images2.shape or images1.dim() != 4 or data_range <= 0:
        raise ValueError("shapes, range")
    if not images1.is_floating_point():
        raise ValueError("floating point")
    difference = (images1 - images2).flatten(1) / data_range
    return -20 * (difference.norm(dim=1) / difference.shape[1] ** 0.5).log10()


def statistics_by_channels(images1, images2, *, window_size=11, sigma=1.5):
    if images1.shape != images2.shape or min(images1.shape[2:]) < window_size:
        raise ValueError("shapes")
    if not images1.is_floating_point():
        raise ValueError("floating point")
    place = torch.arange(window_size) - (window_size - 1) / 2
    row = torch.exp(-0.5 * (place.double() / sigma) ** 2)
    window = torch.outer(row, row).div(row.sum() ** 2)
    channels = images1.shape[1]
    kernel = window.expand(channels, 1, -1, -1)

    def mean(x):
        return F.conv2d(x, kernel, groups=channels)

    x, y = images1.double(), images2.double()
    m1, m2 = mean(x), mean(y)
    result = (
        m1,
        m2,
        mean(x * x) - m1 * m1,
        mean(y * y) - m2 * m2,
        mean(x * y) - m1 * m2,
    )
    return tuple(values.to(images1.dtype) for values in result)


def plain_statistics(images1, images2, *, window_size=11, sigma=1.5):
    place = torch.arange(window_size) - window_size // 2
    row = torch.exp(-(place**2) / (2 * sigma**2))
    row = (row / row.sum()).to(images1.dtype)

    def mean(x):
        rows = x.unfold(2, window_size, 1) @ row
        return rows.unfold(3, window_size, 1) @ row

    m1, m2 = mean(images1), mean(images2)
    return (
        m1,
        m2,
        mean(images1**2) - m1**2,
        mean(images2**2) - m2**2,
        mean(images1 * images2) - m1 * m2,
    )


RIGHT = {
    "huber_loss": huber_by_cases,
    "psnr": psnr_of_norms,
    "local_statistics": statistics_by_channels,
}
PLAIN = {
    "huber_loss": lambda x, y, *, delta=1.0: torch.where(
        (x - y).abs() < delta,
        (x - y) ** 2 / 2,
        delta * ((x - y).abs() - delta / 2),
    ).mean(),
    "psnr": lambda x, y, *, data_range=1.0: (
        10 * torch.log10(data_range**2 / ((x - y) ** 2).mean((1, 2, 3)))
    ),
    "local_statistics": plain_statistics,
}
LIBRARY = {
    "huber_loss": lambda x, y, *, delta=1.0: F.huber_loss(x, y, delta=delta),
    "psnr": lambda x, y, *, data_range=1.0: peak_signal_noise_ratio(
        x, y, data_range=data_range, dim=(1, 2, 3), reduction="none"
    ).to(x.dtype),
    "local_statistics": "no library returns the five maps",
}
WRONG = {
    "huber_loss": [
        (lambda x, y, *, delta=1.0: F.smooth_l1_loss(x, y, beta=delta), "smooth L1"),
        (lambda x, y, *, delta=1.0: F.huber_loss(x, y), ""),
        (
            lambda x, y, *, delta=1.0: torch.where(
                (x - y).abs() <= delta,
                (x - y) ** 2,
                delta * ((x - y).abs() - delta / 2),
            ).mean(),
            "half the square",
        ),
        (
            lambda x, y, *, delta=1.0: torch.where(
                (x - y).abs() <= delta, (x - y) ** 2 / 2, delta * (x - y).abs()
            ).mean(),
            "jumps",
        ),
        (
            lambda x, y, *, delta=1.0: F.huber_loss(x, y, delta=delta, reduction="sum"),
            "not the sum",
        ),
        (
            lambda x, y, *, delta=1.0: (
                (x - y).abs().clamp(max=delta).square().mean() / 2
            ),
            "flat",
        ),
        (
            lambda x, y, *, delta=1.0: F.huber_loss(
                *torch.broadcast_tensors(x, y), delta=delta
            ),
            "",
        ),
    ],
    "psnr": [
        (
            lambda x, y, *, data_range=1.0: (
                10 * ((x - y).square().mean((1, 2, 3)) / data_range**2).log10()
            ),
            "sign",
        ),
        (
            lambda x, y, *, data_range=1.0: (
                10 * (data_range**2 / (x - y).square().mean((1, 2, 3))).log()
            ),
            "natural",
        ),
        (
            lambda x, y, *, data_range=1.0: (
                10 * (data_range / (x - y).square().mean((1, 2, 3))).log10()
            ),
            "range must be, too",
        ),
        (
            lambda x, y, *, data_range=1.0: (
                -10 * (x - y).square().mean((1, 2, 3)).log10()
            ),
            "not heeded",
        ),
        (
            lambda x, y, *, data_range=1.0: psnr_of_norms(
                x, y, data_range=data_range
            ).mean(),
            "not their mean",
        ),
        (
            lambda x, y, *, data_range=1.0: (
                2 * psnr_of_norms(x, y, data_range=data_range)
            ),
            "doubled",
        ),
    ],
    "local_statistics": [
        (
            lambda x, y, *, window_size=11, sigma=1.5: statistics_by_channels(
                x, y, window_size=window_size, sigma=1e6
            ),
            "alike",
        ),
        (
            lambda x, y, *, window_size=11, sigma=1.5: statistics_by_channels(
                x, y, window_size=window_size, sigma=sigma / 2**0.5
            ),
            "The 2 is missing",
        ),
        (
            lambda x, y, *, window_size=11, sigma=1.5: (
                lambda a, b, v, w, c: (a, b, v + a * a, w + b * b, c + a * b)
            )(*statistics_by_channels(x, y, window_size=window_size, sigma=sigma)),
            "Take away",
        ),
        (
            lambda x, y, *, window_size=11, sigma=1.5: (
                lambda a, b, v, w, c: (a, b, v**0.5, w**0.5, c)
            )(*statistics_by_channels(x, y, window_size=window_size, sigma=sigma)),
            "standard deviations",
        ),
        (
            lambda x, y, *, window_size=11, sigma=1.5: (
                lambda a, b, v, w, c: (a, b, v, w, c / (v * w) ** 0.5)
            )(*statistics_by_channels(x, y, window_size=window_size, sigma=sigma)),
            "correlation",
        ),
        (
            lambda x, y, *, window_size=11, sigma=1.5: plain_statistics(
                *(F.pad(z, [window_size // 2] * 4) for z in (x, y)),
                window_size=window_size,
                sigma=sigma,
            ),
            "pad with zeros",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = pixel_losses_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

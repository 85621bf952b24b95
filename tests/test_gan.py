"""GAN: losses by hand, against torch and d2l, the best discriminator, the game."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from lesson_utils import gan
from lesson_utils.checks import gan as gan_checks
from lesson_utils.common import generating
from tests.answers import ExerciseTests

FAR = (-1e4, -100.0, -30.0, -1.0, 0.0, 1.0, 30.0, 100.0, 1e4)
NUMBERS = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=6)


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=generator, dtype=dtype)


def cross_entropy(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def value_and_gradients(function, *inputs):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    value = function(*inputs)
    return value.detach(), torch.autograd.grad(value, inputs)


class TestDiscriminatorLoss:
    def test_by_hand(self):
        # D = 3/4 on real, D = 1/5 on generated.
        real, fake = torch.tensor([math.log(3)]), torch.tensor([-math.log(4)])
        due = -(math.log(3 / 4) + math.log(4 / 5)) / 2
        assert gan.discriminator_loss(real, fake).item() == pytest.approx(due)

    def test_who_cannot_tell_loses_log_2(self):
        zero = torch.zeros(7)
        assert gan.discriminator_loss(zero, zero[:3]).item() == pytest.approx(
            math.log(2)
        )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_matches_torch_far_out_too(self, dtype):
        real = torch.cat([torch.tensor(FAR, dtype=dtype), random(50).to(dtype)])
        fake = random(20, seed=1).to(dtype)

        def reference(real, fake):
            return (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)) / 2

        for pair in ((real, fake), (fake, real)):
            got = value_and_gradients(gan.discriminator_loss, *pair)
            due = value_and_gradients(reference, *pair)
            torch.testing.assert_close(got, due)
            assert got[0].dtype == dtype

    @given(NUMBERS, NUMBERS)
    @settings(max_examples=50, deadline=None)
    def test_matches_torch_anywhere(self, real, fake):
        real, fake = torch.tensor(real), torch.tensor(fake)
        due = (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)) / 2
        torch.testing.assert_close(gan.discriminator_loss(real, fake), due)

    def test_matches_d2l(self):
        d2l = pytest.importorskip("d2l.torch")
        torch.manual_seed(0)
        generator, discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
        real, latents = torch.randn(2, 8, 2)
        mine = gan.discriminator_loss(
            discriminator(real), discriminator(generator(latents).detach())
        )
        loss, frozen = nn.BCEWithLogitsLoss(), torch.optim.SGD
        theirs = d2l.update_D(
            real, latents, discriminator, generator, loss,
            frozen(discriminator.parameters(), lr=0.0),
        )  # fmt: skip
        torch.testing.assert_close(mine, theirs)
        theirs = d2l.update_G(
            latents, discriminator, generator, loss,
            frozen(generator.parameters(), lr=0.0),
        )  # fmt: skip
        mine = gan.generator_loss(discriminator(generator(latents)))
        torch.testing.assert_close(mine, theirs)

    def test_gradient(self):
        inputs = [random(4).requires_grad_(), random(3, 1, seed=1).requires_grad_()]
        assert gradcheck(gan.discriminator_loss, inputs)

    def test_gradients_by_hand(self):
        real, fake = torch.tensor([-1e4, 0.0, 1e4]), torch.tensor([1e4, -1e4])
        _, (real_slope, fake_slope) = value_and_gradients(
            gan.discriminator_loss, real, fake
        )
        torch.testing.assert_close(real_slope, torch.tensor([-1, -0.5, 0]) / 6)
        torch.testing.assert_close(fake_slope, torch.tensor([1.0, 0]) / 4)

    def test_nan_stays_nan(self):
        nan = torch.tensor([math.nan, 1.0])
        assert gan.discriminator_loss(nan, torch.ones(2)).isnan()
        assert gan.discriminator_loss(torch.ones(2), nan).isnan()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_stays(self, dtype):
        loss = gan.discriminator_loss(random(4).to(dtype), random(4).to(dtype))
        assert loss.dtype == dtype
        assert loss.isfinite()

    @pytest.mark.parametrize(
        ("real", "fake", "message"),
        [
            (torch.ones(2).int(), torch.ones(2), "real_logits.*floating.*int32"),
            (torch.ones(2), torch.ones(2).bool(), "fake_logits.*floating.*bool"),
            (torch.ones(0), torch.ones(2), r"real_logits.*at least one.*\(0,\)"),
            (torch.ones(2), torch.ones(0, 1), r"fake_logits.*at least one.*\(0, 1\)"),
            (torch.ones(2), torch.ones(2).double(), "one dtype.*float32.*float64"),
        ],
    )
    def test_errors(self, real, fake, message):
        with pytest.raises(ValueError, match=message):
            gan.discriminator_loss(real, fake)


class TestGeneratorLoss:
    def test_by_hand(self):
        quarter = torch.tensor([-math.log(3)])  # D = 1/4
        value, (slope,) = value_and_gradients(gan.generator_loss, quarter)
        assert value.item() == pytest.approx(math.log(4))
        assert slope.item() == pytest.approx(-3 / 4)
        value, (slope,) = value_and_gradients(
            lambda z: gan.generator_loss(z, saturating=True), quarter
        )
        assert value.item() == pytest.approx(math.log(3 / 4))
        assert slope.item() == pytest.approx(-1 / 4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_matches_torch_far_out_too(self, dtype):
        logits = torch.cat([torch.tensor(FAR, dtype=dtype), random(50).to(dtype)])
        for saturating, reference in (
            (False, lambda z: cross_entropy(z, 1.0)),
            (True, lambda z: -cross_entropy(z, 0.0)),
        ):
            got = value_and_gradients(
                lambda z, s=saturating: gan.generator_loss(z, saturating=s), logits
            )
            torch.testing.assert_close(got, value_and_gradients(reference, logits))

    def test_the_saturating_gradient_keeps_its_digits(self):
        z = torch.tensor([-30.0, -80.0])
        _, (slope,) = value_and_gradients(
            lambda z: gan.generator_loss(z, saturating=True), z
        )
        torch.testing.assert_close(slope, -z.exp() / 2, rtol=1e-5, atol=0)

    @pytest.mark.parametrize("saturating", [False, True])
    def test_gradient_nan_and_dtype(self, saturating):
        assert gradcheck(
            lambda z: gan.generator_loss(z, saturating=saturating),
            random(2, 3).requires_grad_(),
        )
        nan = torch.tensor([math.nan])
        assert gan.generator_loss(nan, saturating=saturating).isnan()
        half = gan.generator_loss(random(4).bfloat16(), saturating=saturating)
        assert half.dtype == torch.bfloat16

    @pytest.mark.parametrize("saturating", [False, True])
    def test_errors(self, saturating):
        with pytest.raises(ValueError, match="floating point, got torch.int64"):
            gan.generator_loss(torch.tensor([1]), saturating=saturating)
        with pytest.raises(ValueError, match=r"at least one value, got \(0, 3\)"):
            gan.generator_loss(torch.ones(0, 3), saturating=saturating)


class TestOptimalDiscriminator:
    def test_by_hand(self):
        log_p = torch.tensor([0.1, 0.3, 0.5]).log()
        log_q = torch.tensor([0.3, 0.1, 0.5]).log()
        due = torch.tensor([0.25, 0.75, 0.5])
        torch.testing.assert_close(gan.optimal_discriminator(log_p, log_q), due)

    def test_matches_the_definition_and_beats_all_others(self):
        p, q = random(2, 500).exp()
        best = gan.optimal_discriminator(p.log(), q.log())
        torch.testing.assert_close(best, p / (p + q))

        def value(d):
            return (p * d.log() + q * (1 - d).log()).sum()

        for seed in range(5):
            other = (best.logit() + 0.1 * random(500, seed=seed)).sigmoid()
            assert value(other) < value(best)

    def test_far_out_and_off_the_support(self):
        log_p = torch.tensor([-1e4, -1e4, -math.inf, 0.0, -math.inf, 400.0])
        log_q = torch.tensor([-1e4, -2e4, 0.0, -math.inf, -math.inf, 400.0])
        due = torch.tensor([0.5, 1.0, 0.0, 1.0, 0.5, 0.5])
        got, slopes = value_and_gradients(
            lambda a, b: gan.optimal_discriminator(a, b).sum(), log_p, log_q
        )
        assert torch.equal(gan.optimal_discriminator(log_p, log_q), due)
        assert got.isfinite()
        assert all(slope.isfinite().all() for slope in slopes)
        assert slopes[0][4] == 0

    def test_gradient_and_nan(self):
        inputs = [random(4).requires_grad_(), random(4, seed=1).requires_grad_()]
        assert gradcheck(gan.optimal_discriminator, inputs)
        nan = gan.optimal_discriminator(torch.tensor([math.nan]), torch.zeros(1))
        assert nan.isnan().all()

    @pytest.mark.parametrize(
        ("log_p", "log_q", "message"),
        [
            (torch.ones(2), torch.ones(3), r"one shape, got \(2,\) and \(3,\)"),
            (torch.ones(2).int(), torch.ones(2), "log_p must be floating.*int32"),
            (torch.ones(2), torch.ones(2).int(), "log_q must be floating.*int32"),
        ],
    )
    def test_errors(self, log_p, log_q, message):
        with pytest.raises(ValueError, match=message):
            gan.optimal_discriminator(log_p, log_q)


class TestNetworks:
    def test_parallel_linear_is_linear_layers(self):
        layer = gan.ParallelLinear(3, 4, runs=2)
        x = random(2, 5, 3, dtype=torch.float32)
        for run in range(2):
            due = F.linear(x[run], layer.weight[run].T, layer.bias[run, 0])
            torch.testing.assert_close(layer(x)[run], due)
        single = gan.ParallelLinear(3, 4)
        due = F.linear(x[0], single.weight.T, single.bias)
        torch.testing.assert_close(single(x[0]), due)

    def test_initialized_as_torch(self):
        torch.manual_seed(0)
        for layer in (gan.ParallelLinear(100, 200, runs=3), nn.Linear(100, 200)):
            for parameter in layer.parameters():
                assert 0.099 < parameter.abs().max() <= 0.1
                assert parameter.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)

    def test_the_generator_makes_the_normal_distribution_it_promises(self):
        torch.manual_seed(0)
        generator = gan.Generator(3, 2)
        with torch.no_grad():
            samples = generator(torch.randn(200_000, 3))
        weight = generator.linear.weight.detach()
        torch.testing.assert_close(
            samples.T.cov(), weight.T @ weight, rtol=0.02, atol=0.01
        )
        torch.testing.assert_close(
            samples.mean(0), generator.linear.bias.detach(), rtol=0.0, atol=0.01
        )

    @pytest.mark.parametrize("runs", [None, 1, 3])
    def test_shapes(self, runs):
        side = () if runs is None else (runs,)
        fake = gan.Generator(4, 2, runs=runs)(torch.randn(*side, 6, 4))
        assert fake.shape == (*side, 6, 2)
        assert gan.Discriminator(2, 8, runs=runs)(fake).shape == (*side, 6)

    def test_the_discriminator_has_three_layers(self):
        layers = [
            module
            for module in gan.Discriminator().modules()
            if isinstance(module, gan.ParallelLinear)
        ]
        assert [tuple(layer.weight.shape) for layer in layers] == [
            (2, 64),
            (64, 64),
            (64, 1),
        ]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: gan.ParallelLinear(0, 2), "in_features.*got 0"),
            (lambda: gan.ParallelLinear(2, 1.5), "out_features.*got 1.5"),
            (lambda: gan.Generator(runs=0), "runs.*got 0"),
            (lambda: gan.Discriminator(hidden=-1), "out_features.*got -1"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestMinibatchStd:
    def test_by_hand(self):
        x = torch.tensor([[0.0, 0.0], [2.0, 6.0], [5.0, 5.0], [5.0, 5.0]])
        got = generating.minibatch_std(x, group_size=2)
        assert torch.equal(got[:, :2], x)
        # Deviations 1 and 3, mean 2; the second group is a single point.
        due = torch.tensor([2.0, 2.0, 0.0, 0.0])
        torch.testing.assert_close(got[:, 2], due, atol=2e-4, rtol=0)

    def test_side_by_side(self):
        x = random(3, 16, 2)
        got = generating.minibatch_std(x)
        for run in range(3):
            torch.testing.assert_close(got[run], generating.minibatch_std(x[run]))

    def test_gradient_of_a_collapsed_group(self):
        x = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
        generating.minibatch_std(x, group_size=4).sum().backward()
        assert x.grad.isfinite().all()
        y = random(4, 2).requires_grad_()
        assert gradcheck(lambda v: generating.minibatch_std(v, group_size=2), y)

    @pytest.mark.parametrize(
        ("x", "group_size", "message"),
        [
            (torch.ones(6, 2), 4, "multiple of group_size, got 6 and 4"),
            (torch.ones(6, 2), 1, "group_size.*>= 2.*got.*1"),
            (torch.ones(6), 2, r"x must be \(..., B, D\).*\(6,\)"),
        ],
    )
    def test_errors(self, x, group_size, message):
        with pytest.raises(ValueError, match=message):
            generating.minibatch_std(x, group_size=group_size)


class TestModes:
    CENTERS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])

    def test_by_hand(self):
        samples = torch.tensor([[0.0, 1.0], [0.5, 0.0], [10.0, 1.1], [9.0, 0.0]])
        shares = gan.mode_shares(samples, self.CENTERS, radius=1.0)
        assert shares.tolist() == [0.5, 0.25, 0.0]
        assert gan.count_modes(samples, self.CENTERS, radius=1.0).item() == 2
        few = gan.count_modes(samples, self.CENTERS, radius=1.0, at_least=0.3)
        assert few.item() == 1

    def test_matches_a_loop(self):
        samples, centers = random(2, 3, 40, 2), random(5, 2, seed=1)
        shares = gan.mode_shares(samples, centers, radius=2.0)
        due = torch.zeros(2, 3, 5, dtype=torch.float64)
        for i in range(2):
            for j in range(3):
                for sample in samples[i, j]:
                    distances = (centers - sample).norm(dim=1)
                    if distances.min() <= 2:
                        due[i, j, distances.argmin()] += 1 / 40
        torch.testing.assert_close(shares, due)
        assert gan.count_modes(samples, centers, radius=2.0).shape == (2, 3)

    @pytest.mark.parametrize(
        ("samples", "kwargs", "message"),
        [
            (torch.ones(4, 3), {"radius": 1.0}, r"samples must be.*\(4, 3\)"),
            (torch.ones(2), {"radius": 1.0}, r"samples must be.*\(2,\)"),
            (torch.ones(0, 2), {"radius": 1.0}, r"none empty, got \(0, 2\)"),
            (
                torch.ones(4, 2),
                {"radius": 0.0},
                "radius must be finite and above 0, got 0.0",
            ),
            (torch.ones(4, 2), {"radius": 1.0, "at_least": 0.0}, "at_least.*got 0.0"),
        ],
    )
    def test_errors(self, samples, kwargs, message):
        with pytest.raises(ValueError, match=message):
            gan.count_modes(samples, self.CENTERS, **kwargs)


def draw_normal(shape, rng):
    return 0.5 * torch.randn(*shape, 2, generator=rng) + torch.tensor([2.0, -1.0])


def play(runs=None, seed=0, **kwargs):
    torch.manual_seed(seed)
    networks = gan.Generator(runs=runs), gan.Discriminator(hidden=16, runs=runs)
    return *networks, gan.train(*networks, draw_normal, runs=runs, seed=seed, **kwargs)


class TestTrain:
    def test_learns_a_normal_distribution_in_every_run(self):
        generator, _, history = play(runs=3, steps=800)
        bias, weight = generator.linear.bias[:, 0], generator.linear.weight
        error = (bias - torch.tensor([2.0, -1.0])).norm(dim=1)
        assert (error < 0.3).all(), error
        covariance = weight.mT @ weight
        assert ((covariance - torch.eye(2) / 4).abs() < 0.1).all(), covariance
        assert history["discriminator_loss"][-50:].mean().item() == pytest.approx(
            math.log(2), abs=0.02
        )

    def test_repeatable_and_different_with_another_seed(self):
        first, again = play(steps=5), play(steps=5)
        for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(first[2]["generator_loss"], again[2]["generator_loss"])
        other = play(steps=5, seed=1)
        assert not torch.equal(first[2]["generator_loss"], other[2]["generator_loss"])

    def test_one_step_is_adam_on_each_loss(self):
        generator, discriminator, history = play(steps=1, batch_size=4, keep_samples=1)
        torch.manual_seed(0)
        own_g, own_d = gan.Generator(), gan.Discriminator(hidden=16)
        adam = [
            torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.5, 0.999))
            for network in (own_g, own_d)
        ]
        rng = torch.Generator().manual_seed(0)
        torch.randn(1, 2, generator=rng)  # the kept sample's latent
        real = draw_normal((4,), rng)
        fake = own_g(torch.randn(4, 2, generator=rng))
        loss = (
            cross_entropy(own_d(real), 1.0) + cross_entropy(own_d(fake.detach()), 0.0)
        ) / 2
        loss.backward()
        adam[1].step()
        assert history["discriminator_loss"].item() == pytest.approx(loss.item())
        loss = cross_entropy(own_d(fake), 1.0)
        loss.backward()
        adam[0].step()
        assert history["generator_loss"].item() == pytest.approx(loss.item())
        for ours, theirs in ((generator, own_g), (discriminator, own_d)):
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(a, b)

    def test_keeps_samples_from_the_same_latents(self):
        generator, _, history = play(
            runs=2, steps=5, keep_every=2, keep_samples=7, batch_size=4
        )
        assert history["steps"].tolist() == [0, 2, 4, 5]
        assert history["samples"].shape == (4, 2, 7, 2)
        assert history["discriminator_loss"].shape == (5,)
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            due = generator(torch.randn(2, 7, 2, generator=rng))
        torch.testing.assert_close(history["samples"][-1], due)
        assert "samples" not in play(steps=2)[2]

    def test_decay_ends_at_rate_0(self):
        decayed = play(steps=40, keep_every=39, decay=True)[2]["samples"]
        constant = play(steps=40, keep_every=39, decay=False)[2]["samples"]
        last_step = [(s[-1] - s[-2]).norm() for s in (decayed, constant)]
        assert last_step[0] < 0.1 * last_step[1]

    def test_the_saturating_loss_is_used(self):
        history = play(steps=3, saturating=True)[2]
        assert (history["generator_loss"] < 0).all()

    def test_follows_the_dtype(self):
        networks = gan.Generator().double(), gan.Discriminator().double()
        history = gan.train(
            *networks, lambda *a: draw_normal(*a).double(), steps=2, batch_size=4
        )
        assert history["generator_loss"].dtype == torch.float64

    def test_shows_one_bar_if_asked(self, capsys):
        play(steps=3)
        assert capsys.readouterr().err == ""
        play(steps=3, progress=True)
        assert "3/3" in capsys.readouterr().err

    def test_goes_for_2000_steps_unless_told(self, capsys):
        def nothing_left(shape, rng):
            raise EOFError

        networks = gan.Generator(), gan.Discriminator()
        with pytest.raises(EOFError):
            gan.train(*networks, nothing_left, progress=True)
        assert " 0/2000 " in capsys.readouterr().err

    def test_stops_at_nan(self):
        def nan(shape, rng):
            return torch.full((*shape, 2), math.nan)

        with pytest.raises(FloatingPointError, match="discriminator_loss is nan"):
            gan.train(gan.Generator(), gan.Discriminator(), nan, steps=3)

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"steps": 0}, "steps.*got 0"),
            ({"batch_size": 2.5}, "batch_size.*got 2.5"),
            ({"latent_dim": 0}, "latent_dim.*got 0"),
            ({"keep_every": 0}, "keep_every.*got 0"),
            ({"keep_samples": 0}, "keep_samples.*got 0"),
            ({"generator_rate": 0.0}, "generator_rate.*got 0.0"),
            ({"discriminator_rate": math.nan}, "discriminator_rate.*got nan"),
        ],
    )
    def test_errors(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            play(**{"steps": 2, **kwargs})

    def test_data_of_another_shape(self):
        with pytest.raises(ValueError, match=r"draw_real.*\(64, 2\), got \(64, 3\)"):
            gan.train(
                gan.Generator(), gan.Discriminator(), lambda s, _: torch.ones(*s, 3)
            )


# The exercises: right answers written in another way than the module's.


def refuse(*logits):
    for values in logits:
        if not values.is_floating_point() or values.numel() == 0:
            raise ValueError("logits must be floating point and not empty")


def discriminator_loss_by_softplus(real_logits, fake_logits):
    refuse(real_logits, fake_logits)
    real = F.softplus(-real_logits).sum() / real_logits.numel()
    fake = F.softplus(fake_logits).sum() / fake_logits.numel()
    return 0.5 * real + 0.5 * fake


def generator_loss_by_softplus(fake_logits, *, saturating=False, weight=1.0):
    refuse(fake_logits)
    losses = -F.softplus(fake_logits) if saturating else F.softplus(-fake_logits)
    return weight * losses.mean()


def optimal_discriminator_by_softmax(log_p, log_q):
    if log_p.shape != log_q.shape:
        raise ValueError("one shape")
    nowhere = log_p.isneginf() & log_q.isneginf()
    zero = torch.zeros_like(log_p)
    pair = torch.stack(
        [torch.where(nowhere, zero, log_p), torch.where(nowhere, zero, log_q)]
    )
    return pair.softmax(dim=0)[0]


RIGHT = {
    "discriminator_loss": discriminator_loss_by_softplus,
    "generator_loss": generator_loss_by_softplus,
    "optimal_discriminator": optimal_discriminator_by_softmax,
}


def checked(function):
    """A wrong answer that refuses bad input as it should."""

    def answer(*logits, **kwargs):
        refuse(*logits)
        return function(*logits, **kwargs)

    return answer


def one_shape(function):
    """A wrong answer that refuses two shapes as it should."""

    def answer(log_p, log_q):
        if log_p.shape != log_q.shape:
            raise ValueError("one shape")
        return function(log_p, log_q)

    return answer


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "discriminator_loss": [
        (
            checked(lambda r, f: cross_entropy(r, 1.0) + cross_entropy(f, 0.0)),
            "half of the",
        ),
        (
            checked(lambda r, f: (cross_entropy(r, 0.0) + cross_entropy(f, 1.0)) / 2),
            "changed places",
        ),
        (
            checked(
                lambda r, f: (
                    -(
                        (r.sigmoid().log().mean() + torch.log(1 - f.sigmoid()).mean())
                        / 2
                    )
                )
            ),
            "rounds to exactly 0 or 1",
        ),
        (
            checked(
                lambda r, f: F.softplus(torch.cat([-r.flatten(), f.flatten()])).mean()
            ),
            "two means",
        ),
        (
            checked(lambda r, f: discriminator_loss_of_torch(r, f)),
            "is a difference of two",
        ),
        (lambda r, f: discriminator_loss_of_torch(r, f), "is a difference of two"),
        (
            checked(lambda r, f: (F.softplus(-r).sum() + F.softplus(f).sum()) / 2),
            "Take the mean",
        ),
        (
            checked(
                lambda r, f: (F.logsigmoid(r).mean() + F.logsigmoid(-f).mean()) / 2
            ),
            "The sign",
        ),
        (
            checked(
                lambda r, f: (
                    (
                        F.binary_cross_entropy(r.sigmoid(), torch.ones_like(r))
                        + F.binary_cross_entropy(f.sigmoid(), torch.zeros_like(f))
                    )
                    / 2
                )
            ),
            "bounds its logarithm",
        ),
        (lambda r, f: (cross_entropy(r, 1.0) + cross_entropy(f, 0.0)) / 2, "integers"),
    ],
    "generator_loss": [
        (
            checked(
                lambda f, *, saturating=False: (
                    cross_entropy(f, 0.0) if saturating else cross_entropy(f, 1.0)
                )
            ),
            "*minus*",
        ),
        (
            checked(lambda f, *, saturating=False: cross_entropy(f, 1.0)),
            "makes no difference",
        ),
        (
            checked(
                lambda f, *, saturating=False: (
                    torch.log(1 - f.sigmoid()).mean()
                    if saturating
                    else -f.sigmoid().log().mean()
                )
            ),
            "rounds to exactly 0 or 1",
        ),
        (
            checked(
                lambda f, *, saturating=False: generator_loss_by_softplus(
                    f.detach(), saturating=saturating
                )
            ),
            "gradient is missing",
        ),
        (
            checked(
                lambda f, *, saturating=False: generator_loss_by_softplus(
                    f, saturating=not saturating
                )
            ),
            "two forms have changed",
        ),
        (
            checked(
                lambda f, *, saturating=False: generator_loss_of_torch(
                    f, saturating=saturating
                )
            ),
            "is a difference of two",
        ),
        (
            checked(
                lambda f, *, saturating=False: generator_loss_by_softplus(
                    -f, saturating=saturating
                )
            ),
            "found out",
        ),
    ],
    "optimal_discriminator": [
        (lambda p, q: p.exp() / (p.exp() + q.exp()), "underflow"),
        (lambda p, q: optimal_discriminator_by_softmax(q, p), "*generated*"),
        (lambda p, q: p / (p + q), "ratio of logarithms"),
        (lambda p, q: torch.sigmoid(p - q), "minus"),
        (
            one_shape(lambda p, q: (p.exp() + 1e-12) / (p.exp() + q.exp() + 2e-12)),
            "small number added",
        ),
        (
            one_shape(
                lambda p, q: torch.where(
                    p.isneginf() & q.isneginf(), 0.5, torch.sigmoid(p - q)
                )
            ),
            "*before*",
        ),
        (
            lambda p, q: optimal_discriminator_by_softmax(
                *torch.broadcast_tensors(p, q)
            ),
            "different sets",
        ),
    ],
}


def discriminator_loss_of_torch(real_logits, fake_logits):
    loss = nn.BCEWithLogitsLoss()
    real = loss(real_logits, torch.ones_like(real_logits))
    return (real + loss(fake_logits, torch.zeros_like(fake_logits))) / 2


def generator_loss_of_torch(fake_logits, *, saturating=False):
    label = torch.full_like(fake_logits, 0.0 if saturating else 1.0)
    loss = F.binary_cross_entropy_with_logits(fake_logits, label)
    return -loss if saturating else loss


def discriminator_loss_by_sigmoid(real_logits, fake_logits):
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    return -0.5 * (torch.log(real).mean() + torch.log(1 - fake).mean())


def generator_loss_by_sigmoid(fake_logits, *, saturating=False):
    d = torch.sigmoid(fake_logits)
    return torch.log(1 - d).mean() if saturating else -torch.log(d).mean()


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "discriminator_loss": discriminator_loss_by_sigmoid,
    "generator_loss": generator_loss_by_sigmoid,
    "optimal_discriminator": lambda log_p, log_q: (
        log_p.exp() / (log_p.exp() + log_q.exp())
    ),
}
LIBRARY = {
    "discriminator_loss": discriminator_loss_of_torch,
    "generator_loss": generator_loss_of_torch,
    "optimal_discriminator": lambda log_p, log_q: torch.sigmoid(log_p - log_q),
}


class TestExercises(ExerciseTests):
    checks, right, wrong = gan_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

"""InfoGAN: its losses by hand and against torch, its bound, its training, its study."""

import hashlib
import itertools
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch.autograd import gradcheck

from lesson_utils import infogan
from lesson_utils.checks import infogan as checks
from lesson_utils.common import codes as common_codes
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.compute import make_fabric
from lesson_utils.common.studies import read_study
from lesson_utils.data.mnist import mnist
from tests.answers import ExerciseTests


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def distribution(*shape, seed=0):
    return normal(*shape, seed=seed).flatten().softmax(0).view(shape)


def pair(seed=0):
    torch.manual_seed(seed)
    return infogan.Generator(noise=3, channels=2), infogan.DiscriminatorAndQ(channels=2)


DIGITS = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))


class TestSampleLatents:
    def test_shapes_and_ranges(self):
        dice = torch.Generator().manual_seed(0)
        latents, codes, values = infogan.sample_latents(
            500, noise=7, categories=4, continuous=3, generator=dice
        )
        assert latents.shape == (500, 14)
        assert codes.unique().tolist() == [0, 1, 2, 3]
        assert -1 <= values.min() < -0.98
        assert 0.98 < values.max() <= 1
        torch.testing.assert_close(latents[:, 7:11].argmax(1), codes)
        assert (latents[:, 7:11].sum(1) == 1).all()
        torch.testing.assert_close(latents[:, 11:], values)
        assert latents[:, :7].std().item() == pytest.approx(1, abs=0.05)

    def test_the_same_dice_the_same_latents(self):
        draws = [
            infogan.sample_latents(3, generator=torch.Generator().manual_seed(1))
            for _ in range(2)
        ]
        for left, right in zip(*draws, strict=True):
            assert torch.equal(left, right)

    def test_nothing_but_a_category(self):
        latents, codes, values = infogan.sample_latents(5, noise=0, continuous=0)
        assert torch.equal(latents, F.one_hot(codes, 10).float())
        assert values.shape == (5, 0)

    @pytest.mark.parametrize(
        ("keywords", "words"),
        [
            ({"batch": 0}, "batch must be a whole number"),
            ({"noise": -1}, "noise must be"),
            ({"categories": 1}, "categories must be"),
            ({"continuous": 0.5}, "continuous must be"),
        ],
    )
    def test_errors(self, keywords, words):
        with pytest.raises(ValueError, match=words):
            infogan.sample_latents(**{"batch": 2, **keywords})

    def test_errors_of_joining(self):
        noise, codes, values = torch.zeros(2, 3), torch.tensor([0, 1]), torch.ones(2, 1)
        assert common_codes.join_latents(noise, codes, values, 2).shape == (2, 6)
        with pytest.raises(ValueError, match="codes must lie in"):
            common_codes.join_latents(noise, codes + 1, values, 2)
        with pytest.raises(ValueError, match=r"values must be \(2, C\)"):
            common_codes.join_latents(noise, codes, values[:1], 2)
        with pytest.raises(ValueError, match="noise must be"):
            common_codes.join_latents(noise[0], codes, values, 2)


class TestLoss:
    def test_by_hand(self):
        logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
        values, means = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [1.0]])
        categorical, continuous = infogan.mutual_information_loss(
            logits, torch.tensor([1, 0]), means, values, deviation=2.0
        )
        assert categorical.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
        constant = math.log(2) + math.log(2 * math.pi) / 2
        assert continuous.item() == pytest.approx(0.25 + constant)

    @given(
        st.integers(1, 6), st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**20)
    )
    @settings(max_examples=40, deadline=None)
    def test_is_torchs(self, batch, number, continuous, seed):
        logits = normal(batch, number, seed=seed)
        codes = torch.randint(
            number, (batch,), generator=torch.Generator().manual_seed(seed)
        )
        means, values = (normal(batch, continuous, seed=seed + k) for k in (1, 2))
        found = infogan.mutual_information_loss(
            logits, codes, means, values, deviation=0.5
        )
        assert found[0].item() == pytest.approx(F.cross_entropy(logits, codes).item())
        wanted = F.gaussian_nll_loss(
            means, values, torch.full_like(means, 0.25), full=True, reduction="sum"
        )
        assert found[1].item() == pytest.approx(wanted.item() / batch)

    def test_gradients(self):
        given_ = normal(3, 4).requires_grad_(), normal(3, 2, seed=1).requires_grad_()
        codes, values = torch.tensor([0, 3, 1]), normal(3, 2, seed=2)
        assert gradcheck(
            lambda logits, means: infogan.mutual_information_loss(
                logits, codes, means, values, deviation=0.3
            ),
            given_,
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"logits": torch.zeros(0, 3)}, "codes must be"),
            ({"logits": torch.zeros(2, 1)}, "codes must lie in"),
            ({"codes": torch.tensor([0.0, 1.0])}, "whole numbers"),
            ({"means": torch.zeros(1, 2)}, "means must be"),
            ({"values": torch.zeros(2, 1)}, "values must be"),
            ({"values": torch.full((2, 2), math.nan)}, "values must be numbers"),
            ({"deviation": 0.0}, "deviation must be"),
        ],
    )
    def test_errors(self, change, words):
        arguments = {
            "logits": torch.zeros(2, 3),
            "codes": torch.tensor([0, 2]),
            "means": torch.zeros(2, 2),
            "values": torch.zeros(2, 2),
        }
        with pytest.raises(ValueError, match=words):
            infogan.mutual_information_loss(**{**arguments, **change})

    def test_no_picture(self):
        none = torch.zeros(0, 2)
        with pytest.raises(ValueError, match="at least one picture"):
            infogan.mutual_information_loss(none, torch.zeros(0).long(), none, none)


class TestBound:
    @given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**20))
    @settings(max_examples=40, deadline=None)
    def test_bound_and_gap_are_the_information(self, rows, columns, seed):
        joint = distribution(rows, columns, seed=seed)
        guess = normal(rows, columns, seed=seed + 1).softmax(0)
        bound, gap = common_codes.information_bound(joint, guess)
        information = sum(
            p * math.log(p / joint[k].sum() / joint[:, x].sum())
            for k, x in itertools.product(range(rows), range(columns))
            if (p := joint[k, x].item())
        )
        assert gap >= -1e-12
        assert (bound + gap).item() == pytest.approx(information, abs=1e-9)

    def test_the_posterior_makes_it_tight(self):
        joint = distribution(3, 4)
        bound, gap = common_codes.information_bound(joint, joint / joint.sum(0))
        assert gap.item() == pytest.approx(0, abs=1e-12)
        counts = (joint * 10_000).round().numpy()
        wanted = mutual_info_score(None, None, contingency=counts)
        assert bound.item() == pytest.approx(wanted, abs=1e-3)

    def test_it_is_the_loss_of_samples(self):
        """Entropy of the codes, less the cross entropy of the chapter's loss."""
        joint = distribution(3, 4, seed=2)
        guess = normal(3, 4, seed=3).softmax(0)
        times = (joint * 2_000).round().long()
        code, picture = (times > -1).nonzero(as_tuple=True)
        code, picture = (x.repeat_interleave(times.flatten()) for x in (code, picture))
        logits = guess.log().T[picture]
        none = torch.zeros(len(code), 0)
        loss, _ = infogan.mutual_information_loss(logits, code, none, none)
        of_code = times.sum(1) / times.sum()
        entropy = -(of_code * of_code.log()).sum()
        bound, _ = common_codes.information_bound(times / times.sum(), guess.float())
        assert (entropy - loss).item() == pytest.approx(bound.item(), abs=1e-5)

    def test_a_gradient_leads_to_the_posterior(self):
        joint, logits = distribution(3, 4), torch.zeros(3, 4).double().requires_grad_()
        for _ in range(400):
            bound, gap = common_codes.information_bound(joint, logits.softmax(0))
            (slope,) = torch.autograd.grad(bound, logits)
            logits = (logits + 5 * slope).detach().requires_grad_()
        assert gap.item() < 1e-4

    @pytest.mark.parametrize(
        ("joint", "guess", "words"),
        [
            (torch.ones(2, 2), torch.full((2, 2), 0.5), "joint must be probabilities"),
            (torch.full((2, 2), 0.25), torch.ones(2, 2), "guess must be probabilities"),
            (torch.full((2, 2), 0.25), torch.ones(1, 2), r"guess must be \(2, 2\)"),
            (torch.full((4,), 0.25), torch.ones(2, 2), "joint must be"),
            (torch.full((2, 2), math.nan), torch.full((2, 2), 0.5), "joint must be"),
        ],
    )
    def test_errors(self, joint, guess, words):
        with pytest.raises(ValueError, match=words):
            common_codes.information_bound(joint, guess)


class TestCodeAccuracy:
    @given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 2**20))
    @settings(max_examples=40, deadline=None)
    def test_is_the_best_permutation(self, number, size, seed):
        dice = torch.Generator().manual_seed(seed)
        codes, labels = torch.randint(number, (2, size), generator=dice)
        best = max(
            (torch.tensor(meaning)[codes] == labels).float().mean().item()
            for meaning in itertools.permutations(range(number))
        )
        found = common_codes.code_accuracy(codes, labels, number=number)
        assert found.item() == pytest.approx(best)
        meaning = common_codes.match_codes(codes, labels, number=number)
        assert sorted(meaning.tolist()) == list(range(number))

    def test_renaming_codes_changes_nothing(self):
        dice = torch.Generator().manual_seed(0)
        codes, labels = torch.randint(10, (2, 200), generator=dice)
        first = common_codes.code_accuracy(codes, labels)
        assert torch.equal(first, common_codes.code_accuracy((codes + 3) % 10, labels))

    def test_codes_are_those_of_ten_digits(self):
        meaning = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
        codes = torch.arange(10).repeat(3)
        assert torch.equal(common_codes.match_codes(codes, meaning[codes]), meaning)

    def test_bytes_will_do(self):
        labels = torch.arange(10, dtype=torch.uint8).repeat(30)
        assert common_codes.code_accuracy(labels, labels).item() == 1

    @pytest.mark.parametrize(
        ("codes", "labels", "words"),
        [
            (torch.zeros(0).long(), torch.zeros(0).long(), "at least one picture"),
            (torch.tensor([0, 3]), torch.tensor([0, 1]), "codes must lie in"),
            (torch.tensor([0, 1]), torch.tensor([0, -1]), "labels must lie in"),
            (torch.tensor([0]), torch.tensor([0, 1]), "codes must be"),
            (torch.tensor([0.0, 1]), torch.tensor([0, 1]), "whole numbers"),
        ],
    )
    def test_errors(self, codes, labels, words):
        with pytest.raises(ValueError, match=words):
            common_codes.code_accuracy(codes, labels, number=3)


class TestMoments:
    def test_by_hand(self):
        picture = torch.zeros(1, 1, 9, 9)
        picture[0, 0, 2:7, 4] = 1  # an upright stroke, one pixel wide
        slant, width = common_codes.slant_and_width(picture)
        assert slant.item() == pytest.approx(0, abs=1e-6)
        assert width.item() == pytest.approx(0, abs=1e-3)
        leaning = torch.eye(9).flip(1)[None, None]  # a pixel to the right for one up
        slant, width = common_codes.slant_and_width(leaning)
        assert slant.item() == pytest.approx(1)
        assert width.item() == pytest.approx(0, abs=1e-3)

    def test_a_block_has_the_deviation_of_a_uniform_row(self):
        picture = torch.zeros(2, 1, 12, 12)
        picture[0, 0, 2:8, 3:8] = 0.5
        picture[1, 0, 2:8, 1:10] = 1
        slant, width = common_codes.slant_and_width(picture)
        wanted = [np.arange(5).std(), np.arange(9).std()]
        torch.testing.assert_close(width, torch.tensor(wanted, dtype=torch.float32))
        torch.testing.assert_close(slant, torch.zeros(2))

    def test_bytes(self):
        bytes_ = (255 * DIGITS[:3]).round().byte()
        for left, right in zip(
            common_codes.slant_and_width(bytes_),
            common_codes.slant_and_width(bytes_.float() / 255),
            strict=True,
        ):
            torch.testing.assert_close(left, right)

    def test_errors(self):
        with pytest.raises(ValueError, match="ink in two rows"):
            common_codes.slant_and_width(torch.zeros(1, 1, 5, 5))
        with pytest.raises(ValueError, match="images must"):
            common_codes.slant_and_width(torch.zeros(1, 3, 5, 5))
        with pytest.raises(ValueError, match="images must"):
            common_codes.slant_and_width(torch.full((1, 1, 5, 5), 2.0))


class TestNetworks:
    def test_shapes(self):
        generator, network = pair()
        latents, _, _ = infogan.sample_latents(4, noise=3)
        pictures = generator(latents)
        assert pictures.shape == (4, 1, 28, 28)
        assert pictures.abs().max() <= 1
        real, logits, means = network(pictures)
        assert (real.shape, logits.shape, means.shape) == ((4,), (4, 10), (4, 2))

    def test_one_trunk(self):
        """What teaches Q reaches the weights that D judges with."""
        _, network = pair()
        _, logits, _ = network(2 * DIGITS[:4] - 1)
        logits.square().sum().backward()
        assert all(p.grad is not None for p in network.trunk.parameters())
        assert all(p.grad is None for p in network.real.parameters())

    @pytest.mark.parametrize("kind", [infogan.Generator, infogan.DiscriminatorAndQ])
    def test_errors(self, kind):
        for keywords in ({"channels": 0}, {"categories": 1}, {"continuous": -1}):
            with pytest.raises(ValueError, match=f"{next(iter(keywords))} must be"):
                kind(**keywords)

    def test_errors_of_inputs(self):
        generator, network = pair()
        with pytest.raises(ValueError, match=r"latents must be \(B, 15\)"):
            generator(torch.zeros(2, 14))
        with pytest.raises(ValueError, match=r"images must be \(B, 1, 28, 28\)"):
            network(torch.zeros(2, 1, 32, 32))

    def test_reading(self):
        _, network = pair()
        codes, means = common_codes.read_codes(network.train(), DIGITS)
        assert network.training
        assert (codes.shape, means.shape) == ((40,), (40, 2))
        again, _ = common_codes.read_codes(network, DIGITS[5:6])
        assert again.item() == codes[5].item()
        with pytest.raises(ValueError, match="at least one picture"):
            common_codes.read_codes(network, DIGITS[:0])


class TestTraining:
    def train(self, seed=0, steps=3, **keywords):
        players = pair(seed)
        history = infogan.train(
            *players, DIGITS, steps=steps, batch_size=8, progress=False, **keywords
        )
        return players, history

    def test_history(self):
        _, history = self.train()
        assert set(history) == set(infogan.MEASURES)
        assert all(len(values) == 3 for values in history.values())

    def test_the_information_loss_falls(self):
        _, history = self.train(steps=80, learning_rate=5e-3)
        losses = history["categorical_loss"]
        assert sum(losses[-10:]) / 10 < 0.8 * sum(losses[:10]) / 10

    def test_without_weight_q_learns_nothing(self):
        (_, network), _ = self.train(weight=0.0)
        before = pair()[1].codes[0].weight
        assert torch.equal(network.codes[0].weight, before)

    def test_the_first_step_is_two_plain_ones(self):
        """Discriminator and Q first, then the generator, as a plain loop writes it."""
        players, history = self.train(steps=1, weight=2.0, continuous_weight=0.5)
        generator, network = pair()
        seen = infogan.drawer(0, 2, 0)
        latents, codes, values = infogan.sample_latents(8, noise=3, generator=seen)
        real = 2 * DIGITS[first_batch(8)] - 1
        adams = [
            torch.optim.Adam(each.parameters(), lr=1e-3, betas=(0.5, 0.999))
            for each in (generator, network)
        ]
        fake = generator(latents)

        def parts(found):
            return infogan.mutual_information_loss(*found[:1], codes, found[1], values)

        loss = F.softplus(-network(real)[0]).mean() / 2
        on_fake, *found = network(fake.detach())
        loss = loss + F.softplus(on_fake).mean() / 2
        first, second = parts(found)
        (loss + 2 * first + second).backward()
        adams[1].step()
        on_fake, *found = network(fake)
        first, second = parts(found)
        generator_loss = F.softplus(-on_fake).mean()
        (generator_loss + 2 * first + second).backward()
        adams[0].step()
        wanted = loss, generator_loss, first, second
        for name, value in zip(infogan.MEASURES, wanted, strict=True):
            assert history[name][0] == pytest.approx(value.item(), rel=1e-4), name
        for ours, plain in zip(players, (generator, network), strict=True):
            left, right = (each.state_dict() for each in (ours, plain))
            for name, value in left.items():
                torch.testing.assert_close(value, right[name], rtol=1e-3, atol=2e-5)

    def test_it_goes_on_where_it_stopped(self, tmp_path):
        path = tmp_path / "run.pt"
        (whole, _), _ = self.train(steps=4)

        class StopError(Exception):
            pass

        def stop(step):
            if step == 3:
                raise StopError

        keywords = {"checkpoint": path, "save_every": 1}
        with pytest.raises(StopError):
            self.train(steps=4, on_step=stop, **keywords)
        (resumed, _), history = self.train(steps=4, **keywords)
        assert len(history["generator_loss"]) == 4
        for left, right in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(left, right)

    def test_errors(self):
        for keywords, words in (
            ({"weight": -1.0}, "weight must be"),
            ({"continuous_weight": math.nan}, "continuous_weight must be"),
            ({"learning_rate": 0.0}, "learning_rate must be"),
        ):
            with pytest.raises(ValueError, match=words):
                self.train(**keywords)
        with pytest.raises(ValueError, match="images must"):
            infogan.train(*pair(), DIGITS[:, 0])
        with pytest.raises(FloatingPointError):
            self.train(weight=1e38, steps=20, learning_rate=1e3)

    @pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.5, 0.5)])
    def test_one_weight_for_each_part(self, weights):
        fabric = make_fabric()
        fabric.launch()
        players = [
            fabric.setup(each, torch.optim.Adam(each.parameters())) for each in pair()
        ]
        drawn = infogan.sample_latents(4, noise=3)
        with pytest.raises(ValueError, match="weights must be two"):
            infogan.train_step(*players, DIGITS[:4], drawn, fabric, weights=weights)


def first_batch(size):
    """Which pictures the first step sees."""
    from lesson_utils.common.training import batch_of_step

    return batch_of_step(len(DIGITS), size, 0, 0)


class TestDigitWriter:
    def test_its_codes_are_what_its_card_says(self):
        card = json.loads((WEIGHTS / "digit_writer.json").read_text())
        data = (WEIGHTS / "digit_writer.safetensors").read_bytes()
        assert hashlib.sha256(data).hexdigest() == card["sha256"]
        assert len(data) <= 2_000_000
        _, network = infogan.digit_writer()
        images, labels = mnist("test")
        codes, _ = common_codes.read_codes(network, images)
        found = common_codes.code_accuracy(codes, labels).item()
        assert found == pytest.approx(card["code_accuracy"], abs=0.005)

    def test_evaluation_mode(self):
        assert not any(network.training for network in infogan.digit_writer())


def loss_by_formula(logits, codes, means, values, *, deviation=1.0):
    if len(logits) == 0 or means.shape != values.shape or len(means) != len(logits):
        raise ValueError("shapes must fit")
    if values.isnan().any() or deviation <= 0:
        raise ValueError("numbers must be numbers")
    log_q = logits - logits.logsumexp(1, keepdim=True)
    chosen = log_q.gather(1, codes[:, None])
    density = torch.exp(-(((values - means) / deviation) ** 2) / 2)
    density = density / (deviation * math.sqrt(2 * math.pi))
    return -chosen.mean(), -density.log().sum() / len(logits)


def plain_loss(logits, codes, means, values, *, deviation=1.0):
    squares = ((values - means) / deviation).square() / 2
    constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)
    return F.cross_entropy(logits, codes), (squares + constant).sum(1).mean()


def library_loss(logits, codes, means, values, *, deviation=1.0):
    variance = torch.full_like(means, deviation**2)
    found = F.gaussian_nll_loss(
        means, values, variance, full=True, eps=1e-12, reduction="sum"
    )
    return F.cross_entropy(logits, codes), found / len(logits)


def accuracy_by_scipy(codes, labels, *, number=10):
    from scipy.optimize import linear_sum_assignment

    if len(codes) != len(labels) or not len(codes):
        raise ValueError("there must be pictures, with a label each")
    both = torch.stack([codes, labels])
    if both.min() < 0 or both.max() >= number:
        raise ValueError("out of range")
    cost = np.zeros((number, number))
    for code, label in zip(codes.tolist(), labels.tolist(), strict=True):
        cost[code, label] -= 1
    return torch.tensor(-cost[linear_sum_assignment(cost)].sum() / len(codes)).float()


def plain_accuracy(codes, labels, *, number=10):
    from scipy.optimize import linear_sum_assignment

    one_hot = [F.one_hot(x, number).double() for x in (codes, labels)]
    table = (one_hot[0].T @ one_hot[1]).numpy()
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return torch.tensor(matched / len(codes), dtype=torch.float32)


def bound_by_entropies(joint, guess):
    if joint.dim() != 2 or joint.shape != guess.shape:
        raise ValueError("two tables of one shape")
    for sums in (joint.sum(), *guess.sum(0)):
        if not abs(sums.item() - 1) < 1e-3:
            raise ValueError("no distribution")
    entropy = torch.special.entr(joint.sum(1)).sum()
    of_picture = joint.sum(0)
    posterior = torch.where(of_picture > 0, joint / of_picture, 1.0)
    kl = F.kl_div(guess.log(), posterior, reduction="none").where(joint > 0, 0.0)
    bound = torch.where(joint > 0, joint * guess.log(), 0.0).sum()
    return entropy + bound, (kl * of_picture).sum()


def plain_bound(joint, guess):
    codes, pictures = joint.sum(1), joint.sum(0)
    bound = -torch.xlogy(codes, codes).sum() + torch.xlogy(joint, guess).sum()
    information = torch.xlogy(joint, joint).sum()
    information = information - torch.xlogy(codes, codes).sum()
    information = information - torch.xlogy(pictures, pictures).sum()
    return bound, information - bound


def loss_with(density, average=lambda part: part.sum(1).mean(), category=None):
    """A loss as a reader writes it, of a density (means, values, deviation)."""

    def answer(logits, codes, means, values, *, deviation=1.0):
        plain = loss_by_formula(logits, codes, means, values, deviation=deviation)
        first = plain[0] if category is None else category(logits, codes)
        return first, average(density(means, values, deviation))

    return answer


def gaussian(means, values, deviation):
    return -torch.distributions.Normal(means, deviation).log_prob(values)


def after_loss(change):
    def answer(*given, deviation=1.0):
        return change(*loss_by_formula(*given, deviation=deviation))

    return answer


def by_shares(axis):
    def answer(codes, labels, *, number=10):
        from scipy.optimize import linear_sum_assignment

        accuracy_by_scipy(codes, labels, number=number)  # refuses
        counts = np.zeros((number, number))
        np.add.at(counts, (codes.numpy(), labels.numpy()), 1)
        sums = counts.sum(axis, keepdims=True)
        pairs = linear_sum_assignment(-counts / np.where(sums, sums, 1))
        return torch.tensor(counts[pairs].sum() / len(codes)).float()

    return answer


def bound_with(entropy=None, mean=None, gap=None):
    """A bound and a gap as a reader writes them, part by part."""

    def answer(joint, guess):
        bound, divergence = bound_by_entropies(joint, guess)
        right = torch.special.entr(joint.sum(1)).sum()
        rest = bound - right if mean is None else mean(joint, guess)
        first = right if entropy is None else entropy(joint)
        return first + rest, divergence if gap is None else gap(joint, guess)

    return answer


def divergences(joint, guess):
    posterior = joint / joint.sum(0).clamp(min=1e-30)
    return (torch.xlogy(posterior, posterior) - torch.xlogy(posterior, guess)).sum(0)


RIGHT = {
    "mutual_information_loss": loss_by_formula,
    "code_accuracy": accuracy_by_scipy,
    "information_bound": bound_by_entropies,
}
PLAIN = {
    "mutual_information_loss": plain_loss,
    "code_accuracy": plain_accuracy,
    "information_bound": plain_bound,
}
LIBRARY = {
    "mutual_information_loss": library_loss,
    "code_accuracy": "SciPy has the matching, no library its share",
    "information_bound": "scikit-learn knows the information, not the bound",
}
WRONG = {
    "mutual_information_loss": [
        (
            lambda logits, codes, means, values, *, deviation=1.0: (
                F.nll_loss(logits.softmax(1).log_softmax(1), codes),
                library_loss(logits, codes, means, values, deviation=deviation)[1],
            ),
            "done twice",
        ),
        (
            lambda logits, codes, means, values, *, deviation=1.0: (
                F.cross_entropy(logits, codes),
                (F.mse_loss(means, values) / (2 * deviation**2))
                + math.log(deviation)
                + 0.5 * math.log(2 * math.pi),
            ),
            "sum over the codes",
        ),
        (
            lambda logits, codes, means, values, *, deviation=1.0: (
                F.cross_entropy(logits, codes),
                (means - values).square().sum(1).mean() / (2 * deviation**2),
            ),
            "constant is missing",
        ),
        (
            lambda *given, deviation=1.0: tuple(
                -part for part in plain_loss(*given, deviation=deviation)
            ),
            "*minus*",
        ),
        (
            lambda *given, deviation=1.0: sum(plain_loss(*given, deviation=deviation)),
            "as a pair",
        ),
        (
            lambda *given, deviation=1.0: tuple(
                len(given[0]) * part for part in plain_loss(*given, deviation=deviation)
            ),
            "mean over the batch",
        ),
        (plain_loss, "compare the shapes"),
        (loss_with(gaussian, torch.sum), "continuous part is summed over the batch"),
        (
            loss_with(
                gaussian,
                category=lambda logits, codes: (
                    -logits.log_softmax(1)[torch.arange(len(codes)), codes].sum()
                ),
            ),
            "category's part is summed",
        ),
        (
            loss_with(
                lambda m, v, s: (
                    (v - m) ** 2 / (2 * s) + math.log(s * math.sqrt(2 * math.pi))
                )
            ),
            "twice the variance",
        ),
        *(
            (
                loss_with(
                    lambda m, v, s, c=constant: ((v - m) / s) ** 2 / 2 + math.log(c(s))
                ),
                "*half* of log 2π",
            )
            for constant in (
                lambda s: 2 * math.pi * s,
                lambda s: s * s * math.sqrt(2 * math.pi),
                lambda s: 2 * math.pi * s * s,
            )
        ),
        (
            loss_with(lambda m, v, s: gaussian(m, v, s) - 2 * math.log(s)),
            "*plus* log σ",
        ),
        (
            loss_with(lambda m, v, s: F.mse_loss(m, v, reduction="none"), torch.mean),
            "This is the squared error",
        ),
        (
            loss_with(
                lambda m, v, s: (m - v) ** 2, lambda part: part.sum() / len(part)
            ),
            "This is the squared error",
        ),
        (
            loss_with(
                lambda m, v, s: ((v - m) / s) ** 2 / 2,
                lambda part: part.sum() / len(part),
            ),
            "constant is missing",
        ),
        (
            lambda logits, codes, means, values, *, deviation=1.0: (
                loss_by_formula(logits, codes, means, values, deviation=deviation)[0],
                (means - values).pow(2).sum(1).mean() / (2 * deviation**2)
                + 0.5 * math.log(2 * math.pi * deviation**2),
            ),
            "due for each code",
        ),
        (
            loss_with(
                gaussian,
                category=lambda logits, codes: -logits.gather(1, codes[:, None]).mean(),
            ),
            "expects log-probabilities",
        ),
        (after_loss(lambda first, second: (second, first)), "comes first, then"),
        (
            after_loss(lambda first, second: (first, second * 0.1)),
            "Weights belong to the training",
        ),
        (loss_with(lambda m, v, s: gaussian(m, v, 1.0)), "has no effect"),
        (
            after_loss(lambda *parts: tuple(x * math.log2(math.e) for x in parts)),
            "natural logarithms",
        ),
        (
            loss_with(gaussian, lambda part: part.mean() * part.shape[1]),
            "one over nothing",
        ),
        (
            loss_with(gaussian, lambda part: part.mean(1).mean() * part.shape[1]),
            "one over nothing",
        ),
    ],
    "code_accuracy": [
        (
            lambda codes, labels, *, number=10: (codes == labels).float().mean(),
            "need not stand for label 0",
        ),
        (
            lambda codes, labels, *, number=10: torch.tensor(
                sum(labels[codes == k].bincount().max().item() for k in codes.unique())
                / len(codes)
            ),
            "two codes may take the same",
        ),
        (
            lambda codes, labels, *, number=10: torch.tensor(
                sum(codes[labels == k].bincount().max().item() for k in labels.unique())
                / len(codes)
            ),
            "two labels may take the same",
        ),
        (
            lambda codes, labels, *, number=10: (
                100 * plain_accuracy(codes, labels, number=number)
            ),
            "not percent",
        ),
        (
            lambda codes, labels, *, number=10: (
                len(codes) * plain_accuracy(codes, labels, number=number)
            ),
            "divide by how many",
        ),
        (by_shares(0), "Match the counts themselves"),
        (by_shares(1), "Match the counts themselves"),
    ],
    "information_bound": [
        (
            lambda joint, guess: (
                (joint * guess.log()).sum(),
                plain_bound(joint, guess)[1],
            ),
            "entropy of the codes is missing",
        ),
        (
            lambda joint, guess: tuple(
                part / math.log(2) for part in plain_bound(joint, guess)
            ),
            "natural logarithms",
        ),
        (lambda joint, guess: plain_bound(joint, guess)[::-1], "comes first"),
        (
            lambda joint, guess: (
                plain_bound(joint, guess)[0],
                -plain_bound(joint, guess)[1],
            ),
            "not negative",
        ),
        (
            lambda joint, guess: (
                sum(plain_bound(joint, guess)),
                plain_bound(joint, guess)[1],
            ),
            "asks `guess`",
        ),
        (
            lambda joint, guess: (
                plain_bound(joint, guess)[0],
                F.kl_div(guess.log(), joint / joint.sum(0), reduction="sum")
                / joint.shape[1],
            ),
            "weight each one",
        ),
        (
            bound_with(entropy=lambda joint: torch.tensor(len(joint)).to(joint).log()),
            "*equally likely*",
        ),
        (
            bound_with(entropy=lambda joint: torch.special.entr(joint).sum()),
            "entropy of the pairs",
        ),
        *(
            (bound_with(mean=mean), "weight each log Q")
            for mean in (
                lambda joint, guess: guess.log().mean(),
                lambda joint, guess: guess.log().sum(),
                lambda joint, guess: (guess.log().sum(0) * joint.sum(0)).sum(),
            )
        ),
        (
            bound_with(gap=lambda joint, guess: divergences(joint, guess).sum()),
            "Their *mean* is due",
        ),
        (
            bound_with(
                gap=lambda joint, guess: F.kl_div(
                    guess.clamp(min=0).log(), joint, reduction="sum"
                )
            ),
            "divide each column",
        ),
        (
            bound_with(mean=lambda joint, guess: (joint * (guess + 1e-12).log()).sum()),
            "hides that Q excludes",
        ),
        (
            bound_with(
                mean=lambda joint, guess: (joint * guess.clamp(1e-10).log()).sum(),
                gap=lambda joint, guess: (
                    torch.xlogy(joint, joint / joint.sum(0).clamp(1e-10)).sum()
                    - (joint * guess.clamp(1e-10).log()).sum()
                ),
            ),
            "hides that Q excludes",
        ),
        (
            bound_with(mean=lambda joint, guess: (joint * guess.log()).sum()),
            "a column of zeros",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY


class TestStudy:
    def of(self, part, **keys):
        return [
            row
            for row in read_study("infogan")["rows"]
            if row["part"] == part and all(row[k] == v for k, v in keys.items())
        ]

    def mean(self, rows, name):
        return sum(row[name] for row in rows) / len(rows)

    def change(self, row, name, which):
        """The larger change that a slider makes, in deviations."""
        return max(abs(each[which]) for each in row["slopes"]) / row[f"{name}_spread"]

    def test_every_setting_has_three_seeds(self):
        for part, weights in (("long", (0.0, 1.0)), ("short", (0.0, 1.0, 30.0))):
            for weight in weights:
                seeds = [row["seed"] for row in self.of(part, weight=weight)]
                assert seeds == [0, 1, 2]

    def test_the_page_says_what_the_rows_say(self):
        info, plain = (self.of("long", weight=w) for w in (1.0, 0.0))
        # The switch means the digit in one, and next to nothing in the other.
        assert self.mean(info, "information_in_digit") > 1.5
        assert self.mean(plain, "information_in_digit") < 0.1
        assert min(row["bound"] for row in info) > 2.2
        assert max(row["bound"] for row in plain) < 0.2
        # Each seed is above k-means, and far above each plain GAN.
        worst = min(row["accuracy"] for row in info)
        assert worst > max(row["accuracy"] for row in self.of("k-means")) + 0.05
        assert worst > 2 * max(row["accuracy"] for row in plain)
        # The curves rise to the end, or nearly.
        for row in info:
            accuracies = [value for _, value in row["curve"]]
            assert accuracies[-1] > max(accuracies) - 0.02
            assert accuracies[-1] > accuracies[len(accuracies) // 2] + 0.05
        # Q reads most of a slider, and less than half of it is slant, width or ink.
        for row in info:
            assert 0.5 < 1 - 3 * sum(row["code_errors"]) / 2 < 0.7
            for name in ("slant", "width", "ink"):
                assert sum(row[f"{name}_by_codes"]) < 0.2
        first, second = info[0]["slopes"]
        assert second[0] < -0.15
        assert second[1] < -0.5
        assert abs(first[0]) < 0.1

    def test_lambda_on_the_page(self):
        none, one, large = (self.of("short", weight=w) for w in (0.0, 1.0, 30.0))
        assert self.mean(none, "bound") < 0.4
        assert min(row["bound"] for row in (*one, *large)) > 2.2
        assert self.mean(none, "distance") < self.mean(one, "distance")
        assert self.mean(large, "distance") > 90 * self.mean(one, "distance")
        assert self.mean(large, "accuracy") < self.mean(none, "accuracy") + 0.1
        for many, few in zip(large, one, strict=True):  # sliders can be read better
            assert sum(many["code_errors"]) < sum(few["code_errors"]) / 2
        info = self.of("long", weight=1.0)
        assert self.mean(info, "distance") < self.mean(one, "distance")
        assert self.mean(info, "accuracy") > self.mean(one, "accuracy") + 0.2

    def test_the_bundled_network_is_the_best_of_the_long_ones(self):
        card = json.loads((WEIGHTS / "digit_writer.json").read_text())
        best = max(self.of("long", weight=1.0), key=lambda row: row["accuracy"])
        assert card["seed"] == best["seed"]
        assert card["meaning"] == best["meaning"]

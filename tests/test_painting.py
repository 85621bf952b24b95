"""Painting maps: reader of sentences, judge, losses, and training to the bit."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lesson_utils.common import painting
from lesson_utils.common.compute import make_fabric
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.sentences import END, PAD, START, UNKNOWN
from lesson_utils.common.training import batch_of_step, drawer
from lesson_utils.semantic_to_vehicle import VOCABULARY, Generator, encode_texts

PARTS, SIZE, NUMBER = 4, 16, 10
TEXTS = ["a red van with two windows", "a blue bus", "a tractor on snow, at night"]
NO_LOSSES = {"features": 0.0, "pixels": 0.0, "variety": 0.0, "penalty": 0.0}


def normal(*shape, seed=0):
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=dice)


def players(seed=0, kind=Generator):
    torch.manual_seed(seed)
    generator = kind(SIZE, widths=(8, 8, 6), num_parts=PARTS, dim=6, noise=3)
    return generator, painting.PatchDiscriminator(PARTS, len(VOCABULARY), width=4)


def data():
    dice = torch.Generator().manual_seed(1)
    return (
        torch.rand(NUMBER, 3, SIZE, SIZE, generator=dice),
        torch.randint(PARTS, (NUMBER, SIZE, SIZE), generator=dice),
        encode_texts([TEXTS[k % 3] for k in range(NUMBER)]),
    )


def train(pair=None, **keywords):
    defaults = {"steps": 3, "batch_size": 4, "progress": False}
    return painting.train(*(pair or players()), *data(), **(defaults | keywords))


def state(pair):
    return [value for each in pair for value in each.state_dict().values()]


def same(one, other):
    pairs = zip(state(one), state(other), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


class TestTextEncoder:
    def test_is_a_gru_that_stops_at_the_end(self):
        torch.manual_seed(0)
        encoder = painting.TextEncoder(5, len(VOCABULARY))
        tokens = encode_texts(TEXTS)
        words, sentence, mask = encoder(tokens)
        assert words.shape == (3, tokens.shape[1], 5)
        for row, own, whole, there in zip(tokens, words, sentence, mask, strict=True):
            length = int((row == END).nonzero()[0, 0]) + 1
            theirs, last = encoder.read(encoder.embed(row[None, :length]))
            torch.testing.assert_close(own[:length], theirs[0])
            torch.testing.assert_close(whole, last[0, 0])
            assert there.tolist() == [k < length for k in range(len(row))]

    def test_padding_changes_nothing(self):
        torch.manual_seed(0)
        encoder = painting.TextEncoder(5, len(VOCABULARY))
        tokens = encode_texts(TEXTS)
        longer = F.pad(tokens, (0, 4), value=PAD)
        words, sentence, mask = encoder(tokens)
        words_, sentence_, mask_ = encoder(longer)
        torch.testing.assert_close(sentence_, sentence)
        torch.testing.assert_close(words_[mask_], words[mask])
        assert not mask_[:, tokens.shape[1] :].any()

    def test_order_counts(self):
        torch.manual_seed(0)
        encoder = painting.TextEncoder(5, len(VOCABULARY))
        sentences = encoder(encode_texts(["red on blue", "blue on red"]))[1]
        assert (sentences[0] - sentences[1]).abs().max() > 1e-3

    def test_errors(self):
        for bad in ((0, 3), (2, 1.5)):
            with pytest.raises(ValueError, match="must be a whole number"):
                painting.TextEncoder(*bad)


class TestOneHotMaps:
    def test_by_hand(self):
        maps = torch.tensor([[[0, 2], [1, 1]]])
        expected = torch.tensor(
            [[[[1.0, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [0, 0]]]]
        )
        for dtype in (torch.int64, torch.uint8, torch.int32):
            assert torch.equal(painting.one_hot_maps(maps.to(dtype), 3), expected)
        assert painting.one_hot_maps(expected, 3) is expected
        assert painting.one_hot_maps(maps[:0], 3).shape == (0, 3, 2, 2)

    def test_errors(self):
        maps = torch.tensor([[[0, 2], [1, 1]]])
        for bad, words in (
            (maps + 1, r"maps must be of parts from 0 to 2, got \[1, 3\]"),
            (maps - 1, r"maps must be of parts from 0 to 2, got \[-1, 1\]"),
            (maps[0], r"maps must be \(B, H, W\)"),
            (torch.zeros(1, 2, 4, 4), r"maps must be \(B, 3, H, W\)"),
        ):
            with pytest.raises(ValueError, match=words):
                painting.one_hot_maps(bad, 3)


class TestPatchDiscriminator:
    @pytest.mark.parametrize("size", [16, 24, 32])
    def test_shapes(self, size):
        judge = players()[1]
        maps, tokens = torch.zeros(2, size, size).long(), encode_texts(TEXTS[:2])
        found = judge(normal(2, 3, size, size), maps, tokens)
        assert [tuple(each.shape) for each in found] == [
            (2, 4, size // 2, size // 2),
            (2, 8, size // 4, size // 4),
            (2, 16, size // 8, size // 8),
            (2, 16, size // 8, size // 8),
            (2, size // 8, size // 8),
        ]

    def test_looks_at_picture_map_and_words(self):
        judge = players()[1]
        images, maps, tokens = normal(1, 3, 16, 16), *(each[:1] for each in data()[1:])
        base = judge(images, maps, tokens)[-1]
        for other in (
            (images.flip(3), maps, tokens),
            (images, maps.flip(2), tokens),
            (images, maps, encode_texts(["a black car"])),
        ):
            assert (judge(*other)[-1] - base).abs().max() > 1e-4

    def test_a_patch_sees_its_surroundings_alone(self):
        """34 pixels a side, a corner's patch does not see the other corner."""
        judge = players()[1]
        images, maps = normal(1, 3, 64, 64), torch.zeros(1, 64, 64).long()
        tokens = encode_texts(["a red car"])
        other = images.clone()
        other[..., 48:, 48:] += 1
        change = (
            judge(other, maps, tokens)[-1] - judge(images, maps, tokens)[-1]
        ).abs()
        assert change[0, 0, 0] == 0
        assert change[0, -1, -1] > 0

    def test_words_come_in_by_a_product(self):
        """Miyato and Koyama's projection, by hand."""
        judge = players()[1]
        images, maps, tokens = normal(1, 3, 16, 16), *(each[:1] for each in data()[1:])
        *features, logits = judge(images, maps, tokens)
        said = torch.stack([judge.words.weight[t] for t in tokens[0]]).mean(0)
        last = features[-1][0].flatten(1)  # (C, patches)
        expected = judge.judge.weight.flatten() @ last + judge.judge.bias
        expected = expected + said @ last / len(said)
        torch.testing.assert_close(logits.flatten(), expected)
        assert (judge.words.weight[PAD] == 0).all()

    def test_errors(self):
        judge = players()[1]
        images, maps, tokens = normal(2, 3, 16, 16), *(each[:2] for each in data()[1:])
        for bad, words in (
            ((images[:, :1], maps, tokens), r"images must be \(B, 3, S, S\)"),
            ((images, maps, tokens[:1]), r"tokens must be \(2, T\)"),
            ((images, maps + 4, tokens), "maps must be of parts"),
        ):
            with pytest.raises(ValueError, match=words):
                judge(*bad)
        with pytest.raises(ValueError, match="width must be a whole number"):
            painting.PatchDiscriminator(4, 9, width=0)


class TestFeatureMatching:
    def test_by_hand(self):
        fake = [torch.tensor([[1.0, 2.0]]), torch.tensor([5.0])]
        real = [torch.tensor([[0.0, 4.0]]), torch.tensor([5.5])]
        assert painting.feature_matching(fake, real).item() == (1.5 + 0.5) / 2

    def test_no_gradient_reaches_the_real_ones(self):
        fake, real = (
            normal(2, 3).requires_grad_(),
            normal(2, 3, seed=1).requires_grad_(),
        )
        painting.feature_matching([fake], [real]).backward()
        assert real.grad is None
        torch.testing.assert_close(fake.grad, (fake - real).sign().detach() / 6)

    def test_errors(self):
        one = [torch.zeros(2)]
        for pair in (([], []), (one, [*one, *one])):
            with pytest.raises(ValueError, match="features of as many layers"):
                painting.feature_matching(*pair)


class TestAlike:
    def test_by_hand(self):
        noise1, noise2 = torch.zeros(2, 4), torch.full((2, 4), 2.0)
        images = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
        images[1][0] += 0.1  # a ratio of 0.05; the second pair has 0
        found = painting.alike(*images, noise1, noise2)
        assert found.item() == pytest.approx((0.05 + 0.1) / 2)
        images[1][:] += 1
        assert painting.alike(*images, noise1, noise2) == 0
        assert painting.alike(*images, noise1, noise2, enough=2.0) > 1

    def test_the_same_noise_is_no_division_by_zero(self):
        images, noise = normal(2, 3, 2, 2), normal(2, 4)
        found = painting.alike(images, images, noise, noise)
        assert found.item() == pytest.approx(0.1)


def plainly(steps, *, features, pixels, variety, penalty, seed=0, size=4, rate=1e-3):
    """The training without `Run` or Fabric, all words left as they are."""
    generator, judge = players()
    images, maps, tokens = data()
    adams = [
        torch.optim.Adam(each.parameters(), lr=rate, betas=(0.0, 0.99))
        for each in (generator, judge)
    ]
    rows = []
    for step in range(steps):
        for adam in adams:
            adam.param_groups[0]["lr"] = hold_then_fall(step, steps=steps, peak=rate)
        index = batch_of_step(len(images), size, seed, step)
        real, said = 2 * images[index] - 1, tokens[index]
        planes = F.one_hot(maps[index], PARTS).permute(0, 3, 1, 2).float()
        shape = 2, size, *generator.noise_shape
        noise, other = torch.randn(*shape, generator=drawer(seed, 2, step, 0))
        fake = generator(planes, said, noise)

        real.requires_grad_()
        real_logits = judge(real, planes, said)[-1]
        loss = F.softplus(-real_logits).mean() / 2
        loss = loss + F.softplus(judge(fake.detach(), planes, said)[-1]).mean() / 2
        total = loss
        if step % 8 == 0:
            slopes = torch.autograd.grad(
                real_logits.mean((1, 2)).sum(), real, create_graph=True
            )[0]
            total = loss + 8 * penalty * slopes.square().sum((1, 2, 3)).mean() / 2
        judge.zero_grad()
        total.backward()
        adams[1].step()

        *seen, guess = judge(fake, planes, said)
        due = judge(real.detach(), planes, said)[:-1]
        again = generator(planes[:1], said[:1], other[:1])
        ratio = (again - fake[:1]).abs().mean() / (noise[:1] - other[:1]).abs().mean()
        parts = {
            "generator": F.softplus(-guess).mean(),
            "features": sum(
                (a - b.detach()).abs().mean() for a, b in zip(seen, due, strict=True)
            )
            / len(seen),
            "pixels": (fake - real.detach()).abs().mean(),
            "alike": (0.1 - ratio).clamp(min=0),
        }
        generator.zero_grad()
        (
            parts["generator"]
            + features * parts["features"]
            + pixels * parts["pixels"]
            + variety * parts["alike"]
        ).backward()
        adams[0].step()
        parts["discriminator"] = loss
        rows.append({name: value.item() for name, value in parts.items()})
    return {name: [row[name] for row in rows] for name in rows[0]}


class TestTrain:
    @pytest.mark.parametrize(
        "weights",
        [
            {"features": 10.0, "pixels": 5.0, "variety": 3.0, "penalty": 0.1},
            NO_LOSSES,
            *(NO_LOSSES | {name: 20.0} for name in NO_LOSSES),
        ],
        ids=lambda weights: (
            "-".join(name for name in weights if weights[name]) or "none"
        ),
    )
    def test_is_a_plain_loop(self, weights):
        """A weight of 0 switches a loss off; it is noted all the same."""
        found = train(**weights, steps=3, hidden=0.0, silent=0.0)
        expected = plainly(3, **weights)
        assert set(found) == set(expected)
        for name, losses in expected.items():
            assert found[name] == pytest.approx(losses, rel=2e-3, abs=2e-4), name

    def test_each_weight_matters(self):
        weights = {}
        for name in (None, *NO_LOSSES):
            pair = players()
            train(pair, **(NO_LOSSES | ({name: 20.0} if name else {})), steps=1)
            weights[name] = pair[0].paint.weight.detach(), pair[1].last.weight.detach()
        for name in NO_LOSSES:
            player = int(name == "penalty")
            change = (weights[name][player] - weights[None][player]).abs()
            assert change.max() > 1e-5, name

    def test_two_runs_of_a_seed_are_equal(self):
        runs = players(), players(), players()
        histories = [
            train(pair, seed=seed) for pair, seed in zip(runs, (3, 3, 4), strict=True)
        ]
        assert histories[0] == histories[1] != histories[2]
        assert same(runs[0], runs[1])
        assert not same(runs[0], runs[2])
        assert all(len(losses) == 3 for losses in histories[0].values())
        assert not any(each.training for each in runs[0])
        assert all(p.requires_grad for p in runs[0][1].parameters())

    @pytest.mark.parametrize(("after", "save_every"), [(2, 1), (4, 3)])
    def test_resumes_to_the_same_losses_and_weights(self, tmp_path, after, save_every):
        class PulledPlugError(Exception):
            pass

        def pull(step):
            if step == after:
                raise PulledPlugError

        whole, broken = players(), players()
        history = train(whole, steps=5)
        options = {
            "steps": 5,
            "checkpoint": tmp_path / "run.pt",
            "save_every": save_every,
        }
        with pytest.raises(PulledPlugError):
            train(broken, on_step=pull, **options)
        others = players(seed=5)  # another process, which begins anew
        assert train(others, **options) == history
        assert same(whole, others)

    def test_of_another_run(self, tmp_path):
        path = tmp_path / "run.pt"
        train(checkpoint=path)
        for other in ({"seed": 1}, {"features": 1.0}, {"learning_rate": 1e-4}):
            with pytest.raises(ValueError, match="checkpoint must be of this run"):
                train(checkpoint=path, **other)

    def test_on_step_sees_every_step(self):
        seen = []
        train(on_step=seen.append)
        assert seen == [1, 2, 3]

    def test_bytes_and_numbers_train_alike(self):
        images, maps, tokens = data()
        levels = (255 * images).round().byte()
        options = {"steps": 2, "batch_size": 4, "progress": False}
        one = painting.train(*players(), levels, maps.byte(), tokens, **options)
        other = painting.train(*players(), levels / 255, maps, tokens, **options)
        for name, losses in one.items():
            assert losses == pytest.approx(other[name], rel=1e-4), name

    @pytest.mark.parametrize(
        ("options", "allowed"),
        [
            ({"hidden": 0.0, "silent": 1.0}, {START, END, PAD}),
            ({"hidden": 1.0, "silent": 0.0}, {START, UNKNOWN, END, PAD}),
        ],
    )
    def test_words_are_hidden(self, options, allowed):
        heard = []

        class Listener(Generator):
            def forward(self, maps, tokens, noise):
                heard.append(tokens)
                return super().forward(maps, tokens, noise)

        train(players(kind=Listener), steps=1, **options)
        assert set(heard[0].unique().tolist()) == allowed

    def test_some_sentences_are_silenced(self):
        heard = []

        class Listener(Generator):
            def forward(self, maps, tokens, noise):
                heard.append(tokens)
                return super().forward(maps, tokens, noise)

        train(players(kind=Listener), steps=4, batch_size=10, silent=0.5, hidden=0.0)
        quiet = [(tokens[:, 1] == END).float().mean().item() for tokens in heard[::2]]
        assert 0.2 < sum(quiet) / len(quiet) < 0.8

    def test_it_learns_flat_colors_of_parts(self):
        """Red for part 0, blue for part 1: pixels alone teach it, in a few steps."""
        dice = torch.Generator().manual_seed(0)
        rough = torch.randint(2, (32, 1, 4, 4), generator=dice).float()
        maps = F.interpolate(rough, scale_factor=4)[:, 0].long()
        images = torch.stack([1.0 - maps, 0.0 * maps, 1.0 * maps], 1)
        tokens = encode_texts(["a van"] * 32)
        options = NO_LOSSES | {"pixels": 10.0}
        history = painting.train(
            *players(), images, maps, tokens, steps=25, batch_size=8,
            learning_rate=2e-2, progress=False, **options,
        )  # fmt: skip
        start, end = history["pixels"][0], sum(history["pixels"][-5:]) / 5
        assert end < 0.6 * start

    def test_mixed_precision_with_the_penalty(self, monkeypatch):
        """The penalty is a gradient of its own, which Fabric's wrapper refuses."""
        monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
        fabric = make_fabric(precision="bf16-mixed")
        fabric.launch()
        pair = players()
        history = train(pair, steps=3, fabric=fabric, penalty=0.5)
        assert all(math.isfinite(x) for losses in history.values() for x in losses)
        assert {value.dtype for value in state(pair)} == {torch.float32}
        # As without: half precision is rounding, and nothing else.
        plain = train(steps=3, penalty=0.5)
        assert history["pixels"] == pytest.approx(plain["pixels"], rel=0.05)

    def test_a_loss_that_is_no_number(self):
        generator, judge = players()
        nn.init.constant_(generator.paint.bias, torch.nan)
        with pytest.raises(FloatingPointError, match="at step 1"):
            train((generator, judge))

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"steps": 0}, "steps must be a whole number"),
            ({"learning_rate": 0.0}, "learning_rate must be finite and above 0"),
            ({"features": -1.0}, "features must be finite and not negative"),
            ({"pixels": math.nan}, "pixels must be finite"),
            ({"variety": -0.1}, "variety must be finite and not negative"),
            ({"penalty": -1}, "penalty must be finite and not negative"),
            ({"hidden": 1.5}, r"share must lie in \[0, 1\]"),
            ({"silent": -0.5}, r"silent must lie in \[0, 1\]"),
        ],
    )
    def test_errors(self, keywords, message):
        with pytest.raises(ValueError, match=message):
            train(**keywords)

    def test_errors_of_data(self):
        images, maps, tokens = data()
        for bad, words in (
            ((images, maps[1:], tokens), r"maps must be \(10, "),
            ((images, maps[..., :8], tokens), r"maps must be \(10, "),
            ((images, maps, tokens[1:]), r"tokens must be \(10, T\)"),
            ((images, maps + PARTS, tokens), "maps must be of parts from 0 to 3"),
            ((2 * images, maps, tokens), r"must lie in \[0, 1\]"),
            ((images * torch.nan, maps, tokens), r"must lie in \[0, 1\]"),
        ):
            with pytest.raises(ValueError, match=words):
                painting.train(*players(), *bad, steps=1, progress=False)


class TestPaint:
    def test_range_mode_batches_and_seeds(self):
        generator = players()[0]
        _, maps, tokens = data()
        generator.train()
        images = painting.paint(generator, maps, tokens, batch_size=4)
        assert images.shape == (NUMBER, 3, SIZE, SIZE)
        assert images.dtype == torch.float32
        assert images.min() >= 0
        assert images.max() <= 1
        assert not images.requires_grad
        assert generator.training
        again = painting.paint(generator, maps, tokens, batch_size=64)
        torch.testing.assert_close(again, images, rtol=1e-4, atol=1e-5)
        other = painting.paint(generator, maps, tokens, seed=1)
        assert (other - images).abs().mean() > 1e-3

    def test_is_the_generator_in_unit_range(self):
        generator = players()[0].eval()
        _, maps, tokens = data()
        dice = torch.Generator().manual_seed(3)
        noise = torch.randn(2, *generator.noise_shape, generator=dice)
        with torch.no_grad():
            expected = (generator(maps[:2], tokens[:2], noise) + 1) / 2
        found = painting.paint(generator, maps[:2], tokens[:2], seed=3)
        torch.testing.assert_close(found, expected)

    def test_errors(self):
        generator = players()[0].eval()
        _, maps, tokens = data()
        with pytest.raises(ValueError, match="at least one map, got none"):
            painting.paint(generator, maps[:0], tokens[:0])
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            painting.paint(generator, maps, tokens, batch_size=0)
        with pytest.raises(ValueError, match="maps must be of parts"):
            painting.paint(generator, maps + 1, tokens)
        with pytest.raises(ValueError, match=r"tokens must be \(10, T\)"):
            painting.paint(generator, maps, tokens[:3])
        with pytest.raises(ValueError, match=r"tokens must be \(10, T\)"):
            painting.paint(generator, maps, tokens[:8], batch_size=4)

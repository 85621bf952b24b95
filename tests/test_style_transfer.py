import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck
from torchvision.models._utils import IntermediateLayerGetter

from lesson_utils import style_transfer as st
from lesson_utils.checks import style_transfer as st_checks
from lesson_utils.common.backbones import resnet18, tiny_vgg
from lesson_utils.common.pretrained import vgg16_features
from lesson_utils.common.studies import read_study
from lesson_utils.normalization import instance_norm
from studies import style_transfer as study_style_transfer
from tests.answers import ExerciseTests

SMALL = {"content_layers": ("3",), "style_layers": ("1", "3"), "progress": False}


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )


def picture(*shape, seed=0, dtype=torch.float32):
    return torch.rand(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )


@pytest.fixture
def net():
    torch.manual_seed(0)
    return tiny_vgg(None)


class TestGramMatrix:
    def test_by_hand(self):
        features = torch.tensor([1.0, 2, 3, 0]).reshape(1, 2, 1, 2)
        assert st.gram_matrix(features).tolist() == [[[1.25, 0.75], [0.75, 2.25]]]

    def test_matches_a_loop_of_einsum(self):
        features = random(3, 4, 5, 6)
        got = st.gram_matrix(features)
        assert got.shape == (3, 4, 4)
        for image, gram in zip(features, got, strict=True):
            for i in range(4):
                for j in range(4):
                    product = torch.einsum("hw,hw->", image[i], image[j])
                    assert gram[i, j].item() == pytest.approx(
                        product.item() / (4 * 5 * 6)
                    )

    def test_shuffling_positions_changes_nothing(self):
        features = random(2, 3, 6, 7)
        order = torch.randperm(42, generator=torch.Generator().manual_seed(1))
        shuffled = features.flatten(2)[..., order].unflatten(2, (6, 7))
        torch.testing.assert_close(
            st.gram_matrix(shuffled), st.gram_matrix(features), rtol=1e-12, atol=1e-14
        )
        assert (shuffled != features).any()

    def test_symmetric_and_never_negative(self):
        gram = st.gram_matrix(random(2, 5, 3, 3))
        torch.testing.assert_close(gram, gram.mT)
        assert torch.linalg.eigvalsh(gram).min() > -1e-12

    def test_its_diagonal_is_mean_squared_plus_variance(self):
        features = random(2, 3, 4, 5) + 1
        mean, var = st.channel_statistics(features).unbind(1)
        diagonal = st.gram_matrix(features).diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(diagonal * 3, mean.square() + var)

    def test_gradient(self):
        assert gradcheck(st.gram_matrix, random(2, 3, 2, 3).requires_grad_())

    @pytest.mark.parametrize(
        "features",
        [torch.ones(3, 4, 4), torch.ones(1, 3, 0, 4), torch.ones(1, 1, 2, 2).long()],
    )
    def test_errors(self, features):
        with pytest.raises(ValueError, match="features must "):
            st.gram_matrix(features)


class TestChannelStatistics:
    def test_by_hand(self):
        features = torch.tensor([1.0, 3, 5, 5]).reshape(1, 2, 1, 2)
        assert st.channel_statistics(features).tolist() == [[[2, 5], [1, 0]]]

    def test_instance_norm_takes_them_out(self):
        after = st.channel_statistics(instance_norm(3 * random(2, 4, 8, 8) + 5))
        torch.testing.assert_close(after[:, 0], torch.zeros(2, 4).double())
        torch.testing.assert_close(
            after[:, 1], torch.ones(2, 4).double(), rtol=1e-4, atol=0
        )

    def test_gradient(self):
        assert gradcheck(st.channel_statistics, random(2, 3, 2, 3).requires_grad_())

    def test_errors(self):
        with pytest.raises(ValueError, match="features must be"):
            st.channel_statistics(torch.ones(3, 4, 4))


class TestLosses:
    def test_content_is_mean_squared_error_in_units_of_the_target(self):
        x, y = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
        expected = F.mse_loss(x, y) / F.mse_loss(y, torch.zeros_like(y))
        torch.testing.assert_close(st.content_loss(x, y), expected)

    def test_units_cancel(self):
        x, y = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
        once, scaled = st.content_loss(x, y), st.content_loss(100 * x, 100 * y)
        torch.testing.assert_close(once, scaled)
        assert st.content_loss(torch.zeros_like(y), y).item() == pytest.approx(1)

    def test_a_target_of_zeros_is_finite(self):
        x = torch.zeros(1, 2, 2, 2, requires_grad=True)
        loss = st.content_loss(x, torch.zeros(1, 2, 2, 2))
        loss.backward()
        assert loss.item() == 0
        assert x.grad.isfinite().all()

    def test_style_by_hand(self):
        features = torch.tensor([1.0, 2, 3, 0]).reshape(1, 2, 1, 2)
        target = torch.tensor([[[1.0, 0], [0, 2]]])
        expected = (0.25**2 + 2 * 0.75**2 + 0.25**2) / (1 + 4)
        assert st.style_loss(features, target).item() == pytest.approx(expected)

    def test_style_of_the_same_features_is_nothing_whatever_the_size(self):
        features = random(1, 3, 4, 4)
        larger = features.repeat(1, 1, 2, 3)
        for statistic in (st.gram_matrix, st.channel_statistics):
            got = st.style_loss(larger, statistic(features), statistic=statistic)
            assert got.item() == pytest.approx(0, abs=1e-20)

    def test_gradients(self):
        x, y = random(1, 3, 2, 2).requires_grad_(), random(1, 3, 2, 2, seed=1)
        for statistic in (st.gram_matrix, st.channel_statistics):
            target = statistic(y)
            assert gradcheck(
                lambda f, t=target, s=statistic: st.style_loss(f, t, statistic=s), x
            )
        assert gradcheck(lambda f: st.content_loss(f, y), x)

    def test_no_gradient_to_the_target(self):
        x, y = random(1, 2, 2, 2), random(1, 2, 2, 2).requires_grad_()
        assert not st.content_loss(x, y).requires_grad
        assert not st.style_loss(x, st.gram_matrix(y)).requires_grad

    def test_errors(self):
        with pytest.raises(ValueError, match=r"one shape, got \(1, 2, 2, 2\) and"):
            st.content_loss(torch.ones(1, 2, 2, 2), torch.ones(1, 1, 2, 2))
        with pytest.raises(ValueError, match="statistic of features and target"):
            st.style_loss(torch.ones(1, 2, 2, 2), torch.ones(1, 1, 1))


class TestLbfgs:
    def test_one_iteration_a_step(self):
        x = nn.Parameter(torch.tensor([3.0, -2.0]))
        optimizer = st.lbfgs([x])
        for _ in range(4):
            optimizer.step(lambda: self.loss(optimizer, x))
        assert optimizer.state[x]["n_iter"] == 4
        torch.testing.assert_close(
            x.detach(), torch.tensor([1.0, 0.5]), rtol=0, atol=1e-2
        )

    def loss(self, optimizer, x):
        optimizer.zero_grad()
        value = (x[0] - 1) ** 2 + 2 * (x[1] - 0.5) ** 2
        value.backward()
        return value

    def test_many_numbers_move_from_the_first_step_on(self):
        # With torch's own first trial nothing moves: the loss hides it.
        x = nn.Parameter(torch.full((100_000,), 1.0))
        optimizer = st.lbfgs([x])
        for _ in range(3):
            optimizer.step(lambda: self.far(optimizer, x))
        assert x.abs().max() < 0.5

    def far(self, optimizer, x):
        optimizer.zero_grad()
        value = 1e6 + x.square().sum()
        value.backward()
        return value

    @pytest.mark.parametrize("move", [0, math.inf, math.nan, True])
    def test_errors(self, move):
        with pytest.raises(ValueError, match="first_move must be finite"):
            st.lbfgs([nn.Parameter(torch.ones(1))], first_move=move)


class TestTotalVariation:
    def test_by_hand(self):
        image = torch.tensor([[0.0, 1, 3], [0, 0, 4]]).reshape(1, 1, 2, 3)
        assert st.total_variation_loss(image).item() == pytest.approx(29 / 24)

    def test_matches_slices(self):
        x = random(2, 3, 5, 4)
        down = (x[:, :, 1:, :] - x[:, :, :-1, :]).abs().mean()
        right = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().mean()
        torch.testing.assert_close(st.total_variation_loss(x), 0.5 * (down + right))

    @pytest.mark.parametrize(
        ("shape", "expected"), [((1, 1, 1, 3), 0.5), ((1, 1, 3, 1), 0.5), ((1,) * 4, 0)]
    )
    def test_without_neighbours(self, shape, expected):
        image = torch.arange(math.prod(shape)).float().reshape(shape).requires_grad_()
        loss = st.total_variation_loss(image)
        loss.backward()
        assert loss.item() == expected
        assert image.grad.isfinite().all()

    def test_gradient(self):
        assert gradcheck(st.total_variation_loss, random(1, 2, 3, 3).requires_grad_())

    def test_errors(self):
        with pytest.raises(ValueError, match="images must be"):
            st.total_variation_loss(torch.ones(3, 4, 4))


class TestPreprocess:
    MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.5])

    def test_by_hand_and_back(self):
        image = picture(3, 4, 5)
        got = st.preprocess(image, self.MEAN, self.STD)
        assert got.shape == (1, 3, 4, 5)
        assert got[0, 1, 2, 3].item() == pytest.approx(
            (image[1, 2, 3].item() - 0.4) * 4
        )
        torch.testing.assert_close(st.postprocess(got, self.MEAN, self.STD), image)

    def test_matches_torchvision(self):
        from torchvision.transforms.v2.functional import normalize

        image = picture(3, 4, 5)
        expected = normalize(image, self.MEAN.tolist(), self.STD.tolist())
        torch.testing.assert_close(
            st.preprocess(image, self.MEAN, self.STD)[0], expected
        )

    def test_postprocess_cuts_off_and_detaches(self):
        loud = torch.tensor([9.0, -9, 0]).reshape(1, 3, 1, 1).requires_grad_()
        got = st.postprocess(loud, self.MEAN, self.STD)
        assert got.flatten().tolist() == pytest.approx([1, 0, 0.3])
        assert not got.requires_grad

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (torch.rand(1, 4, 4), r"image must be.*\(1, 4, 4\)"),
            (torch.rand(1, 3, 4, 4), r"image must be.*\(1, 3, 4, 4\)"),
            (torch.ones(3, 4, 4).byte(), "floating point.*uint8"),
            (torch.full((3, 2, 2), 1.2), r"must lie in \[0, 1\], got.*1.2"),
            (torch.full((3, 2, 2), -0.5), r"must lie in \[0, 1\]"),
            (torch.full((3, 2, 2), math.nan), r"must lie in \[0, 1\]"),
        ],
    )
    def test_errors(self, image, message):
        with pytest.raises(ValueError, match=message):
            st.preprocess(image, self.MEAN, self.STD)

    @pytest.mark.parametrize("worst", [0.0, -1.0, math.nan])
    def test_a_deviation_that_is_not_positive(self, worst):
        std = torch.tensor([0.2, worst, 0.5])
        with pytest.raises(ValueError, match="std must be positive, got"):
            st.preprocess(picture(3, 4, 5), self.MEAN, std)

    def test_postprocess_errors(self):
        with pytest.raises(ValueError, match="images must be"):
            st.postprocess(torch.ones(2, 3, 4, 4), self.MEAN, self.STD)


class Counter:
    """Counts the calls of each layer by a hook."""

    def __init__(self, layers):
        self.calls = [0] * len(layers)
        for number, layer in enumerate(layers):
            layer.register_forward_hook(lambda *_, n=number: self.add(n))

    def add(self, number):
        self.calls[number] += 1


class TestFeatureExtractor:
    def test_vgg16_gives_layers_by_name(self):
        vgg = vgg16_features(None, generator=torch.Generator().manual_seed(0))
        images = random(1, 3, 32, 32, dtype=torch.float32)
        contents, styles = st.FeatureExtractor(vgg, **st.VGG16_LAYERS)(images)
        assert [f.shape[1] for f in styles] == [64, 128, 256, 512]
        for number, got in zip((18, 1, 6, 11, 18), contents + styles, strict=True):
            assert isinstance(vgg.features[number], nn.ReLU)
            assert torch.equal(got, vgg.features[: number + 1](images))

    def test_in_place_relus_do_not_write_over_it(self):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        x = random(1, 3, 8, 8, dtype=torch.float32)
        kept = layers[0](x)
        layers[1](kept)
        assert kept.min() == 0  # the trap itself
        assert st.extract_features(layers, x, [0, 1])[0].min() < 0

    def test_runs_each_layer_once_and_none_beyond_the_last(self, net):
        extractor = st.FeatureExtractor(net, ["6"], ["1", "8"])
        copies, originals = Counter(extractor.layers), Counter(net.features)
        extractor(random(1, 3, 16, 16, dtype=torch.float32))
        assert copies.calls == [1] * 9
        assert not any(originals.calls)
        assert len(net.features) == 17

    def test_frozen_and_leaves_the_backbone_alone(self, net):
        before = copy.deepcopy(net.state_dict())
        net.train()
        extractor = st.FeatureExtractor(net, ["3"], ["1"])
        assert not any(p.requires_grad for p in extractor.parameters())
        assert not extractor.training
        assert net.training
        assert all(p.requires_grad for p in net.parameters())
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())

    def test_a_layer_for_both_and_any_order(self, net):
        images = random(1, 3, 16, 16, dtype=torch.float32)
        contents, styles = st.FeatureExtractor(net, ["3"], ["6", "3", "1"])(images)
        assert torch.equal(contents[0], styles[1])
        assert [f.shape[1] for f in styles] == [48, 24, 24]
        assert st.FeatureExtractor(net, [], ["1"])(images)[0] == []

    @pytest.mark.parametrize(
        ("content", "style", "message"),
        [
            (["17"], ["1"], "content_layers must be one of 0, 1, .*got '17'"),
            (["1"], [1], "style_layers must be one of.*got 1"),
            (["1"], ["relu"], "got 'relu'"),
            (["1"], ["3", "3"], "twice"),
            ([], [], "both be empty"),
        ],
    )
    def test_errors(self, net, content, style, message):
        with pytest.raises(ValueError, match=message):
            st.FeatureExtractor(net, content, style)

    def test_a_backbone_without_features(self):
        with pytest.raises(ValueError, match="backbone must have.*got a ResNet"):
            st.FeatureExtractor(resnet18(None), ["1"], ["1"])
        with pytest.raises(ValueError, match="numbers must name at least one"):
            st.extract_features(nn.Sequential(nn.ReLU()), torch.ones(1), [])

    def test_nested_in_place_layers(self):
        inner = nn.Sequential(nn.ReLU(inplace=True))
        layers = nn.Sequential(nn.Tanh(), inner)
        images = torch.tensor([-1.0, 1.0])
        first, _ = st.extract_features(layers, images, [0, 1])
        assert torch.equal(first, images.tanh())


def relative(value, target):
    """The squared error in units of the target's squares, by norms."""
    return (value - target).norm().square().item() / target.norm().square().item()


class TestTransfer:
    def test_losses_fall_and_sizes_may_differ(self, net):
        content, style = picture(3, 24, 32), picture(3, 17, 40, seed=1)
        got, history = st.transfer(
            content, style, backbone=net, num_steps=30, tv_weight=0.0, **SMALL
        )
        assert got.shape == content.shape
        assert got.min() >= 0
        assert got.max() <= 1
        assert {name: len(h) for name, h in history.items()} == dict.fromkeys(
            ("content", "style", "tv", "total"), 30
        )
        assert history["content"][0] == 0
        assert history["total"][-1] < 0.7 * history["total"][0]
        assert history["style"][-1] < 0.7 * history["style"][0]

    def test_first_losses_by_an_independent_way(self, net):
        content, style = picture(3, 16, 16), picture(3, 16, 24, seed=1)
        _, history = st.transfer(
            content,
            style,
            backbone=net,
            num_steps=1,
            content_weight=2.0,
            style_weight=5.0,
            tv_weight=3.0,
            start=style[:, :, :16],
            **SMALL,
        )
        x, c, s = ((p[None] - 0.5) / 0.25 for p in (style[:, :, :16], content, style))
        style_sum = 0.0
        for last in (2, 4):
            a, b = (net.features[:last](p).detach() for p in (x, s))
            grams = [
                torch.einsum("bihw,bjhw->bij", f, f) / f[0].numel() for f in (a, b)
            ]
            style_sum += relative(*grams)
        features = [net.features[:4](p) for p in (x, c)]
        expected = {
            "content": relative(*features),
            "style": style_sum,
            "tv": st.total_variation_loss(x).item(),
        }
        for name, value in expected.items():
            assert history[name][0] == pytest.approx(value, rel=1e-4)
        total = 2 * expected["content"] + 5 * style_sum + 3 * expected["tv"]
        assert history["total"][0] == pytest.approx(total, rel=1e-4)

    def test_by_default_content_and_style_alone_count(self, net):
        pair = picture(3, 16, 16), picture(3, 16, 16, seed=1)
        start = picture(3, 16, 16, seed=2)
        options = {"backbone": net, "num_steps": 1, "start": start, **SMALL}
        _, history = st.transfer(*pair, **options)
        content, style, tv, total = (
            history[name][0] for name in ("content", "style", "tv", "total")
        )
        assert tv > 0.1
        assert total == pytest.approx(content + style)

    def test_the_network_is_as_before(self, net):
        before = copy.deepcopy(net.state_dict())
        st.transfer(
            picture(3, 16, 16), picture(3, 16, 16), backbone=net, num_steps=2, **SMALL
        )
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())

    def test_noise_is_reproducible_and_on_step_sees_each_picture(self, net):
        seen = []

        def run():
            return st.transfer(
                picture(3, 16, 16),
                picture(3, 16, 16, seed=1),
                backbone=net,
                num_steps=3,
                start="noise",
                generator=torch.Generator().manual_seed(4),
                on_step=lambda done, image: seen.append((done, image)),
                **SMALL,
            )[0]

        first, second = run(), run()
        assert torch.equal(first, second)
        assert [done for done, _ in seen] == [1, 2, 3] * 2
        assert torch.equal(seen[2][1], first)
        assert not torch.equal(seen[0][1], first)

    def test_content_alone_from_the_content_stays(self, net):
        content = picture(3, 16, 16)
        got, _ = st.transfer(
            content,
            picture(3, 8, 8),
            backbone=net,
            content_layers=["3"],
            style_layers=[],
            tv_weight=0.0,
            num_steps=3,
            progress=False,
        )
        torch.testing.assert_close(got, content)

    def test_other_statistics_and_optimizers(self, net):
        for options in (
            {"statistic": st.channel_statistics},
            {"make_optimizer": partial(torch.optim.Adam, lr=0.1)},
        ):
            _, history = st.transfer(
                picture(3, 16, 16),
                picture(3, 16, 16, seed=1),
                backbone=net,
                num_steps=5,
                style_weight=10.0,
                **options,
                **SMALL,
            )
            assert history["total"][-1] < history["total"][0]

    def test_keeps_dtype(self, net):
        content = picture(3, 16, 16, dtype=torch.float64)
        got, _ = st.transfer(
            content, picture(3, 16, 16), backbone=net, num_steps=1, **SMALL
        )
        assert got.dtype == torch.float64

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu(self, net):
        content, style = picture(3, 16, 16), picture(3, 16, 20, seed=1)
        pair = [
            st.transfer(content, style, backbone=net.to(device), num_steps=3, **SMALL)
            for device in ("cpu", "cuda")
        ]
        assert pair[1][0].device.type == "cpu"
        torch.testing.assert_close(pair[0][0], pair[1][0], rtol=0, atol=1e-2)

    def test_one_bar(self, net, capsys):
        options = SMALL | {"progress": True}
        st.transfer(
            picture(3, 16, 16), picture(3, 16, 16), backbone=net, num_steps=2, **options
        )
        assert capsys.readouterr().err.count("2/2") == 1

    def test_stops_when_a_loss_is_no_number(self, net):
        with pytest.raises(FloatingPointError, match="style is nan at step 0"):
            st.transfer(
                picture(3, 16, 16),
                picture(3, 16, 16, seed=1),
                backbone=net,
                num_steps=2,
                statistic=lambda features: st.gram_matrix(features) / 0,
                **SMALL,
            )

    def test_stops_when_only_the_gradient_is_no_number(self, net):
        # At 0 the root's slope is infinite, and 0 times infinity is NaN.
        black = torch.zeros(3, 16, 16)
        with pytest.raises(FloatingPointError, match="picture is nan"):
            st.transfer(
                black,
                black,
                backbone=net,
                num_steps=1,
                content_layers=(),
                style_layers=("1",),
                start=0.8 * torch.ones(3, 16, 16),
                statistic=lambda f: (0 * f).sum((2, 3)).sqrt(),
                progress=False,
            )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_steps": 0}, "num_steps must be a whole number >= 1, got 0"),
            ({"num_steps": 2.0}, "num_steps"),
            ({"num_steps": True}, "num_steps"),
            ({"style_weight": -1.0}, "style_weight must be finite and not negative"),
            ({"tv_weight": math.nan}, "tv_weight must be finite and not negative"),
            ({"start": "content image"}, "start must be"),
            ({"start": torch.zeros(3, 4, 4)}, r"start.*\(3, 16, 16\), got \(3, 4, 4\)"),
            ({"start": torch.full((3, 16, 16), 2.0)}, r"must lie in \[0, 1\]"),
            ({"style": torch.zeros(1, 16, 16)}, "image must be"),
            ({"content": torch.zeros(4, 16, 16)}, "image must be"),
            ({"style": 255 * torch.ones(3, 16, 16)}, r"must lie in \[0, 1\]"),
        ],
    )
    def test_errors(self, net, options, message):
        pictures = {"content": picture(3, 16, 16), "style": picture(3, 16, 16)}
        with pytest.raises(ValueError, match=message):
            st.transfer(backbone=net, **pictures | SMALL | options)


class TestStudy:
    """The table and the pictures hold what the page says of them."""

    STUDY = read_study("style_transfer")

    def rows(self, picture):
        return [row for row in self.STUDY["rows"] if row["picture"] == picture]

    def test_every_row_and_picture_is_there(self):
        assert [r["pair"] for r in self.rows("gallery")] == [
            *study_style_transfer.PAIRS
        ]
        assert len(self.rows("networks")) == 4
        assert len(self.rows("layers")) == 5 + len(study_style_transfer.DEPTHS)
        names = {"opening", "gallery", "networks", "layers"}
        assert self.STUDY["pictures"].keys() == names

    def test_random_features_meet_their_own_style_too(self):
        errors = {row["network"]: row["style"] for row in self.rows("networks")}
        assert all(row["first_style"] > 2.4 for row in self.rows("networks"))
        assert max(errors.values()) <= 0.15
        assert max(errors["random 0"], errors["random 1"]) < errors["vgg16"]

    def test_the_astronaut_pays_most_for_her_face(self):
        errors = {row["pair"]: row["style"] for row in self.rows("gallery")}
        assert max(errors, key=errors.get) == "astronaut"


# The exercises: right answers written in another way than the module's.


def gram_by_einsum(features):
    b, c, h, w = features.shape
    rows = features.reshape(b, c, h * w)
    return torch.einsum("bip,bjp->bij", rows, rows).div(c * h * w)


def variation_by_slices(images):
    total = images.new_zeros(())
    if images.shape[2] > 1:
        total = total + (images[:, :, 1:] - images[:, :, :-1]).abs().mean()
    if images.shape[3] > 1:
        total = total + (images[..., 1:] - images[..., :-1]).abs().mean()
    return 0.5 * total


def features_by_dictionary(layers, images, numbers):
    if min(numbers) < 0 or max(numbers) >= len(layers):
        raise ValueError("layers")
    kept, x = {}, images.clone()
    for number, layer in enumerate(layers):
        x = layer(x)
        if number in numbers:
            kept[number] = x.clone()
        if number == max(numbers):
            break
    return [kept[number] for number in numbers]


RIGHT = {
    "gram_matrix": gram_by_einsum,
    "total_variation_loss": variation_by_slices,
    "extract_features": features_by_dictionary,
}


def features_without_care(layers, images, numbers):
    kept, x = [], images.clone()
    for number in range(max(numbers) + 1):
        x = layers[number](x)
        kept.append(x)
    return [kept[number] for number in numbers]


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "gram_matrix": [
        (lambda f: torch.einsum("bihw,bjhw->bij", f, f), "not divided"),
        (lambda f: torch.einsum("bihw,bjhw->bij", f, f) / f.shape[1], "C · H · W"),
        (
            lambda f: torch.einsum("bihw,bjhw->bij", f, f) / f[0, 0].numel(),
            "divide by H · W",
        ),
        (lambda f: torch.einsum("bihw,bjhw->bij", f, f) / f.numel(), "batch as well"),
        (
            lambda f: (
                (f.flatten(2) - f.mean((2, 3))[..., None])
                @ (f.flatten(2) - f.mean((2, 3))[..., None]).mT
                / f[0].numel()
            ),
            "covariance",
        ),
        (
            lambda f: (
                torch.einsum("bip,bjp->bij", *[f.flatten(2).mT] * 2) / f[0].numel()
            ),
            "positions with positions",
        ),
    ],
    "total_variation_loss": [
        (lambda x: 2 * variation_by_slices(x), "half is missing"),
        (
            lambda x: (
                0.5
                * (
                    (x[:, :, 1:] - x[:, :, :-1]).abs().sum()
                    + (x[..., 1:] - x[..., :-1]).abs().sum()
                )
            ),
            "You take sums",
        ),
        (
            lambda x: (
                0.5
                * (
                    (x[:, :, 1:] - x[:, :, :-1]).abs().mean()
                    + (x[..., 1:] - x[..., :-1]).abs().mean()
                )
            ),
            "NaN",
        ),
        (lambda x: 0.5 * (x[..., 1:] - x[..., :-1]).abs().mean(), "downwards"),
        (lambda x: variation_by_slices(x.detach()), "detach"),
    ],
    "extract_features": [
        (features_without_care, "in place"),
        (
            lambda layers, x, n: [
                features_by_dictionary(layers, x, [k])[0] for k in sorted(n)
            ],
            "order of `numbers`",
        ),
        (
            lambda layers, x, n: (
                layers(x.clone()) if max(n) < len(layers) else None,
                features_by_dictionary(layers, x, n),
            )[1],
            "run every layer",
        ),
        (
            lambda layers, x, n: [
                f.detach() for f in features_by_dictionary(layers, x, n)
            ],
            "no gradient",
        ),
        (
            lambda layers, x, n: features_by_dictionary(
                layers, x, [k % len(layers) if k < 0 else k for k in n]
            ),
            "counts from the end",
        ),
    ],
}


def gram_plainly(features):
    batch, channels, height, width = features.shape
    rows = features.view(batch, channels, height * width)
    return torch.bmm(rows, rows.transpose(1, 2)) / (channels * height * width)


def variation_plainly(images):
    right = torch.abs(images[:, :, :, 1:] - images[:, :, :, :-1]).mean()
    below = torch.abs(images[:, :, 1:, :] - images[:, :, :-1, :]).mean()
    return (right + below) / 2


def features_of_torchvision(layers, images, numbers):
    nodes = {str(number): str(number) for number in numbers}
    outputs = IntermediateLayerGetter(layers, nodes)(images)
    return [outputs[str(number)] for number in numbers]


def features_plainly(layers, images, numbers):
    outputs, x = [], images
    for layer in layers:
        x = layer(x)
        outputs.append(x)
    return [outputs[number] for number in numbers]


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "gram_matrix": gram_plainly,
    "total_variation_loss": variation_plainly,
    "extract_features": features_plainly,
}
LIBRARY = {
    "gram_matrix": "torch has no Gram matrix; torch.cov subtracts the means",
    "total_variation_loss": "torch has none; kornia's adds both directions up",
    "extract_features": features_of_torchvision,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = st_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

"""DCGAN: ranges, sizes, networks, training, checkpoints, measures, exercises."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from torchvision.transforms.v2 import functional as tv

from lesson_utils import dcgan
from lesson_utils.checks import dcgan as checks
from lesson_utils.common import generating
from lesson_utils.common.compute import make_fabric
from lesson_utils.common.training import average_weights, drawer
from tests.answers import ExerciseTests

ROOT = Path(__file__).parents[1]


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def small_networks(seed=0, size=8, **keywords):
    torch.manual_seed(seed)
    generator = dcgan.Generator(latent_dim=5, base_channels=4, image_size=size)
    return generator, dcgan.Discriminator(base_channels=4, image_size=size, **keywords)


def small_images(number=12, size=8):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(number, 3, size, size, generator=generator)


def run(networks=None, **keywords):
    defaults = {"epochs": 2, "batch_size": 4, "progress": False}
    return dcgan.train(
        *(networks or small_networks()), small_images(), **(defaults | keywords)
    )


class TestRanges:
    def test_by_hand(self):
        values = torch.tensor([0.0, 0.25, 0.5, 1.0])
        expected = [-1.0, -0.5, 0.0, 1.0]
        assert generating.unit_to_tanh_range(values).tolist() == expected
        assert generating.tanh_to_unit_range(torch.tensor(expected)).tolist() == (
            values.tolist()
        )

    def test_matches_torchvision(self):
        from torchvision.transforms.v2.functional import normalize

        images = small_images()
        expected = normalize(images, [0.5] * 3, [0.5] * 3)
        torch.testing.assert_close(generating.unit_to_tanh_range(images), expected)

    def test_round_trip(self):
        images = small_images().double()
        back = generating.tanh_to_unit_range(generating.unit_to_tanh_range(images))
        torch.testing.assert_close(back, images)

    def test_bytes(self):
        values = torch.tensor([0, 51, 255], dtype=torch.uint8)
        got = generating.unit_to_tanh_range(values)
        torch.testing.assert_close(got, torch.tensor([-1.0, -0.6, 1.0]))

    def test_gradient(self):
        values = torch.rand(3, 4, dtype=torch.float64).requires_grad_()
        assert gradcheck(generating.unit_to_tanh_range, values)
        values = (2 * values - 1).detach().clone().requires_grad_()
        assert gradcheck(generating.tanh_to_unit_range, values)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                torch.tensor([0.0, 255.0]),
                r"must lie in \[0, 1\], got \[0, 255\]",
            ),
            (torch.tensor([-1.0, 1.0]), r"got \[-1, 1\]"),
            (torch.tensor([math.nan]), "must lie in"),
            (torch.tensor([0, 1]), "floating point, got torch.int64"),
        ],
    )
    def test_errors(self, values, message):
        with pytest.raises(ValueError, match=message):
            generating.unit_to_tanh_range(values)

    def test_errors_of_the_way_back(self):
        with pytest.raises(ValueError, match=r"must lie in \[-1, 1\], got \[0, 2\]"):
            generating.tanh_to_unit_range(torch.tensor([0.0, 2.0]))


class TestOutputSize:
    def test_by_hand(self):
        assert generating.conv_transpose_output_size(1, 4) == 4
        assert generating.conv_transpose_output_size(4, 4, stride=2, padding=1) == 8
        assert generating.conv_transpose_output_size(3, 3, stride=2, padding=1) == 5

    @given(
        size=st.integers(1, 6),
        kernel_size=st.integers(1, 5),
        stride=st.integers(1, 4),
        padding=st.integers(0, 3),
        output_padding=st.integers(0, 3),
        dilation=st.integers(1, 3),
    )
    @settings(max_examples=100, deadline=None)
    def test_matches_torch(self, size, kernel_size, **keywords):
        limit = max(keywords["stride"], keywords["dilation"])
        assume(keywords["output_padding"] < limit)
        row, kernel = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size)
        try:
            expected = F.conv_transpose1d(row, kernel, **keywords).shape[-1]
        except RuntimeError:
            expected = 0
        if expected > 0:
            got = generating.conv_transpose_output_size(size, kernel_size, **keywords)
            assert got == expected
        else:
            with pytest.raises(ValueError, match="must leave a row"):
                generating.conv_transpose_output_size(size, kernel_size, **keywords)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": 0}, "size must be a whole number >= 1, got 0"),
            ({"stride": 0}, "stride must be a whole number >= 1, got 0"),
            ({"padding": -1}, "padding must be a whole number >= 0, got -1"),
            (
                {"output_padding": 2, "stride": 2},
                "must be below stride 2",
            ),
            ({"padding": 5}, "padding must leave a row, got 5 for 6 rows"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            generating.conv_transpose_output_size(
                **({"size": 3, "kernel_size": 4} | arguments)
            )


class TestInitialize:
    def test_statistics(self):
        network = nn.Sequential(
            nn.Conv2d(64, 64, 3),
            nn.ConvTranspose2d(64, 64, 3),
            nn.BatchNorm2d(4096),
            nn.Linear(50, 50),
        )
        linear = network[3].weight.clone()
        dcgan.initialize(network, generator=torch.Generator().manual_seed(0))
        for layer, mean in [(network[0], 0), (network[1], 0), (network[2], 1)]:
            assert layer.weight.mean().item() == pytest.approx(mean, abs=1e-3)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert not layer.bias.any()
        assert torch.equal(network[3].weight, linear)

    def test_both_networks_begin_so(self):
        torch.manual_seed(0)
        for network in (dcgan.Generator(), dcgan.Discriminator()):
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
                elif isinstance(module, nn.BatchNorm2d):
                    assert module.weight.mean().item() == pytest.approx(1, abs=0.02)

    def test_a_seed_gives_the_same_weights(self):
        networks = [nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)]
        for network in networks:
            dcgan.initialize(network, generator=torch.Generator().manual_seed(3))
        assert torch.equal(networks[0].weight, networks[1].weight)


class TestNetworks:
    @pytest.mark.parametrize("size", [8, 16, 32, 64])
    @pytest.mark.parametrize("resize", [False, True])
    def test_shapes_and_ranges(self, size, resize):
        generator = dcgan.Generator(
            latent_dim=7, base_channels=2, image_size=size, resize=resize
        )
        images = generator(random(3, 7, dtype=torch.float32))
        assert images.shape == (3, 3, size, size)
        assert images.abs().max() <= 1
        discriminator = dcgan.Discriminator(base_channels=2, image_size=size)
        assert discriminator(images).shape == (3,)

    def test_defaults_are_those_of_the_course(self):
        generator, discriminator = dcgan.Generator(), dcgan.Discriminator()
        count = {
            name: sum(weights.numel() for weights in network.parameters())
            for name, network in (("G", generator), ("D", discriminator))
        }
        # Worked out: 4·4·(100·512 + 512·256 + 256·128 + 128·64 + 64·3) + 3 and batch
        # norm's 2·(512 + 256 + 128 + 64); the other way round for D.
        assert count["G"] == 16 * (51200 + 131072 + 32768 + 8192 + 192) + 3 + 1920
        assert count["D"] == 16 * (192 + 8192 + 32768 + 131072 + 512) + 65 + 1792

    def test_no_batch_norm_where_dcgan_has_none(self):
        generator, discriminator = small_networks(size=64)
        kinds = [type(layer) for layer in generator.layers]
        assert kinds.count(nn.BatchNorm2d) == 4
        assert kinds[-1] is nn.ConvTranspose2d
        assert [type(layer) for layer in discriminator.layers][:2] == [
            nn.Conv2d,
            nn.LeakyReLU,
        ]

    def test_matches_functional_layers(self):
        generator, _ = small_networks()
        first, _, _, last = list(generator.layers)
        latents = random(6, 5, dtype=torch.float32)
        hidden = torch.einsum("bl,lchw->bchw", latents, first.weight)
        mean, variance = hidden.mean((0, 2, 3)), hidden.var((0, 2, 3), correction=0)
        weight = generator.layers[1].weight
        scale = weight / (variance + 1e-5).sqrt()
        hidden = ((hidden - mean[:, None, None]) * scale[:, None, None]).relu()
        expected = F.conv_transpose2d(hidden, last.weight, stride=2, padding=1).tanh()
        torch.testing.assert_close(generator(latents), expected, atol=1e-5, rtol=1e-4)

    def test_slope(self):
        _, discriminator = small_networks(negative_slope=0.0)
        slopes = [
            m.negative_slope
            for m in discriminator.modules()
            if isinstance(m, nn.LeakyReLU)
        ]
        assert slopes == [0.0]

    @pytest.mark.parametrize("size", [4, 12, 63, 0])
    def test_sizes_that_do_not_double(self, size):
        with pytest.raises(ValueError, match=f"power of two >= 8, got {size}"):
            dcgan.Generator(image_size=size)
        with pytest.raises(ValueError, match=f"power of two >= 8, got {size}"):
            dcgan.Discriminator(image_size=size)

    def test_errors(self):
        generator, discriminator = small_networks()
        with pytest.raises(ValueError, match=r"latents must be \(B, 5\), got \(2, 4\)"):
            generator(torch.zeros(2, 4))
        with pytest.raises(ValueError, match=r"\(B, 3, 8, 8\), got \(2, 3, 16, 16\)"):
            discriminator(torch.zeros(2, 3, 16, 16))
        with pytest.raises(ValueError, match="base_channels must be a whole number"):
            dcgan.Generator(base_channels=0)


class TestSteadier:
    """What the creatures need beyond the paper's recipe."""

    def test_penalty_by_hand(self):
        real = random(3, 1, 2, 2).requires_grad_()
        weights = random(1, 2, 2, seed=1)
        logits = (real * weights).sum((1, 2, 3))  # its gradient: the weights
        got = generating.gradient_penalty(logits, real)
        torch.testing.assert_close(got, weights.square().sum() / 2)

    def test_penalty_reaches_the_weights(self):
        discriminator = small_networks(batch_norm=False)[1]
        real = (2 * small_images() - 1).requires_grad_()
        generating.gradient_penalty(discriminator(real), real).backward()
        assert discriminator.layers[0].weight.grad.abs().max() > 0

    def test_spread_is_one_more_channel(self):
        discriminator = small_networks(spread=True)[1]
        images = 2 * small_images(8) - 1
        assert discriminator(images).shape == (8,)
        features = images.flatten(1).view(8, -1, 4, 4)
        more = dcgan._Spread()(features)
        assert more.shape[1] == features.shape[1] + 1
        assert more[:, -1].unique().numel() == 1  # one group, one number
        torch.testing.assert_close(
            more[0, -1, 0, 0],
            (features.flatten(1).var(0, correction=0) + 1e-8).sqrt().mean(),
        )

    def test_training_with_all(self):
        networks = small_networks(batch_norm=False, spread=True)
        history = run(networks, batch_size=8, beta1=0.0, penalty=0.5, epochs=9)
        assert all(math.isfinite(v) for v in history["generator_loss"])

    def test_penalty_changes_the_first_step(self):
        plain, steady = (run(penalty=weight, epochs=1) for weight in (0.0, 50.0))
        name = "discriminator_loss"
        assert plain[name][0] == steady[name][0]
        assert plain[name][1] != steady[name][1]

    def test_penalty_under_mixed_precision(self, monkeypatch):
        """Fabric's wrapper lets no gradient be taken but by its own backward."""
        monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
        fabric = make_fabric(precision="bf16-mixed")
        fabric.launch()
        networks = small_networks(batch_norm=False)
        history = run(networks, penalty=1.0, fabric=fabric)
        plain = run(small_networks(batch_norm=False), penalty=1.0)
        for name, losses in history.items():
            assert losses == pytest.approx(plain[name], rel=0.05), name

    def test_average_weights(self):
        average, network = small_networks()[0], small_networks(seed=1)[0]
        old = average.layers[0].weight.detach().clone()
        average_weights(average, network, keep=0.75)
        new = 0.75 * old + 0.25 * network.layers[0].weight
        torch.testing.assert_close(average.layers[0].weight, new)
        with pytest.raises(ValueError, match="keep must"):
            average_weights(average, network, keep=1.0)

    def test_grey_pictures(self):
        torch.manual_seed(0)
        generator = dcgan.Generator(
            latent_dim=5, base_channels=4, image_size=8, channels=1
        )
        discriminator = dcgan.Discriminator(base_channels=4, image_size=8, channels=1)
        assert discriminator(generator(torch.randn(3, 5))).shape == (3,)

    def test_the_bundled_generator(self):
        generator = dcgan.creature_generator()
        latents = torch.randn(64, 48, generator=torch.Generator().manual_seed(0))
        pictures = generating.sample(generator, latents)
        assert pictures[:, :, :2, :2].mean() > 0.9  # on white
        middle = pictures[:, :, 8:24, 8:24].mean((2, 3))
        hues = middle - middle.mean(1, keepdim=True)
        assert hues.std(0).min() > 0.03  # and not gray


class TestTrain:
    def test_history_and_change(self):
        networks = small_networks()
        before = [[w.clone() for w in network.parameters()] for network in networks]
        history = run(networks)
        assert list(history) == list(dcgan.MEASURES)
        assert all(len(values) == 6 for values in history.values())
        for network, old in zip(networks, before, strict=True):
            for weights, first in zip(network.parameters(), old, strict=True):
                assert not torch.equal(weights, first)
                assert weights.requires_grad

    def test_first_step_matches_a_plain_loop(self):
        """The losses, and the weights after one step, by torch's own loss."""
        generator, discriminator = small_networks()
        with torch.no_grad():  # logits far from 0, where every slip shows
            discriminator.layers[-1].weight.mul_(50)
        twins = copy.deepcopy((generator, discriminator))
        history = run((generator, discriminator), epochs=1, batch_size=12)
        order = torch.randperm(12, generator=drawer(0, 0, 0))
        noise = torch.randn(12, 5, generator=drawer(0, 2, 0))
        real = 2 * small_images()[order] - 1
        optimizers = [
            torch.optim.Adam(twin.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for twin in twins
        ]
        fake = twins[0](noise)
        ones, zeros = torch.ones(12), torch.zeros(12)
        loss = F.binary_cross_entropy_with_logits
        d_loss = (loss(twins[1](real), ones) + loss(twins[1](fake.detach()), zeros)) / 2
        d_loss.backward()
        optimizers[1].step()
        g_loss = loss(twins[1](fake), ones)
        g_loss.backward()
        optimizers[0].step()
        assert history["discriminator_loss"][0] == pytest.approx(
            d_loss.item(), rel=1e-4
        )
        assert history["generator_loss"][0] == pytest.approx(g_loss.item(), rel=1e-4)
        for network, twin in zip((generator, discriminator), twins, strict=True):
            for got, expected in zip(
                network.parameters(), twin.parameters(), strict=True
            ):
                torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-3)

    def test_it_learns_one_color(self):
        """Red pictures: after some steps the generator draws red ones."""
        torch.manual_seed(0)
        generator = dcgan.Generator(latent_dim=5, base_channels=8, image_size=8)
        discriminator = dcgan.Discriminator(base_channels=8, image_size=8)
        images = torch.zeros(64, 3, 8, 8)
        images[:, 0] = 0.9
        dcgan.train(
            generator,
            discriminator,
            images,
            epochs=25,
            learning_rate=5e-3,
            batch_size=32,
            progress=False,
        )
        mean = generating.sample(generator, random(32, 5).float()).mean((0, 2, 3))
        assert mean[0] > 0.7
        assert mean[1:].max() < 0.3

    def test_bytes_and_numbers_train_alike(self):
        images = (small_images() * 255).round()
        histories = [
            dcgan.train(
                *small_networks(), pictures, epochs=1, batch_size=4, progress=False
            )
            for pictures in (images.to(torch.uint8), images / 255)
        ]
        assert histories[0] == histories[1]

    def test_the_last_incomplete_batch_is_left(self):
        assert len(run(batch_size=5)["generator_loss"]) == 4

    def test_seeds(self):
        assert run(seed=1) == run(seed=1)
        assert run(seed=1) != run(seed=2)

    def test_on_step_sees_every_step(self):
        seen = []
        run(on_step=seen.append)
        assert seen == [1, 2, 3, 4, 5, 6]

    def test_looking_at_samples_changes_nothing(self):
        networks = small_networks()
        looks = run(
            networks, on_step=lambda _: generating.sample(networks[0], torch.ones(2, 5))
        )
        assert looks == run()

    def test_a_loss_that_is_no_number(self):
        networks = small_networks()
        with torch.no_grad():
            networks[1].layers[0].weight[0] = math.nan
        with pytest.raises(FloatingPointError, match="discriminator_loss is nan"):
            run(networks)

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"batch_size": 13}, "at least the batch size 13"),
            ({"epochs": 0}, "epochs must be a whole number >= 1, got 0"),
            ({"epochs": 1.5}, "epochs must be a whole number >= 1, got 1.5"),
            ({"learning_rate": -1.0}, "learning_rate must be finite and above 0, got"),
            ({"learning_rate": math.inf}, "learning_rate must be finite and above 0"),
            ({"batch_size": 0}, "batch_size must be a whole number"),
            ({"batch_size": True}, "batch_size must be a whole number"),
            ({"save_every": -2}, "save_every must be a whole number >= 1, got -2"),
            ({"beta1": 1.0}, r"beta1 must lie in \[0, 1\), got 1.0"),
        ],
    )
    def test_errors(self, keywords, message):
        with pytest.raises(ValueError, match=message):
            run(**keywords)

    def test_images_that_are_none(self):
        with pytest.raises(ValueError, match=r"images must be \(N, C, S, S\)"):
            dcgan.train(*small_networks(), torch.zeros(3, 8, 8), batch_size=2)
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            dcgan.train(
                *small_networks(), 255 * small_images(), batch_size=4, progress=False
            )


class TestCheckpoints:
    def interrupted(self, path, after, **keywords):
        """Train, break off after some steps, and go on with fresh networks."""

        class PulledPlugError(Exception):
            pass

        def pull(step):
            if step == after:
                raise PulledPlugError

        with pytest.raises(PulledPlugError):
            run(checkpoint=path, on_step=pull, **keywords)
        networks = small_networks(seed=99)
        return networks, run(networks, checkpoint=path, **keywords)

    @pytest.mark.parametrize(
        ("after", "save_every"), [(4, None), (6, None), (2, 1), (5, 2)]
    )
    def test_resumes_to_the_same_losses_and_weights(self, tmp_path, after, save_every):
        networks = small_networks()
        whole = run(networks)
        resumed, history = self.interrupted(
            tmp_path / "run.pt", after, save_every=save_every
        )
        assert history == whole
        for network, other in zip(networks, resumed, strict=True):
            for name, value in network.state_dict().items():
                assert torch.equal(value, other.state_dict()[name]), name

    def test_a_finished_run_is_not_run_again(self, tmp_path):
        first = run(checkpoint=tmp_path / "run.pt")
        assert run(checkpoint=tmp_path / "run.pt", on_step=pytest.fail) == first

    def test_of_another_run(self, tmp_path):
        run(checkpoint=tmp_path / "run.pt")
        with pytest.raises(ValueError, match="steps is 6 there and 9 here"):
            run(checkpoint=tmp_path / "run.pt", epochs=3)

    def test_of_other_networks(self, tmp_path):
        path = tmp_path / "run.pt"
        run(checkpoint=path)
        torch.manual_seed(0)
        others = (
            dcgan.Generator(latent_dim=6, base_channels=4, image_size=8),
            dcgan.Discriminator(base_channels=4, image_size=8),
        )
        with pytest.raises(ValueError, match="of this run.*another network"):
            run(others, checkpoint=path)

    def test_a_broken_file(self, tmp_path):
        (tmp_path / "run.pt").write_bytes(b"not a checkpoint")
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            run(checkpoint=tmp_path / "run.pt")


_TWO_PROCESSES = """
import hashlib, json, sys
import torch
from lesson_utils import dcgan
from lesson_utils.checks import dcgan as checks
from tests.answers import ExerciseTests
from lesson_utils.common.compute import make_fabric

torch.set_num_threads(1)
fabric = make_fabric(devices=2)
fabric.launch()
torch.manual_seed(fabric.global_rank)  # the first process's weights count
generator = dcgan.Generator(latent_dim=5, base_channels=4, image_size=8)
discriminator = dcgan.Discriminator(base_channels=4, image_size=8)
images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
history = dcgan.train(
    generator, discriminator, images, epochs=2, batch_size=8, fabric=fabric,
    checkpoint=sys.argv[1] + "/run.pt",
)
state = [*generator.state_dict().values(), *discriminator.state_dict().values()]
digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in state)).hexdigest()
with open(f"{sys.argv[1]}/{fabric.global_rank}.json", "w") as file:
    json.dump({"digest": digest, "history": history}, file)
"""


def test_two_processes_keep_the_same_weights(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    environment = os.environ | {
        "LESSON_UTILS_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", str(script), str(tmp_path)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)
    )
    assert first == second
    losses = first["history"]["discriminator_loss"] + first["history"]["generator_loss"]
    assert len(losses) == 8
    assert all(math.isfinite(loss) for loss in losses)
    assert (tmp_path / "run.pt").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_trains_on_a_gpu():
    history = run()
    assert all(math.isfinite(loss) for loss in history["generator_loss"])


class TestSample:
    def test_range_mode_and_batches(self):
        generator, _ = small_networks()
        run((generator, small_networks()[1]))
        generator.train()
        latents = random(7, 5).float()
        images = generating.sample(generator, latents, batch_size=3)
        assert images.shape == (7, 3, 8, 8)
        assert images.min() >= 0
        assert images.max() <= 1
        assert generator.training
        # In evaluation mode a picture does not depend on its batch.
        alone = generating.sample(generator, latents[:1])
        torch.testing.assert_close(alone, images[:1])

    def test_evaluation_mode_is_kept(self):
        generator = small_networks()[0].eval()
        generating.sample(generator, torch.ones(1, 5))
        assert not generator.training


class TestSlerp:
    def test_by_hand(self):
        start, end = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        middle = generating.slerp(start, end, 0.5)
        torch.testing.assert_close(middle, torch.tensor([0.5, 0.5]).sqrt())
        third = generating.slerp(start, end, 1 / 3)
        expected = torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)])
        torch.testing.assert_close(third, expected)

    def test_ends_and_length(self):
        start, end = F.normalize(random(2, 5, 9), dim=-1)
        torch.testing.assert_close(generating.slerp(start, end, 0.0), start)
        torch.testing.assert_close(generating.slerp(start, end, 1.0), end)
        shares = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None, None]
        lengths = generating.slerp(start, end, shares).norm(dim=-1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))

    def test_nearly_the_same(self):
        start = random(4)
        got = generating.slerp(start, start, 0.3)
        torch.testing.assert_close(got, start)

    def test_gradient(self):
        start, end = random(2, 3).requires_grad_(), random(2, 3, seed=1)
        assert gradcheck(lambda s: generating.slerp(s, end, 0.3), start)

    def test_errors(self):
        with pytest.raises(ValueError, match="opposite"):
            generating.slerp(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0]), 0.5)
        with pytest.raises(ValueError, match="must not be 0"):
            generating.slerp(torch.zeros(2), torch.ones(2), 0.5)


class TestKernelDistance:
    def test_by_hand(self):
        """One feature, so that the kernel is (xy + 1)³."""
        first = torch.tensor([[0.0], [1.0]])
        second = torch.tensor([[1.0], [2.0]])
        # within: k(0, 1) = 1 and k(1, 2) = 27; across: 1, 1, 8, 27.
        expected = 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4
        assert generating.kernel_distance(first, second).item() == pytest.approx(
            expected
        )

    def test_matches_a_slow_loop(self):
        first, second = random(6, 4), random(5, 4, seed=1) + 0.3

        def mean(xs, ys, skip):
            values = [
                (x @ y / 4 + 1) ** 3
                for i, x in enumerate(xs)
                for j, y in enumerate(ys)
                if not (skip and i == j)
            ]
            return sum(values) / len(values)

        within = mean(first, first, True) + mean(second, second, True)
        expected = within - 2 * mean(first, second, False)
        torch.testing.assert_close(generating.kernel_distance(first, second), expected)

    def test_unbiased(self):
        """Zero on average between samples of one distribution, and below 0 at times."""
        values = torch.stack(
            [
                generating.kernel_distance(
                    random(20, 3, seed=s), random(20, 3, seed=-s)
                )
                for s in range(1, 301)
            ]
        )
        assert abs(values.mean()) < 3 * values.std() / math.sqrt(300)
        assert values.min() < 0

    def test_grows_with_the_shift(self):
        first = random(200, 3)
        distances = [
            generating.kernel_distance(first, random(200, 3, seed=1) + shift).item()
            for shift in (0, 0.5, 1.0)
        ]
        assert distances == sorted(distances)

    def test_gradient(self):
        features = random(3, 2).requires_grad_()
        assert gradcheck(
            lambda f: generating.kernel_distance(f, random(4, 2, seed=1)), features
        )

    def test_errors(self):
        with pytest.raises(ValueError, match=r"features1 .* got \(1, 3\)"):
            generating.kernel_distance(torch.zeros(1, 3), torch.zeros(4, 3))
        with pytest.raises(ValueError, match=r"features2 .* got \(4,\)"):
            generating.kernel_distance(torch.zeros(2, 3), torch.zeros(4))
        with pytest.raises(ValueError, match="one D, got 3 and 2"):
            generating.kernel_distance(torch.zeros(2, 3), torch.zeros(4, 2))


class TestLatticePower:
    def test_a_checkerboard_stands_out(self):
        noise = random(5, 32, 32)
        place = torch.arange(32)
        board = ((place[:, None] + place) % 2).double()
        stripes = (place % 4 == 0).double()
        assert generating.lattice_power(noise + board).min() > 30
        assert generating.lattice_power(noise + stripes, 4).min() > 5

    def test_noise_is_one_on_average(self):
        ratios = generating.lattice_power(random(4000, 16, 16), 4)
        assert ratios.mean().item() == pytest.approx(1, abs=0.1)

    @pytest.mark.parametrize(
        ("frequency", "ratio"),
        [
            *(((y, x), 0.5) for y, x in ((0, 3), (1, 3), (1, 4), (3, 0))),
            *(((y, x), 0.5) for y, x in ((3, 1), (4, 1), (3, 4), (4, 3), (3, 3))),
            *(((y, x), 1) for y, x in ((0, 2), (1, 2), (2, 2), (2, 3), (0, 1), (1, 0))),
        ],
    )
    def test_neighbors_are_one_step_away(self, frequency, ratio):
        """Peaks of 8 x 8 are (0, 4), (4, 0) and (4, 4), with 24 neighbors."""
        y, x = frequency
        power = torch.ones(8, 8, dtype=torch.float64)
        power[y, x] = power[-y, -x] = 13  # both are neighbors, or none is
        image = torch.fft.ifft2(power.sqrt()).real
        # (22 + 13 + 13) / 24 = 2, or 24 / 24
        assert generating.lattice_power(image).item() == pytest.approx(ratio)

    def test_any_constant_changes_nothing(self):
        noise = random(16, 16)
        torch.testing.assert_close(
            generating.lattice_power(noise + 100), generating.lattice_power(noise)
        )

    @pytest.mark.parametrize("period", [1, 3, 8])
    def test_errors(self, period):
        with pytest.raises(ValueError, match=f"got {period} for"):
            generating.lattice_power(torch.zeros(16, 16), period)
        with pytest.raises(ValueError, match="period"):
            generating.lattice_power(torch.zeros(16, 8), 2)


# The exercises: right answers written in another way than the module's.


def to_tanh_by_lerp(images):
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div(127.5).sub(1)
    if images.isnan().any() or images.min() < 0 or images.max() > 1:
        raise ValueError("beyond [0, 1]")
    return torch.lerp(-torch.ones_like(images), torch.ones_like(images), images)


def from_tanh_by_half(images):
    if images.isnan().any() or images.abs().max() > 1:
        raise ValueError("beyond [-1, 1]")
    return (images + 1) / 2


def output_size_by_counting(
    size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1
):
    reached = {
        copy * stride + row * dilation
        for copy in range(size)
        for row in range(kernel_size)
    }
    rows = max(reached) + 1 + output_padding - 2 * padding
    if rows <= 0:
        raise ValueError("nothing left")
    return rows


def initialize_by_apply(network):
    @torch.no_grad()
    def draw(module):
        kind = type(module).__name__
        if kind.startswith("Conv"):
            module.weight.copy_(0.02 * torch.randn_like(module.weight))
            if module.bias is not None:
                module.bias.zero_()
        elif kind.startswith("BatchNorm"):
            module.weight.normal_(1.0, 0.02)
            module.bias.fill_(0)

    return network.apply(draw)


def init_each(weights, mean=0.0, deviation=0.02):
    def answer(network):
        for name, parameter in network.named_parameters():
            if weights in name:
                nn.init.normal_(parameter, mean, deviation)

    return answer


def init_kinds(*kinds, biases=True):
    def answer(network):
        for module in network.modules():
            if isinstance(module, kinds):
                mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
                nn.init.normal_(module.weight, mean, 0.02)
                if biases and module.bias is not None:
                    nn.init.zeros_(module.bias)

    return answer


def size_of(expression):
    def answer(size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1):
        return expression(size, kernel_size, stride, padding, output_padding, dilation)

    return answer


RIGHT = {
    "to_tanh_range": to_tanh_by_lerp,
    "from_tanh_range": from_tanh_by_half,
    "conv_transpose_output_size": output_size_by_counting,
    "initialize": initialize_by_apply,
}

# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "to_tanh_range": [
        (lambda x: x * 2, "not moved yet"),
        (lambda x: (x - 1) / 0.5, "ends at 0"),
        (lambda x: x - 0.5, "deviation of 0.5, too"),
        (lambda x: (x - x.amin()) / (x.amax() - x.amin()) * 2 - 1, "own darkest"),
        (lambda x: torch.tanh(x), "generator's last step"),
        (lambda x: x * 2.0 - 1, "Bytes run to 255"),
        (lambda x: x * 2 - 1, "200 · 2 is 144"),
        (lambda x: x / (255 if x.max() > 1 else 1) * 2 - 1, "Do not guess"),
        (
            lambda x: (x / 255 if x.dtype == torch.uint8 else x).clip(0, 1) * 2 - 1,
            "clamping hides",
        ),
        (
            lambda x: (x / 255 if x.dtype == torch.uint8 else x) * 2 - 1,
            "has no place",
        ),
    ],
    "from_tanh_range": [
        (lambda x: x * 0.5, "add 0.5"),
        (lambda x: 1 + x, "halve it"),
        (lambda x: 1 + 0.5 * x, "in reverse"),
        (lambda x: x.relu(), "−1 is black"),
        (lambda x: (x - x.amin()) / (x.amax() - x.amin()), "own darkest"),
        (lambda x: 1 / (1 + (-x).exp()), "0.27"),
        (lambda x: 0.5 + x / 2, "did not come out of a tanh"),
    ],
    "conv_transpose_output_size": [
        (
            size_of(
                lambda n, k, s, p, o, d: (
                    math.floor((n + 2 * p - d * (k - 1) - 1) / s) + 1
                )
            ),
            "ordinary convolution",
        ),
        (size_of(lambda n, k, s, p, o, d: s * n + k - 2 * p), "n − 1 steps"),
        (size_of(lambda n, k, s, p, o, d: (n - 1) * s + k + 2 * p), "*cut off*"),
        (size_of(lambda n, k, s, p, o, d: (n - 1) * s + k - p), "take it off twice"),
        (size_of(lambda n, k, s, p, o, d: n * s), "make up for each other"),
        (
            size_of(lambda n, k, s, p, o, d: (n - 1) * s + d * (k - 1) + 1 - 2 * p),
            "`output_padding` is missing",
        ),
        (size_of(lambda n, k, s, p, o, d: (n - 1) * s + k - 2 * p + o), "spreads"),
        (
            size_of(lambda n, k, s, p, o, d: (n - 1) * s + d * (k - 1) + 1 - 2 * p + o),
            "nothing is left",
        ),
    ],
    "initialize": [
        (init_each(""), "All parameters alike"),
        (
            lambda network: checks._draw(
                network, deviation=0.02**0.5, norm_deviation=0.02**0.5
            ),
            "not the variance",
        ),
        (
            init_kinds(nn.Conv2d, nn.BatchNorm2d),
            "name both",
        ),
        (lambda network: checks._draw(network, norm_mean=0), "draw them round 1"),
        (
            lambda network: checks._draw(network, walk=nn.Module.children),
            "one level down",
        ),
        (lambda network: None, "not on a copy"),
        (
            init_kinds(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, biases=False),
            "biases are still",
        ),
    ],
}


def to_tanh_plainly(images):
    if images.dtype == torch.uint8:
        images = images / 255
    return 2 * images - 1


def to_tanh_of_torchvision(images):
    if not images.is_floating_point():
        images = tv.to_dtype(images, torch.float32, scale=True)
    return (images - 0.5) / 0.5


def output_size_by_formula(
    size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1
):
    reach = dilation * (kernel_size - 1) + 1
    return (size - 1) * stride + reach + output_padding - 2 * padding


def output_size_of_torch(
    size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1
):
    # torch wants output_padding below stride or dilation, and adds it all the same.
    layer = nn.ConvTranspose1d(
        1, 1, kernel_size, stride, padding, output_padding, dilation=dilation
    )
    return layer(torch.zeros(1, 1, size)).shape[-1]


def initialize_plainly(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data = torch.randn(module.weight.shape) * 0.02
            module.bias.data.zero_()
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data = 1 + torch.randn(module.weight.shape) * 0.02
            module.bias.data.zero_()


def initialize_of_torch(network):
    def draw(module):
        if "Conv" in type(module).__name__:
            nn.init.normal_(module.weight, 0.0, 0.02)
            nn.init.constant_(module.bias, 0.0)
        elif "BatchNorm" in type(module).__name__:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.constant_(module.bias, 0.0)

    network.apply(draw)


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "to_tanh_range": to_tanh_plainly,
    "from_tanh_range": lambda images: images * 0.5 + 0.5,
    "conv_transpose_output_size": output_size_by_formula,
    "initialize": initialize_plainly,
}
LIBRARY = {
    "to_tanh_range": to_tanh_of_torchvision,
    "from_tanh_range": lambda images: tv.normalize(
        images.expand(1, 1, *images.shape), [-1.0], [2.0]
    ).view_as(images),
    "conv_transpose_output_size": output_size_of_torch,
    "initialize": initialize_of_torch,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

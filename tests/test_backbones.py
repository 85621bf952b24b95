"""Backbones: layout, the card, broken weights, torchvision's without a network."""

import hashlib
import json
import shutil
from itertools import pairwise
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from lesson_utils.common import backbones
from lesson_utils.data.aircraft import Aircraft
from lesson_utils.data.textures import FAMILIES, Textures

CARD = json.loads((backbones.WEIGHTS / "tiny_vgg.json").read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path):
    """The bundled weights and their card, to be damaged."""
    for name in ("tiny_vgg.safetensors", "tiny_vgg.json"):
        shutil.copy(backbones.WEIGHTS / name, tmp_path)
    return tmp_path / "tiny_vgg.safetensors"


def rewrite_card(path, **changes):
    card = path.with_suffix(".json")
    card.write_text(json.dumps(CARD | changes))


class TestTinyVGG:
    def test_layout_is_torchvisions(self):
        ours = [type(layer) for layer in backbones.tiny_vgg(None).features]
        theirs = [type(layer) for layer in torchvision.models.vgg11().features]
        assert set(ours) == set(theirs) == {nn.Conv2d, nn.ReLU, nn.MaxPool2d}
        assert all(
            following is nn.ReLU
            for layer, following in pairwise(ours)
            if layer is nn.Conv2d
        )

    def test_shapes(self):
        network = backbones.tiny_vgg(None)
        assert network.features(torch.zeros(2, 3, 20, 33)).shape == (2, 128, 2, 4)
        assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 1)
        assert network.classes == ()

    def test_bundled(self):
        network = backbones.tiny_vgg()
        assert not network.training
        assert len(set(network.classes)) == network.classifier.out_features
        assert list(network.classes) == CARD["classes"]

    def test_the_weights_are_small(self):
        size = (backbones.WEIGHTS / "tiny_vgg.safetensors").stat().st_size
        assert size <= 4 * 2**20

    def test_it_knows_the_textures_it_was_trained_on(self):
        """As well as the card says, on new pictures, within their chance error."""
        network = backbones.tiny_vgg()
        families = [name for name in network.classes if name in FAMILIES]
        textures = Textures(5 * len(families), seed=99, families=families)
        images = torch.stack([image for image, _ in textures])
        labels = torch.tensor([label for _, label in textures])
        with torch.no_grad():
            standard = (images - 0.5) / 0.25
            logits = torch.cat([network(part) for part in standard.split(100)])
        chosen = torch.tensor([network.classes.index(name) for name in families])
        right = (chosen[labels] == logits.argmax(1)).double().mean().item()
        assert right > CARD["accuracy"] - 0.08

    @pytest.mark.parametrize("number", [0, -1, 2.0])
    def test_no_classes(self, number):
        with pytest.raises(ValueError, match=f"num_classes must be.*got {number}"):
            backbones.TinyVGG(number)


@pytest.mark.parametrize("kind", [backbones.TinyVGG, backbones.SmallNet])
def test_preprocess_by_hand(kind):
    levels = torch.tensor([0.0, 0.5, 0.75])[:, None, None].expand(3, 4, 5)
    wanted = torch.tensor([-2.0, 0, 1])[:, None, None].expand(3, 4, 5)
    network = kind(2)
    batch = network.preprocess(torch.stack([levels, levels.flip(0)]))
    assert torch.equal(batch, torch.stack([wanted, wanted.flip(0)]))
    assert torch.equal(network.preprocess(levels), wanted[None])


class TestTheCard:
    def test_says_what_it_must(self):
        for key in ("command", "data", "seed", "accuracy", "sha256", "classes"):
            assert CARD[key] or CARD[key] == 0

    def test_features_are_worth_something(self):
        untrained = max(CARD["probe_accuracy_random_weights"])
        assert CARD["probe_accuracy"] >= untrained + 0.15
        assert not set(CARD["probe_families"]) & set(CARD["classes"])

    def test_a_copy_loads(self, copy):
        network = backbones.tiny_vgg(copy)
        torch.testing.assert_close(
            network.state_dict(), backbones.tiny_vgg().state_dict()
        )


class TestSmallNet:
    def test_shapes(self):
        network = backbones.small_net(None)
        assert network.features(torch.zeros(2, 3, 20, 33)).shape == (2, 96, 3, 5)
        assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 1)

    def test_it_knows_families_and_was_told_no_variant(self):
        network = backbones.small_net()
        aircraft = Aircraft(96, seed=99, annotation_level="family")
        assert network.classes == aircraft.classes
        images = torch.stack([image for image, _ in aircraft])
        labels = torch.tensor([label for _, label in aircraft])
        with torch.no_grad():
            logits = network((images - 0.5) / 0.25)
        assert (logits.argmax(1) == labels).float().mean() > 0.9

    def test_weights_of_the_other_network(self):
        path = backbones.WEIGHTS / "tiny_vgg.safetensors"
        with pytest.raises(ValueError, match=r"(?s)must be those of a SmallNet"):
            backbones.small_net(path)

    def test_the_card(self):
        path = backbones.WEIGHTS / "small_net.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        assert card["accuracy"] > 0.95
        assert card["variant_probe"] > card["variant_probe_random_weights"] + 0.3


class TestBrokenWeights:
    def test_one_changed_byte(self, copy):
        data = bytearray(copy.read_bytes())
        data[-5] ^= 1
        copy.write_bytes(data)
        with pytest.raises(ValueError, match="must have the digest on their card"):
            backbones.tiny_vgg(copy)

    def test_missing(self, tmp_path):
        with pytest.raises(ValueError, match="No such file"):
            backbones.tiny_vgg(tmp_path / "none.safetensors")

    def test_without_a_card(self, copy):
        copy.with_suffix(".json").unlink()
        with pytest.raises(ValueError, match=r"card tiny_vgg\.json beside it"):
            backbones.tiny_vgg(copy)

    def test_a_card_that_is_broken(self, copy):
        copy.with_suffix(".json").write_text("{")
        with pytest.raises(ValueError, match=r"card tiny_vgg\.json beside it"):
            backbones.tiny_vgg(copy)

    def test_not_safetensors(self, copy):
        copy.write_bytes(b"this is a pickle, perhaps")
        rewrite_card(copy, sha256=hashlib.sha256(copy.read_bytes()).hexdigest())
        with pytest.raises(ValueError, match="must be those of a TinyVGG"):
            backbones.tiny_vgg(copy)

    def test_of_another_network(self, copy):
        state = load_file(copy)
        state["features.0.weight"] = torch.zeros(7, 3, 3, 3)
        save_file(state, copy)
        rewrite_card(copy, sha256=hashlib.sha256(copy.read_bytes()).hexdigest())
        with pytest.raises(ValueError, match=r"(?s)TinyVGG.*features\.0\.weight"):
            backbones.tiny_vgg(copy)


class TestTorchvisions:
    @pytest.mark.parametrize("name", ["vgg19", "resnet18"])
    def test_random_weights_need_no_network(self, name):
        network = getattr(backbones, name)(None)
        assert not network.training
        weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        published = weights.transforms()
        assert network.mean.tolist() == pytest.approx(published.mean)
        assert network.std.tolist() == pytest.approx(published.std)
        assert "mean" not in network.state_dict()

    def test_other_weights(self):
        with pytest.raises(ValueError, match="weights must be 'imagenet' or None"):
            backbones.resnet18("cifar")

    @pytest.mark.parametrize(
        "error", [URLError("no network"), RuntimeError("invalid hash value")]
    )
    def test_what_to_do_without_a_network(self, monkeypatch, error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
        with pytest.raises(ConnectionError) as caught:
            backbones.resnet18()
        for part in ("resnet18-", "checkpoints", "tiny_vgg()", str(error)):
            assert part in str(caught.value)


class TestHeInitialized:
    def made(self, seed=0):
        layers = [nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Flatten()]
        network = nn.Sequential(
            *layers, nn.Linear(64, 200), nn.Linear(200, 3, bias=False)
        )
        nn.init.constant_(network[1].weight, 3)
        nn.init.constant_(network[1].bias, 4)
        dice = torch.Generator().manual_seed(seed)
        assert backbones.he_initialized(network, dice) is network
        return network

    def test_variance_is_two_over_the_inputs(self):
        network = self.made()
        for layer, inputs in ((network[0], 8 * 9), (network[3], 64)):
            weight = layer.weight.detach()
            assert weight.square().mean().item() == pytest.approx(2 / inputs, rel=0.1)
            assert weight.mean().abs() < 0.1 * weight.std()
            assert not layer.bias.any()

    def test_normalization_is_left_as_it_is(self):
        norm = self.made()[1]
        assert set(norm.weight.tolist()) == {3}
        assert set(norm.bias.tolist()) == {4}

    def test_the_dice_are_those_given(self):
        one, again, other = self.made(), self.made(), self.made(seed=1)
        assert torch.equal(one[4].weight, again[4].weight)
        assert not torch.equal(one[4].weight, other[4].weight)

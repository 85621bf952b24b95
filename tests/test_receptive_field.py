"""Receptive fields, tested: by hand, by gradients, and against known networks."""

import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lesson_utils import receptive_field as rf
from lesson_utils.checks import receptive_field as receptive_field_checks
from lesson_utils.common.pretrained import VGG16Features
from lesson_utils.receptive_field import Layer
from tests.answers import ExerciseTests

VGG16 = rf.layers_of(VGG16Features().features)


def network_of(layers):
    """Positive weights, average for maximum, no ReLU, float64."""
    parts = []
    for layer in layers:
        before, behind = layer.pads
        parts.append(nn.ZeroPad2d((before, behind, before, behind)))
        convolution = nn.Conv2d(
            1, 1, layer.kernel, layer.stride, dilation=layer.dilation, bias=False
        )
        nn.init.constant_(convolution.weight, 1 / layer.kernel**2)
        parts.append(convolution)
    return nn.Sequential(*parts).double()


def support(layers, index, size):
    """Which pixels have a gradient: (H, W), boolean."""
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    network_of(layers)(image)[0, 0, index[0], index[1]].backward()
    return image.grad[0, 0] > 0


LAYERS = st.builds(
    Layer,
    st.integers(1, 5),
    st.integers(1, 3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
)


class TestLayer:
    def test_span_and_pads(self):
        assert [
            Layer(3).span,
            Layer(3, dilation=4).span,
            Layer(1, dilation=9).span,
        ] == [*(3, 9, 1)]
        assert Layer(3, 1, 2).pads == (2, 2)
        assert Layer(3, 1, (0, 1)).pads == (0, 1)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"kernel": 0}, "kernel.*>= 1, got 0"),
            ({"kernel": 3.0}, "kernel.*got 3.0"),
            ({"kernel": 3, "stride": 0}, "stride.*got 0"),
            ({"kernel": 3, "dilation": True}, "dilation.*got True"),
            ({"kernel": 3, "padding": -1}, "padding.*got -1"),
            ({"kernel": 3, "padding": (1, 2, 3)}, "padding.*or two"),
            ({"kernel": 3, "padding": "same"}, "padding.*'same'"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Layer(**arguments)


class TestReceptiveField:
    def test_by_hand(self):
        layers = [Layer(3, 1, 1), Layer(2, 2), Layer(3, 1, 1), Layer(3, 1, 2, 2)]
        expected = [(3, 1, 0), (4, 2, 0.5), (8, 2, 0.5), (16, 2, 0.5)]
        assert rf.receptive_field(layers) == expected

    def test_no_layers(self):
        assert rf.receptive_field([]) == []
        assert rf.receptive_field_top_down([]) == 1

    @given(st.lists(LAYERS, min_size=1, max_size=6))
    @settings(max_examples=60, deadline=None)
    def test_from_below_and_from_above(self, layers):
        fields = rf.receptive_field(layers)
        for end, field in enumerate(fields, start=1):
            assert rf.receptive_field_top_down(layers[:end]) == field.size
        assert fields[-1].jump == math.prod(layer.stride for layer in layers)

    @given(st.lists(LAYERS, min_size=1, max_size=3))
    @settings(max_examples=30, deadline=None)
    def test_the_support_of_the_gradient(self, layers):
        size, jump, start = rf.receptive_field(layers)[-1]
        index = math.ceil((size - start) / jump)  # the first field that is all inside
        side = math.ceil(start + index * jump + size + 20 * jump)
        seen = support(layers, (index, index), (side, side)).any(1).nonzero()[:, 0]
        first = start + index * jump - (size - 1) / 2
        assert [seen[0].item(), seen[-1].item()] == [first, first + size - 1]

    def test_known_networks(self):
        alexnet = torchvision.models.alexnet(weights=None).features
        assert rf.receptive_field(VGG16)[-1] == (212, 32, 15.5)
        assert rf.receptive_field_top_down(rf.layers_of(alexnet)) == 195

    @pytest.mark.parametrize(("at_first", "expected"), [(True, 483), (False, 427)])
    def test_resnet50(self, at_first, expected):
        layers = [Layer(7, 2, 3), Layer(3, 2, 1)]
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                one, three = (stride, 1) if at_first else (1, stride)
                layers += [Layer(1, one), Layer(3, three, 1), Layer(1)]
        assert rf.receptive_field_top_down(layers) == expected

    def test_where_torchvision_has_its_strides(self):
        block = torchvision.models.resnet50(weights=None).layer2[0]
        assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def lite_layers(parts, size):
    """An explicit walk, over what timm's layers say of themselves."""
    layers = []
    for part in parts.modules():
        if isinstance(part, nn.Conv2d):
            kernel, stride = part.kernel_size[0], part.stride[0]
            padding = part.padding[0]
            if type(part).__name__ == "Conv2dSame":
                padding = rf.same_padding(size, kernel, stride)
            layers.append(Layer(kernel, stride, padding))
            size = rf.output_size(layers[-1:], size)
    return layers


class TestEfficientNetLite0:
    @pytest.fixture
    def features(self):
        pytest.importorskip("timm")
        from lesson_utils.common.pretrained import EfficientNetLite0

        return EfficientNetLite0().features

    def test_the_whole(self, features):
        layers = lite_layers(features, 224)
        assert len(layers) == 49
        assert rf.receptive_field(layers)[-1] == (851, 32, 31)
        assert rf.output_size(layers, 224) == 7

    @pytest.mark.parametrize("size", [97, 112, 128])
    def test_the_gradient_of_the_first_stages(self, features, size):
        network = nn.Sequential(*features[:4]).double().eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.constant_(module.weight, 1 / module.kernel_size[0] ** 2)
            if isinstance(module, nn.BatchNorm2d):
                module.act = nn.Identity()  # timm keeps the ReLU in here
        image = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
        network(image)[0, 0, 6, 5].backward()
        seen = (image.grad[0, 0] > 0).nonzero()
        layers = lite_layers(features[:4], size)
        box, cut = rf.pixel_region(layers, (6, 5), size)
        y1, x1 = seen.amin(0).tolist()
        y2, x2 = (seen.amax(0) + 1).tolist()
        assert box == (x1, y1, x2, y2)
        assert (x2 - x1) * (y2 - y1) == pytest.approx(67**2 * (1 - cut))


class TestOutputSize:
    @given(st.lists(LAYERS, min_size=1, max_size=4), st.integers(1, 40))
    @settings(max_examples=60, deadline=None)
    def test_matches_torch(self, layers, size):
        try:
            with torch.no_grad():
                expected = network_of(layers)(torch.ones(1, 1, size, size).double())
        except RuntimeError:
            with pytest.raises(ValueError, match="size must leave room"):
                rf.output_size(layers, size)
        else:
            assert rf.output_size(layers, size) == expected.shape[2]

    def test_errors(self):
        with pytest.raises(ValueError, match="size must be a whole number >= 1, got 0"):
            rf.output_size([], 0)
        with pytest.raises(ValueError, match="got 1 at layer 1, whose windows span 3"):
            rf.output_size([Layer(2, 2), Layer(3)], 3)


class TestPixelRegion:
    def test_by_hand(self):
        layers = [Layer(3, 1, 1)]
        assert rf.pixel_region(layers, (2, 5), (8, 9)) == ((4, 1, 7, 4), 0)
        box, cut = rf.pixel_region(layers, 0, 8)
        assert box == (0, 0, 2, 2)
        assert cut == pytest.approx(5 / 9)

    def test_a_pixel_and_nothing_but_padding(self):
        assert rf.pixel_region([], (1, 2), (3, 4)) == ((2, 1, 3, 2), 0)
        assert rf.pixel_region([Layer(1, 1, 2)], (0, 3), 4) == ((1, 0, 2, 0), 1)

    @given(st.lists(LAYERS, min_size=1, max_size=3), st.data())
    @settings(max_examples=60, deadline=None)
    def test_no_pixel_outside_has_a_gradient(self, layers, data):
        size = [data.draw(st.integers(14, 30)) for _ in range(2)]
        try:
            outputs = [rf.output_size(layers, pixels) for pixels in size]
        except ValueError:
            return
        index = tuple(data.draw(st.integers(0, number - 1)) for number in outputs)
        (x1, y1, x2, y2), cut = rf.pixel_region(layers, index, tuple(size))
        seen = support(layers, index, size)
        seen[y1:y2, x1:x2] = False
        assert not seen.any()
        area = rf.receptive_field_top_down(layers) ** 2
        assert cut == pytest.approx(1 - (x2 - x1) * (y2 - y1) / area)

    @pytest.mark.parametrize("index", [(0, 0), (2, 4), (5, 5), (0, 3)])
    def test_where_nothing_is_left_over_it_is_the_support(self, index):
        layers = [Layer(3, 1, 1), Layer(2, 2), Layer(3, 1, 1), Layer(5, 1, 2)]
        (x1, y1, x2, y2), _ = rf.pixel_region(layers, index, 12)
        expected = torch.zeros(12, 12, dtype=torch.bool)
        expected[y1:y2, x1:x2] = True
        assert torch.equal(support(layers, index, (12, 12)), expected)

    def test_what_is_left_over_may_not_count(self):
        layers = [Layer(2, 3), Layer(3, 1, 1)]  # pixels 5 and 6 of 7 feed no window
        assert rf.pixel_region(layers, 1, 7)[0] == (0, 0, 7, 7)
        assert support(layers, (1, 1), (7, 7)).any(0).nonzero().max() == 4

    def test_errors(self):
        with pytest.raises(ValueError, match="index must be below 4, got 4"):
            rf.pixel_region([Layer(2, 2)], (0, 4), 8)
        with pytest.raises(ValueError, match="index must be a whole number >= 0"):
            rf.pixel_region([Layer(2, 2)], (-1, 0), 8)
        with pytest.raises(ValueError, match="size must be a whole number >= 1"):
            rf.pixel_region([Layer(2, 2)], 0, 0)


class TestSamePadding:
    @pytest.mark.parametrize("size", range(1, 12))
    @pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 2)])
    def test_makes_as_many_outputs_as_promised(self, size, kernel, stride):
        before, behind = rf.same_padding(size, kernel, stride)
        layer = Layer(kernel, stride, (before, behind))
        assert rf.output_size([layer], size) == math.ceil(size / stride)
        assert behind - before in (0, 1)

    def test_by_hand(self):
        assert rf.same_padding(224, 3, 2) == (0, 1)
        assert rf.same_padding(7, 3, 2) == (1, 1)
        assert rf.same_padding(9, 3, 1, 2) == (2, 2)

    def test_errors(self):
        with pytest.raises(ValueError, match="size.*got 0"):
            rf.same_padding(0, 3)
        with pytest.raises(ValueError, match="stride.*got 0"):
            rf.same_padding(4, 3, 0)


class TestLayersOf:
    def test_nested_and_pointwise(self):
        network = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 5, 2, 1), nn.BatchNorm2d(4), nn.ReLU()),
            nn.MaxPool2d(3, 2, 1, dilation=2),
            nn.Dropout(0.5),
            nn.AvgPool2d(2),
        )
        expected = [Layer(5, 2, 1), Layer(3, 2, 1, 2), Layer(2, 2)]
        assert rf.layers_of(network) == expected
        assert rf.layers_of(nn.Sequential()) == []

    def test_padding_in_words(self):
        same = nn.Conv2d(1, 1, 4, padding="same", dilation=3)
        assert rf.layers_of(same) == [Layer(4, 1, (4, 5), 3)]
        assert rf.layers_of(nn.Conv2d(1, 1, 3, padding="valid")) == [Layer(3)]
        image = torch.ones(1, 1, 30, 30, requires_grad=True)
        nn.init.constant_(same.weight, 1)
        same(image)[0, 0, 15, 15].backward()
        rows = image.grad[0, 0].sum(1).nonzero()[:, 0]
        (field,) = rf.receptive_field(rf.layers_of(same))
        assert rows.double().add(0.0)[[0, -1]].mean() == 15 + field.start

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            (nn.Linear(2, 2), "got Linear"),
            (nn.ConvTranspose2d(1, 1, 2), "got ConvTranspose2d"),
            (nn.AdaptiveAvgPool2d(1), "got AdaptiveAvgPool2d"),
            (torchvision.models.resnet.BasicBlock(4, 4), "got BasicBlock"),
            (type("Conv2dSame", (nn.Conv2d,), {})(1, 1, 3), "got Conv2dSame"),
            (nn.Conv2d(1, 1, (3, 5)), r"kernel_size must be the same on both axes"),
            (nn.Conv2d(1, 1, 3, padding=(1, 0)), r"padding must be the same"),
            (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "circular"),
            (nn.MaxPool2d(2, ceil_mode=True), "MaxPool2d with ceil_mode"),
        ],
    )
    def test_errors(self, part, message):
        with pytest.raises(ValueError, match=message):
            rf.layers_of(nn.Sequential(nn.Conv2d(1, 1, 3), part))


class TestEffectiveReceptiveField:
    def test_is_the_sum_of_squared_gradients_over_channels(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh()).double()
        image = torch.randn(1, 2, 7, 8, dtype=torch.float64)
        shares = rf.effective_receptive_field(
            network,
            (2, 7, 8),
            images=image,
            index=(2, 3),
            repeats=4000,
            generator=torch.Generator().manual_seed(0),
        )
        leaf = image.clone().requires_grad_()
        outputs = network(leaf)[0, :, 2, 3]
        exact = sum(
            torch.autograd.grad(y, leaf, retain_graph=True)[0][0].square().sum(0)
            for y in outputs
        )
        torch.testing.assert_close(shares, exact / exact.sum(), atol=0.01, rtol=0)
        assert shares.sum().item() == pytest.approx(1)

    def test_root_of_the_depth(self):
        sizes = []
        for seed in range(5):
            torch.manual_seed(seed)
            network = nn.Sequential(
                *(nn.Conv2d(6, 6, 3, bias=False) for _ in range(10))
            )
            dice = torch.Generator().manual_seed(seed)
            shares = rf.effective_receptive_field(network, (6, 21, 21), generator=dice)
            sizes.append(rf.effective_size(shares))
        assert sum(sizes) / 5 == pytest.approx(9, abs=0.6)  # nominal: 21

    def test_touches_nothing_else(self):
        network = nn.Conv2d(1, 2, 3)
        image = torch.rand(1, 1, 5, 5)
        rf.effective_receptive_field(network, (1, 5, 5), images=image, repeats=1)
        assert network.weight.grad is None
        assert not image.requires_grad

    def test_dead_outputs_have_no_field(self):
        network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
        nn.init.constant_(network[0].bias, -1e6)
        assert not rf.effective_receptive_field(network, (1, 5, 5)).any()

    def test_errors(self):
        network = nn.Conv2d(1, 2, 3)
        with pytest.raises(ValueError, match=r"index\[0\].*from 0 to 2, got 3"):
            rf.effective_receptive_field(network, (1, 5, 5), index=(3, 0))
        with pytest.raises(ValueError, match=r"images must be \(B, 1, 5, 5\)"):
            rf.effective_receptive_field(
                network, (1, 5, 5), images=torch.zeros(1, 1, 5, 6)
            )
        with pytest.raises(ValueError, match="the network's result"):
            rf.effective_receptive_field(nn.Flatten(), (1, 5, 5))
        with pytest.raises(ValueError, match="repeats"):
            rf.effective_receptive_field(network, (1, 5, 5), repeats=0)


class TestEffectiveSize:
    @pytest.mark.parametrize("side", [1, 2, 5, 8])
    def test_an_even_square(self, side):
        shares = torch.zeros(12, 15)
        shares[3 : 3 + side, 1 : 1 + side] = 0.7
        assert rf.effective_size(shares) == pytest.approx(side)

    def test_errors(self):
        for shares in (torch.zeros(3, 3), torch.tensor([[2.0, -1.0]])):
            with pytest.raises(ValueError, match="must not be negative, with a sum"):
                rf.effective_size(shares)
        with pytest.raises(ValueError, match="sum of shares must be a finite number"):
            rf.effective_size(torch.full((2, 2), math.nan))
        with pytest.raises(ValueError, match=r"shares must be \(H, W\)"):
            rf.effective_size(torch.ones(3))


class TestChooseKernels:
    def test_by_hand(self):
        assert rf.choose_kernels(7, 49) == [7]
        assert rf.choose_kernels(7, 48) == [5, 3]
        assert rf.choose_kernels(7, 27) == [3, 3, 3]

    @given(st.integers(1, 12), st.integers(9, 400))
    @settings(max_examples=60, deadline=None)
    def test_keeps_what_it_promises(self, steps, budget):
        field = 2 * steps + 1
        if budget < 9 * steps:
            with pytest.raises(ValueError, match="budget must be at least"):
                rf.choose_kernels(field, budget)
            return
        kernels = rf.choose_kernels(field, budget)
        assert rf.receptive_field_top_down([Layer(k) for k in kernels]) == field
        assert sum(k**2 for k in kernels) <= budget
        assert kernels == receptive_field_checks._kernels_by_search(field, budget)

    def test_errors(self):
        with pytest.raises(ValueError, match="field must be odd.*got 4"):
            rf.choose_kernels(4, 99)
        with pytest.raises(ValueError, match="field must be a whole number >= 3"):
            rf.choose_kernels(1, 99)


# The exercises: right answers written in another way than the module's.


def fields_from_the_top(layers):
    fields = []
    for end in range(1, len(layers) + 1):
        size, first, jump = 1, 0, 1
        for layer in reversed(layers[:end]):
            before = (
                layer.padding if isinstance(layer.padding, int) else layer.padding[0]
            )
            reach = layer.dilation * (layer.kernel - 1)
            size = (size - 1) * layer.stride + reach + 1
            first = first * layer.stride - before
            jump *= layer.stride
        fields.append((size, jump, first + (size - 1) / 2))
    return fields


def region_from_the_top(layers, index, size):
    sides, total = [], 1
    for place, pixels in zip(index, size, strict=True):
        if not 0 <= place < rf.output_size(layers, pixels):
            raise ValueError("no such output")
        first = last = place
        for layer in reversed(layers):
            first = first * layer.stride - layer.pads[0]
            last = last * layer.stride - layer.pads[0] + layer.span - 1
        total *= last - first + 1
        sides.append((sorted((0, first, pixels))[1], sorted((0, last + 1, pixels))[1]))
    (top, bottom), (left, right) = sides
    seen = (bottom - top) * (right - left)
    return (left, top, right, bottom), (total - seen) / total


def kernels_by_growing(field, budget):
    if field < 3 or not field % 2:
        raise ValueError("an odd field of 3 or more")
    depth = 1
    while depth <= (field - 1) // 2:
        kernels = [3] * depth
        for step in range((field - 1) // 2 - depth):
            kernels[step % depth] += 2
        if sum(k * k for k in kernels) <= budget:
            return kernels
        depth += 1
    raise ValueError("too small a budget")


RIGHT = {
    "receptive_field": fields_from_the_top,
    "pixel_region": region_from_the_top,
    "choose_kernels": kernels_by_growing,
}


def plain_fields(layers):
    size, jump, start, fields = 1, 1, 0.0, []
    for layer in layers:
        window = layer.dilation * (layer.kernel - 1) + 1
        start += ((window - 1) / 2 - layer.pads[0]) * jump
        size += (window - 1) * jump
        jump *= layer.stride
        fields.append((size, jump, start))
    return fields


def plain_region(layers, index, size):
    field = (rf.receptive_field(layers) or [rf.Field(1, 1, 0)])[-1]
    y1, x1 = (int(field.start + i * field.jump - (field.size - 1) / 2) for i in index)
    y2, x2 = min(y1 + field.size, size[0]), min(x1 + field.size, size[1])
    y1, x1 = max(y1, 0), max(x1, 0)
    return (x1, y1, x2, y2), 1 - (y2 - y1) * (x2 - x1) / field.size**2


def plain_kernels(field, budget):
    depth, steps = 1, (field - 1) // 2
    while True:
        kernels = [1 + 2 * len(range(k, steps, depth)) for k in range(depth)]
        if sum(k * k for k in kernels) <= budget or depth == steps:
            return kernels
        depth += 1


PLAIN = {
    "receptive_field": plain_fields,
    "pixel_region": plain_region,
    "choose_kernels": plain_kernels,
}


# Wrong answers as readers write them, each with words of the hint that it earns.


def wrong_fields(
    window, own=False, strides="below", before=lambda layer: layer.pads[0]
):
    def answer(layers):
        size, jump, start, out = 1, 1, 0.0, []
        for layer in layers:
            if strides == "own":
                jump *= layer.stride
            unit = 1 if own else jump
            start += ((window(layer) - 1) / 2 - before(layer)) * unit
            size += (window(layer) - 1) * unit
            if strides == "below":
                jump *= layer.stride
            if strides == "add":
                jump += layer.stride - 1
            out.append((size, jump, start))
        return out

    return answer


def span(layer):
    return 1 + (layer.kernel - 1) * layer.dilation


def wrong_region(change):
    def answer(layers, index, size):
        (x1, y1, x2, y2), cut = region_from_the_top(layers, index, size)
        return change(x1, y1, x2, y2, cut)

    return answer


def unclipped(layers, index, size):
    _, cut = region_from_the_top(layers, index, size)
    (x1, y1, x2, y2), _ = region_from_the_top(
        layers, [i + 1000 for i in index], (10**6, 10**6)
    )
    moved = 1000 * math.prod(layer.stride for layer in layers)
    return (x1 - moved, y1 - moved, x2 - moved, y2 - moved), cut


def wrong_kernels(cost, allowed=lambda total, budget: total <= budget):
    def answer(field, budget):
        if field < 3 or not field % 2 or 9 * (field - 1) > 2 * budget:
            raise ValueError
        for depth in range(1, (field - 1) // 2 + 1):
            kernels = [3] * depth
            for step in range((field - 1) // 2 - depth):
                kernels[step % depth] += 2
            if allowed(cost(kernels), budget):
                return kernels
        return kernels

    return answer


def guarded(function):
    def answer(field, budget):
        kernels_by_growing(field, budget)
        return function(field)

    return answer


WRONG = {
    "receptive_field": [
        (wrong_fields(span, strides="own"), "own stride"),
        (wrong_fields(lambda layer: layer.kernel), "dilation is not used"),
        (
            wrong_fields(lambda layer: layer.kernel * layer.dilation),
            "`dilation * kernel`",
        ),
        (wrong_fields(span, before=lambda layer: 0), "padding is not used"),
        (wrong_fields(span, before=lambda layer: sum(layer.pads) / 2), "*before*"),
        (wrong_fields(span, strides="add"), "Strides multiply"),
        (wrong_fields(span, own=True), "as long as the jump"),
        (lambda layers: fields_from_the_top(layers)[-1], "*each*"),
    ],
    "pixel_region": [
        (unclipped, "beyond the picture"),
        (
            wrong_region(lambda x1, y1, x2, y2, cut: ((x1, y1, x2 - 1, y2 - 1), cut)),
            "*behind*",
        ),
        (
            wrong_region(lambda x1, y1, x2, y2, cut: ((y1, x1, y2, x2), cut)),
            "rows first",
        ),
        (
            wrong_region(lambda x1, y1, x2, y2, cut: ((x1, y1, x2, y2), 1 - cut)),
            "*in* the picture",
        ),
        (
            lambda layers, index, size: plain_region([*layers, Layer(1)], index, size),
            "no such output",
        ),
    ],
    "choose_kernels": [
        (guarded(lambda field: [3] * (field // 2)), "*most* layers"),
        (guarded(lambda field: [field]), "its square"),
        (
            wrong_kernels(
                lambda kernels: sum(k * k for k in kernels),
                lambda total, budget: total < budget,
            ),
            "*At most*",
        ),
        (wrong_kernels(sum), "*pair* of row"),
        (
            lambda field, budget: kernels_by_growing(field, budget)[::-1],
            "largest kernel comes first",
        ),
        (plain_kernels, "raise a `ValueError`"),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = receptive_field_checks, RIGHT, WRONG
    plain = PLAIN
    library = dict.fromkeys(RIGHT, "no library has it")

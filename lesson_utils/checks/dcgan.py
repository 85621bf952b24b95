"""The exercises of the chapter `book/generating/dcgan.ipynb`."""

import copy
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import dcgan
from lesson_utils.common import generating
from lesson_utils.grading.draws import uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# to_tanh_range ----------------------------------------------------------------------


def _to_tanh_reference(images: Tensor) -> Tensor:
    """As torchvision's normalize does it, in float64."""
    wide = images.double() / (255 if images.dtype == torch.uint8 else 1)
    dtype = torch.float32 if images.dtype == torch.uint8 else images.dtype
    return wide.sub(0.5).div(0.5).to(dtype)


def _to_tanh_range_cases() -> Iterator[Case]:
    by_hand = torch.tensor([0.0, 0.25, 0.5, 1.0])
    yield Case("by hand", (by_hand,), expected=torch.tensor([-1.0, -0.5, 0.0, 1.0]))
    images = uniform(2, 3, 4, 4)
    yield Case.from_reference("a batch", _to_tanh_reference, images)
    yield Case.from_reference("its gradient", _to_tanh_reference, images, gradient=True)
    dull = 0.3 + 0.2 * uniform(1, 3, 5, 5)
    yield Case.from_reference("a picture without contrast", _to_tanh_reference, dull)
    half = uniform(3, 4, 4).half()
    yield Case.from_reference(
        "half precision", _to_tanh_reference, half, hardening=True
    )
    stored = torch.tensor([0, 51, 102, 255], dtype=torch.uint8)
    yield Case(
        "bytes",
        (stored,),
        expected=torch.tensor([-1.0, -0.6, -0.2, 1.0]),
        hardening=True,
        atol=1e-6,
    )
    dark = torch.tensor([0, 1], dtype=torch.uint8)
    yield Case.from_reference(
        "nearly black bytes", _to_tanh_reference, dark, hardening=True
    )
    yield Case("0 … 255 as floats", (255 * by_hand,), raises=ValueError)
    yield Case("a range of [-1, 1]", (2 * by_hand - 1,), raises=ValueError)
    yield Case("a NaN", (torch.tensor([0.5, math.nan]),), raises=ValueError)


def _refuse(images: Tensor, low: float, high: float) -> Tensor:
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not ((images >= low) & (images <= high)).all():
        raise ValueError("out of range")
    return images


def _only_doubled(images):
    return 2 * _refuse(images, 0, 1)


def _minus_first(images):
    return 2 * (_refuse(images, 0, 1) - 1)


def _centred_only(images):
    return _refuse(images, 0, 1) - 0.5


def _own_contrast(images):
    images = _refuse(images, 0, 1)
    low, high = images.min(), images.max()
    return 2 * (images - low) / (high - low) - 1


def _standardised(images):
    images = _refuse(images, 0, 1)
    return (images - images.mean()) / images.std()


def _through_tanh(images):
    return _refuse(images, 0, 1).tanh()


def _bytes_not_divided(images):
    return (_refuse(images, 0, 1) if images.is_floating_point() else images) * 2.0 - 1


def _byte_arithmetic(images):
    if images.dtype != torch.uint8:
        images = _refuse(images, 0, 1)
    return images * 2 - 1


def _guessed_range(images):
    if images.is_floating_point():
        _refuse(images / images.max().clamp(min=1), 0, 1)
    scale = 255 if images.max() > 1 else 1
    return images / scale * 2 - 1


def _no_refusal(images):
    if images.dtype == torch.uint8:
        images = images.float() / 255
    return images * 2 - 1


def _clamps(images):
    if images.dtype == torch.uint8:
        images = images.float() / 255
    return images.clamp(0, 1) * 2 - 1


_TO_TANH_RANGE = Exercise(
    name="to_tanh_range",
    solution=generating.unit_to_tanh_range,
    cases=_to_tanh_range_cases,
    mistakes=(
        Mistake(
            "[0, 1] has become [0, 2]: it is stretched, and not moved yet. Take 1 off.",
            _only_doubled,
        ),
        Mistake(
            "This is 2 (x − 1), which ends at 0. Double first and take 1 off then, or "
            "take off 0.5 first.",
            _minus_first,
        ),
        Mistake(
            "[0, 1] has become [−0.5, 0.5]: divide by the deviation of 0.5, too.",
            _centred_only,
        ),
        Mistake(
            "You stretch each picture by its own darkest and brightest pixel: a gray "
            "one comes out black and white. 0 and 1 are the ends, whatever is in it.",
            _own_contrast,
        ),
        Mistake(
            "Mean and deviation are the constants 0.5 and 0.5 here, not those of the "
            "picture: its own ones leave [−1, 1].",
            _standardised,
        ),
        Mistake(
            "`tanh` is the generator's last step. Data are moved by a straight line, "
            "or they would end at tanh(1), 0.76.",
            _through_tanh,
        ),
        Mistake("Bytes run to 255: divide by 255 first.", _bytes_not_divided),
        Mistake(
            "A byte doubled is a byte again: 200 · 2 is 144. Turn bytes into floats, "
            "and divide by 255, before you compute.",
            _byte_arithmetic,
        ),
        Mistake(
            "Do not guess the range from the largest value: a nearly black picture of "
            "bytes has none above 1. The dtype says what it is.",
            _guessed_range,
        ),
        Mistake(
            "Values beyond [0, 1] are a mistake made elsewhere, such as a forgotten "
            "division by 255, and clamping hides it: raise a `ValueError`.",
            _clamps,
        ),
        Mistake(
            "What does not lie in [0, 1] has no place in [−1, 1] either: raise a "
            "`ValueError`. `not ((x >= 0) & (x <= 1)).all()` is true for NaN, too.",
            _no_refusal,
        ),
    ),
    hints=(
        "A straight line through two points: 0 goes to −1, and 1 to 1.",
        "Mean 0.5, deviation 0.5: take the one off and divide by the other.",
        "`(images - 0.5) / 0.5`, after bytes have become floats divided by 255.",
    ),
)


# from_tanh_range --------------------------------------------------------------------


def _from_tanh_reference(images: Tensor) -> Tensor:
    return torch.lerp(
        torch.zeros_like(images), torch.ones_like(images), (images + 1) / 2
    )


def _from_tanh_range_cases() -> Iterator[Case]:
    by_hand = torch.tensor([-1.0, -0.5, 0.0, 1.0])
    yield Case("by hand", (by_hand,), expected=torch.tensor([0.0, 0.25, 0.5, 1.0]))
    images = 2 * uniform(2, 3, 4, 4) - 1
    yield Case.from_reference("a batch", _from_tanh_reference, images)
    yield Case.from_reference(
        "its gradient", _from_tanh_reference, images, gradient=True
    )
    unit = uniform(3, 5)
    yield Case("there and back", (generating.unit_to_tanh_range(unit),), expected=unit)
    bright = 0.5 + 0.5 * uniform(1, 3, 4, 4)
    yield Case.from_reference("a bright picture", _from_tanh_reference, bright)
    half = (2 * uniform(3, 4) - 1).bfloat16()
    yield Case.from_reference(
        "bfloat16", _from_tanh_reference, half, rtol=0.02, hardening=True
    )
    yield Case("a range of [0, 2]", (by_hand + 1,), raises=ValueError)
    yield Case("a NaN", (torch.tensor([0.5, math.nan]),), raises=ValueError)


def _only_halved(images):
    return _refuse(images, -1, 1) / 2


def _only_moved(images):
    return _refuse(images, -1, 1) + 1


def _half_too_early(images):
    return _refuse(images, -1, 1) / 2 + 1


def _positive_part(images):
    return _refuse(images, -1, 1).clamp(min=0)


def _absolute(images):
    return _refuse(images, -1, 1).abs()


def _stretches_back(images):
    images = _refuse(images, -1, 1)
    return (images - images.min()) / (images.max() - images.min())


def _inverse_tanh(images):
    return _refuse(images, -1, 1).atanh().sigmoid()


def _logistic(images):
    return _refuse(images, -1, 1).sigmoid()


def _takes_anything(images):
    return (images + 1) / 2


_FROM_TANH_RANGE = Exercise(
    name="from_tanh_range",
    solution=generating.tanh_to_unit_range,
    cases=_from_tanh_range_cases,
    mistakes=(
        Mistake("[−1, 1] has become [−0.5, 0.5]: add 0.5.", _only_halved),
        Mistake("[−1, 1] has become [0, 2]: halve it, too.", _only_moved),
        Mistake(
            "This is x / 2 + 1. Undo the two steps in reverse: times 0.5, then plus "
            "0.5.",
            _half_too_early,
        ),
        Mistake(
            "Everything darker than the middle has become black: −1 is black, not 0.",
            _positive_part,
        ),
        Mistake("An absolute value makes black and white the same.", _absolute),
        Mistake(
            "You stretch each picture by its own darkest and brightest pixel, so that "
            "a bright one loses its brightness. −1 and 1 are the ends.",
            _stretches_back,
        ),
        Mistake(
            "The `tanh` is part of the network and stays. Only the straight line of "
            "the data is undone.",
            _inverse_tanh,
        ),
        Mistake(
            "A sigmoid turns any number into one in [0, 1], but −1 must become 0, and "
            "sigmoid(−1) is 0.27.",
            _logistic,
        ),
        Mistake(
            "What is not in [−1, 1] did not come out of a tanh: raise a `ValueError`, "
            "for NaN, too.",
            _takes_anything,
        ),
    ),
    hints=(
        "Solve y = (x − 0.5) / 0.5 for x.",
        "Times the deviation, plus the mean: both are 0.5.",
        "`images * 0.5 + 0.5`, after a test that all lie in [−1, 1].",
    ),
)


# conv_transpose_output_size ---------------------------------------------------------


def _size_by_torch(size: int, kernel_size: int, **keywords: int) -> int:
    """Asks torch for a result and measures it."""
    row, kernel = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size)
    return F.conv_transpose1d(row, kernel, **keywords).shape[-1]


def _output_size_cases() -> Iterator[Case]:
    yield Case("1 row, kernel 4", (1, 4), expected=4)
    yield Case(
        "4 rows doubled", (4, 4), {"stride": 2, "padding": 1}, expected=8
    )  # fmt: skip
    for size, kernel, keywords in (
        (5, 3, {}),
        (5, 3, {"stride": 2}),
        (5, 3, {"padding": 1}),
        (7, 4, {"stride": 3, "padding": 2}),
        (7, 3, {"stride": 2, "padding": 1, "output_padding": 1}),
        (6, 3, {"dilation": 3}),
        (6, 2, {"stride": 4, "padding": 1, "output_padding": 3, "dilation": 2}),
        (1, 1, {"stride": 5}),
    ):
        given = ", ".join(f"{name} {value}" for name, value in keywords.items())
        yield Case.from_reference(
            f"{size} rows, kernel {kernel}" + (f", {given}" if given else ""),
            _size_by_torch,
            size,
            kernel,
            **keywords,
        )
    yield Case("more cut off than there is", (1, 4), {"padding": 2}, raises=ValueError)


def _formula(expression: Callable[..., int]) -> Callable[..., int]:
    """A function of the exercise's signature that computes one expression."""

    def answer(size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1):
        return expression(size, kernel_size, stride, padding, output_padding, dilation)

    return answer


_ONE_STEP_LESS = (
    "There are n copies of the kernel, but only n − 1 steps between them: "
    "(n − 1) · stride, and then one whole kernel."
)
_CUT_OFF = (
    "In a transposed convolution padding is *cut off*: it makes the result smaller."
)
_TWICE = "Padding is cut off at both ends: take it off twice."

_OUTPUT_SIZE = Exercise(
    name="conv_transpose_output_size",
    solution=generating.conv_transpose_output_size,
    cases=_output_size_cases,
    mistakes=(
        Mistake(
            "This is the size after an ordinary convolution. The transposed one goes "
            "the other way: solve the formula for what went in.",
            _formula(lambda n, k, s, p, o, d: (n + 2 * p - d * (k - 1) - 1) // s + 1),
        ),
        Mistake(
            _ONE_STEP_LESS,
            _formula(lambda n, k, s, p, o, d: n * s - 2 * p + d * (k - 1) + o + 1),
        ),
        Mistake(_ONE_STEP_LESS, _formula(lambda n, k, s, p, o, d: n * s - 2 * p + k)),
        Mistake(
            _CUT_OFF,
            _formula(
                lambda n, k, s, p, o, d: (n - 1) * s + 2 * p + d * (k - 1) + o + 1
            ),
        ),
        Mistake(_CUT_OFF, _formula(lambda n, k, s, p, o, d: (n - 1) * s + 2 * p + k)),
        Mistake(_TWICE, _formula(lambda n, k, s, p, o, d: (n - 1) * s - p + k)),
        Mistake(
            _TWICE,
            _formula(lambda n, k, s, p, o, d: (n - 1) * s - p + d * (k - 1) + o + 1),
        ),
        Mistake(
            "A kernel of k rows adds k of them, not k − 1: one more.",
            _formula(lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + d * (k - 1) + o),
        ),
        Mistake(
            "Size times stride is right only if the kernel and the padding make up for "
            "each other, as 4 and 1 do at stride 2.",
            _formula(lambda n, k, s, p, o, d: n * s),
        ),
        Mistake(
            "`output_padding` is missing: so many rows are added, at one end only.",
            _formula(lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + d * (k - 1) + 1),
        ),
        Mistake(
            "`output_padding` is added at one end only: count it once.",
            _formula(
                lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + d * (k - 1) + 2 * o + 1
            ),
        ),
        Mistake(
            "`dilation` spreads the kernel's rows: it reaches over d (k − 1) + 1 of "
            "them.",
            _formula(lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + k + o),
        ),
        Mistake(
            "A kernel dilated by d reaches over d (k − 1) + 1 rows, not d · k.",
            _formula(lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + d * k + o),
        ),
        Mistake(
            "If nothing is left after the padding is cut off, raise a `ValueError`.",
            _formula(
                lambda n, k, s, p, o, d: (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            ),
        ),
    ),
    hints=(
        "Draw it: one copy of the kernel for each row that goes in, `stride` apart. "
        "From where to where do they reach?",
        "The last copy begins (n − 1) · stride after the first one. Add one kernel.",
        "(n − 1) · stride − 2 · padding + dilation · (k − 1) + output_padding + 1.",
    ),
)


# initialize -------------------------------------------------------------------------

# The reader's answer gets a new network for each case; what is compared are numbers.


class _Block(nn.Module):
    """A module of one's own, which holds its layers in attributes."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(32, 64, 4)
        self.inner = nn.Sequential(nn.ConvTranspose2d(64, 32, 4), nn.BatchNorm2d(2048))


_NETWORKS = {
    "nn.Conv2d(64, 64, 4)": lambda: nn.Sequential(nn.Conv2d(64, 64, 4)),
    "nn.ConvTranspose2d(64, 64, 4)": lambda: nn.Sequential(
        nn.ConvTranspose2d(64, 64, 4)
    ),
    "nn.Conv2d(64, 64, 4, bias=False)": lambda: nn.Sequential(
        nn.Conv2d(64, 64, 4, bias=False)
    ),
    "nn.BatchNorm2d(8192)": lambda: nn.Sequential(nn.BatchNorm2d(8192)),
    "nn.Linear(64, 64)": lambda: nn.Sequential(nn.Linear(64, 64)),
    "two equal convolutions": lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    ),
    "layers inside a module of its own": _Block,
}


def _mean_and_deviation(answer: Callable, name: str) -> dict:
    """The statistics of the weights after an answer, and the largest bias."""
    network = _NETWORKS[name]()
    (layer,) = network
    nn.init.constant_(layer.bias, 0.5)
    answer(network)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    return {
        "mean of the weights": round(weight.mean().item(), 5),
        "deviation of the weights": round(weight.std().item(), 5),
        "largest bias": round(bias.abs().max().item(), 5),
    }


def _share_beyond_two_deviations(answer: Callable, name: str) -> float:
    network = _NETWORKS[name]()
    answer(network)
    weight = network[0].weight.detach()
    return ((weight - weight.mean()).abs() > 2 * weight.std()).float().mean().item()


def _deviation(answer: Callable, name: str) -> float:
    network = _NETWORKS[name]()
    answer(network)
    return network[0].weight.detach().std().item()


def _is_unchanged(answer: Callable, name: str) -> bool:
    network = _NETWORKS[name]()
    before = copy.deepcopy(network.state_dict())
    answer(network)
    return all(torch.equal(v, before[key]) for key, v in network.state_dict().items())


def _differ(answer: Callable, name: str) -> bool:
    network = _NETWORKS[name]()
    answer(network)
    return not torch.equal(network[0].weight, network[1].weight)


def _deviations_inside(answer: Callable, name: str) -> list[float]:
    block = _NETWORKS[name]()
    answer(block)
    layers = (block.convolution, *block.inner)
    return [round(layer.weight.detach().std().item(), 5) for layer in layers]


def _keeps_parameters(answer: Callable, name: str) -> dict:
    block = _NETWORKS[name]()
    before = list(block.parameters())
    answer(block)
    after = list(block.parameters())
    return {
        "the same parameters": all(a is b for a, b in zip(before, after, strict=True)),
        "still trained": all(parameter.requires_grad for parameter in after),
    }


def _initialize_cases() -> Iterator[Case]:
    statistics = ("mean of the weights", "deviation of the weights", "largest bias")
    for name, mean in (
        ("nn.Conv2d(64, 64, 4)", 0.0),
        ("nn.ConvTranspose2d(64, 64, 4)", 0.0),
        ("nn.BatchNorm2d(8192)", 1.0),
    ):
        yield Case(
            name,
            (name,),
            expected=dict(zip(statistics, (mean, 0.02, 0.0), strict=True)),
            call=_mean_and_deviation,
            atol=1e-3,
            rtol=0,
        )
    yield Case(
        "weights beyond two deviations, as a share",
        ("nn.Conv2d(64, 64, 4)",),
        expected=0.0455,
        call=_share_beyond_two_deviations,
        atol=0.006,
        rtol=0,
    )
    inside = "layers inside a module of its own"
    yield Case(
        inside,
        (inside,),
        expected=[0.02, 0.02, 0.02],
        call=_deviations_inside,
        atol=2e-3,
        rtol=0,
    )
    yield Case(
        "in place",
        (inside,),
        expected={"the same parameters": True, "still trained": True},
        call=_keeps_parameters,
    )
    yield Case(
        "two layers are drawn apart",
        ("two equal convolutions",),
        expected=True,
        call=_differ,
    )
    no_bias = "nn.Conv2d(64, 64, 4, bias=False)"
    yield Case(
        no_bias,
        (no_bias,),
        expected=0.02,
        hardening=True,
        call=_deviation,
        atol=1e-3,
        rtol=0,
    )
    yield Case(
        "a linear layer stays as it is",
        ("nn.Linear(64, 64)",),
        expected=True,
        call=_is_unchanged,
    )


_CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d


def _draw(
    network,
    deviation=0.02,
    convolutions=_CONVOLUTIONS,
    norm_mean=1.0,
    norm_deviation=0.02,
    walk=nn.Module.modules,
    draw=nn.init.normal_,
    zero_biases=True,
):
    """DCGAN's initialization, with one thing wrong at a time."""
    for module in walk(network):
        if isinstance(module, convolutions):
            draw(module.weight, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, norm_mean, norm_deviation)
        else:
            continue
        if zero_biases and module.bias is not None:
            nn.init.zeros_(module.bias)


def _all_parameters_alike(network):
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.02)


def _variance_for_deviation(network):
    _draw(network, deviation=math.sqrt(0.02), norm_deviation=math.sqrt(0.02))


def _squared(network):
    _draw(network, deviation=0.02**2, norm_deviation=0.02**2)


def _forgets_transposed(network):
    _draw(network, convolutions=nn.Conv2d)


def _norm_round_zero(network):
    _draw(network, norm_mean=0.0)


def _norm_exactly_one(network):
    _draw(network, norm_deviation=0.0)


def _direct_children(network):
    _draw(network, walk=nn.Module.children)


def _uniform(network):
    half = 0.02 * math.sqrt(3)
    _draw(
        network, draw=lambda w, mean, _: nn.init.uniform_(w, mean - half, mean + half)
    )


def _keeps_biases(network):
    _draw(network, zero_biases=False)


def _linear_too(network):
    _draw(network, convolutions=_CONVOLUTIONS | nn.Linear)


def _copy_returned(network):
    network = copy.deepcopy(network)
    _draw(network)
    return network


def _new_parameters(network):
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS | nn.BatchNorm2d):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            drawn = mean + 0.02 * torch.randn_like(module.weight)
            module.weight = nn.Parameter(drawn)
            module.bias = nn.Parameter(torch.zeros_like(module.bias))


def _same_seed(network):
    def draw(weight, mean, deviation):
        torch.manual_seed(0)
        nn.init.normal_(weight, mean, deviation)

    _draw(network, draw=draw)


def _frozen(network):
    _draw(network)
    network.requires_grad_(False)


def _bias_taken_for_granted(network):
    _draw(network, zero_biases=False)
    for module in network.modules():
        if isinstance(module, (*_CONVOLUTIONS.__args__, nn.BatchNorm2d)):
            nn.init.zeros_(module.bias)


_INITIALISE = Exercise(
    name="initialize",
    solution=dcgan.initialize,
    cases=_initialize_cases,
    mistakes=(
        Mistake(
            "All parameters alike gets the biases, too, which should be 0, and batch "
            "norm's weights, which multiply: round 0 they mute the layer. Walk through "
            "`modules()` and ask what each one is.",
            _all_parameters_alike,
        ),
        Mistake(
            "0.02 is the standard deviation, which is what `normal_` takes, and not "
            "the variance.",
            _variance_for_deviation,
        ),
        Mistake("`normal_` takes the standard deviation: 0.02, not squared.", _squared),
        Mistake(
            "`nn.ConvTranspose2d` is no `nn.Conv2d` and goes without: name both.",
            _forgets_transposed,
        ),
        Mistake(
            "Batch norm's weights multiply what comes through. Round 0 they mute the "
            "layer: draw them round 1.",
            _norm_round_zero,
        ),
        Mistake(
            "Batch norm's weights are exactly 1. Draw them: mean 1, deviation 0.02.",
            _norm_exactly_one,
        ),
        Mistake(
            "Layers deeper inside were not reached: `children()` goes one level down, "
            "`modules()` goes all the way.",
            _direct_children,
        ),
        Mistake(
            "The deviation is right, but no weight lies far out: this is a uniform "
            "distribution. Use `normal_`.",
            _uniform,
        ),
        Mistake("The biases are still what they were: set them to 0.", _keeps_biases),
        Mistake(
            "Only convolutions and batch norm are drawn: a linear layer stays as it "
            "is.",
            _linear_too,
        ),
        Mistake(
            "The network itself has not changed: work in place, not on a copy.",
            _copy_returned,
        ),
        Mistake(
            "These are new parameters. An optimizer made before still holds the old "
            "ones, and would train those: fill them in place, as `nn.init` does.",
            _new_parameters,
        ),
        Mistake(
            "Two layers of one shape got the same weights: do not seed in between.",
            _same_seed,
        ),
        Mistake("The parameters no longer ask for a gradient.", _frozen),
        Mistake(
            "A layer made with `bias=False` has a bias of None: look before you fill "
            "it.",
            _bias_taken_for_granted,
        ),
    ),
    hints=(
        "Walk through `network.modules()`, which goes all the way down, and ask with "
        "`isinstance` what each module is.",
        "`nn.init.normal_(module.weight, mean, deviation)` fills in place. A bias may "
        "be None.",
        "`nn.Conv2d | nn.ConvTranspose2d`: mean 0. `nn.BatchNorm2d`: mean 1. Deviation "
        "0.02, biases 0; everything else stays.",
    ),
)


EXERCISES = (_TO_TANH_RANGE, _FROM_TANH_RANGE, _OUTPUT_SIZE, _INITIALISE)

"""The exercises of the chapter `book/generating/style_transfer.ipynb`."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from lesson_utils import style_transfer
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# gram_matrix ------------------------------------------------------------------------


def _gram_reference(features: Tensor) -> Tensor:
    """Position by position, the product of all pairs of channels."""
    total = torch.einsum("bihw,bjhw->bij", features, features)
    return total / features[0].numel()


def _gram_cases() -> Iterator[Case]:
    by_hand = torch.tensor([1.0, 2, 3, 0]).reshape(1, 2, 1, 2)
    yield Case(
        "channels 1, 2 and 3, 0",
        (by_hand,),
        expected=torch.tensor([[[5.0, 3], [3, 9]]]) / 4,
    )
    features = normal(1, 3, 4, 5) + 1
    yield Case.from_reference("random numbers", _gram_reference, features)
    yield Case.from_reference(
        "their gradient", _gram_reference, features, gradient=True
    )
    yield Case.from_reference(
        "a batch of two", _gram_reference, normal(2, 3, 4, 4, seed=1) + 1
    )
    yield Case.from_reference("one position", _gram_reference, normal(2, 4, 1, 1))
    strided = normal(1, 4, 5, 3, seed=2).permute(0, 3, 1, 2) + 1
    yield Case.from_reference(
        "a tensor that is not contiguous", _gram_reference, strided, hardening=True
    )
    double = features.repeat(1, 1, 2, 1)
    yield Case(
        "the same picture twice, one below the other",
        (double,),
        expected=_gram_reference(features),
    )


def _gram_undivided(features):
    rows = features.flatten(2)
    return rows @ rows.mT


def _gram_by_positions(features):
    rows = features.flatten(2)
    return rows @ rows.mT / rows.shape[2]


def _gram_by_channels(features):
    rows = features.flatten(2)
    return rows @ rows.mT / rows.shape[1]


def _gram_of_batch(features):
    rows = features.transpose(0, 1).flatten(1)
    gram = rows @ rows.T / rows.numel()
    return gram.expand(len(features), -1, -1)


def _gram_divided_by_batch(features):
    rows = features.flatten(2)
    return rows @ rows.mT / features.numel()


def _gram_of_positions(features):
    rows = features.flatten(2)
    return rows.mT @ rows / rows[0].numel()


def _gram_centred(features):
    rows = features.flatten(2)
    rows = rows - rows.mean(2, keepdim=True)
    return rows @ rows.mT / rows[0].numel()


def _gram_of_unit_vectors(features):
    rows = nn.functional.normalize(features.flatten(2), dim=2)
    return rows @ rows.mT


def _gram_channels_last(features):
    count = features[0].numel()
    rows = features.permute(0, 2, 3, 1).reshape(len(features), features.shape[1], -1)
    return rows @ rows.mT / count


def _gram_constant(features):
    return _gram_reference(features.detach())


_GRAM_MATRIX = Exercise(
    name="gram_matrix",
    solution=style_transfer.gram_matrix,
    cases=_gram_cases,
    mistakes=(
        Mistake(
            "The sum is not divided. Divide by C · H · W, or a larger picture has "
            "another style.",
            _gram_undivided,
        ),
        Mistake(
            "You divide by H · W. Divide by the number of channels as well.",
            _gram_by_positions,
        ),
        Mistake(
            "You divide by the number of channels. Divide by the positions as well: "
            "C · H · W in all.",
            _gram_by_channels,
        ),
        Mistake(
            "All pictures of the batch share one matrix. Each has its own: keep "
            "dimension 0.",
            _gram_of_batch,
        ),
        Mistake(
            "`features.numel()` counts the batch as well. Divide by the numbers in one "
            "picture.",
            _gram_divided_by_batch,
        ),
        Mistake(
            "You compare positions with positions. The matrix has a row and a column "
            "for each channel.",
            _gram_of_positions,
        ),
        Mistake(
            "You subtracted the means: that is a covariance. A Gram matrix keeps them.",
            _gram_centred,
        ),
        Mistake(
            "You made each channel a unit vector: that is a cosine, and how strong a "
            "channel is gets lost.",
            _gram_of_unit_vectors,
        ),
        Mistake(
            "The channels stood last when you flattened, so each row mixes them. "
            "`features.flatten(2)` keeps dimension 1.",
            _gram_channels_last,
        ),
        Mistake(
            "The values are right and no gradient comes through: do not detach.",
            _gram_constant,
        ),
    ),
    hints=(
        "What is left of (B, C, H, W) when you forget where a position was, but not "
        "what all channels said there?",
        "`features.flatten(2)` is (B, C, H·W): a row for each channel. Entry (i, j) is "
        "the product of row i with row j.",
        "`rows @ rows.transpose(1, 2)`, divided by C · H · W.",
    ),
)


# total_variation_loss ---------------------------------------------------------------


def _tv_reference(images: Tensor) -> Tensor:
    """Pixel by pixel, in Python's own sums."""
    _, _, height, width = images.shape
    right = [images[..., :, j + 1] - images[..., :, j] for j in range(width - 1)]
    below = [images[..., i + 1, :] - images[..., i, :] for i in range(height - 1)]
    means = [torch.stack(steps).abs().mean() for steps in (right, below) if steps]
    return sum(means, images.new_zeros(())) / 2


def _tv_cases() -> Iterator[Case]:
    by_hand = torch.tensor([[0.0, 1, 3], [0, 0, 4]]).reshape(1, 1, 2, 3)
    # To the right: 1, 2, 0, 4, a mean of 7/4. Below: 0, 1, 1, a mean of 2/3.
    yield Case(
        "0, 1, 3 above 0, 0, 4",
        (by_hand,),
        expected=torch.tensor((7 / 4 + 2 / 3) / 2),
    )
    yield Case("falling steps", (by_hand.neg(),), expected=torch.tensor(29 / 24))
    images = normal(2, 3, 4, 5)
    yield Case.from_reference("random numbers", _tv_reference, images)
    yield Case.from_reference("their gradient", _tv_reference, images, gradient=True)
    yield Case(
        "a picture of one color", (torch.ones(1, 3, 4, 4),), expected=torch.tensor(0.0)
    )
    yield Case.from_reference(
        "one row, with nothing below it",
        _tv_reference,
        normal(1, 3, 1, 5),
        hardening=True,
    )
    yield Case.from_reference(
        "one column", _tv_reference, normal(1, 3, 5, 1), hardening=True
    )
    yield Case(
        "a single pixel",
        (torch.ones(1, 3, 1, 1),),
        expected=torch.tensor(0.0),
        hardening=True,
    )


def _tv_with(images, step, combine=lambda a, b: (a + b) / 2):
    """The right answer with another measure of a step, or another end."""
    ways = [images.diff(dim=3), images.diff(dim=2)]
    zero = images.new_zeros(())
    return combine(*(step(way) if way.numel() else zero for way in ways))


def _tv_unhalved(images):
    return _tv_with(images, lambda d: d.abs().mean(), torch.add)


def _tv_summed(images):
    return _tv_with(images, lambda d: d.abs().sum())


def _tv_squared(images):
    return _tv_with(images, lambda d: d.square().mean())


def _tv_signed(images):
    return _tv_with(images, lambda d: d.mean())


def _tv_half_of_one(images):
    return _tv_with(images, lambda d: d.abs().mean(), lambda x, y: x / 2 + y)


def _tv_one_way(images):
    return _tv_with(images, lambda d: d.abs().mean(), lambda x, y: x / 2)


def _tv_down_only(images):
    return _tv_with(images, lambda d: d.abs().mean(), lambda x, y: y / 2)


def _tv_round_the_edge(images):
    right = (images.roll(-1, 3) - images).abs().mean()
    below = (images.roll(-1, 2) - images).abs().mean()
    return (right + below) / 2


def _tv_across_channels(images):
    below = images.diff(dim=2).abs()
    across = images.diff(dim=1).abs()
    zero = images.new_zeros(())
    return sum(s.mean() if s.numel() else zero for s in (across, below)) / 2


def _tv_pooled(images):
    steps = [images.diff(dim=dim).abs() for dim in (2, 3)]
    count = sum(step.numel() for step in steps)
    return sum(step.sum() for step in steps) / max(count, 1)


def _tv_nan(images):
    return (images.diff(dim=3).abs().mean() + images.diff(dim=2).abs().mean()) / 2


def _tv_constant(images):
    return _tv_reference(images.detach())


_TOTAL_VARIATION_LOSS = Exercise(
    name="total_variation_loss",
    solution=style_transfer.total_variation_loss,
    cases=_tv_cases,
    mistakes=(
        Mistake("The factor of a half is missing.", _tv_unhalved),
        Mistake(
            "You take sums. Take the mean of each direction, or the weight of the loss "
            "depends on the size of the picture.",
            _tv_summed,
        ),
        Mistake(
            "You square the differences, which punishes edges. Take absolute values.",
            _tv_squared,
        ),
        Mistake(
            "Differences of opposite sign cancel. Take absolute values before the "
            "mean.",
            _tv_signed,
        ),
        Mistake(
            "The half belongs to both directions, not to one.",
            _tv_half_of_one,
        ),
        Mistake("The steps downwards are missing.", _tv_one_way),
        Mistake("The steps to the right are missing.", _tv_down_only),
        Mistake(
            "The last pixel has no neighbor on its right; `roll` compares it with the "
            "first. Use slices, or `diff`.",
            _tv_round_the_edge,
        ),
        Mistake(
            "You compare channels with each other. Neighbors lie along dimensions 2 "
            "and 3.",
            _tv_across_channels,
        ),
        Mistake(
            "One mean over all differences weighs the direction that has more of them. "
            "Take a mean of each.",
            _tv_pooled,
        ),
        Mistake(
            "The mean of no differences is NaN. A direction without neighbors counts "
            "0.",
            _tv_nan,
        ),
        Mistake(
            "The values are right and no gradient comes through: do not detach.",
            _tv_constant,
        ),
    ),
    hints=(
        "How do you write the differences of all neighbors on one line, with slices?",
        "`images[..., :, 1:] - images[..., :, :-1]` is every step to the right.",
        "Half of the mean of its absolute value plus that of the steps down; where "
        "there is no step, 0.",
    ),
)


# extract_features -------------------------------------------------------------------


class _Fuse(nn.Module):
    """A layer that must not run."""

    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("a layer ran that nobody needs")


def _extract_reference(
    layers: nn.Sequential, images: Tensor, numbers: Sequence[int]
) -> list[Tensor]:
    """Each output by itself, from the start, on copies."""
    outputs = []
    for number in numbers:
        x = images
        for layer in list(layers)[: number + 1]:
            x = layer(x.clone())
        outputs.append(x)
    return outputs


def _small_layers(*, inplace: bool) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 3, padding=1),
        nn.ReLU(inplace=inplace),
    ).double()
    for seed, parameter in enumerate(layers.parameters()):
        parameter.data.copy_(normal(*parameter.shape, seed=seed))
        parameter.requires_grad_(False)
    return layers


def _extract_cases() -> Iterator[Case]:
    images, plain = normal(1, 2, 6, 6, seed=9), _small_layers(inplace=False)
    doubling = nn.Sequential(nn.Tanh(), nn.Softsign(), nn.Softplus())
    numbers = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    yield Case(
        "tanh, then softsign, then softplus: layer 1",
        (doubling, numbers, [1]),
        expected=[numbers.tanh() / (1 + numbers.tanh())],
    )
    for name, layers, wanted in (
        ("layers 0, 2 and 3", plain, [0, 2, 3]),
        ("the last layer", plain, [4]),
        ("layers 3 and 1, in this order", plain, [3, 1]),
        ("layer 1 twice", plain, [1, 3, 1]),
        (
            "a layer behind the last one wanted fails if it is run",
            nn.Sequential(*plain[:3], _Fuse()),
            [2],
        ),
        ("ReLUs that work in place", _small_layers(inplace=True), [0, 3, 4]),
    ):
        yield Case.from_reference(
            name,
            _extract_reference,
            layers,
            images,
            wanted,
            hardening="in place" in name or "behind the last" in name,
        )
    yield Case.from_reference(
        "a first layer that works in place",
        _extract_reference,
        nn.Sequential(nn.ReLU(inplace=True), nn.Tanh()),
        images,
        [1],
        hardening=True,
    )
    yield Case(
        "the gradient of the picture",
        (plain, images, [0, 4]),
        expected=_sum_of_squares(_extract_reference, plain, images, [0, 4]),
        gradients=(_gradient_of_sum(plain, images, [0, 4]),),
        call=_sum_of_squares,
    )
    missing = (ValueError, IndexError)
    yield Case("a layer that is not there", (plain, images, [5]), raises=missing)
    yield Case("a negative number", (plain, images, [3, -1]), raises=ValueError)


def _sum_of_squares(answer, layers, images, numbers):
    return sum(output.square().sum() for output in answer(layers, images, numbers))


def _gradient_of_sum(layers: nn.Sequential, images: Tensor, numbers: list) -> Tensor:
    images = images.clone().requires_grad_()
    total = _sum_of_squares(_extract_reference, layers, images, numbers)
    return torch.autograd.grad(total, images)[0]


def _refuse_numbers(layers, numbers):
    if any(not 0 <= number < len(layers) for number in numbers):
        raise ValueError("no such layer")


def _outputs(layers, images, last):
    """All outputs up to a layer, safe from layers that work in place."""
    outputs = []
    for layer in layers[: last + 1]:
        images = layer(images.clone())
        outputs.append(images)
    return outputs


def _extract_all(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    outputs = _outputs(layers, images, len(layers))
    return [outputs[number] for number in numbers]


def _extract_one_late(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    outputs = [images.clone(), *_outputs(layers, images, max(numbers))]
    return [outputs[number] for number in numbers]


def _extract_in_order(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    outputs = _outputs(layers, images, max(numbers))
    return [outputs[number] for number in sorted(numbers)]


def _extract_as_they_come(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    outputs = enumerate(_outputs(layers, images, max(numbers)))
    return [output for number, output in outputs if number in numbers]


def _extract_overwritten(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    x, outputs = images.clone(), []
    for layer in layers[: max(numbers) + 1]:
        x = layer(x)
        outputs.append(x)
    return [outputs[number] for number in numbers]


def _extract_changes_input(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    x, outputs = images, []
    for layer in layers[: max(numbers) + 1]:
        x = layer(x)
        outputs.append(x.clone())
    return [outputs[number] for number in numbers]


def _extract_without_gradient(layers, images, numbers):
    with torch.no_grad():
        return style_transfer.extract_features(layers, images, numbers)


def _extract_from_images(layers, images, numbers):
    _refuse_numbers(layers, numbers)
    return [layers[number](images.clone()) for number in numbers]


def _extract_negative(layers, images, numbers):
    outputs = _outputs(layers, images, max(numbers))
    return [outputs[number] for number in numbers]


def _extract_from_the_end(layers, images, numbers):
    numbers = [n + len(layers) if n < 0 else n for n in numbers]
    return style_transfer.extract_features(layers, images, numbers)


def _extract_only_those_there(layers, images, numbers):
    if min(numbers) < 0:
        raise ValueError("no such layer")
    outputs = _outputs(layers, images, max(numbers))
    return [outputs[number] for number in numbers if number < len(outputs)]


_EXTRACT_FEATURES = Exercise(
    name="extract_features",
    solution=style_transfer.extract_features,
    cases=_extract_cases,
    mistakes=(
        Mistake(
            "You run every layer. Stop behind the last one that is wanted: the rest "
            "costs time and changes nothing.",
            _extract_all,
        ),
        Mistake(
            "You are one layer off: keep what a layer returns, not what goes into it.",
            _extract_one_late,
        ),
        Mistake(
            "The outputs are sorted. Return them in the order of `numbers`.",
            _extract_in_order,
        ),
        Mistake(
            "The outputs stand in the network's order, each once. Return them in the "
            "order of `numbers`, twice if a number stands there twice.",
            _extract_as_they_come,
        ),
        Mistake(
            "A ReLU that works in place wrote over the output that you had kept. Give "
            "it a copy, or keep one.",
            _extract_overwritten,
        ),
        Mistake(
            "A first layer that works in place writes over the reader's picture. Copy "
            "before such a layer, not behind it.",
            _extract_changes_input,
        ),
        Mistake(
            "The values are right and no gradient reaches the picture, which is all "
            "that is to be learned. Drop `no_grad` and `detach`.",
            _extract_without_gradient,
        ),
        Mistake(
            "Each layer takes what the one before it returned, not the picture.",
            _extract_from_images,
        ),
        Mistake(
            "A negative number counts from the end in a list. Here it is a mistake: "
            "raise a `ValueError`.",
            _extract_negative,
        ),
        Mistake(
            "A negative number counts from the end of all layers. Here it is a "
            "mistake: raise a `ValueError`.",
            _extract_from_the_end,
        ),
        Mistake(
            "A number that no layer has is passed over in silence. Raise an error.",
            _extract_only_those_there,
        ),
    ),
    hints=(
        "A loop over the layers, in which the output of one is the input of the next. "
        "When may it stop?",
        "`layers[: max(numbers) + 1]` is all that has to run. Keep every output in a "
        "list, and pick from it at the end.",
        "A layer with `inplace=True` overwrites its input, which you may have kept: "
        "give it `images.clone()`.",
    ),
)


EXERCISES = (_GRAM_MATRIX, _TOTAL_VARIATION_LOSS, _EXTRACT_FEATURES)

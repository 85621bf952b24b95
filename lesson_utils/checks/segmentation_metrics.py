"""The checks of the chapter `book/losses/segmentation_metrics.ipynb`."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import segmentation_metrics
from lesson_utils.grading.draws import seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _maps(num_classes: int, *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Predictions and ground truth that agree on about half of the pixels."""
    dice = seeded(seed)
    targets = torch.randint(num_classes, shape, generator=dice)
    other = torch.randint(num_classes, shape, generator=dice)
    wrong = torch.rand(shape, generator=dice) < 0.5
    return torch.where(wrong, other, targets), targets


# confusion_matrix -------------------------------------------------------------------


def _counted(predictions, targets, num_classes, *, ignore_index=None):
    """Pixel by pixel."""
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    pairs = zip(targets.flatten().tolist(), predictions.flatten().tolist(), strict=True)
    for truth, predicted in pairs:
        if truth != ignore_index:
            matrix[truth, predicted] += 1
    return matrix


def _confusion_cases() -> Iterator[Case]:
    targets = torch.tensor([[0, 0, 0], [1, 1, 2]])
    predictions = torch.tensor([[0, 0, 1], [1, 0, 0]])
    by_hand = torch.tensor([[2, 1, 0], [1, 1, 0], [1, 0, 0]])
    yield Case("six pixels", (predictions, targets, 3), expected=by_hand)
    wider = torch.zeros(5, 5, dtype=torch.int64)
    wider[:3, :3] = by_hand
    yield Case("classes 3 and 4 are absent", (predictions, targets, 5), expected=wider)
    batch = _maps(4, 2, 5, 7)
    yield Case.from_reference("a batch of two pictures", _counted, *batch, 4)
    void = batch[1].masked_fill(_maps(4, 2, 5, 7, seed=1)[1] == 3, 255)
    yield Case.from_reference(
        "ignore_index=255", _counted, batch[0], void, 4, ignore_index=255
    )
    yield Case.from_reference(
        "ignore_index=2, one of the classes", _counted, *batch, 4, ignore_index=2
    )
    many = tuple(classes.to(torch.uint8) for classes in _maps(21, 6, 9, seed=2))
    yield Case.from_reference("bytes, 21 classes", _counted, *many, 21, hardening=True)
    empty = torch.zeros(0, 4, 4, dtype=torch.int64)
    yield Case(
        "no picture",
        (empty, empty, 2),
        expected=torch.zeros(2, 2, dtype=torch.int64),
        hardening=True,
    )
    odd = torch.where(targets == 2, 9, predictions)
    yield Case.from_reference(
        "a prediction of 9 on an ignored pixel",
        _counted,
        odd,
        targets,
        3,
        ignore_index=2,
        hardening=True,
    )
    yield Case("a target of 3, of 3 classes", (predictions, targets + 1, 3),
               raises=ValueError)  # fmt: skip
    yield Case("a prediction of -1", (predictions - 1, targets, 3), raises=ValueError)
    yield Case("other shapes", (predictions.T, targets, 3), raises=ValueError)
    yield Case("logits", (predictions.double(), targets, 3), raises=ValueError)


def _refuse_maps(predictions, targets, num_classes, ignore_index=None) -> None:
    if predictions.shape != targets.shape or predictions.is_floating_point():
        raise ValueError("shapes differ, or no whole numbers")
    kept = targets != ignore_index if ignore_index is not None else targets == targets
    for classes in (predictions[kept], targets[kept]):
        if classes.numel() and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError("a class is out of range")


def _wrong_count(predictions, targets, num_classes, *, ignore_index=None, way="turned"):
    """The right answer with one thing wrong."""
    heeded = None if way.startswith("ignores nothing") else ignore_index
    if way != "ignores nothing, refuses nothing":
        _refuse_maps(predictions, targets, num_classes, heeded)
    if heeded is not None:
        source = predictions if way == "by predictions" else targets
        kept = source != heeded
        predictions, targets = predictions[kept], targets[kept]
    if way != "bytes":
        predictions, targets = predictions.long(), targets.long()
    predictions, targets = predictions.flatten(), targets.flatten()
    if way == "each once":
        matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        matrix[targets, predictions] += 1
        return matrix
    rows, columns = (
        (predictions, targets) if way == "turned" else (targets, predictions)
    )
    size = 0 if way == "too short" else num_classes**2
    counts = torch.bincount(num_classes * rows + columns, minlength=size)
    matrix = counts.view(num_classes, num_classes)
    if way == "shares":
        return matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    return matrix


_CONFUSION_MATRIX = Exercise(
    name="confusion_matrix",
    solution=segmentation_metrics.confusion_matrix,
    cases=_confusion_cases,
    mistakes=(
        Mistake(
            "Rows and columns have changed places: a row is a class of the ground "
            "truth, a column one of the predictions.",
            _wrong_count,
        ),
        Mistake(
            "`matrix[targets, predictions] += 1` adds 1 once to each place, however "
            "many pixels fall there. `bincount` counts them all.",
            partial(_wrong_count, way="each once"),
        ),
        Mistake(
            "`ignore_index` is not heeded: leave out the pixels with this target "
            "before you count.",
            partial(_wrong_count, way="ignores nothing"),
        ),
        Mistake(
            "`ignore_index` is not heeded: leave out the pixels with this target "
            "before you count.",
            partial(_wrong_count, way="ignores nothing, refuses nothing"),
        ),
        Mistake(
            "You leave out pixels by what was *predicted*. It is the ground truth that "
            "says which pixels do not count.",
            partial(_wrong_count, way="by predictions"),
        ),
        Mistake(
            "Without `minlength` the counts end with the largest pair that occurs: "
            "when the last classes are absent they do not make a square.",
            partial(_wrong_count, way="too short"),
        ),
        Mistake(
            "These are shares of each row. Counts are asked for: only they can be "
            "added up over batches.",
            partial(_wrong_count, way="shares"),
        ),
        Mistake(
            "A byte ends at 255, and K times a byte wraps around. Convert to int64 "
            "before you multiply.",
            partial(_wrong_count, way="bytes"),
        ),
    ),
    hints=(
        "Give each pixel one number that says both its classes, then count numbers.",
        "With K classes, K · target + prediction is a different number for each pair.",
        "`torch.bincount(K * targets + predictions, minlength=K * K).view(K, K)`, of "
        "flat int64 tensors from which the ignored pixels were taken out.",
    ),
)


# mean_iou ---------------------------------------------------------------------------


def _by_sets(confusion: Tensor, ignore_index: int | None = None) -> Tensor:
    """Class by class, of sets of pixels that are numbered."""
    num_classes, pixels = len(confusion), []
    for truth in range(num_classes):
        for predicted in range(num_classes):
            if truth != ignore_index:
                pixels += int(confusion[truth, predicted]) * [(truth, predicted)]
    scores = []
    for kind in range(num_classes):
        has = {n for n, pair in enumerate(pixels) if pair[0] == kind}
        says = {n for n, pair in enumerate(pixels) if pair[1] == kind}
        if kind != ignore_index and has | says:
            scores.append(len(has & says) / len(has | says))
    return torch.tensor(scores, dtype=torch.float64).mean()


def _three() -> Tensor:
    return torch.tensor([[6, 2, 0], [1, 3, 0], [2, 0, 1]])


def _matrix(num_classes: int, seed: int) -> Tensor:
    return torch.randint(9, (num_classes, num_classes), generator=seeded(seed))


def _with_absent() -> Tensor:
    """Class 1 is absent; class 3 is predicted only; class 4 never predicted."""
    confusion = _matrix(5, 3) + 1
    confusion[1], confusion[:, 1] = 0, 0
    confusion[3], confusion[:, 4] = 0, 0
    return confusion


_LOOSE = {"same_dtype": False, "rtol": 1e-5, "atol": 1e-6}


def _mean_iou_cases() -> Iterator[Case]:
    expected = torch.tensor((6 / 11 + 3 / 6 + 1 / 3) / 3, dtype=torch.float64)
    yield Case("three classes", (_three(),), expected=expected, **_LOOSE)
    absent = torch.tensor([[4, 0, 1], [0, 0, 0], [1, 0, 2]])
    expected = torch.tensor((4 / 6 + 2 / 4) / 2, dtype=torch.float64)
    yield Case("a class without a pixel", (absent,), expected=expected, **_LOOSE)
    yield Case.from_reference(
        "one class absent, one only predicted", _by_sets, _with_absent(), **_LOOSE
    )
    yield Case.from_reference(
        "ignore_index=0", _by_sets, _three(), ignore_index=0, **_LOOSE
    )
    yield Case.from_reference(
        "ignore_index=2 of six classes", _by_sets, _matrix(6, 1), ignore_index=2,
        **_LOOSE,
    )  # fmt: skip
    yield Case.from_reference(
        "ignore_index=255, which is no class", _by_sets, _three(), ignore_index=255,
        hardening=True, **_LOOSE,
    )  # fmt: skip
    nothing = torch.zeros(3, 3, dtype=torch.int64)
    nan = torch.tensor(torch.nan, dtype=torch.float64)
    yield Case("no pixel at all", (nothing,), expected=nan, hardening=True, **_LOOSE)
    yield Case("not square", (_three()[:2],), raises=ValueError)
    yield Case("a negative count", (_three() - 1,), raises=ValueError)


def _refuse_matrix(confusion: Tensor) -> None:
    if confusion.dim() != 2 or len(confusion) != len(confusion.T):
        raise ValueError("confusion must be square")
    if confusion.numel() and confusion.min() < 0:
        raise ValueError("a count is negative")


def _wrong_mean(confusion, *, ignore_index=None, way="absent is 0"):
    """The right answer with one thing wrong."""
    _refuse_matrix(confusion)
    counts = confusion.double()
    inside = ignore_index is not None and 0 <= ignore_index < len(counts)
    inside &= way != "ignores nothing"
    left_out = torch.zeros(len(counts), dtype=torch.bool)
    if inside:
        left_out[ignore_index] = True
        if way != "row stays":
            counts[ignore_index] = 0
        if way == "column goes":
            counts[:, ignore_index] = 0
    right, truth, predicted = counts.diag(), counts.sum(1), counts.sum(0)
    if way == "recall":
        scores = right / truth
    elif way == "no overlap taken off":
        scores = right / (truth + predicted)
    elif way == "dice":
        scores = 2 * right / (truth + predicted)
    else:
        scores = right / (truth + predicted - right)
    if way == "ignored is 0":
        return scores.nanmean()
    scores = scores[~left_out]
    if way == "absent is 0":
        return scores.nan_to_num(0).mean()
    if way == "absent is 1":
        return scores.nan_to_num(1).mean()
    if way == "absent is NaN":
        return scores.mean()
    if way == "of the truth's classes":
        return scores[truth[~left_out] > 0].mean()
    if way == "summed first":
        union = (truth + predicted - right)[~left_out]
        return right[~left_out].sum() / union.sum()
    return scores.nanmean()


_MEAN_IOU = Exercise(
    name="mean_iou",
    solution=segmentation_metrics.mean_iou,
    cases=_mean_iou_cases,
    mistakes=(
        Mistake(
            "A class without a pixel, neither in the ground truth nor in the "
            "predictions, counts as 0 here. Nobody was wrong about it: leave it out of "
            "the mean.",
            _wrong_mean,
        ),
        Mistake(
            "A class without a pixel counts as 1 here, and pulls every score up. Leave "
            "it out of the mean.",
            partial(_wrong_mean, way="absent is 1"),
        ),
        Mistake(
            "A class without a pixel is 0 / 0, which is NaN, and makes the mean NaN. "
            "Leave it out of the mean.",
            partial(_wrong_mean, way="absent is NaN"),
        ),
        Mistake(
            "You average over the classes of the ground truth alone. A class that was "
            "predicted where it never is has an IoU of 0, and counts.",
            partial(_wrong_mean, way="of the truth's classes"),
        ),
        Mistake(
            "This is the share of right pixels in each row, the mean pixel accuracy. "
            "IoU divides by the union: row plus column minus what is in both.",
            partial(_wrong_mean, way="recall"),
        ),
        Mistake(
            "Row plus column counts the right pixels twice. The union is row plus "
            "column minus the right ones.",
            partial(_wrong_mean, way="no overlap taken off"),
        ),
        Mistake(
            "This is the mean of Dice coefficients, 2 · right / (row + column). IoU is "
            "right / (row + column − right).",
            partial(_wrong_mean, way="dice"),
        ),
        Mistake(
            "You add up all intersections and all unions, and divide once: large "
            "classes drown small ones. Divide for each class, then average.",
            partial(_wrong_mean, way="summed first"),
        ),
        Mistake(
            "`ignore_index` is not heeded: neither the pixels of this class nor its "
            "IoU should count.",
            partial(_wrong_mean, way="ignores nothing"),
        ),
        Mistake(
            "The ignored class is left out of the mean, but its pixels still count "
            "against the classes that were predicted there. Take its row out first.",
            partial(_wrong_mean, way="row stays"),
        ),
        Mistake(
            "You take the column of the ignored class out, too, and with it pixels of "
            "other classes that were predicted wrongly. Only the row goes.",
            partial(_wrong_mean, way="column goes"),
        ),
        Mistake(
            "The ignored class has lost its row, but still has a place in the mean, "
            "with 0 right pixels.",
            partial(_wrong_mean, way="ignored is 0"),
        ),
    ),
    hints=(
        "Three vectors are enough: the diagonal, the sums of rows, those of columns.",
        "The union of class i is row i + column i − diagonal i. Where it is 0, the "
        "class is absent.",
        "Set the ignored row to 0 in a copy; divide; set the ignored class to NaN; and "
        "`nanmean` leaves out what is 0 / 0.",
    ),
)


# frequency_weighted_iou -------------------------------------------------------------


def _weighted_by_sets(confusion: Tensor) -> Tensor:
    """One class at a time, in Python's numbers."""
    rows = confusion.tolist()
    total, score = sum(map(sum, rows)), 0.0
    for kind, row in enumerate(rows):
        union = sum(row) + sum(each[kind] for each in rows) - row[kind]
        score += sum(row) / total * row[kind] / union if union else 0.0
    return torch.tensor(score, dtype=torch.float64)


def _weighted_cases() -> Iterator[Case]:
    expected = torch.tensor(
        (8 * 6 / 11 + 4 * 3 / 6 + 3 * 1 / 3) / 15, dtype=torch.float64
    )
    yield Case("three classes", (_three(),), expected=expected, **_LOOSE)
    for number, seed in ((2, 5), (7, 6)):
        yield Case.from_reference(
            f"{number} classes", _weighted_by_sets, _matrix(number, seed) + 1, **_LOOSE
        )
    yield Case.from_reference(
        "one class absent, one only predicted",
        _weighted_by_sets,
        _with_absent(),
        **_LOOSE,
    )
    nothing = torch.zeros(3, 3, dtype=torch.int64)
    nan = torch.tensor(torch.nan, dtype=torch.float64)
    yield Case("no pixel at all", (nothing,), expected=nan, hardening=True, **_LOOSE)
    yield Case("not square", (_three()[:2],), raises=ValueError)
    yield Case("a negative count", (_three() - 1,), raises=ValueError)


def _wrong_weights(confusion, *, way="unweighted"):
    """The right answer with one thing wrong."""
    _refuse_matrix(confusion)
    counts = confusion.double()
    right, truth, predicted = counts.diag(), counts.sum(1), counts.sum(0)
    union = truth + predicted
    union = union if way == "no overlap taken off" else union - right
    iou = right / (union if way == "absent is NaN" else union.clamp(min=1))
    if way == "unweighted":
        return iou[union > 0].mean()
    if way == "recall":
        return right.sum() / truth.sum()
    if way == "by predictions":
        return (predicted * iou).sum() / predicted.sum()
    if way == "by unions":
        return (union * iou).sum() / union.sum()
    if way == "counts":
        return (truth * iou).sum() * (1 if truth.sum() else torch.nan)
    if way == "mean again":
        return (truth / truth.sum() * iou).mean()
    return (truth * iou).sum() / truth.sum()


_FREQUENCY_WEIGHTED_IOU = Exercise(
    name="frequency_weighted_iou",
    solution=segmentation_metrics.frequency_weighted_iou,
    cases=_weighted_cases,
    mistakes=(
        Mistake(
            "All classes weigh alike here: that is the mean IoU. Weigh each by its "
            "share of the ground truth's pixels.",
            _wrong_weights,
        ),
        Mistake(
            "You weigh by what was predicted, the sums of columns. How common a class "
            "is says the ground truth: the sums of rows.",
            partial(_wrong_weights, way="by predictions"),
        ),
        Mistake(
            "You weigh by the unions, so that they cancel and all classes flow "
            "together. Weigh by the sums of rows.",
            partial(_wrong_weights, way="by unions"),
        ),
        Mistake(
            "Divided by the row and weighted by the row, this is the pixel accuracy. "
            "Divide by the union: row + column − right.",
            partial(_wrong_weights, way="recall"),
        ),
        Mistake(
            "Row plus column counts the right pixels twice. The union is row plus "
            "column minus the right ones.",
            partial(_wrong_weights, way="no overlap taken off"),
        ),
        Mistake(
            "The weights are counts. Divide by all pixels, so that they add up to 1.",
            partial(_wrong_weights, way="counts"),
        ),
        Mistake(
            "The weights add up to 1 already: add the weighted values up, and do not "
            "average them again.",
            partial(_wrong_weights, way="mean again"),
        ),
        Mistake(
            "A class without a pixel is 0 / 0, and NaN times a weight of 0 is still "
            "NaN. Give it any finite value: its weight is 0.",
            partial(_wrong_weights, way="absent is NaN"),
        ),
    ),
    hints=(
        "Which sums of the matrix say how common a class is?",
        "Σ row i / all pixels · IoU i.",
        "Divide by `union.clamp(min=1)`, so that no 0 / 0 arises where the weight is 0 "
        "anyway.",
    ),
)


EXERCISES = (_CONFUSION_MATRIX, _MEAN_IOU, _FREQUENCY_WEIGHTED_IOU)

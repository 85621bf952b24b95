"""The exercises of the chapter `book/losses/margin_softmax.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import margin_softmax
from lesson_utils.grading.draws import uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

TARGETS = torch.tensor([2, 0, 1, 3, 2, 1])


def _cosines(dtype: torch.dtype = torch.float64) -> Tensor:
    return 1.8 * uniform(6, 4, dtype=dtype) - 0.9


def _bad_calls() -> Iterator[Case]:
    """What both functions of logits refuse."""
    cosine = _cosines()
    yield Case("a target beyond the classes", (cosine, TARGETS + 2), raises=ValueError)
    yield Case("a target below 0", (cosine, TARGETS - 1), raises=ValueError)
    yield Case("targets of another number", (cosine, TARGETS[:4]), raises=ValueError)
    yield Case("cosines of 3", (cosine + 3, TARGETS), raises=ValueError)
    yield Case(
        "a margin below 0", (cosine, TARGETS), {"margin": -0.1}, raises=ValueError
    )
    yield Case("a scale of 0", (cosine, TARGETS), {"scale": 0}, raises=ValueError)


def _refuse(cosine: Tensor, targets: Tensor, margin: float, scale: float) -> None:
    if cosine.abs().gt(1.001).any() or margin < 0 or scale <= 0:
        raise ValueError("cosine")
    if targets.shape != cosine.shape[:1] or (len(targets) and (
        targets.min() < 0 or targets.max() >= cosine.shape[1]
    )):  # fmt: skip
        raise ValueError("targets")


def _changed(
    of_own: Callable[[Tensor, float], Tensor],
    cosine: Tensor,
    targets: Tensor,
    margin: float,
    scale: float,
) -> Tensor:
    """Logits with a changed cosine for the own class, by a mask."""
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return scale * torch.where(own, of_own(cosine, margin), cosine)


# cosface_logits ---------------------------------------------------------------------


def _cosface_by_loop(cosine, targets, *, margin=0.35, scale=64.0):
    rows = []
    for row, target in zip(cosine, targets.tolist(), strict=True):
        values = [scale * (c - margin * (k == target)) for k, c in enumerate(row)]
        rows.append(torch.stack(values))
    return torch.stack(rows)


def _cosface_cases() -> Iterator[Case]:
    # In float32: a margin times a mask of whole numbers is no more than that.
    cosines, cosine = _cosines(torch.float32), torch.tensor([[0.8, 0.1, -0.5]])
    yield Case(
        "three classes, a margin of 0.3, a scale of 10",
        (cosine, torch.tensor([0])),
        {"margin": 0.3, "scale": 10},
        expected=torch.tensor([[5.0, 1.0, -5.0]]),
    )
    yield Case.from_reference(
        "the defaults", _cosface_by_loop, cosines, TARGETS, gradient=True
    )
    yield Case.from_reference(
        "a margin of 0.1, a scale of 30",
        _cosface_by_loop,
        cosines,
        TARGETS,
        margin=0.1,
        scale=30.0,
    )
    yield Case.from_reference(
        "a margin of 0", _cosface_by_loop, cosines, TARGETS, margin=0.0,
        hardening=True,
    )  # fmt: skip
    yield Case(
        "an empty batch",
        (cosines[:0], TARGETS[:0]),
        expected=torch.zeros(0, 4),
        hardening=True,
    )
    yield from _bad_calls()


def _cosface_answer(of_own, cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    return _changed(of_own, cosine, targets, margin, scale)


def _after_scale(cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return scale * cosine - margin * own


def _from_all(cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    return scale * (cosine - margin)


def _from_others(cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return scale * (cosine - margin * ~own)


def _own_scaled(cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return torch.where(own, scale * (cosine - margin), cosine)


def _unscaled(cosine, targets, *, margin=0.35, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return cosine - margin * own


_COSFACE_LOGITS = Exercise(
    name="cosface_logits",
    solution=margin_softmax.cosface_logits,
    cases=_cosface_cases,
    mistakes=(
        Mistake(
            "Subtract the margin from the cosine first, then multiply by the scale: "
            "scale · (cos − m).",
            _after_scale,
        ),
        Mistake(
            "You add the margin, and make the own class easier. It is to be harder.",
            partial(_cosface_answer, lambda c, m: c + m),
        ),
        Mistake(
            "You subtract the margin from all classes, which softmax does not notice.",
            _from_all,
        ),
        Mistake(
            "The margin goes off the *own* class's cosine, not off the others.",
            _from_others,
        ),
        Mistake("The scale is missing.", _unscaled),
        Mistake(
            "The margin is missing: subtract it from the own class's cosine.",
            partial(_cosface_answer, lambda c, m: c),
        ),
        Mistake(
            "The margin is subtracted, cos − m. Yours multiplies, cos · (1 − m).",
            partial(_cosface_answer, lambda c, m: c * (1 - m)),
        ),
        Mistake("The scale is for all classes, not for the own alone.", _own_scaled),
        Mistake(
            "You add the margin to the angle: that is ArcFace. Here it is subtracted "
            "from the cosine.",
            partial(_cosface_answer, lambda c, m: (c.clamp(-1, 1).acos() + m).cos()),
        ),
    ),
    hints=(
        "Only one number of each row changes: the one in the target's column.",
        "`torch.nn.functional.one_hot(targets, K)` is 1 there and 0 elsewhere.",
        "`scale * (cosine - margin * one_hot)`.",
    ),
)


# arcface_logits ---------------------------------------------------------------------


def _arcface_by_loop(cosine, targets, *, margin=0.5, scale=64.0):
    rows = []
    for row, target in zip(cosine, targets.tolist(), strict=True):
        values = []
        for k, value in enumerate(row):
            if k == target:
                angle = torch.acos(value)
                if angle + margin < math.pi:
                    value = torch.cos(angle + margin)
                else:
                    value = value - margin * math.sin(margin)
            values.append(scale * value)
        rows.append(torch.stack(values))
    return torch.stack(rows)


def _finite_slopes(answer, cosine, targets, **options):
    """Whether values and gradients are numbers."""
    cosine = cosine.clone().requires_grad_()
    result = answer(cosine, targets, **options)
    (slope,) = torch.autograd.grad(result.sum(), cosine)
    return result.isfinite().all() & slope.isfinite().all()


def _arcface_cases() -> Iterator[Case]:
    sixty = torch.tensor([[0.5, 0.1, -0.5]]).double()
    moved = math.cos(math.radians(60) + 0.5)
    yield Case(
        "an angle of 60 degrees, a margin of 0.5, a scale of 10",
        (sixty, torch.tensor([0])),
        {"scale": 10},
        expected=torch.tensor([[10 * moved, 1.0, -5.0]]).double(),
    )
    inside = _cosines()
    rows = torch.arange(6)
    inside[rows, TARGETS] = inside[rows, TARGETS].clamp(min=-0.6)
    yield Case.from_reference(
        "the defaults", _arcface_by_loop, inside, TARGETS, gradient=True
    )
    yield Case.from_reference(
        "a margin of 0.2, a scale of 30",
        _arcface_by_loop,
        inside,
        TARGETS,
        margin=0.2,
        scale=30.0,
    )
    yield Case.from_reference(
        "a margin of 0",
        _arcface_by_loop,
        inside,
        TARGETS,
        margin=0.0,
        hardening=True,
    )
    far = _cosines()
    far[rows, TARGETS] = -0.95 + 0.01 * rows.double()
    yield Case.from_reference(
        "angle and margin beyond 180 degrees",
        _arcface_by_loop,
        far,
        TARGETS,
        hardening=True,
    )
    edge = torch.tensor([[1.0, 0.2], [-1.0, 0.2], [0.3, 1.0], [0.3, -1.0]]).double()
    own = torch.tensor([0, 0, 1, 1])
    yield Case(
        "gradients at cosines of 1 and -1",
        (edge, own),
        expected=torch.tensor(True),
        call=_finite_slopes,
        hardening=True,
    )
    yield Case(
        "an empty batch",
        (inside[:0], TARGETS[:0]),
        expected=torch.zeros(0, 4).double(),
        hardening=True,
    )
    yield from _bad_calls()
    yield Case("a margin of 4", (inside, TARGETS), {"margin": 4}, raises=ValueError)


def _sine(cosine: Tensor) -> Tensor:
    squares = (1 - cosine.square()).clamp(min=0)
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _added(cosine, margin):
    moved = cosine * math.cos(margin) - _sine(cosine) * math.sin(margin)
    beyond = cosine - margin * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), moved, beyond)


def _rising(cosine, margin):
    return cosine * math.cos(margin) - _sine(cosine) * math.sin(margin)


def _subtracted(cosine, margin):
    moved = cosine * math.cos(margin) + _sine(cosine) * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), moved, cosine)


def _arcface_answer(of_own, cosine, targets, *, margin=0.5, scale=64.0):
    _refuse(cosine, targets, margin, scale)
    if margin >= math.pi:
        raise ValueError("margin")
    return _changed(of_own, cosine, targets, margin, scale)


def _added_everywhere(cosine, targets, *, margin=0.5, scale=64.0):
    _arcface_answer(_added, cosine, targets, margin=margin, scale=scale)
    return scale * _added(cosine, margin)


def _added_to_others(cosine, targets, *, margin=0.5, scale=64.0):
    _arcface_answer(_added, cosine, targets, margin=margin, scale=scale)
    own = torch.arange(cosine.shape[1]) == targets[:, None]
    return scale * torch.where(own, cosine, _added(cosine, margin))


def _not_scaled(cosine, targets, *, margin=0.5, scale=64.0):
    return _arcface_answer(_added, cosine, targets, margin=margin, scale=scale) / scale


def _easy(cosine, margin):
    return torch.where(cosine > 0, _rising(cosine, margin), cosine)


def _easy_by_arccos(cosine, margin):
    return torch.where(cosine > 0, (cosine.acos() + margin).cos(), cosine)


def _multiplied(cosine, margin):
    return (margin * cosine.acos()).cos()


def _multiplied_clamped(cosine, margin):
    return (margin * cosine.clamp(-1 + 1e-7, 1 - 1e-7).acos()).cos()


def _fall_by_margin(cosine, margin):
    moved = _rising(cosine, margin)
    return torch.where(cosine > -math.cos(margin), moved, cosine - margin)


def _by_arccos(cosine, margin):
    moved = (cosine.acos() + margin).cos()
    beyond = cosine - margin * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), moved, beyond)


_ARCFACE_LOGITS = Exercise(
    name="arcface_logits",
    solution=margin_softmax.arcface_logits,
    cases=_arcface_cases,
    mistakes=(
        Mistake(
            "The margin is in radians: 0.5 is 28.6 degrees.",
            partial(_arcface_answer, lambda c, m: _added(c, math.radians(m))),
        ),
        Mistake(
            "You subtract the margin from the angle, and make the own class easier. "
            "The angle grows: cos(θ + m).",
            partial(_arcface_answer, _subtracted),
        ),
        Mistake("The margin belongs to the target's column alone.", _added_everywhere),
        Mistake(
            "The margin is added to the angle of the *own* class, not of the others.",
            _added_to_others,
        ),
        Mistake(
            "You subtract the margin from the cosine: that is CosFace. Here it is "
            "added to the angle.",
            partial(_arcface_answer, lambda c, m: c - m),
        ),
        Mistake("The scale is missing.", _not_scaled),
        *(
            Mistake(
                "This is the easy margin: beyond 90 degrees it asks for nothing. Here "
                "the margin holds as long as θ + m stays below 180 degrees.",
                partial(_arcface_answer, easy),
            )
            for easy in (_easy, _easy_by_arccos)
        ),
        *(
            Mistake(
                "You multiply the angle by the margin: that is SphereFace's. Here the "
                "margin is added to the angle.",
                partial(_arcface_answer, times),
            )
            for times in (_multiplied, _multiplied_clamped)
        ),
        Mistake(
            "Beyond 180 degrees cos θ − m sin m is due, and not cos θ − m.",
            partial(_arcface_answer, _fall_by_margin),
        ),
        Mistake(
            "Beyond 180 degrees cos(θ + m) rises again, and the worst features would "
            "be pushed the wrong way. There cos θ − m sin m is due.",
            partial(_arcface_answer, _rising),
        ),
        Mistake(
            "At a cosine of 1 or −1 the slope of arccos is infinite, and "
            "`torch.where` hands NaN on. Use cos(θ + m) = cos θ cos m − sin θ sin m, "
            "with a root that is safe at 0.",
            partial(_arcface_answer, _by_arccos),
        ),
    ),
    hints=(
        "Only the target's column changes: from cos θ to cos(θ + m).",
        "cos(θ + m) = cos θ cos m − sin θ sin m, and sin θ is the root of 1 − cos² θ.",
        "Where `cosine <= -math.cos(margin)`, the angle and the margin pass 180 "
        "degrees: take `cosine - margin * math.sin(margin)` there.",
    ),
)


# boundary_angle ---------------------------------------------------------------------


def _by_bisection(angle: float, *, loss: str, margin: float = 0.0) -> float:
    own = {
        "softmax": lambda t: math.cos(t),
        "cosface": lambda t: math.cos(t) - margin,
        "arcface": lambda t: math.cos(min(t + margin, math.pi)),
        "sphereface": lambda t: math.cos(min(margin * t, math.pi)),
    }[loss]
    low, high = 0.0, angle
    for _ in range(80):
        middle = (low + high) / 2
        if own(middle) > math.cos(angle - middle):
            low = middle
        else:
            high = middle
    return low


def _boundary_cases() -> Iterator[Case]:
    third = math.pi / 3
    for loss, margin, value in (
        ("softmax", 0.0, math.pi / 6),
        ("arcface", 0.2, math.pi / 6 - 0.1),
        ("sphereface", 2, math.pi / 9),
        ("cosface", 0.1, math.pi / 6 - math.asin(0.1)),
    ):
        yield Case(
            f"60 degrees between the weights, {loss}, margin {margin}",
            (third,),
            {"loss": loss, "margin": margin},
            expected=value,
        )
    for angle in (0.5, 1.3, 2.8):
        for loss, margin in (
            ("cosface", 0.08),
            ("arcface", 0.3),
            ("sphereface", 3),
            ("sphereface", 4),
        ):
            yield Case.from_reference(
                f"{angle} between the weights, {loss}, margin {margin}",
                _by_bisection,
                angle,
                loss=loss,
                margin=margin,
            )
    yield Case.from_reference(
        "opposite weights", _by_bisection, math.pi, loss="cosface", margin=0.5,
        hardening=True,
    )  # fmt: skip
    for loss in ("cosface", "arcface"):
        yield Case.from_reference(
            f"{loss} without a margin",
            _by_bisection,
            third,
            loss=loss,
            margin=0.0,
            hardening=True,
        )
    yield Case("an angle of 0", (0.0,), {"loss": "softmax"}, raises=ValueError)
    yield Case("an angle of 4", (4.0,), {"loss": "softmax"}, raises=ValueError)
    yield Case("another loss", (third,), {"loss": "hinge"}, raises=ValueError)
    for loss, margin in (("cosface", 0.6), ("arcface", 1.1), ("sphereface", 0)):
        yield Case(
            f"{loss}, a margin of {margin}",
            (third,),
            {"loss": loss, "margin": margin},
            raises=ValueError,
        )


def _boundary(
    angle: float, *, loss: str, margin: float = 0.0, **changed: Callable[..., float]
) -> float:
    """The right answer but for some losses."""
    right = margin_softmax.boundary_angle(angle, loss=loss, margin=margin)
    return changed[loss](angle, margin, right) if loss in changed else right


def _always_half(angle, *, loss, margin=0.0):
    margin_softmax.boundary_angle(angle, loss=loss, margin=margin)
    return angle / 2


def _in_degrees(angle, *, loss, margin=0.0):
    return math.degrees(margin_softmax.boundary_angle(angle, loss=loss, margin=margin))


def _other_side(angle, *, loss, margin=0.0):
    return angle - margin_softmax.boundary_angle(angle, loss=loss, margin=margin)


_BOUNDARY_ANGLE = Exercise(
    name="boundary_angle",
    solution=margin_softmax.boundary_angle,
    cases=_boundary_cases,
    mistakes=(
        Mistake(
            "Half the angle is the boundary without a margin. With one, the own logit "
            "is smaller, and the boundary lies closer to the own weights.",
            _always_half,
        ),
        Mistake(
            "This is the angle to the *other* class's weights: return θ₁, to the own.",
            _other_side,
        ),
        Mistake(
            "ArcFace: θ₁ + m = ω − θ₁, so the boundary moves by *half* the margin.",
            partial(_boundary, arcface=lambda angle, m, right: angle / 2 - m),
        ),
        Mistake(
            "ArcFace: the margin moves the boundary *towards* the own weights: "
            "(ω − m) / 2.",
            partial(_boundary, arcface=lambda angle, m, right: (angle + m) / 2),
        ),
        Mistake(
            "SphereFace: m θ₁ = ω − θ₁, so θ₁ = ω / (m + 1), and not ω / m.",
            partial(_boundary, sphereface=lambda angle, m, right: angle / m),
        ),
        Mistake(
            "CosFace: where the own cosine grows the other one falls: solve cos θ₁ − m "
            "= cos(ω − θ₁) for both.",
            partial(
                _boundary,
                cosface=lambda angle, m, right: math.acos(
                    min(1.0, math.cos(angle / 2) + m)
                ),
            ),
        ),
        Mistake("The angle is due in radians.", _in_degrees),
        Mistake(
            "CosFace's margin is a difference of cosines, not an angle: cos θ₁ − m = "
            "cos(ω − θ₁).",
            partial(_boundary, cosface=lambda angle, m, right: (angle - m) / 2),
        ),
        Mistake(
            "SphereFace: m θ₁ = ω − θ₁, so θ₁ = ω / (m + 1).",
            partial(_boundary, sphereface=lambda angle, m, right: angle / (2 * m)),
        ),
        Mistake(
            "CosFace: cos θ₁ − cos(ω − θ₁) = 2 sin(ω/2) sin(ω/2 − θ₁). The factor "
            "2 sin(ω/2) is missing.",
            partial(
                _boundary,
                cosface=lambda angle, m, right: angle / 2 - math.asin(min(m, 1)),
            ),
        ),
    ),
    hints=(
        "A feature between the two weights has the angles θ₁ and θ₂ = ω − θ₁. Set the "
        "own logit, margin included, equal to the other's.",
        "Of angles whose cosines are equal, both between 0 and π, you may take the "
        "cosines away: only CosFace needs more.",
        "cos a − cos b = −2 sin((a + b)/2) sin((a − b)/2).",
    ),
)


EXERCISES = (_COSFACE_LOGITS, _ARCFACE_LOGITS, _BOUNDARY_ANGLE)

"""The exercises of the chapter `book/foundations/normalization.ipynb`."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import normalization
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _vectors(channels: int, *, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scale, shift, running mean and running variance, none of them 0 or 1."""
    weight, bias, mean, var = normal(4, channels, seed=seed)
    return weight, bias, mean, var.abs() + 0.3


# instance_norm ----------------------------------------------------------------------


def _instance_norm_reference(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    return F.instance_norm(x, weight=weight, bias=bias, eps=eps)


def _instance_norm_cases() -> Iterator[Case]:
    by_hand = torch.tensor([1.0, 3, 5, 9]).reshape(2, 1, 1, 2)
    signs = torch.tensor([-1.0, 1, -1, 1]).reshape(2, 1, 1, 2)
    yield Case("two pictures of two pixels", (by_hand,), expected=signs, atol=1e-4)
    reference, x = _instance_norm_reference, 3 * normal(3, 4, 5, 4) + 2
    weight, bias, *_ = _vectors(4)
    yield Case.from_reference("random numbers", reference, x)
    yield Case.from_reference("a scale and a shift", reference, x, weight, bias)
    yield Case.from_reference(
        "their gradients", reference, x, weight, bias, gradient=True
    )
    yield Case.from_reference("a shift alone", reference, x, None, bias)
    yield Case.from_reference("eps=0.5", reference, x, eps=0.5)
    square = normal(4, 4, 4, 4, seed=2)
    yield Case.from_reference(
        "as many channels as columns", reference, square, weight, bias
    )
    flat = torch.full((1, 2, 3, 3), 7.0)
    yield Case(
        "a flat picture",
        (flat,),
        expected=torch.zeros(1, 2, 3, 3),
        hardening=True,
        atol=1e-3,  # 7 less a mean of 7 is 0 but for rounding, which √1e-5 divides
    )
    high = 1e4 + normal(2, 3, 8, 8, dtype=torch.float32)
    exact = F.instance_norm(high.double()).float()
    yield Case(
        "a mean of 10,000 in float32",
        (high,),
        expected=exact,
        atol=5e-3,
        hardening=True,
    )
    yield Case("pictures of one pixel", (normal(4, 3, 1, 1),), raises=ValueError)


def _refuse_one_pixel(x: Tensor) -> None:
    if x.shape[2] * x.shape[3] < 2:
        raise ValueError("one pixel has no variance")


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight[:, None, None]
    return y if bias is None else y + bias[:, None, None]


def _over(
    x: Tensor, dims: tuple[int, ...], eps: float = 1e-5, *, correction: int = 0
) -> Tensor:
    var, mean = torch.var_mean(x, dims, correction=correction, keepdim=True)
    return (x - mean) / (var + eps).sqrt()


def _in_over_batch(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    return _affine(_over(x, (0, 2, 3), eps), weight, bias)


def _in_over_channels(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    return _affine(_over(x, (1, 2, 3), eps), weight, bias)


def _in_unbiased(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    return _affine(_over(x, (2, 3), eps, correction=1), weight, bias)


def _in_without_affine(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    return _over(x, (2, 3), eps)


def _in_only_in_pairs(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    y = _over(x, (2, 3), eps)
    return y if weight is None else _affine(y, weight, bias)


def _in_affine_of_columns(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    y = _over(x, (2, 3), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _in_eps_outside(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return _affine((x - mean) / (var.sqrt() + eps), weight, bias)


def _in_without_root(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return _affine((x - mean) / (var + eps), weight, bias)


def _in_fixed_eps(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    return _affine(_over(x, (2, 3)), weight, bias)


def _in_by_squares(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    mean = x.mean((2, 3), keepdim=True)
    var = x.square().mean((2, 3), keepdim=True) - mean.square()
    return _affine((x - mean) / (var.clamp(min=0) + eps).sqrt(), weight, bias)


def _in_constant_statistics(x, weight=None, bias=None, *, eps=1e-5):
    _refuse_one_pixel(x)
    var, mean = torch.var_mean(x.detach(), (2, 3), correction=0, keepdim=True)
    return _affine((x - mean) / (var + eps).sqrt(), weight, bias)


def _in_no_refusal(x, weight=None, bias=None, *, eps=1e-5):
    return _affine(_over(x, (2, 3), eps), weight, bias)


_INSTANCE_NORM = Exercise(
    name="instance_norm",
    solution=normalization.instance_norm,
    cases=_instance_norm_cases,
    mistakes=(
        Mistake(
            "The mean runs over the pictures too: that is batch normalization. Leave "
            "dimension 0 out.",
            _in_over_batch,
        ),
        Mistake(
            "The mean runs over the channels too: that is layer normalization. Leave "
            "dimension 1 out.",
            _in_over_channels,
        ),
        Mistake(
            "You divide by the unbiased deviation, torch's default. Normalizing takes "
            "the biased one: `correction=0`.",
            _in_unbiased,
        ),
        Mistake("`weight` and `bias` are not used.", _in_without_affine),
        Mistake(
            "A shift may come without a scale: ask for each whether it is None.",
            _in_only_in_pairs,
        ),
        Mistake(
            "A vector (C,) lines up with the last dimension, the columns. Give it two "
            "more: `weight[:, None, None]`.",
            _in_affine_of_columns,
        ),
        Mistake(
            "`eps` is added to the variance, under the root, not to the deviation.",
            _in_eps_outside,
        ),
        Mistake(
            "You divide by the variance. The deviation is its square root.",
            _in_without_root,
        ),
        Mistake("`eps` is an argument, and yours does not change.", _in_fixed_eps),
        Mistake(
            "The mean of squares minus the squared mean loses its digits: at 10,000 "
            "both are 10⁸. Subtract the mean first, square after.",
            _in_by_squares,
        ),
        Mistake(
            "The values are right and the gradient is not: it must flow through the "
            "mean and the variance as well. Do not detach them.",
            _in_constant_statistics,
        ),
        Mistake(
            "One value less its own mean is 0, whatever the picture shows. Raise a "
            "`ValueError` for fewer than two pixels.",
            _in_no_refusal,
        ),
    ),
    hints=(
        "Which of the four dimensions share a mean, and which keep their own?",
        "`x.mean((2, 3), keepdim=True)` is (B, C, 1, 1) and broadcasts. The variance "
        "is the mean of the squared differences from it.",
        "Divide by `(var + eps).sqrt()`, then multiply by `weight[:, None, None]` and "
        "add `bias[:, None, None]`, each only if it is given.",
    ),
)


# batch_norm_train -------------------------------------------------------------------


def _train_reference(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Torch's own, which changes copies of the estimates in place."""
    mean, var = running_mean.detach().clone(), running_var.detach().clone()
    y = F.batch_norm(x, mean, var, weight, bias, True, momentum, eps)
    return y, mean, var


def _output_alone(answer, x, weight, bias, mean, var):
    # No gradient is asked of the estimates, which torch's own would refuse to give.
    return answer(x, weight, bias, mean.detach(), var.detach())[0]


def _batch_norm_train_cases() -> Iterator[Case]:
    by_hand = torch.tensor([1.0, 3, 5, 7], dtype=torch.float64).reshape(2, 1, 1, 2)
    one = torch.ones(1).double()
    yield Case(
        "1, 3, 5, 7 with eps=4 and momentum=0.5",
        (by_hand, 3 * one, 2 * one, 0 * one, one),
        {"momentum": 0.5, "eps": 4.0},
        expected=(  # mean 4; variance 5 biased, 20 / 3 unbiased; 3 (x − 4) / √9 + 2
            by_hand - 2,
            torch.tensor([2.0]).double(),
            torch.tensor([0.5 + 10 / 3]).double(),
        ),
    )
    x, vectors = 3 * normal(4, 3, 5, 2) + 2, _vectors(3)
    yield Case.from_reference("random numbers", _train_reference, x, *vectors)
    for momentum in (0.0, 1.0):
        yield Case.from_reference(
            f"momentum={momentum:.0f}",
            _train_reference,
            x,
            *vectors,
            momentum=momentum,
        )
    yield Case.from_reference("eps=0.5", _train_reference, x, *vectors, eps=0.5)
    yield Case.from_reference(
        "no scale and no shift", _train_reference, x, None, None, *vectors[2:]
    )
    gradients = Case.from_reference(
        "of torch", _train_output_reference, x, *vectors, gradient=True
    ).gradients
    yield Case(
        "the gradients of the output",
        (x, *vectors),
        expected=_train_reference(x, *vectors)[0],
        gradients=(*gradients[:3], None, None),
        call=_output_alone,
    )
    yield Case(
        "the estimates carry no gradient",
        (x, *vectors),
        expected=[False, False],
        call=_estimates_require_gradient,
    )
    high = 1e4 + normal(2, 3, 8, 8, dtype=torch.float32)
    floats = [vector.float() for vector in vectors]
    exact = _train_reference(high.double(), *vectors)
    yield Case(
        "a mean of 10,000 in float32",
        (high, *floats),
        expected=tuple(part.float() for part in exact),
        atol=1e-2,
        hardening=True,
    )
    single = normal(1, 3, 1, 1)
    yield Case("one value for each channel", (single, *vectors), raises=ValueError)


def _train_output_reference(*args: Tensor) -> Tensor:
    return _train_reference(*args)[0]


def _estimates_require_gradient(answer, x, *vectors):
    x = x.clone().requires_grad_()
    return [part.requires_grad for part in answer(x, *vectors)[1:]]


def _train_with(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
    **changes: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The right answer with its output, mean or variance changed."""
    if x.numel() == x.shape[1]:
        raise ValueError("one value for each channel")
    vectors = weight, bias, running_mean, running_var
    y, mean, var = _train_reference(x, *vectors, momentum=momentum, eps=eps)
    return changes.get("y", y), changes.get("mean", mean), changes.get("var", var)


def _train_over_all(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = _affine(_over(x, (0, 1, 2, 3), eps), weight, bias)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_each_image(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = _affine(_over(x, (2, 3), eps), weight, bias)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_each_pixel(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = _affine(_over(x, (0,), eps), weight, bias)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_unbiased(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = _affine(_over(x, (0, 2, 3), eps, correction=1), weight, bias)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_biased_estimate(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    biased = x.detach().var((0, 2, 3), correction=0)
    new = var + momentum * (biased - var)
    return _train_with(x, weight, bias, mean, var, momentum, eps, var=new)


def _train_by_estimates(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = F.batch_norm(x, mean, var, weight, bias, False, eps=eps)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_by_new_estimates(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    _, *new = _train_with(x, weight, bias, mean, var, momentum, eps)
    return F.batch_norm(x, *new, weight, bias, False, eps=eps), *new


def _train_keeps_the_old(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    return _train_with(x, weight, bias, mean, var, 1 - momentum, eps)


def _train_without_affine(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    return _train_with(x, None, None, mean, var, momentum, eps)


def _train_always_affine(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y, *new = _train_with(x, None, None, mean, var, momentum, eps)
    return y * weight[:, None, None] + bias[:, None, None], *new


def _train_no_memory(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    return _train_with(x, weight, bias, mean, var, 1.0, eps)


def _train_swapped(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y, new_mean, new_var = _train_with(x, weight, bias, mean, var, momentum, eps)
    return y, new_var, new_mean


def _train_constants(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    centre, spread = x.detach().mean((0, 2, 3)), x.detach().var((0, 2, 3), correction=0)
    y = F.batch_norm(x, centre, spread, weight, bias, False, eps=eps)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_with_gradient(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    return _train_with(
        x,
        weight,
        bias,
        mean,
        var,
        momentum,
        eps,
        mean=mean + momentum * (x.mean((0, 2, 3)) - mean),
        var=var + momentum * (x.var((0, 2, 3)) - var),
    )


def _train_in_place(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y, new_mean, new_var = _train_with(x, weight, bias, mean, var, momentum, eps)
    return y, mean.copy_(new_mean), var.copy_(new_var)


def _train_by_squares(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    centre = x.mean((0, 2, 3), keepdim=True)
    spread = x.square().mean((0, 2, 3), keepdim=True) - centre.square()
    y = _affine((x - centre) / (spread.clamp(min=0) + eps).sqrt(), weight, bias)
    return _train_with(x, weight, bias, mean, var, momentum, eps, y=y)


def _train_no_refusal(x, weight, bias, mean, var, *, momentum=0.1, eps=1e-5):
    y = _affine(_over(x, (0, 2, 3), eps), weight, bias)
    seen_mean, seen_var = x.detach().mean((0, 2, 3)), x.detach().var((0, 2, 3))
    return y, mean.lerp(seen_mean, momentum), var.lerp(seen_var, momentum)


_BATCH_NORM_TRAIN = Exercise(
    name="batch_norm_train",
    solution=normalization.batch_norm_train,
    cases=_batch_norm_train_cases,
    mistakes=(
        Mistake(
            "You took one mean for all channels together; each channel has its own. "
            "Average over dimensions 0, 2 and 3.",
            _train_over_all,
        ),
        Mistake(
            "Each image has a mean of its own here: that is instance normalization. "
            "Average over dimension 0 as well.",
            _train_each_image,
        ),
        Mistake(
            "Each pixel has a mean of its own here. The pixels of a channel share one: "
            "average over dimensions 2 and 3 as well.",
            _train_each_pixel,
        ),
        Mistake(
            "You normalize by the unbiased variance, torch's default in `var`. Here it "
            "is the biased one, `correction=0`.",
            _train_unbiased,
        ),
        Mistake(
            "The variance that is remembered is the unbiased one, divided by n − 1.",
            _train_biased_estimate,
        ),
        Mistake(
            "In training the batch's own statistics normalize. The running estimates "
            "are only kept, for later.",
            _train_by_estimates,
        ),
        Mistake(
            "You normalize by the estimates you have just updated. In training the "
            "batch's own statistics normalize.",
            _train_by_new_estimates,
        ),
        Mistake(
            "Old and new have changed places: `momentum` is the share of the new.",
            _train_keeps_the_old,
        ),
        Mistake("`weight` and `bias` are not used.", _train_without_affine),
        Mistake(
            "`weight` and `bias` may be None: then the output is neither scaled nor "
            "shifted.",
            _train_always_affine,
        ),
        Mistake(
            "The old estimates are forgotten: keep 1 − `momentum` of them.",
            _train_no_memory,
        ),
        Mistake("The two estimates come back in the wrong order.", _train_swapped),
        Mistake(
            "The output is right and its gradient is not: it must flow through the "
            "batch's mean and variance. Detach only what goes into the estimates.",
            _train_constants,
        ),
        Mistake(
            "The estimates carry a gradient, and with it the memory of every batch so "
            "far. Compute them from detached statistics.",
            _train_with_gradient,
        ),
        Mistake(
            "The estimates that came in were changed in place: return new tensors.",
            _train_in_place,
        ),
        Mistake(
            "The mean of squares minus the squared mean loses its digits: at 10,000 "
            "both are 10⁸. Subtract the mean first, square after.",
            _train_by_squares,
        ),
        Mistake(
            "One value for a channel has no variance, and n − 1 is 0. Raise a "
            "`ValueError`.",
            _train_no_refusal,
        ),
    ),
    hints=(
        "Two jobs. The output uses the batch's mean and biased variance; the estimates "
        "move towards the batch's mean and unbiased variance.",
        "Average over dimensions 0, 2 and 3, with `keepdim=True` for the output. The "
        "unbiased variance is n / (n − 1) times the biased one.",
        "`running_mean + momentum * (mean.detach() - running_mean)` is a new tensor; "
        "the same for the variance.",
    ),
)


# fold_batch_norm --------------------------------------------------------------------


def _apply(
    answer, x, kernel, bias, bn_weight, bn_bias, running_mean, running_var, **options
):
    """What the folded convolution makes of `x`, whose size is not the kernel's."""
    vectors = bn_weight, bn_bias, running_mean, running_var
    new_kernel, new_bias = answer(kernel, bias, *vectors, **options)
    return F.conv2d(x, new_kernel, new_bias, padding=1)


def _conv_then_norm(
    x, kernel, bias, bn_weight, bn_bias, running_mean, running_var, *, eps=1e-5
):
    y = F.conv2d(x, kernel, bias, padding=1)
    return F.batch_norm(y, running_mean, running_var, bn_weight, bn_bias, eps=eps)


def _fold_batch_norm_cases() -> Iterator[Case]:
    one = torch.ones(1).double()
    by_hand = (one[:, None, None, None], 5 * one, 6 * one, 7 * one, 2 * one, 3 * one)
    yield Case(
        "one number each, eps=1",
        by_hand,
        {"eps": 1.0},
        expected=(3 * by_hand[0], 16 * one),  # 6 / √(3 + 1) = 3; 3 × (5 − 2) + 7
    )
    x, kernel = normal(2, 3, 6, 5), normal(4, 3, 3, 3, seed=3)
    bias, vectors = normal(4, seed=4), _vectors(4)
    same = _conv_then_norm, x, kernel, bias, *vectors
    yield Case.from_reference("conv, then BN in eval", *same, call=_apply)
    yield Case.from_reference("eps=0.5", *same, eps=0.5, call=_apply)
    no_bias = _conv_then_norm, x, kernel, None, *vectors
    yield Case.from_reference("a convolution without bias", *no_bias, call=_apply)
    square = normal(3, 3, 3, 3, seed=5)
    yield Case.from_reference(
        "as many outputs as inputs",
        _conv_then_norm,
        x,
        square,
        bias[:3],
        *_vectors(3),
        call=_apply,
    )
    tiny = (*vectors[:3], torch.tensor([0.0, 1e-4, 1.0, 1e4]).double())
    yield Case.from_reference(
        "running variances from 0 to 10,000",
        _conv_then_norm,
        x,
        kernel,
        bias,
        *tiny,
        call=_apply,
        rtol=1e-6,
        hardening=True,
    )
    shapes = [kernel.shape, bias.shape]
    yield Case(
        "the shapes of the two results",
        (kernel, bias, *vectors),
        expected=[list(shape) for shape in shapes],
        call=lambda answer, *args: [list(part.shape) for part in answer(*args)],
    )
    yield Case(
        "a negative running variance",
        (kernel, bias, *vectors[:3], -vectors[3]),
        raises=ValueError,
    )


def _fold(
    kernel: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    var: Tensor,
) -> tuple[Tensor, Tensor]:
    """Fold a scale that is already divided by the deviation."""
    if (var < 0).any():
        raise ValueError("running_var must not be negative")
    old = 0 if bias is None else bias
    return kernel * scale[:, None, None, None], (old - mean) * scale + shift


def _fold_drops_bias(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    return _fold(kernel, None, weight * (var + eps).rsqrt(), shift, mean, var)


def _fold_keeps_bias(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    new_kernel, new_bias = _fold(kernel, None, scale, shift, mean, var)
    return new_kernel, new_bias if bias is None else new_bias + bias


def _fold_scales_shift(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    return _fold(kernel, bias, scale, shift * scale, mean, var)


def _fold_without_weight(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    return _fold(kernel, bias, (var + eps).rsqrt(), shift, mean, var)


def _fold_without_eps(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    return _fold(kernel, bias, weight * var.rsqrt(), shift, mean, var)


def _fold_by_variance(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    return _fold(kernel, bias, weight / (var + eps), shift, mean, var)


def _fold_scales_inputs(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    _, new_bias = _fold(kernel, bias, scale, shift, mean, var)
    return kernel * scale[:, None, None], new_bias


def _fold_scales_columns(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    _, new_bias = _fold(kernel, bias, scale, shift, mean, var)
    return kernel * scale, new_bias


def _fold_without_mean(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    return _fold(kernel, bias, scale, shift, torch.zeros_like(mean), var)


def _fold_adds_mean(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    return _fold(kernel, bias, weight * (var + eps).rsqrt(), shift, -mean, var)


def _fold_unscaled_mean(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    new_kernel, _ = _fold(kernel, bias, scale, shift, mean, var)
    return new_kernel, (0 if bias is None else bias * scale) - mean + shift


def _fold_no_refusal(kernel, bias, weight, shift, mean, var, *, eps=1e-5):
    scale = weight * (var + eps).rsqrt()
    return _fold(kernel, bias, scale, shift, mean, torch.zeros_like(var))


_FOLD_BATCH_NORM = Exercise(
    name="fold_batch_norm",
    solution=normalization.fold_batch_norm,
    cases=_fold_batch_norm_cases,
    mistakes=(
        Mistake(
            "The convolution's own bias is lost. BN subtracts the running mean from it "
            "and scales what remains.",
            _fold_drops_bias,
        ),
        Mistake(
            "The convolution's bias is added as it is. BN stands behind it, and scales "
            "it like everything else.",
            _fold_keeps_bias,
        ),
        Mistake(
            "`bn_bias` is added last, after the scale: do not scale it.",
            _fold_scales_shift,
        ),
        Mistake("`bn_weight` is not used.", _fold_without_weight),
        Mistake(
            "`eps` is missing: BN divides by the root of `running_var + eps`.",
            _fold_without_eps,
        ),
        Mistake(
            "You divide by the variance. BN divides by its square root.",
            _fold_by_variance,
        ),
        Mistake(
            "You scale the channels that come in. BN normalizes those that come out, "
            "which are dimension 0 of the kernel.",
            _fold_scales_inputs,
        ),
        Mistake(
            "A vector (C,) lines up with the kernel's columns. Give it three more "
            "dimensions: `scale[:, None, None, None]`.",
            _fold_scales_columns,
        ),
        Mistake("The running mean is not used.", _fold_without_mean),
        Mistake("The running mean is subtracted, not added.", _fold_adds_mean),
        Mistake(
            "The running mean is subtracted before the scale, and so is scaled too.",
            _fold_unscaled_mean,
        ),
        Mistake(
            "No data have a negative variance. Raise a `ValueError` for it, instead of "
            "a convolution full of NaN.",
            _fold_no_refusal,
        ),
    ),
    hints=(
        "Write BN in evaluation as s · y + t, with y the convolution's output and two "
        "constants s and t for each channel.",
        "s = bn_weight / √(running_var + eps). A convolution whose kernel and bias are "
        "multiplied by s gives s times the output.",
        "The new kernel is `kernel * s[:, None, None, None]`; the new bias is "
        "`(bias - running_mean) * s + bn_bias`.",
    ),
)


EXERCISES = (_INSTANCE_NORM, _BATCH_NORM_TRAIN, _FOLD_BATCH_NORM)

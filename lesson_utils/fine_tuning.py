"""Fine-tuning: a network that was trained elsewhere, a new head, a gentle rest.

The module of the chapter `book/training/fine_tuning.ipynb`. The *head* is the linear
layer whose output is the model's; everything before it is the *backbone*. Pictures are
(N, 3, H, W), uint8 or in [0, 1]; a model with buffers `mean` and `std`, (3,) each, has
them standardized by those, any other model takes its inputs as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.classifying import evaluating, predict, standardize
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_whole,
)
from lesson_utils.common.schedules import fall
from lesson_utils.common.training import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def find_head(model: nn.Module, *, example: Tensor | None = None) -> str:
    """The name of the linear layer that gives a model's output.

    It is the last layer with parameters, in the order in which layers are registered:
    in torchvision's classifiers that is the order of the computation, too.

    Args:
        model: a classifier of any shape.
        example: (B, ...), a batch that the model takes. With it the layer is not only
            looked up but tried.

    Returns:
        The name as in `model.named_modules()`: "classifier", "fc", "heads.head" and
        so on; empty if the model is itself a linear layer.

    Raises:
        ValueError: the last layer with parameters is no `nn.Linear`, or the model
            does not return that layer's output for the example.

    Source: the definition of a head.
    """
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    name, head = layers[-1] if layers else ("", model)
    if not isinstance(head, nn.Linear):
        raise ValueError(
            "model must have an nn.Linear as its last layer with parameters, got "
            f"{type(head).__name__} {name!r} in a {type(model).__name__}"
        )
    if example is not None and not _gives_the_output(head, model, example):
        raise ValueError(
            f"model must return the output of its last linear layer {name!r}, and "
            f"this {type(model).__name__} returns something else"
        )
    return name


def replace_head(
    model: nn.Module,
    num_classes: int,
    *,
    rows: Mapping[int, int] | None = None,
    example: Tensor | None = None,
) -> nn.Module:
    """Give a model a new head, drawn as torch draws a new `nn.Linear`.

    Args:
        model: a classifier of any shape, changed in place; see `find_head`.
        num_classes: K, at least 1.
        rows: for some of the K new classes, the class of the old head whose row (of
            the weight, and its bias) they begin with.
        example: (B, ...), as for `find_head`.

    Returns:
        The model itself; the new layer, if the model was nothing but a linear layer.
        The new head has a bias if the old one had, and its device and dtype; it is
        trained even in a frozen model.

    Raises:
        ValueError: the model has no head, `num_classes` is not a whole number >= 1, or
            `rows` names a class that is not there.

    Source: Girshick et al., Rich Feature Hierarchies for Accurate Object Detection and
        Semantic Segmentation, CVPR 2014, section 2.3 (a new, random classification
        layer).
    """
    require_whole("num_classes", num_classes)
    old = model.get_submodule(find_head(model, example=example))
    new = nn.Linear(
        old.in_features,
        num_classes,
        bias=old.bias is not None,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    _copy_rows(old, new, rows or {})
    if old is model:
        return new
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # every name it goes by
            if child is old:
                setattr(parent, name, new)
    return model


def freeze(module: nn.Module) -> nn.Module:
    """Keep a module as it is: no gradients, and evaluation mode for good.

    Evaluation mode is half of it: in training mode batch norm would go on moving its
    running statistics, gradients or not. After `model.train()`, too, a frozen part
    computes as in evaluation: a hook puts it back whenever it is called. A copy of it,
    or one that was saved and loaded, is as frozen as it is.

    Args:
        module: a model or a part of one, of any shape, changed in place. Frozen as a
            whole first and given a new head then, a model trains nothing but that.

    Returns:
        The module itself.

    Source: the definition; that batch norm's statistics are fixed along with its
        weights is in He et al., Deep Residual Learning, CVPR 2016, appendix A.
    """
    unfreeze(module).eval().requires_grad_(False)  # no part gets two hooks
    for part in module.modules():
        part.register_forward_pre_hook(_stay_in_evaluation)
    return module


def hold_statistics(module: nn.Module) -> nn.Module:
    """Keep batch norm's running statistics, and train all that has gradients.

    Each batch norm computes as in evaluation from now on, whatever `model.train()`
    says: by the statistics of the pictures that it was trained on. Its weight and its
    bias are trained like all others.

    Args:
        module: a model or a part of one, of any shape, changed in place; `unfreeze`
            undoes it.

    Returns:
        The module itself.

    Source: the definition.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
            if _stay_in_evaluation not in part._forward_pre_hooks.values():
                part.register_forward_pre_hook(_stay_in_evaluation)
    return module


def unfreeze(module: nn.Module) -> nn.Module:
    """Undo `freeze`, for the whole of a module.

    Args:
        module: of any shape, changed in place.

    Returns:
        The module itself, in training mode.

    Source: the definition.
    """
    for part in module.modules():
        hooks = part._forward_pre_hooks
        for number in [n for n, hook in hooks.items() if hook is _stay_in_evaluation]:
            del hooks[number]
    return module.requires_grad_().train()


def parameter_groups(
    model: nn.Module, *, learning_rate: float, head_multiplier: float = 10.0
) -> list[dict[str, object]]:
    """What an optimizer takes: the backbone at one learning rate, the head at another.

    Args:
        model: a classifier of any shape; see `find_head`.
        learning_rate: of the backbone, above 0.
        head_multiplier: how many times faster the head learns, above 0.

    Returns:
        Dicts of "params" and "lr", the backbone first. Each parameter that is trained
        is in one of them, once; one that is frozen in none. A group without parameters
        is left out.

    Raises:
        ValueError: the model has no head or nothing to train, or a number is not
            finite and above 0.

    Source: Zhang et al., Dive into Deep Learning, 2023, section 14.2 (ten times).
    """
    require_positive("learning_rate", learning_rate)
    require_positive("head_multiplier", head_multiplier)
    head = list(model.get_submodule(find_head(model)).parameters())
    in_head = {id(parameter) for parameter in head}
    backbone = [p for p in model.parameters() if id(p) not in in_head]
    groups = [
        {"params": [p for p in parameters if p.requires_grad], "lr": rate}
        for parameters, rate in (
            (backbone, learning_rate),
            (head, learning_rate * head_multiplier),
        )
    ]
    if not any(group["params"] for group in groups):
        raise ValueError(
            "model must have a parameter that is trained, and all of this one's are "
            "frozen: freeze first and replace the head then"
        )
    return [group for group in groups if group["params"]]


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 200,
    learning_rate: float = 1e-3,
    head_multiplier: float = 10.0,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    seed: int = 0,
    augment: Callable[..., Tensor] | None = None,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train what is not frozen, in place, at rates that fall to 0 in a straight line.

    Order and changes of a step depend on `seed` and its number alone: a run that is
    resumed goes on as if it had never stopped.

    Args:
        model: from (B, ...) to logits (B, K); it is left in evaluation mode.
        images: (N, 3, H, W), uint8 or in [0, 1], or what else the model takes.
        labels: (N,), whole numbers from 0 to K - 1.
        steps: batches in all.
        learning_rate: of the backbone, at the first step.
        head_multiplier: as for `parameter_groups`.
        batch_size: pictures a step, in all processes together; N if there are fewer.
        weight_decay: AdamW's.
        seed: of the order of the pictures and of their changes.
        augment: `augment(images, generator=…)` changes each batch (B, 3, H, W), before
            it is standardized.
        fabric: launched; by default one process on the device that is there.
        checkpoint: a file. If it is there, the run goes on from it; it is written at
            the end and at every `save_every` steps.
        save_every: in steps; by default only at the end.
        progress: whether to show a bar.

    Returns:
        "loss" and "accuracy", of each step's batch before it was learned from.

    Raises:
        ValueError: an argument is out of its range, there is no head or nothing to
            train, or the checkpoint is of another run.
        FloatingPointError: the loss is no longer a number.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019,
        for AdamW.
    """
    require_not_negative("weight_decay", weight_decay)
    _check_pairs(images, labels, model)
    groups = parameter_groups(
        model, learning_rate=learning_rate, head_multiplier=head_multiplier
    )
    run = Run(
        model,
        torch.optim.AdamW(groups, weight_decay=weight_decay),
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=fall,
        settings={
            "learning_rate": learning_rate,
            "head_multiplier": head_multiplier,
            "weight_decay": weight_decay,
        },
        fabric=fabric,
        checkpoint=checkpoint,
        save_every=save_every,
        progress=progress,
    )

    def change(batch: Tensor, answers: Tensor, *, generator: torch.Generator) -> tuple:
        if augment is not None:
            batch = augment(batch, generator=generator)
        return batch, answers

    for _ in run:
        batch, answers = run.batch(images, labels, change=change)
        logits = run.network(standardize(batch, model)).float()
        run.learn(loss=F.cross_entropy(logits, answers))
        run.note(accuracy=(logits.argmax(1) == answers).float().mean())
    return run.history


def extract_features(
    model: nn.Module, images: Tensor, *, batch_size: int = 256
) -> Tensor:
    """What reaches the head: all that a frozen backbone has to say of the pictures.

    Args:
        model: a classifier; see `find_head`.
        images: (N, 3, H, W), uint8 or in [0, 1], or what else the model takes.
        batch_size: pictures at a time.

    Returns:
        (N, D), on the CPU.

    Raises:
        ValueError: the model has no head, or the images are not as said.

    Source: Donahue et al., DeCAF, ICML 2014.
    """
    features = []
    head = model.get_submodule(find_head(model))
    handle = head.register_forward_pre_hook(
        lambda _, inputs: features.append(inputs[0])
    )
    try:
        predict(model, images, batch_size=batch_size)
    finally:
        handle.remove()
    return torch.cat([part.cpu() for part in features])


def _stay_in_evaluation(module: nn.Module, inputs: tuple) -> None:
    """A hook, called before each forward pass of a frozen module."""
    module.training = False


def _gives_the_output(head: nn.Module, model: nn.Module, example: Tensor) -> bool:
    outputs = []
    handle = head.register_forward_hook(lambda *call: outputs.append(call[-1]))
    try:
        with evaluating(model):
            result = model(example)
    finally:
        handle.remove()
    return any(output is result for output in outputs)


def _copy_rows(old: nn.Linear, new: nn.Linear, rows: Mapping[int, int]) -> None:
    for target, source in rows.items():
        if not 0 <= target < new.out_features or not 0 <= source < old.out_features:
            raise ValueError(
                f"rows must lead from one of {new.out_features} new classes to one of "
                f"{old.out_features} old ones, got {target!r}: {source!r}"
            )
        with torch.no_grad():
            new.weight[target] = old.weight[source]
            if new.bias is not None:
                new.bias[target] = old.bias[source]


def _check_pairs(images: Tensor, labels: Tensor, model: nn.Module) -> None:
    if not len(images) or labels.shape != (len(images),):
        raise ValueError(
            f"labels must be (N,), one for each of N >= 1 images, got "
            f"{tuple(labels.shape)} for images {tuple(images.shape)}"
        )
    classes = model.get_submodule(find_head(model)).out_features
    if labels.is_floating_point() or not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels must be whole numbers from 0 to {classes - 1}, got "
            f"[{labels.min().item()}, {labels.max().item()}], {labels.dtype}"
        )

"""The exercises of the chapter `book/training/fine_tuning.ipynb`."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from lesson_utils import fine_tuning
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# Models are built anew for each call and by name: what is compared are numbers.


class _Nested(nn.Module):
    """A head three levels down, named as nobody would guess."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        parts = {"hidden": nn.Linear(4, 6), "relu": nn.ReLU(), "out": nn.Linear(6, 7)}
        self.top = nn.ModuleList([nn.ModuleDict(parts), nn.Identity()])

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.top[0]["relu"](self.top[0]["hidden"](self.body(images)))
        return self.top[1](self.top[0]["out"](hidden))


class _Plain(nn.Module):
    """Laid out as ResNet: the head is an attribute `fc`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.hidden = nn.Linear(12, 5)
        self.fc = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.hidden(self.body(images)).relu())


def _sequential() -> nn.Module:
    """Laid out as VGG: the head is the last of a sequence."""
    head = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 9))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def _half_frozen() -> nn.Module:
    model = _Nested()
    model.body.requires_grad_(False)
    return model


def _head_only() -> nn.Module:
    model = _Plain().requires_grad_(False)
    model.fc.requires_grad_(True)
    return model


def _all_frozen() -> nn.Module:
    return _Plain().requires_grad_(False)


def _shared() -> nn.Module:
    """A layer that is used twice."""
    layer = nn.Linear(3, 3)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer, nn.ReLU(), layer, nn.Linear(3, 2)
    )


_MODELS: dict[str, Callable[[], nn.Module]] = {
    "the head is `fc`": _Plain,
    "the head is the last of a sequence": _sequential,
    "the head is nested": _Nested,
    "the head has no bias": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(27, 4), nn.ReLU(), nn.Linear(4, 6, bias=False)
    ),
    "float64": lambda: _Nested().double(),
    "a convolution is the last": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 4), nn.Conv1d(1, 1, 1)
    ),
    "a frozen backbone": _head_only,
    "a frozen body": _half_frozen,
    "nothing to train": _all_frozen,
    "a layer that is used twice": _shared,
}
_HEADS = {
    "the head is `fc`": "fc",
    "the head is the last of a sequence": "2.3",
    "the head is nested": "top.0.out",
    "the head has no bias": "3",
    "float64": "top.0.out",
    "a frozen backbone": "fc",
    "a frozen body": "top.0.out",
    "a layer that is used twice": "5",
}


# replace_head -----------------------------------------------------------------------


def _replaced(answer: Callable, name: str, num_classes: int) -> dict:
    """What is new in a model after an answer, and what is still what it was."""
    model = _MODELS[name]()
    path, others = _HEADS[name], {}
    for key, parameter in model.named_parameters():
        if not key.startswith(path + "."):
            others[key] = (parameter, parameter.detach().clone())
    old = model.get_submodule(path)
    old_numbers = old.weight.detach().clone()
    result = answer(model, num_classes)
    if not isinstance(result, nn.Module):
        return result
    new = result.get_submodule(path)
    images = torch.rand(2, 3, 3, 3, dtype=old.weight.dtype)
    now = dict(result.named_parameters())
    return {
        "shape of the weight": list(new.weight.shape),
        "a bias": new.bias is not None,
        "logits": list(result.eval()(images).shape),
        "dtype": str(new.weight.dtype),
        "trained": new.weight.requires_grad,
        "the rest is as it was": all(
            key in now and torch.equal(now[key], numbers)
            for key, (_, numbers) in others.items()
        ),
        "rows of the old head": sum(
            bool(torch.equal(row, other)) for row in new.weight for other in old_numbers
        ),
        "all weights 0": not new.weight.any().item(),
    }


def _due(name: str, num_classes: int) -> dict:
    inputs = _MODELS[name]().get_submodule(_HEADS[name]).in_features
    return {
        "shape of the weight": [num_classes, inputs],
        "a bias": name != "the head has no bias",
        "logits": [2, num_classes],
        "dtype": "torch.float64" if name == "float64" else "torch.float32",
        "trained": True,
        "the rest is as it was": True,
        "rows of the old head": 0,
        "all weights 0": False,
    }


def _refuses(answer: Callable, name: str, num_classes: int) -> None:
    answer(_MODELS[name](), num_classes)


def _replace_head_cases() -> Iterator[Case]:
    for name, classes in (
        ("the head is `fc`", 3),
        ("the head is the last of a sequence", 5),
        ("the head is nested", 4),
        ("the head has no bias", 3),
        ("float64", 2),
        ("a frozen backbone", 3),
    ):
        yield Case(name, (name, classes), expected=_due(name, classes), call=_replaced)
    nested = "the head is nested"
    yield Case(
        "one class", (nested, 1), expected=_due(nested, 1), call=_replaced
    )  # fmt: skip
    yield Case(
        "as many as before", (nested, 7), expected=_due(nested, 7), call=_replaced
    )
    for classes in (0, -2):
        yield Case(
            f"{classes} classes", (nested, classes), raises=ValueError, call=_refuses
        )
    name = "a convolution is the last"
    yield Case(name, (name, 3), raises=ValueError, call=_refuses)


def _last_layer(model: nn.Module) -> tuple[str, nn.Linear]:
    layers = [(n, m) for n, m in model.named_modules() if [*m.parameters(False)]]
    name, layer = layers[-1]
    if not isinstance(layer, nn.Linear):
        raise ValueError("no head")
    return name, layer


def _put(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return model


def _new_like(old: nn.Linear, num_classes: int) -> nn.Linear:
    if num_classes < 1:
        raise ValueError("num_classes")
    bias = old.bias is not None
    return nn.Linear(old.in_features, num_classes, bias=bias).to(old.weight)


def _only_fc(model, num_classes):
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model


def _by_dotted_name(model, num_classes):
    name, old = _last_layer(model)
    new = _new_like(old, num_classes)
    if "." in name:
        model._modules[name.replace(".", "_")] = new
        return model
    return _put(model, name, new)


def _last_child(model, num_classes):
    *_, (name, child) = model.named_children()
    if not isinstance(child, nn.Linear):
        return nn.Sequential(model, nn.Linear(1, num_classes))
    return _put(model, name, _new_like(child, num_classes))


def _stacked(model, num_classes):
    _, old = _last_layer(model)
    return nn.Sequential(model, nn.Linear(old.out_features, num_classes).to(old.weight))


def _numbers_only(model, num_classes):
    _, old = _last_layer(model)
    old.out_features = _new_like(old, num_classes).out_features
    old.reset_parameters()
    return model


def _returns_the_layer(model, num_classes):
    name, old = _last_layer(model)
    new = _new_like(old, num_classes)
    _put(model, name, new)
    return new


def _forgets_return(model, num_classes):
    name, old = _last_layer(model)
    _put(model, name, _new_like(old, num_classes))


def _always_bias(model, num_classes):
    name, old = _last_layer(model)
    if num_classes < 1:
        raise ValueError("num_classes")
    return _put(model, name, nn.Linear(old.in_features, num_classes).to(old.weight))


def _always_float32(model, num_classes):
    name, old = _last_layer(model)
    return _put(model, name, _new_like(old, num_classes).float())


def _zeros(model, num_classes):
    name, old = _last_layer(model)
    new = _new_like(old, num_classes)
    nn.init.zeros_(new.weight)
    return _put(model, name, new)


def _first_linear(model, num_classes):
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            return _put(model, name, _new_like(module, num_classes))
    raise ValueError("no head")


def _copies_rows(model, num_classes):
    name, old = _last_layer(model)
    new = _new_like(old, num_classes)
    rows = min(num_classes, old.out_features)
    with torch.no_grad():
        new.weight[:rows] = old.weight[:rows]
    return _put(model, name, new)


def _draws_all_anew(model, num_classes):
    name, old = _last_layer(model)
    _put(model, name, _new_like(old, num_classes))
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return model


def _any_number(model, num_classes):
    name, old = _last_layer(model)
    bias = old.bias is not None
    return _put(
        model,
        name,
        nn.Linear(old.in_features, max(num_classes, 1), bias=bias).to(old.weight),
    )


def _any_linear(model, num_classes):
    linear = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    name, old = linear[-1]
    return _put(model, name, _new_like(old, num_classes))


_REPLACE_HEAD = Exercise(
    name="replace_head",
    solution=fine_tuning.replace_head,
    cases=_replace_head_cases,
    mistakes=(
        Mistake(
            "Your function returns nothing: end in `return model`.", _forgets_return
        ),
        Mistake(
            "You return the new layer. Return the model that holds it.",
            _returns_the_layer,
        ),
        Mistake(
            "Heads have many names: `fc` is ResNet's alone. Look for the last layer "
            "with parameters in `model.named_modules()`.",
            _only_fc,
        ),
        Mistake(
            "Only direct children of the model are looked at. `named_modules()` walks "
            "through all levels, `named_children()` through one.",
            _last_child,
        ),
        Mistake(
            "A name such as `top.0.out` leads through other modules: split off its "
            "last part, take the rest by `get_submodule`, and set the attribute there.",
            _by_dotted_name,
        ),
        Mistake(
            "This is the first linear layer of the model. The head is the last.",
            _first_linear,
        ),
        Mistake(
            "The old head is still there, and a layer on its logits behind it. Put the "
            "new one in its place: it needs the features, not the old classes.",
            _stacked,
        ),
        Mistake(
            "`out_features` is only a note about the layer: its weight keeps its "
            "shape. Make a new `nn.Linear`.",
            _numbers_only,
        ),
        Mistake(
            "Where the old head has no bias, the new one should have none: "
            "`bias=old.bias is not None`.",
            _always_bias,
        ),
        Mistake(
            "The new layer is float32 on the CPU whatever the model is: "
            "`.to(old.weight)` takes dtype and device along.",
            _always_float32,
        ),
        Mistake(
            "All weights are 0: then every class looks alike, and no gradient reaches "
            "the backbone at the first step. Leave them as `nn.Linear` draws them.",
            _zeros,
        ),
        Mistake(
            "You carry the first rows of the old head over. Those belong to other "
            "classes, and to be copied on purpose or not at all.",
            _copies_rows,
        ),
        Mistake(
            "The backbone has been drawn anew as well: what was learned is gone.",
            _draws_all_anew,
        ),
        Mistake(
            "A head of no class, or of fewer, is a mistake made elsewhere: raise a "
            "`ValueError`.",
            _any_number,
        ),
        Mistake(
            "Behind the last linear layer there is another layer with parameters, so "
            "it is no head. Raise a `ValueError` rather than replace the wrong one.",
            _any_linear,
        ),
    ),
    hints=(
        "Two jobs: find the layer with its name, then put another one under that name.",
        "`[(n, m) for n, m in model.named_modules() if any(True for _ in "
        "m.parameters(recurse=False))][-1]` is the last layer with parameters of its "
        "own. If it is no `nn.Linear`, raise.",
        '`parent, _, child = name.rpartition(".")`, then '
        "`setattr(model.get_submodule(parent), child, new)`.",
    ),
)


# parameter_groups -------------------------------------------------------------------


def _rates(answer: Callable, name: str, **options: float) -> dict:
    """Each trained parameter's learning rate, as an optimizer would use it."""
    model = _MODELS[name]()
    names = {id(p): key for key, p in model.named_parameters()}
    groups = answer(model, **options)
    if not isinstance(groups, list | tuple):
        return groups
    # The optimizer is the judge: it refuses a parameter that it gets twice.
    optimiser = torch.optim.SGD(list(groups), lr=123.0)
    return {
        names[id(parameter)]: round(float(group["lr"]), 9)
        for group in optimiser.param_groups
        for parameter in group["params"]
    }


def _due_rates(name: str, learning_rate: float, head_multiplier: float = 10.0) -> dict:
    model, head = _MODELS[name](), _HEADS[name] + "."
    factor = {True: head_multiplier, False: 1.0}
    return {
        key: round(learning_rate * factor[key.startswith(head)], 9)
        for key, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _parameter_groups_cases() -> Iterator[Case]:
    for name, options in (
        ("the head is `fc`", {"learning_rate": 0.01}),
        ("the head is the last of a sequence", {"learning_rate": 0.002}),
        ("the head is nested", {"learning_rate": 1e-4, "head_multiplier": 3}),
        ("a frozen body", {"learning_rate": 0.01}),
        ("a frozen backbone", {"learning_rate": 0.01, "head_multiplier": 5}),
        ("a layer that is used twice", {"learning_rate": 0.01}),
    ):
        yield Case(
            name, (name,), options, expected=_due_rates(name, **options), call=_rates
        )
    for rate in (0.0, -0.1, float("nan")):
        yield Case(
            f"a learning rate of {rate}",
            ("the head is `fc`",),
            {"learning_rate": rate},
            raises=ValueError,
            call=_rates,
        )
    yield Case(
        "nothing to train",
        ("nothing to train",),
        {"learning_rate": 0.1},
        raises=ValueError,
        call=_rates,
    )


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trained parameters of backbone and head."""
    head = list(_last_layer(model)[1].parameters())
    ids = {id(p) for p in head}
    backbone = [p for p in model.parameters() if id(p) not in ids and p.requires_grad]
    return backbone, [p for p in head if p.requires_grad]


def _check_rate(model, rate):
    if not rate > 0 or not any(p.requires_grad for p in model.parameters()):
        raise ValueError("nothing to do")


def _swapped(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    backbone, head = _split(model)
    groups = [(head, learning_rate), (backbone, learning_rate * head_multiplier)]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _divided(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    backbone, head = _split(model)
    groups = [(backbone, learning_rate / head_multiplier), (head, learning_rate)]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _one_rate(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    return [
        {
            "params": [p for p in model.parameters() if p.requires_grad],
            "lr": learning_rate,
        }
    ]


def _no_rate_for_backbone(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    backbone, head = _split(model)
    return [{"params": backbone}, {"params": head, "lr": learning_rate * 10}]


def _head_twice(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    _, head = _split(model)
    everything = [p for p in model.parameters() if p.requires_grad]
    groups = [(everything, learning_rate), (head, learning_rate * head_multiplier)]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _only_head(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    return [{"params": _split(model)[1], "lr": learning_rate * head_multiplier}]


def _frozen_too(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    head = list(_last_layer(model)[1].parameters())
    ids = {id(p) for p in head}
    backbone = [p for p in model.parameters() if id(p) not in ids]
    groups = [(backbone, learning_rate), (head, learning_rate * head_multiplier)]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _always_ten(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    groups = zip(_split(model), (learning_rate, 10 * learning_rate), strict=True)
    return [{"params": p, "lr": rate} for p, rate in groups]


def _weight_only(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    backbone, head = _split(model)
    groups = [
        (backbone + head[1:], learning_rate),
        (head[:1], learning_rate * head_multiplier),
    ]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _last_two(model, *, learning_rate, head_multiplier=10):
    _check_rate(model, learning_rate)
    trained = [p for p in model.parameters() if p.requires_grad]
    *_, (_, child) = model.named_children()
    head = {id(p) for p in child.parameters()}
    groups = [
        ([p for p in trained if id(p) not in head], learning_rate),
        ([p for p in trained if id(p) in head], learning_rate * head_multiplier),
    ]
    return [{"params": p, "lr": rate} for p, rate in groups]


def _no_refusal(model, *, learning_rate, head_multiplier=10):
    groups = zip(
        _split(model), (learning_rate, head_multiplier * learning_rate), strict=True
    )
    return [{"params": p, "lr": abs(rate)} for p, rate in groups]


_PARAMETER_GROUPS = Exercise(
    name="parameter_groups",
    solution=fine_tuning.parameter_groups,
    cases=_parameter_groups_cases,
    mistakes=(
        Mistake(
            "The two rates are swapped: the head learns fast, the backbone is the one "
            "to be gentle with.",
            _swapped,
        ),
        Mistake(
            "`learning_rate` is the backbone's. Multiply for the head instead of "
            "dividing for the backbone.",
            _divided,
        ),
        Mistake("Everything learns at one rate: the head needs its own.", _one_rate),
        Mistake(
            "The backbone's group has no \"lr\" and gets the optimizer's default. Say "
            "it in both groups.",
            _no_rate_for_backbone,
        ),
        Mistake(
            "The head's parameters are in both groups. Keep those out of the first "
            "whose `id` is among the head's.",
            _head_twice,
        ),
        Mistake(
            "Only the head is there: that trains on a frozen backbone.", _only_head
        ),
        Mistake(
            "Frozen parameters have no place in an optimizer: keep those whose "
            "`requires_grad` is true.",
            _frozen_too,
        ),
        Mistake("`head_multiplier` is not used: it need not be 10.", _always_ten),
        Mistake(
            "A head is its weight *and* its bias: both learn at the head's rate.",
            _weight_only,
        ),
        Mistake(
            "You took the model's last child for the head. It may hold more than the "
            "head: find the last layer with parameters, at any depth.",
            _last_two,
        ),
        Mistake(
            "A learning rate that is not above 0 (NaN is not, either), or a model in "
            "which nothing is trained: raise a `ValueError`.",
            _no_refusal,
        ),
    ),
    hints=(
        "Two lists: the head's parameters, and all others. Then leave out the frozen.",
        "Tensors cannot be looked for with `in`, which compares values: collect "
        "`{id(p) for p in head.parameters()}`.",
        '`{"params": [...], "lr": learning_rate * head_multiplier}` is the second one.',
    ),
)


EXERCISES = (_REPLACE_HEAD, _PARAMETER_GROUPS)

"""A device that is not the CPU, on a machine that has no other.

A `StandIn` is a tensor that says its device is "meta" and computes on a CPU tensor
inside. Like a tensor on a GPU it refuses to meet a CPU tensor that is not a scalar:
code that forgets a `.to(device)` fails here as it would there. Within `stand_in()`
tensors that are made on, or moved to, the device "meta" are such tensors.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_any, tree_map

DEVICE = torch.device("meta")
FACTORIES = {
    torch.arange,
    torch.as_tensor,
    torch.empty,
    torch.eye,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randint,
    torch.randn,
    torch.randperm,
    torch.tensor,
    torch.zeros,
}
# What a GPU, too, takes from the CPU: places, wherever they are.
PLACES = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}


class StandIn(Tensor):
    """See the module. `inner` is the CPU tensor that it computes on."""

    @staticmethod
    def __new__(cls, inner: Tensor):
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner.detach()
        return made

    def __repr__(self, **options):
        return f"StandIn({self.inner!r})"

    def tolist(self):
        return self.inner.tolist()

    def numpy(self, **options):
        raise TypeError("can't convert a tensor of another device to numpy: .cpu() it")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function not in PLACES and tree_any(_is_foreign, (args, kwargs)):
            raise RuntimeError(
                f"{function}: expected all tensors on one device, but found one on the "
                "CPU that is not a scalar"
            )
        target = kwargs.get("device", DEVICE)
        if target is not None and torch.device(target).type == "meta":
            kwargs |= {"device": "cpu"} if "device" in kwargs else {}
            wrap = cls
        else:  # such as .cpu()
            wrap = _same
        if function is torch.ops.aten._to_copy.default:
            kwargs.setdefault("device", "cpu")
        result = function(*tree_map(_inside, args), **tree_map(_inside, kwargs))
        # add_ works in place, and __and__, which ends alike, does not.
        name = function._schema.name.removeprefix("aten::")
        in_place = name.endswith("_") and not name.startswith("__")
        if (in_place or name.startswith("__i")) and isinstance(args[0], StandIn):
            return args[0]  # changed in place
        return tree_map(lambda t: wrap(t) if isinstance(t, Tensor) else t, result)


def _same(value):
    return value


def _inside(value):
    return value.inner if isinstance(value, StandIn) else value


def _is_foreign(value) -> bool:
    return (
        isinstance(value, Tensor) and not isinstance(value, StandIn) and value.dim() > 0
    )


def there(value):
    """Tensors of a tree as they would be on the other device."""
    return tree_map(
        lambda t: (
            StandIn(t).requires_grad_(t.requires_grad)
            if isinstance(t, Tensor) and not isinstance(t, StandIn)
            else t
        ),
        value,
    )


def back(value):
    """Tensors of a tree on the CPU again."""
    return tree_map(lambda t: t.detach().inner if isinstance(t, StandIn) else t, value)


class _Moving(TorchFunctionMode):
    """What is made on "meta", or moved there, becomes a `StandIn`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in FACTORIES and _is_there(kwargs.get("device")):
            if function is torch.as_tensor and isinstance(args[0], StandIn):
                return args[0].to(kwargs.get("dtype") or args[0].dtype)
            return StandIn(function(*args, **{**kwargs, "device": "cpu"}))
        # These make a tensor of a plain number below what can be seen from here.
        if function in (torch.where, Tensor.where):
            args = _numbers_as_tensors(args)
        if function is Tensor.__setitem__ and isinstance(args[0], StandIn):
            tensor, place, value = args
            if _is_foreign(value):
                raise RuntimeError(f"{function}: a value that is on the CPU")
            tensor.inner[tree_map(_inside, place)] = _inside(value)
            return None
        if function is F.cosine_similarity and isinstance(args[0], StandIn):
            first, second = (F.normalize(a, dim=kwargs.get("dim", 1)) for a in args[:2])
            return (first * second).sum(kwargs.get("dim", 1))
        if function is F.one_hot and isinstance(args[0], StandIn):
            return StandIn(F.one_hot(args[0].inner, *args[1:], **kwargs))
        if function is torch._VF.gru and isinstance(args[0], StandIn) and args[-1]:
            # Batch first, it transposes in place, which no wrapper can follow.
            words, last = function(args[0].transpose(0, 1), *args[1:-1], False)
            return words.transpose(0, 1), last
        if function in (Tensor.to, Tensor.new_tensor):
            return self._moved(function, args, kwargs)
        return function(*args, **kwargs)

    def _moved(self, function, args, kwargs):
        tensor, *rest = args
        if function is Tensor.new_tensor:
            made = torch.tensor(rest[0], dtype=kwargs.get("dtype", tensor.dtype))
            return StandIn(made) if isinstance(tensor, StandIn) else made
        wanted = [*rest, *kwargs.values()]
        like = next((v for v in wanted if isinstance(v, Tensor)), None)
        if isinstance(tensor, StandIn) or not any(
            _is_there(v) or isinstance(v, StandIn) for v in wanted
        ):
            return function(*args, **kwargs)
        dtypes = [v for v in wanted if isinstance(v, torch.dtype)]
        dtype = like.dtype if like is not None else (dtypes or [tensor.dtype])[0]
        moved = StandIn(tensor.detach().to(dtype, copy=True))
        return moved.requires_grad_(tensor.requires_grad)


def _numbers_as_tensors(args: tuple) -> tuple:
    like = [a for a in args if isinstance(a, StandIn) and a.dtype != torch.bool]
    if not any(isinstance(a, StandIn) for a in args):
        return args
    dtype = like[0].dtype if like else None
    return tuple(
        a if isinstance(a, Tensor) else StandIn(torch.tensor(a, dtype=dtype))
        for a in args
    )


def _is_there(device) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device) == DEVICE


@contextmanager
def stand_in() -> Iterator[torch.device]:
    """Within it, "meta" is a device that computes."""
    with _Moving():
        yield DEVICE


class StandInFabric:
    """As much of Lightning Fabric as a training needs, on the device that is none."""

    device, world_size, global_rank = DEVICE, 1, 0

    def setup(self, model: nn.Module, optimizer: torch.optim.Optimizer):
        """The same two; the outer module has the inner one as `module`."""

        class Outer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.module = model

            def forward(self, *inputs):
                return self.module(*inputs)

        for group in optimizer.param_groups:  # those that the model had before it moved
            group["params"] = []
        optimizer.param_groups[0]["params"] = [
            p for p in model.parameters() if p.requires_grad
        ]
        optimizer.optimizer = optimizer
        return Outer(), optimizer

    def to_device(self, values):
        return there(values)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def autocast(self):
        return nullcontext()

    def barrier(self) -> None: ...

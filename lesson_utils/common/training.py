"""What every training loop needs, whatever it trains: `Run`, and its parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.compute import make_fabric
from lesson_utils.common.require import require_share, require_whole
from lesson_utils.common.schedules import constant

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ORDER, CHANGE = 0, 1  # what random numbers are drawn for
PATIENCE = 20  # steps, after which losses are read where reading them costs a wait


def require_finite(step: int, **losses: Tensor | float) -> None:
    """Stop a training whose loss is no longer a number.

    Reading a loss makes the processor wait for a GPU: call it where the loop reads its
    losses anyway, not at each step of a fast one.

    Args:
        step: the number of the step, for the message.
        **losses: scalars, by the name the message is to give each.

    Raises:
        FloatingPointError: a loss is NaN or infinite.
    """
    for name, loss in losses.items():
        value = float(loss)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} at step {step}: lower the learning rate, or look "
                "for a division by zero or a logarithm of zero in the loss"
            )


def drawer(*numbers: int) -> torch.Generator:
    """A random generator of its own for each seed, purpose, and number.

    A run that is resumed draws what it would have drawn, without a state to be saved.

    Args:
        *numbers: such as the seed, `ORDER`, and the epoch; each at least 0.

    Returns:
        A generator on the CPU.
    """
    # torch keeps 32 bits of a seed; numpy mixes the numbers into as many.
    mixed = np.random.SeedSequence(numbers).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))


def batch_of_step(number: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Which pictures a step of training sees: each once before any is seen twice.

    Args:
        number: of pictures.
        batch_size: B; where there are fewer pictures, all of them.
        seed: of their order.
        step: from 0.

    Returns:
        (B,), int64. What fills no batch at the end of an epoch waits for another one.
    """
    size = min(batch_size, number)
    epoch, place = divmod(step, number // size)
    order = torch.randperm(number, generator=drawer(seed, ORDER, epoch))
    return order[place * size : (place + 1) * size]


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, *, keep: float) -> None:
    """Move an average of a network's weights a little towards them, in place.

    Args:
        average: of the same layers; batch norm's statistics are averaged, too.
        network: whose weights are taken.
        keep: the share of the average that stays.

    Raises:
        ValueError: `keep` is not in [0, 1).

    Source: Karras et al., Progressive Growing of GANs, ICLR 2018, appendix A.1.
    """
    require_share("keep", keep, "[0, 1)")
    own = average.state_dict()  # what it holds are the weights themselves
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            own[name].lerp_(value, 1 - keep)
        else:
            own[name].copy_(value)


class Run:
    """A training by batches: what is the same whatever is trained.

    It deals out the pictures, sets the learning rates, shows a bar, looks after losses
    that are no longer numbers, writes a checkpoint and goes on from it, and works in
    several processes as in one. Order and changes of a step depend on the seed and the
    step's number alone, so that a run which is resumed goes on, to the last bit, as if
    it had never stopped. What is learned from is the loop's own:

        for step in run:
            pictures, answers = run.batch(images, labels)
            run.learn(loss=F.cross_entropy(run.network(pictures), answers))

    Args:
        model: a network, or several that are trained together; moved to the device of
            `fabric`, in training mode until the loop ends, in evaluation mode then.
        optimizer: of its parameters, one for each model; the learning rates it has
            are those `schedule` takes as its peaks.
        number: N, of the samples that a batch is taken from.
        steps: batches in all.
        batch_size: samples a step, in all processes together; N if there are fewer.
        seed: of the order of the samples and of their changes.
        schedule: `schedule(step, steps=…, peak=…)`, the learning rate of a step.
        settings: what else must be the same where the run is resumed, by name.
        fabric: launched; by default one process on the device that is there.
        checkpoint: a file. If it is there, the run goes on from it; it is written at
            the end and at every `save_every` steps.
        save_every: in steps; by default only at the end.
        progress: whether there is a bar, on the first process.

    Attributes:
        fabric: as given, or made.
        networks: what `fabric.setup` made of the models: to be called.
        optimizers: likewise.
        step: the number of the step, from 0.
        history: for each name of `learn` and `note` a number each step, the means over
            all processes. It is complete once the loop has ended.

    Raises:
        ValueError: a number is out of its range, or the checkpoint is broken or of
            another run.
        FloatingPointError: from its loop, if a loss is no longer a number.

    Source: the definition.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        *,
        number: int,
        steps: int,
        batch_size: int,
        seed: int = 0,
        schedule: Callable[..., float] = constant,
        settings: Mapping[str, object] | None = None,
        fabric: Fabric | None = None,
        checkpoint: str | Path | None = None,
        save_every: int | None = None,
        progress: bool = True,
    ) -> None:
        for name, value in (
            ("number", number),
            ("steps", steps),
            ("batch_size", batch_size),
        ):
            require_whole(name, value)
        require_whole("seed", seed, 0)
        if save_every is not None:
            require_whole("save_every", save_every)
        if fabric is None:
            fabric = make_fabric()
            fabric.launch()
        if min(batch_size, number) % fabric.world_size:
            # Else the processes' means would not average to that of the batch.
            raise ValueError(
                f"batch_size must be a multiple of {fabric.world_size} processes, got "
                f"{batch_size} of {number} samples"
            )
        self.fabric, self.number, self.steps = fabric, number, steps
        self.batch_size, self.seed = batch_size, seed
        self.schedule, self.progress = schedule, progress
        self.checkpoint, self.save_every = checkpoint, save_every or steps
        self.settings = {
            **(settings or {}),
            "number": number,
            "steps": steps,
            "batch_size": batch_size,
            "seed": seed,
        }
        self.models = [model] if isinstance(model, nn.Module) else list(model)
        several = isinstance(optimizer, Sequence)
        optimizers = list(optimizer) if several else [optimizer]
        self.networks, self.optimizers = [], []
        for each, its in zip(self.models, optimizers, strict=True):
            # On a GPU and on a CPU alike, convolutions are faster, channels innermost.
            each.train().to(fabric.device, memory_format=torch.channels_last)
            network, its = fabric.setup(each, its)
            self.networks.append(network)
            self.optimizers.append(its)
        self._peaks = [group["lr"] for group in self._groups()]
        self._names: list[str] = []
        self._rows: list[list[float]] = []
        self._unread: list[Tensor] = []
        self._noted: dict[str, Tensor] = {}
        self._resume()
        self.step = len(self._rows)

    @property
    def network(self) -> nn.Module:
        """What `fabric.setup` made of the first model: to be called.

        Returns:
            The network.
        """
        return self.networks[0]

    @property
    def history(self) -> dict[str, list[float]]:
        """What was noted, as far as it has been read off the device.

        Returns:
            A number each step, by name.
        """
        return {
            name: [row[k] for row in self._rows] for k, name in enumerate(self._names)
        }

    def __iter__(self) -> Iterator[int]:
        from tqdm import tqdm  # not on every GPU server

        start, silent = len(self._rows), not self.progress or self.fabric.global_rank
        bar = tqdm(
            range(start, self.steps),
            total=self.steps,
            initial=start,
            disable=bool(silent),
            unit="step",
        )
        for step in bar:
            self.step = step
            for group, peak in zip(self._groups(), self._peaks, strict=True):
                group["lr"] = self.schedule(step, steps=self.steps, peak=peak)
            self._noted = {}
            yield step
            self._end_step()
        for model in self.models:
            model.eval()

    def batch(
        self, *data: Tensor, change: Callable[..., object] | None = None
    ) -> tuple[Tensor, ...]:
        """This step's samples of each tensor: this process's part, on its device.

        Args:
            *data: (N, ...) each.
            change: `change(*samples, generator=…)` returns what is taken in their
                place, a tensor or several, before they are moved to the device.

        Returns:
            For each tensor, or for each that `change` returns, (B, ...).
        """
        index = batch_of_step(self.number, self.batch_size, self.seed, self.step)
        index = index[self.fabric.global_rank :: self.fabric.world_size]
        samples = tuple(values[index.to(values.device)] for values in data)
        if change is not None:
            rank = self.fabric.global_rank
            dice = drawer(self.seed, CHANGE, self.step, rank)
            samples = change(*samples, generator=dice)
            samples = samples if isinstance(samples, tuple) else (samples,)
        return tuple(self.fabric.to_device(samples))

    def learn(self, **losses: Tensor) -> None:
        """Take one step down the sum of some losses, and note each.

        Args:
            **losses: scalars, by the name that each has in `history`.

        Raises:
            FloatingPointError: one is no longer a number (on a GPU this may be noticed
                some steps later).
        """
        self.note(**losses)
        if not self._waits:
            require_finite(self.step + 1, **self._noted)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.fabric.backward(sum(losses.values()))
        for optimizer in self.optimizers:
            optimizer.step()

    def note(self, **measures: Tensor) -> None:
        """Keep measures of this step beside its losses.

        Args:
            **measures: scalars, by the name that each has in `history`.
        """
        self._noted |= {name: value.detach() for name, value in measures.items()}

    def _groups(self) -> list[dict]:
        # Asked for anew each time: a state that is loaded brings groups of its own.
        return [group for its in self.optimizers for group in its.param_groups]

    @property
    def _waits(self) -> bool:
        """Whether reading a number costs a wait, as on a GPU or between processes."""
        return self.fabric.device.type != "cpu" or self.fabric.world_size > 1

    def _end_step(self) -> None:
        if not (self._rows or self._unread):
            self._names = list(self._noted)
        if set(self._noted) != set(self._names):
            raise ValueError(
                f"learn and note must have the same names at each step, "
                f"{', '.join(self._names) or 'none'}, got "
                f"{', '.join(self._noted) or 'none'}"
            )
        row = [self._noted[name].float() for name in self._names]
        self._unread.append(torch.stack(row) if row else torch.zeros(0))
        done = self.step + 1
        if done == self.steps:
            self._average_statistics()
        saves = done == self.steps or done % self.save_every == 0
        if saves or not self._waits or len(self._unread) >= PATIENCE:
            self._read()
        if saves:
            self._save()

    def _read(self) -> None:
        """Take the measures of the last steps off the device, and look at them."""
        rows = torch.stack(self._unread)
        if self.fabric.world_size > 1:
            rows = self.fabric.all_reduce(rows, reduce_op="mean")
        first = len(self._rows) + 1
        for number, row in enumerate(rows.tolist(), start=first):
            require_finite(number, **dict(zip(self._names, row, strict=True)))
            self._rows.append(row)
        self._unread = []

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        if self.fabric.global_rank == 0:
            state = {
                "settings": self.settings,
                "names": self._names,
                "rows": self._rows,
                "models": [model.state_dict() for model in self.models],
                "optimizers": [each.state_dict() for each in self.optimizers],
            }
            save_checkpoint(self.checkpoint, state)
        self.fabric.barrier()

    def _resume(self) -> None:
        """Put everything where the checkpoint left it, if there is one."""
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return
        state = load_checkpoint(self.checkpoint, map_location=self.fabric.device)
        try:
            for name, value in self.settings.items():
                if state["settings"][name] != value:
                    raise ValueError(
                        f"{name} is {state['settings'][name]} there and {value} here"
                    )
            # All or nothing: a second part that does not fit must not leave a first.
            for model, weights in zip(self.models, state["models"], strict=True):
                _require_fitting(model, weights)
            for model, weights in zip(self.models, state["models"], strict=True):
                model.load_state_dict(weights)
            for each, moments in zip(self.optimizers, state["optimizers"], strict=True):
                each.optimizer.load_state_dict(moments)
            self._names, self._rows = list(state["names"]), list(state["rows"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"checkpoint must be of this run, got {self.checkpoint}: {error}"
            ) from error

    def _average_statistics(self) -> None:
        """In several processes batch norm's statistics differ: take their mean."""
        if self.fabric.world_size > 1:
            for model in self.models:
                for buffer in model.buffers():
                    if buffer.is_floating_point():
                        mean = self.fabric.all_reduce(buffer.clone(), reduce_op="mean")
                        buffer.copy_(mean)


def _require_fitting(model: nn.Module, weights: dict[str, Tensor]) -> None:
    own = {name: value.shape for name, value in model.state_dict().items()}
    theirs = {name: value.shape for name, value in weights.items()}
    if own != theirs:
        different = sorted(dict(own.items() ^ theirs.items()))
        raise ValueError(f"another network: {', '.join(different[:3])}")

"""Scaling out: one training in several processes, and what it costs.

The module of the chapter `book/training/scaling_out.ipynb`. A process has a rank r,
from 0 to n - 1, in a world of n; all run the same program on parts of their own of each
batch. Without a process group, a function that talks to others finds itself in a world
of one, where there is nothing to add. What a step costs is in `common/step_costs.py`.
"""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.processes import end_with_parent
from lesson_utils.common.require import require_floating, require_whole
from lesson_utils.common.training import batch_of_step
from lesson_utils.data.mnist import mnist


def world() -> tuple[int, int]:
    """Where this process stands among those that train together.

    Returns:
        Its rank r and their number n, scalars; 0 and 1 where there is no process group.

    Source: the definition.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def average_gradients(model: nn.Module) -> None:
    """Replace each gradient by its mean over all processes, in place.

    All gradients travel as one message, so that the wait for a message is paid once. A
    parameter without a gradient counts as one of zeros: another process may have one.
    In a world of one, gradients stay as they are.

    Args:
        model: after `backward`, of the same layers in each process.

    Source: the definition; torch's `DistributedDataParallel` does it in buckets.
    """
    if world()[1] == 1:
        return
    learned = [p for p in model.parameters() if p.requires_grad]
    for parameter in learned:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in learned])
    dist.all_reduce(flat)
    flat /= world()[1]
    parts = flat.split([parameter.numel() for parameter in learned])
    for parameter, part in zip(learned, parts, strict=True):
        parameter.grad.copy_(part.view_as(parameter))


def average_in_backward(model: nn.Module) -> Callable[[], None]:
    """Have each gradient sent as soon as it is there, while others are still computed.

    Args:
        model: of the same layers in each process, all of them used in each step.

    Returns:
        A function without arguments: call it after `backward`, before the optimizer's
        step. It waits until every gradient is the mean over all processes.

    Source: the idea of Li et al., PyTorch Distributed, VLDB 2020, section 3.2.
    """
    sent: list[tuple[dist.Work, nn.Parameter]] = []

    def send(parameter: nn.Parameter) -> None:
        if world()[1] > 1:
            work = dist.all_reduce(parameter.grad, async_op=True)
            sent.append((work, parameter))

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(send)

    def finish() -> None:
        for work, parameter in sent:
            work.wait()
            parameter.grad /= world()[1]
        sent.clear()

    return finish


def ring_all_reduce(tensor: Tensor) -> int:
    """Replace a tensor by its sum over all processes, each talking to neighbors only.

    Args:
        tensor: of the same shape and dtype in each process, contiguous; changed in
            place.

    Returns:
        The bytes that this process sent; 0 in a world of one.

    Raises:
        ValueError: the tensor is not contiguous, so that its parts would be copies.

    Source: Patarasuk and Yuan, Bandwidth Optimal All-reduce Algorithms for Clusters of
        Workstations, Journal of Parallel and Distributed Computing 2009.
    """
    if not tensor.is_contiguous():
        raise ValueError(f"tensor must be contiguous, got strides {tensor.stride()}")
    rank, n = world()
    chunks = tensor.detach().view(-1).tensor_split(n)  # views: some may be longer by 1
    sent = 0
    for step in range(2 * (n - 1)):
        leaving = chunks[(rank - step) % n]
        target = chunks[(rank - step - 1) % n]
        arriving = torch.empty_like(target)
        sending = dist.isend(leaving, (rank + 1) % n)
        receiving = dist.irecv(arriving, (rank - 1) % n)
        sending.wait()
        receiving.wait()
        sent += leaving.numel() * leaving.element_size()
        if step < n - 1:  # reduce-scatter: sums grow
            target += arriving
        else:  # all-gather: whole sums are handed on
            target.copy_(arriving)
    return sent


def ring_steps(tensors: Sequence[Tensor]) -> Tensor:
    """What n processes hold before and after each step of the ring, without processes.

    In step s = 0, 1, ... process r sends chunk (r - s) mod n to process r + 1. In the
    first n - 1 steps what arrives is added, in the last n - 1 it replaces.

    Args:
        tensors: n of them, (L,) each, of one dtype: tensor r is that of process r.

    Returns:
        (S, n, L), S = 2 n - 1: first the tensors, then the state after each step.

    Raises:
        ValueError: there is no tensor, or one is not (L,) like the others.

    Source: as for `ring_all_reduce`.
    """
    shapes = {(tensor.dim(), tensor.shape, tensor.dtype) for tensor in tensors}
    if len(shapes) != 1 or next(iter(shapes))[0] != 1:
        raise ValueError(
            "tensors must be at least one, all (L,) and of one dtype, got "
            f"{[(tuple(tensor.shape), tensor.dtype) for tensor in tensors]}"
        )
    n, states = len(tensors), [torch.stack(list(tensors))]
    for step in range(2 * (n - 1)):
        before = states[-1]
        after = before.clone()
        for rank in range(n):
            to, chunk = (rank + 1) % n, (rank - step) % n
            leaving = before[rank].tensor_split(n)[chunk]
            target = after[to].tensor_split(n)[chunk]
            target.copy_(target + leaving if step < n - 1 else leaving)
        states.append(after)
    return torch.stack(states)


def shard_indices(
    number: int,
    rank: int,
    world_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    pad: bool = False,
) -> Tensor:
    """Which samples one process sees in an epoch: over all processes, each one once.

    All samples are put into one order, which depends on seed and epoch alone, and dealt
    out like cards: process r takes places r, r + n, r + 2 n, ...

    Args:
        number: N, of samples; there may be none.
        rank: r, from 0 to n - 1.
        world_size: n.
        seed: of the order, the same in all processes.
        epoch: from 0; each has another order.
        pad: whether the order begins anew at its end until n divides its length, so
            that all processes get as many, and some samples are seen twice.

    Returns:
        (M,), int64. M is N / n rounded up with `pad`; without, rounded up or down.

    Raises:
        ValueError: a number is not whole or out of its range.

    Source: with `pad`, torch's `DistributedSampler` to the last index.
    """
    require_whole("number", number, 0)
    require_whole("world_size", world_size)
    require_whole("rank", rank, 0, world_size - 1)
    require_whole("seed", seed, 0)
    require_whole("epoch", epoch, 0)
    dice = torch.Generator().manual_seed(seed + epoch)
    order = torch.randperm(number, generator=dice)
    if pad and number:
        length = -(-number // world_size) * world_size
        order = order.repeat(-(-length // number))[:length]
    return order[rank::world_size]


class AllReduceSum(torch.autograd.Function):
    """The sum over all processes, through which gradients flow.

    Source: the definition: what arrives in any process counts for each of them.
    """

    @staticmethod
    def forward(context: object, values: Tensor) -> Tensor:
        """Add up over processes.

        Args:
            context: unused.
            values: (...), of the same shape in each process.

        Returns:
            (...), their sum, the same in each process.
        """
        total = values.clone(memory_format=torch.contiguous_format)
        if world()[1] > 1:
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: object, slopes: Tensor) -> Tensor:
        """Add up the gradients over processes.

        Args:
            context: unused.
            slopes: (...), of this process's loss with respect to the sum.

        Returns:
            (...), of all processes' losses with respect to this process's values.
        """
        return AllReduceSum.forward(context, slopes)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization with the mean and variance of all processes' pictures.

    It takes the arguments of `nn.BatchNorm2d`, and is no other in evaluation, nor in a
    world of one.

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015; torch's `SyncBatchNorm`
        computes the same, on GPUs only.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Normalize.

        Args:
            features: (B, C, H, W); B may differ between processes.

        Returns:
            (B, C, H, W).

        Raises:
            ValueError: another shape, or one value per channel in all processes
                together while training.
        """
        self._check_input_dim(features)
        if not self.training:
            return super().forward(features)
        mean, variance, count = synced_moments(features)
        if count < 2:
            raise ValueError(f"features must have two values per channel, got {count}")
        if self.running_mean is not None:
            self.num_batches_tracked += 1
            share = self.momentum or 1 / self.num_batches_tracked.item()
            self.running_mean.lerp_(mean.detach(), share)
            self.running_var.lerp_(variance.detach() * count / (count - 1), share)
        centered = features - mean[:, None, None]
        normal = centered * (variance + self.eps).rsqrt()[:, None, None]
        if not self.affine:
            return normal
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


def synced_moments(features: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean and variance of each channel over the pictures of all processes.

    Args:
        features: (B, C, H, W), floating point; B may differ between processes.

    Returns:
        The mean, (C,), the biased variance, (C,), and how many values of a channel
        there are in all processes together.

    Raises:
        ValueError: the features are not floating point.

    Source: the definition, in two passes: a mean of squares less the square of a mean
        loses all digits where the mean is large.
    """
    require_floating("features", features)
    own = features.new_tensor([features.numel() / features.shape[1]])
    totals = AllReduceSum.apply(torch.cat([features.sum((0, 2, 3)), own]))
    count = totals[-1].detach()
    mean = totals[:-1] / count
    squares = (features - mean[:, None, None]).square().sum((0, 2, 3))
    return mean, AllReduceSum.apply(squares) / count, count.item()


def train_digits(
    folder: str | Path,
    *,
    steps: int = 30,
    batch_size: int = 64,
    save_every: int = 10,
    before: Callable[[int], object] = lambda step: None,
) -> nn.Module:
    """Train on MNIST in all processes, and go on from the last checkpoint.

    Args:
        folder: the same for all processes; `run.pt` is written there.
        steps: of the whole training.
        batch_size: of all processes together, a multiple of their number.
        save_every: in steps.
        before: called with the number of each step, before it is taken.

    Returns:
        The network, the same in all processes.

    Raises:
        ValueError: a number is not whole or below 1, or n does not divide the batch.

    Source: the definition.
    """
    rank, n = world()
    require_whole("steps", steps)
    require_whole("save_every", save_every)
    require_whole("batch_size", batch_size)
    if batch_size % n:
        raise ValueError(f"batch_size must be a multiple of {n}, got {batch_size}")
    images, labels = mnist("train")
    torch.manual_seed(0)  # the same first weights in each process
    layers = nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)
    network = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    parts, path, done = [network, optimizer], Path(folder) / "run.pt", 0
    if path.exists():
        state = load_checkpoint(path)
        for part, saved in zip(parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        done = state["done"]
    for step in range(done, steps):
        before(step)
        index = batch_of_step(len(images), batch_size, 0, step)[rank::n]
        loss = F.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        average_gradients(network)
        optimizer.step()
        if (step + 1) % save_every == 0 or step + 1 == steps:
            if rank == 0:  # two writers of one file would spoil it
                saved = [part.state_dict() for part in parts]
                save_checkpoint(path, {"done": step + 1, "parts": saved})
            if n > 1:
                dist.barrier()
    return network


def _main() -> None:
    """What `torchrun -m lesson_utils.scaling_out FOLDER --kill-at 15` runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill-at", type=int)
    options = parser.parse_args()
    end_with_parent()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")  # torchrun says who is who, and where they meet
    rank, attempt = world()[0], int(os.environ["TORCHELASTIC_RESTART_COUNT"])

    def before(step: int) -> None:
        with (options.folder / f"{rank}.log").open("a") as file:
            file.write(f"attempt {attempt} step {step}\n")
        if (attempt, rank, step) == (0, 1, options.kill_at):
            os.kill(os.getpid(), signal.SIGKILL)  # as kill -9, or the memory's guard

    train_digits(options.folder, before=before)
    dist.destroy_process_group()


if __name__ == "__main__":
    _main()

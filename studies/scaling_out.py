"""Two processes timed, batches that grow, and batch norm with two pictures a process.

    python -m studies.scaling_out [--seeds 3] [--fresh] [--out FILE]

First the clock, which wants a machine with nothing else to do: two gloo processes add
up tensors from 4 kB to 16 MB, by torch's `all_reduce` and by the ring of the chapter,
and train a network of three layers on MNIST, whose step is timed in one process and in
two, with gradients sent as one message after the backward pass, one by one after it,
and one by one during it. Then MNIST's 4,000 digits, eight epochs by SGD, with batches
of 32 to 2,048: at one learning rate, at one that grows with the batch, and at one that
grows and is warmed up. At last a network with batch norm learns from batches of eight,
with statistics of all eight, of four times two, as two pictures in each of four
processes have, and of the numbers between.
"""

import time
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.processes import Team
from lesson_utils.common.step_costs import fit_ring
from lesson_utils.common.training import batch_of_step
from lesson_utils.data.mnist import mnist
from lesson_utils.scaling_out import (
    average_gradients,
    average_in_backward,
    ring_all_reduce,
)
from studies.skeleton import Study

SIZES = tuple(4**k for k in range(5, 12))  # of float32 tensors: 4 kB to 16 MB
REPEATS, STEPS_TIMED = 101, 21
WIDTH, BATCHES_TIMED = 1024, (64, 256)  # of both processes together
WAYS = ("alone", "none", "one message", "one by one", "during backward")
BATCHES = tuple(2**k for k in range(5, 12))
RULES = ("fixed", "linear", "warmup")
BASE_RATE, BASE_BATCH, MOMENTUM, EPOCHS, WARMUP = 0.025, 32, 0.9, 8, 0.3
clock = time.monotonic  # one for all processes of a machine
GROUPS, NORM_BATCH, NORM_STEPS, NORM_RATE = (1, 2, 4), 8, 600, 0.02


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm as it is in several processes: each group has its own statistics."""

    groups = 1

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same; the running statistics follow every group."""
        if not self.training:
            return super().forward(features)
        whole = super().forward
        return torch.cat([whole(part) for part in features.chunk(self.groups)])


def main(arguments: list[str] | None = None) -> None:
    """Time, train, write."""
    study = Study("scaling_out", __doc__, arguments, seeds=3)
    team: list[Team] = []
    try:
        for size in SIZES:
            key = {"part": "messages", "bytes": 4 * size}
            study.row(key, lambda s=size: time_messages(pair(team), s))
        for batch in BATCHES_TIMED:
            key = {"part": "steps", "batch": batch}
            study.row(key, lambda b=batch: time_steps(pair(team), b))
        for way in ("one message", "during backward"):
            key = {"part": "timeline", "way": way}
            study.row(key, lambda w=way: timeline(pair(team), w))
    finally:
        for each in team:
            each.close()
    for seed in study.seeds:
        for batch in BATCHES:
            for rule in RULES:
                key = {"part": "rates", "batch": batch, "rule": rule, "seed": seed}
                study.row(key, lambda b=batch, r=rule, s=seed: train(b, r, s))
        for groups in GROUPS:
            key = {"part": "batch norm", "groups": groups, "seed": seed}
            study.row(key, lambda g=groups, s=seed: train_normalized(g, s))
    messages = [row for row in study.rows if row["part"] == "messages"]
    sizes = [row["bytes"] for row in messages]
    fits = {}
    for name in ("torch", "ring"):
        latency, bandwidth = fit_ring(sizes, [row[name] for row in messages], 2)
        fits[name] = {"latency": latency, "bandwidth": bandwidth}
    study.write(
        fits=fits,
        parameters=sum(p.numel() for p in wide_network().parameters()),
        epochs=EPOCHS,
        base_rate=BASE_RATE,
        base_batch=BASE_BATCH,
        momentum=MOMENTUM,
        warmup=WARMUP,
        norm_batch=NORM_BATCH,
        norm_steps=NORM_STEPS,
        norm_rate=NORM_RATE,
    )


# The clock --------------------------------------------------------------------------


def pair(team: list[Team]) -> Team:
    """Two processes, started when they are first wanted."""
    if not team:
        team.append(Team(2))
    return team[0]


def median(seconds: list[float]) -> float:
    """Of several measurements, to a microsecond."""
    return round(torch.tensor(seconds, dtype=torch.float64).median().item(), 6)


def time_messages(team: Team, size: int) -> dict:
    """Seconds until a sum over two processes is there, by torch and by the ring."""
    return {
        "torch": median(team.run(_seconds_of, dist.all_reduce, size)[0]),
        "ring": median(team.run(_seconds_of, ring_all_reduce, size)[0]),
    }


def _seconds_of(function: Callable, size: int) -> list[float]:
    torch.set_num_threads(1)
    values, seconds = torch.ones(size), []
    for repeat in range(REPEATS + 3):
        dist.barrier()
        start = time.perf_counter()
        function(values)
        if repeat >= 3:
            seconds.append(time.perf_counter() - start)
        values.fill_(1)
    return seconds


def wide_network() -> nn.Module:
    """Three layers from (B, 784) to logits, with 1.9 million weights."""
    return nn.Sequential(
        nn.Linear(784, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, 10),
    )


def time_steps(team: Team, batch: int) -> dict:
    """Seconds of a step: half a batch in each of two processes, and all of it in one.

    "none" computes in both processes and sends nothing.
    """
    row = {}
    for way in WAYS:
        answers = team.run(_time_one, batch, way)
        row[way] = median(answers[0])
    return row


def _time_one(batch: int, way: str) -> list[float]:
    torch.set_num_threads(1)
    alone = way == "alone"
    if alone and dist.get_rank():
        return []
    images, labels = mnist("train")
    rows = batch if alone else batch // 2
    images, labels = images[:rows].flatten(1), labels[:rows]
    network = wide_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    finish = average_in_backward(network) if way == "during backward" else None
    seconds = []
    for step in range(STEPS_TIMED + 3):
        if not alone:
            dist.barrier()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=False)
        F.cross_entropy(network(images), labels).backward()
        if way == "one message":
            average_gradients(network)
        elif way == "one by one":
            for parameter in network.parameters():
                dist.all_reduce(parameter.grad)
                parameter.grad /= 2
        elif finish is not None:
            finish()
        optimizer.step()
        if step >= 3:
            seconds.append(time.perf_counter() - start)
    return seconds


def timeline(team: Team, way: str) -> dict:
    """What the two processes do in one step: of eleven, the one of middle length."""
    steps = list(zip(*team.run(_events_of, 256, way), strict=True))
    lengths = [max(event[2] for one in step for event in one) for step in steps]
    middle = sorted(range(len(steps)), key=lengths.__getitem__)[len(steps) // 2]
    return {"events": steps[middle]}


def _events_of(batch: int, way: str) -> list[list[tuple[str, float, float]]]:
    """For each step, what was done from when to when, in ms since its beginning."""
    torch.set_num_threads(1)
    images, labels = mnist("train")
    images, labels = images[: batch // 2].flatten(1), labels[: batch // 2]
    network = wide_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    steps = []
    for _ in range(14):
        events: list[tuple[str, float, float]] = []
        works: list = []
        hooks: list = []
        dist.barrier()
        begin = torch.tensor([clock()], dtype=torch.float64)
        dist.broadcast(begin, 0)
        zero = begin.item()

        def note(name: str, start: float, zero: float = zero, into=events) -> None:
            into.append(
                (name, round(1e3 * (start - zero), 3), round(1e3 * (clock() - zero), 3))
            )

        def send(parameter: nn.Parameter, works: list = works, note=note) -> None:
            start = clock()
            work = dist.all_reduce(parameter.grad, async_op=True)
            work.get_future().then(lambda _: note("all-reduce", start))
            works.append(work)

        start = clock()
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(network(images), labels)
        note("forward", start)
        if way == "during backward":
            hooks = [
                parameter.register_post_accumulate_grad_hook(send)
                for parameter in network.parameters()
            ]
        start = clock()
        loss.backward()
        note("backward", start)
        start = clock()
        if works:
            for work in works:
                work.wait()
            for parameter in network.parameters():
                parameter.grad /= 2
            note("wait", start)
        else:
            average_gradients(network)
            note("all-reduce", start)
        start = clock()
        optimizer.step()
        note("update", start)
        for hook in hooks:
            hook.remove()
        dist.barrier()  # the notes of other threads are there
        steps.append(list(events))
    return steps[3:]


# Batches that grow ------------------------------------------------------------------


def train(batch: int, rule: str, seed: int) -> dict:
    """Eight epochs of MNIST by SGD with momentum, at the rate that a rule gives."""
    images, labels = small_digits("train")
    images = images.flatten(1)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(196, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    peak = BASE_RATE if rule == "fixed" else BASE_RATE * batch / BASE_BATCH
    optimizer = torch.optim.SGD(network.parameters(), lr=peak, momentum=MOMENTUM)
    steps, losses = EPOCHS * (len(images) // batch), []
    for step in range(steps):
        share = min(1.0, (step + 1) / (WARMUP * steps)) if rule == "warmup" else 1.0
        optimizer.param_groups[0]["lr"] = share * peak
        index = batch_of_step(len(images), batch, seed, step)
        loss = F.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    last = losses[-max(1, steps // EPOCHS) :]
    row = {"steps": steps, "accuracy": accuracy_of(network, flat=True)}
    mean = sum(last) / len(last)
    return row | {"loss": round(mean, 4) if mean == mean else None}


def small_digits(split: str) -> tuple[Tensor, Tensor]:
    """Digits of 14 by 14 pixels, (N, 1, 14, 14), and labels."""
    images, labels = mnist(split)
    return F.avg_pool2d(images, 2), labels


@torch.no_grad()
def accuracy_of(network: nn.Module, *, flat: bool = False) -> float:
    """On the 1,000 test digits."""
    images, labels = small_digits("test")
    answers = network.eval()(images.flatten(1) if flat else images).argmax(1)
    return round((answers == labels).float().mean().item(), 4)


# Batch norm with few pictures -------------------------------------------------------


def normalized_network(groups: int) -> nn.Module:
    """Two convolutions and a layer, each with batch norm of so many groups."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False),
        GroupedBatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        GroupedBatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, bias=False),  # (B, 64, 1, 1): one value a picture
        GroupedBatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    for layer in network:
        if isinstance(layer, GroupedBatchNorm2d):
            layer.groups = groups
    return network


def train_normalized(groups: int, seed: int) -> dict:
    """Batches of eight digits, whose statistics are those of so many groups."""
    images, labels = small_digits("train")
    torch.manual_seed(seed)
    network = normalized_network(groups)
    optimizer = torch.optim.SGD(network.parameters(), lr=NORM_RATE, momentum=MOMENTUM)
    losses = []
    for step in range(NORM_STEPS):
        optimizer.param_groups[0]["lr"] = NORM_RATE * (1 - step / NORM_STEPS)
        index = batch_of_step(len(images), NORM_BATCH, seed, step)
        loss = F.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    index = batch_of_step(len(images), 512, seed, 0)
    with torch.no_grad():  # as in training: of its own few pictures
        parts = [network(images[i]).argmax(1) for i in index.split(NORM_BATCH)]
    right = (torch.cat(parts) == labels[index]).float().mean().item()
    row = {"loss": round(sum(losses[-100:]) / 100, 4), "in_training": round(right, 4)}
    return row | {"accuracy": accuracy_of(network)}


if __name__ == "__main__":
    main()

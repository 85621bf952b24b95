"""The checks of the chapter `book/training/scaling_out.ipynb`."""

from collections.abc import Iterator
from functools import partial

import torch

from lesson_utils import scaling_out
from lesson_utils.common import step_costs
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# ring_all_reduce --------------------------------------------------------------------


def _by_its_sums(tensors):
    """Each chunk of each state, from what its process must have been sent by then."""
    n, length = len(tensors), len(tensors[0])
    sizes = [length // n + (c < length % n) for c in range(n)]
    starts = [sum(sizes[:c]) for c in range(n)]
    states = []
    for step in range(2 * n - 1):
        rows = []
        for rank in range(n):
            row = tensors[rank].clone()
            for c, (start, size) in enumerate(zip(starts, sizes, strict=True)):
                age = (rank - 1 - c) % n  # the step in which it comes, to be added
                terms = age + 2 if age < min(step, n - 1) else 1
                if step >= n and (rank - c) % n < step - (n - 1):
                    terms = n
                part = slice(start, start + size)
                own = [tensors[(rank - k) % n][part] for k in range(min(terms, n))]
                row[part] = torch.stack(own).sum(0)
            rows.append(row)
        states.append(torch.stack(rows))
    return torch.stack(states)


def _ring_cases() -> Iterator[Case]:
    pair = [torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])]
    # Process 0 sends chunk 0, process 1 chunk 1; then each sends its whole sum.
    states = [
        [[1.0, 2], [10, 20]],
        [[1.0, 22], [11, 20]],
        [[11.0, 22], [11, 22]],
    ]
    yield Case("two processes, two numbers", (pair,), expected=torch.tensor(states))
    for n, length in ((3, 6), (4, 4), (3, 7), (4, 10)):
        tensors = [normal(length, seed=10 * n + rank) for rank in range(n)]
        uneven = "" if length % n == 0 else ", which do not divide evenly"
        yield Case.from_reference(
            f"{n} processes, {length} numbers{uneven}", _by_its_sums, tensors
        )
    whole = [torch.arange(5) + 10 * rank for rank in range(4)]
    yield Case.from_reference("whole numbers", _by_its_sums, whole, hardening=True)
    yield Case.from_reference(
        "fewer numbers than processes",
        _by_its_sums,
        [normal(2, seed=rank) for rank in range(5)],
        hardening=True,
    )
    one = normal(3, seed=1)
    yield Case(
        "one process", ([one],), expected=one.view(1, 1, 3).clone(), hardening=True
    )
    yield Case("no process", ([],), raises=(ValueError, IndexError, RuntimeError))
    yield Case("tensors of different lengths", ([one, one[:2]],),
               raises=(ValueError, IndexError, RuntimeError))  # fmt: skip


def _pieces(tensor, n, size):
    """As many chunks of this size as there are processes, and the rest in none."""
    return [tensor[k * size : (k + 1) * size] for k in range(n)]


def _wrong_ring(tensors, way="backwards"):
    """The right answer with one thing wrong."""
    n = len(tensors)
    if not n or any(tensor.shape != tensors[0].shape for tensor in tensors):
        raise ValueError("tensors must be at least one, all of one length")
    split = torch.Tensor.chunk if way == "chunk" else torch.Tensor.tensor_split
    if way == "rest left out":
        split = partial(_pieces, size=len(tensors[0]) // n)
    before = torch.stack(list(tensors))
    states = [before.clone()]
    more = {"one too many": 1, "two too many": 2}.get(way, 0)
    for step in range(2 * (n - 1) + more):
        after = before.clone()
        for rank in range(n):
            to = (rank + (-1 if way in ("backwards", "mirrored") else 1)) % n
            number = (rank - step) % n
            if way == "mirrored":
                number = (rank + step) % n
            elif way == "starts one before":
                number = (rank - 1 - step) % n
            elif way == "same chunk":
                number = rank
            elif way == "other order":
                number = (rank + step) % n
            elif way == "starts one on":
                number = (rank + 1 - step) % n
            leaving, target = split(before[rank], n), split(after[to], n)
            if number >= len(leaving):
                continue
            summed = target[number] + leaving[number]
            adds = step < n - 1 or way == "adds on"
            if way == "adds once more":
                adds = step < n
            elif way == "adds once less":
                adds = step < n - 2
            adds = adds and way != "copies"
            target[number].copy_(summed if adds else leaving[number])
        before = after
        states.append(after)
    if way == "half":
        states = states[:n]
    elif way == "no start":
        states = states[1:]
    elif way == "last":
        return states[-1]
    elif way == "shared":
        states = [states[-1]] * len(states)
    elif way == "at once":
        states[1:-1] = [states[-1]] * (len(states) - 2)
    elif way == "means":
        return torch.stack(states) / n
    elif way == "mean":
        states[-1] = states[-1] / n if states[-1].is_floating_point() else states[-1]
    return torch.stack(states)


_RING_ALL_REDUCE = Exercise(
    name="ring_all_reduce",
    solution=scaling_out.ring_steps,
    cases=_ring_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_ring, way=way))
        for way, hint in {
            "backwards": "Your processes send to r - 1. The ring goes the other way: "
            "process r sends to r + 1.",
            "mirrored": "Your ring is the mirror image: process r sends chunk "
            "(r + s) mod n to r - 1. It is to send chunk (r - s) mod n to r + 1.",
            "same chunk": "Process r sends the same chunk in each step. In step s it "
            "sends chunk (r - s) mod n, which it has just received.",
            "other order": "Chunk (r + s) mod n is sent; it is (r - s) mod n, the "
            "chunk that came in with the step before.",
            "starts one on": "The first chunk that process r sends is its own number, "
            "r; you begin with chunk r + 1.",
            "starts one before": "The first chunk that process r sends is its own "
            "number, r; you begin with chunk r - 1.",
            "adds once more": "You add once too often: in step n - 1 what arrives is a "
            "whole sum already.",
            "adds once less": "You add once too little: step n - 2 is still one of "
            "those that add.",
            "one too many": "A step too many: they are s = 0 … 2 n - 3, which is "
            "`range(2 * (n - 1))`.",
            "two too many": "Two steps too many: they are s = 0 … 2 n - 3, which is "
            "`range(2 * (n - 1))`.",
            "at once": "All have the whole sum after one step. In a step each process "
            "sends one chunk only.",
            "rest left out": "What does not divide evenly is in no chunk, or all in "
            "one. `tensor_split(n)` deals it out.",
            "means": "These are means. The ring adds up; whoever wants the mean "
            "divides afterwards.",
            "chunk": "`torch.chunk` makes the last chunk the shorter one, and may make "
            "fewer chunks than n. `tensor_split` makes n.",
            "adds on": "From step n - 1 on, what arrives is a whole sum. It replaces "
            "the chunk; added, it counts numbers twice.",
            "copies": "In the first n - 1 steps what arrives is *added* to the chunk "
            "that is there.",
            "half": "These are the first n - 1 steps. Now each process has one whole "
            "sum, and n - 1 more steps hand it on.",
            "no start": "The first of the states is the tensors as they come, before "
            "any step.",
            "last": "This is the last state. All 2 n - 1 are asked for, one behind "
            "the other.",
            "shared": "All your states are the last one: they share their memory. "
            "Clone a state before the next step changes it.",
            "mean": "The last state is a mean. The ring adds up; whoever wants the "
            "mean divides afterwards.",
        }.items()
    ),
    hints=(
        "In each step, all processes send at once: read everything from the state "
        "before, write into a copy.",
        "In step s process r sends chunk (r - s) mod n to process (r + 1) mod n. Up to "
        "s = n - 2 it is added there, then it replaces.",
        "`leaving = before[rank].tensor_split(n)[(rank - step) % n]`; the target is "
        "the same chunk of `after[(rank + 1) % n]`, with `after = before.clone()`.",
    ),
)


# shard_indices ----------------------------------------------------------------------


def _dealt(number, rank, world_size, *, seed=0, epoch=0, pad=False):
    """Card by card."""
    dice = torch.Generator().manual_seed(seed + epoch)
    cards = torch.randperm(number, generator=dice).tolist()
    if pad and number:
        place = 0
        while len(cards) % world_size:
            cards.append(cards[place])
            place += 1
    hands = [[] for _ in range(world_size)]
    for place, card in enumerate(cards):
        hands[place % world_size].append(card)
    return torch.tensor(hands[rank], dtype=torch.int64)


def _leaves_the_dice(answer, *args):
    """Whether torch's global generator is in the state that it was in."""
    before = torch.get_rng_state()
    answer(*args)
    return torch.equal(before, torch.get_rng_state())


def _shard_cases() -> Iterator[Case]:
    for name, arguments, keywords in (
        ("12 samples, the first of 3", (12, 0, 3), {}),
        ("12 samples, the last of 3", (12, 2, 3), {}),
        ("11 samples, the last of 4", (11, 3, 4), {}),
        ("11 samples, the first of 4", (11, 0, 4), {}),
        ("another seed", (12, 1, 3), {"seed": 5}),
        ("another epoch", (12, 1, 3), {"seed": 1, "epoch": 7}),
        ("padded: 11 samples, the last of 4", (11, 3, 4), {"pad": True}),
        ("padded: 9 samples, the last of 4", (9, 3, 4), {"pad": True, "epoch": 2}),
        ("padded, though 4 divides 12", (12, 1, 4), {"pad": True}),
        ("a seed and an epoch", (12, 0, 3), {"seed": 3, "epoch": 2}),
    ):
        yield Case.from_reference(name, _dealt, *arguments, **keywords)
    for name, arguments, keywords in (
        ("one process", (7, 0, 1), {}),
        ("fewer samples than processes", (3, 4, 5), {}),
        ("padded: two samples, the fifth of 7", (2, 4, 7), {"pad": True}),
        ("no sample", (0, 1, 2), {}),
        ("padded: no sample", (0, 1, 2), {"pad": True}),
    ):
        yield Case.from_reference(name, _dealt, *arguments, hardening=True, **keywords)
    yield Case(
        "torch's own generator afterwards", (12, 1, 3), expected=True,
        call=_leaves_the_dice, hardening=True,
    )  # fmt: skip
    yield Case("a rank that is not there", (10, 3, 3), raises=ValueError)
    yield Case("a rank below 0", (10, -1, 3), raises=ValueError)
    yield Case("no process at all", (10, 0, 0), raises=(ValueError, ZeroDivisionError))


def _wrong_shard(
    number, rank, world_size, *, seed=0, epoch=0, pad=False, way="blocks", pads=True
):
    """The right answer with one thing wrong, and a second one where it never pads."""
    if not 0 <= rank < world_size:
        raise ValueError("rank must be from 0 to world_size - 1")
    start = seed + epoch
    if way == "own dice":
        start += rank
    elif way == "no epoch":
        start = seed
    elif way == "no seed":
        start = epoch
    elif way == "product":
        start = seed * epoch
    order = torch.randperm(number, generator=torch.Generator().manual_seed(start))
    if way == "global":
        torch.manual_seed(start)
        order = torch.randperm(number)
    if way == "no generator":
        order = torch.randperm(number)
    if way == "generator without a seed":
        order = torch.randperm(number, generator=torch.Generator())
    if way == "in order":
        order = torch.arange(number)
    pad = (pad or way == "always padded") and pads
    length = -(-number // world_size)
    if way == "small blocks":
        return order[rank * (number // world_size) :][: number // world_size]
    if way == "its own again" and pad and number:
        own = order[rank::world_size]
        return own.repeat(2)[:length] if len(own) else own
    if way == "drops":
        order = order[: number // world_size * world_size]
    elif pad and number:
        missing = -number % world_size
        if way == "once":
            order = torch.cat([order, order[:missing]])
        elif way == "always some":
            order = torch.cat([order, order[: world_size - number % world_size]])
        elif way == "last again":
            order = torch.cat([order, order[-1:].expand(missing)])
        elif way == "zeros":
            order = torch.cat([order, order.new_zeros(missing)])
        else:
            order = order.repeat(2 + missing // number)[: number + missing]
    if way == "blocks":
        return order.tensor_split(world_size)[rank]
    if way == "places":
        return torch.arange(len(order))[rank::world_size]
    return order[rank::world_size]


_SEEN_ONLY_PADDED = (
    "drops", "always padded", "last again", "zeros", "places", "once", "always some",
    "its own again", "global",
)  # fmt: skip
_SHARD_INDICES = Exercise(
    name="shard_indices",
    solution=scaling_out.shard_indices,
    cases=_shard_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_shard, way=way, pads=pads))
        for way, hint in {
            "blocks": "You cut the order into blocks. The cards are dealt out in turn: "
            "process r takes places r, r + n, r + 2 n.",
            "small blocks": "You cut the order into blocks. The cards are dealt out in "
            "turn: process r takes places r, r + n, r + 2 n.",
            "product": "Seed and epoch are multiplied: as long as one of them is 0, "
            "the other changes nothing. Add them.",
            "no generator": "The order comes from torch's global generator, whatever "
            "it is at: each process has another. Give `torch.randperm` a generator.",
            "generator without a seed": "The generator has no seed: use "
            "`manual_seed(seed + epoch)`.",
            "global": "`torch.manual_seed` sets the dice of everybody, dropout's, too, "
            "and all processes then draw the same. Use a `torch.Generator`.",
            "once": "The order is longer than twice itself here: it must begin anew as "
            "often as it takes.",
            "always some": "Where n divides the number of samples, nothing is missing: "
            "`-number % n`, not `n - number % n`.",
            "its own again": "Each process repeats a sample of its own. It is the "
            "whole order that begins anew, *before* it is dealt out.",
            "in order": "The samples are not shuffled: put them into the order of "
            "`torch.randperm`, with a generator of seed + epoch.",
            "own dice": "Each process shuffles in an order of its own, as the rank is "
            "in the seed. Then some samples are seen twice, and others never.",
            "no epoch": "The epoch does not change the order: the generator's seed is "
            "seed + epoch.",
            "no seed": "The seed does not change the order: the generator's seed is "
            "seed + epoch.",
            "drops": "What does not divide evenly is dropped, and is never seen. "
            "Without `pad`, some processes get one sample more.",
            "always padded": "You pad without being asked: with `pad=False` each "
            "sample is seen once.",
            "never padded": "With `pad=True` each process gets as many: the order "
            "begins anew at its end.",
            "last again": "You pad with the last sample. The order begins anew: its "
            "first samples come again.",
            "zeros": "You pad with sample 0. The order begins anew: its first samples "
            "come again.",
            "places": "These are places in the order. Which samples stand there?",
        }.items()
        for pads in ((False,) if way == "never padded" else (True, False))
        if pads or way not in _SEEN_ONLY_PADDED
    ),
    hints=(
        "All processes make the same order; each takes its own places of it.",
        "`torch.randperm(number, generator=…)` with a generator of seed + epoch; to "
        "pad, repeat the order until n divides its length. A slice with a step deals.",
        "`order[rank::world_size]`; padded, `order.repeat(times)[:length]` comes "
        "first, with `length = -(-number // world_size) * world_size`.",
    ),
)


# memory_per_gpu ---------------------------------------------------------------------


def _by_table(parameters, world_size, *, stage=0):
    """The paper's four formulas, one by one."""
    if stage == 0:
        return 16.0 * parameters
    if stage == 1:
        return 4.0 * parameters + 12.0 * parameters / world_size
    if stage == 2:
        return 2.0 * parameters + 14.0 * parameters / world_size
    return 16.0 * parameters / world_size


def _memory_cases() -> Iterator[Case]:
    yield Case(
        "1,003 parameters, 7 GPUs, stage 1",
        (1003, 7),
        {"stage": 1},
        expected=4 * 1003 + 12 * 1003 / 7,
        same_dtype=False,
    )
    sizes = (120e9, 31.40625e9, 16.640625e9, 1.875e9)
    for stage, expected in enumerate(sizes):
        name = f"7.5 billion parameters, 64 GPUs, stage {stage}"
        yield Case(
            name, (7.5e9, 64), {"stage": stage}, expected=expected, same_dtype=False
        )
    for parameters, n, stage in ((25_557_032, 8, 1), (1e9, 4, 2), (1e9, 3, 3)):
        yield Case.from_reference(
            f"{parameters:,.0f} parameters, {n} GPUs, stage {stage}",
            _by_table,
            parameters,
            n,
            stage=stage,
            same_dtype=False,
        )
    yield Case("without a stage", (1e6, 8), expected=16e6, same_dtype=False)
    for stage in (1, 3):
        yield Case(
            f"one GPU, stage {stage}", (1e6, 1), {"stage": stage}, expected=16e6,
            same_dtype=False, hardening=True,
        )  # fmt: skip
    yield Case("no parameters", (0, 8), {"stage": 2}, expected=0.0,
               same_dtype=False, hardening=True)  # fmt: skip
    yield Case("stage 4", (1e6, 8), {"stage": 4}, raises=ValueError)
    yield Case("stage -1", (1e6, 8), {"stage": -1}, raises=ValueError)
    yield Case("no GPU", (1e6, 0), {"stage": 1}, raises=(ValueError, ZeroDivisionError))


def _wrong_memory(parameters, world_size, *, stage=0, way="all shared"):
    """The right answer with one thing wrong."""
    if stage not in range(4) or world_size < 1:
        raise ValueError("stage must be from 0 to 3, and there must be a GPU")
    parts = [12, 2, 2]
    if way == "weights first":
        parts = [2, 2, 12]
    elif way == "gradients first":
        parts = [2, 12, 2]
    elif way == "no copy":
        parts = [8, 2, 2]
    elif way == "momentum only":
        parts = [4, 2, 2]
    elif way == "single precision":
        parts = [8, 4, 4]
    elif way == "all single":
        parts = [12, 4, 4]
    if way == "one too many":
        stage = min(stage + 1, 3) if stage else 0
    elif way == "one too few":
        stage = max(stage - 1, 0)
    elif way == "only the last":
        return parameters * (
            16 if not stage else 16 - parts[stage - 1] * (1 - 1 / world_size)
        )
    n = 1 if way == "nothing shared" else world_size
    if way == "all shared" and stage:
        stage = 3
    if way == "always shared" or (way == "stage 0 shared" and not stage):
        stage = 3
    shared, whole = sum(parts[:stage]), sum(parts[stage:])
    if way == "left out":
        return parameters * whole
    found = parameters * (whole + shared / n)
    scale = {"gigabytes": 1e-9, "gibibytes": 2**-30, "bits": 8, "in all": world_size}
    return found * scale.get(way, 1)


_MEMORY_PER_GPU = Exercise(
    name="memory_per_gpu",
    solution=step_costs.memory_per_gpu,
    cases=_memory_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_memory, way=way))
        for way, hint in {
            "all shared": "From stage 1 on you share everything out. Stage 1 shares "
            "the optimizer's twelve bytes only.",
            "always shared": "You share everything out, at every stage. Stage 0 keeps "
            "all sixteen bytes on each GPU.",
            "weights first": "You share the weights out first. The optimizer's twelve "
            "bytes come first: they are the most, and nobody else needs them.",
            "stage 0 shared": "Stage 0 shares nothing: each GPU keeps all sixteen "
            "bytes.",
            "gradients first": "You share the gradients out first. The optimizer's "
            "twelve bytes come first: they are the most.",
            "no copy": "The float32 copy of the weights is missing: the optimizer "
            "holds 4 + 4 + 4 bytes.",
            "momentum only": "The optimizer holds three float32 numbers for each "
            "parameter: a copy of the weight, momentum, and variance.",
            "single precision": "You count weights and gradients in float32. Mixed "
            "precision keeps them in 2 bytes each, and a float32 copy with the "
            "optimizer.",
            "all single": "You count weights and gradients in float32. In mixed "
            "precision they take 2 bytes each.",
            "one too many": "You are one stage ahead: stage 1 shares the optimizer's "
            "state, 2 the gradients, too, 3 the weights, too.",
            "one too few": "You are one stage behind: stage 1 already shares the "
            "optimizer's state.",
            "only the last": "A stage shares what the stages before it shared, too.",
            "nothing shared": "Nothing is divided by the number of GPUs.",
            "left out": "What is shared out is missing: each GPU still holds 1 / n of "
            "it.",
            "gigabytes": "The answer is in bytes, yours in gigabytes.",
            "gibibytes": "The answer is in bytes, yours in GiB.",
            "bits": "The answer is in bytes, yours in bits.",
            "in all": "This is what all GPUs hold together; one of them is asked for.",
        }.items()
    ),
    hints=(
        "Sixteen bytes a parameter: which of them does each GPU keep whole?",
        "Optimizer 12, gradients 2, weights 2, in this order; stage k shares the first "
        "k of the three out among n GPUs.",
        "`parameters * (sum(parts[stage:]) + sum(parts[:stage]) / world_size)` with "
        "`parts = (12, 2, 2)`.",
    ),
)


EXERCISES = (_RING_ALL_REDUCE, _SHARD_INDICES, _MEMORY_PER_GPU)

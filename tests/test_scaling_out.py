"""Scaling out, tested in two, three and four real processes."""

import re
import sys
from datetime import timedelta
from pathlib import Path

import cloudpickle
import nbformat
import pytest
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

from lesson_utils import scaling_out as so
from lesson_utils.checks import scaling_out as scaling_out_checks
from lesson_utils.common.checkpoints import load_checkpoint
from lesson_utils.common.processes import Team, torchrun
from lesson_utils.common.step_costs import memory_per_gpu
from lesson_utils.common.studies import read_study
from lesson_utils.grading.draws import normal
from tests.answers import ExerciseTests

ROOT = Path(__file__).resolve().parent.parent
# The processes get this file's functions as they are, and need not import it.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
PAGE = ROOT / "book" / "training" / "scaling_out.ipynb"


@pytest.fixture(scope="module")
def team():
    with Team(4, timeout=240) as started:
        yield started


def in_a_world_of(team, number, function, *arguments, folder):
    """What the first so many processes return, met in a group of their own."""
    name = f"{folder}/{number}-{len(list(Path(folder).iterdir()))}"
    Path(f"{name}.used").touch()
    return team.run(_regrouped, number, name, function, *arguments)[:number]


def _regrouped(number, name, function, *arguments):
    rank, size, patience = (
        dist.get_rank(),
        dist.get_world_size(),
        timedelta(seconds=240),
    )
    dist.destroy_process_group()
    try:
        if rank >= number:
            return None
        dist.init_process_group("gloo", f"file://{name}-in", patience, number, rank)
        return function(*arguments)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        dist.init_process_group("gloo", f"file://{name}-out", patience, size, rank)


# The ring ---------------------------------------------------------------------------


def _rings(lengths, dtypes):
    rank, found = dist.get_rank(), []
    for length in lengths:
        for dtype in dtypes:
            ours = (10 * torch.randn(length, generator=_dice(rank))).to(dtype)
            theirs = ours.clone()
            sent = so.ring_all_reduce(ours)
            dist.all_reduce(theirs)
            found.append((length, dtype, sent, ours, theirs))
    shaped = torch.full((2, 3, 5), rank + 1.0)
    so.ring_all_reduce(shaped)
    return found, shaped


def _dice(seed):
    return torch.Generator().manual_seed(seed)


class TestRing:
    LENGTHS = (0, 1, 2, 3, 7, 8, 60, 1001)
    DTYPES = (torch.float64, torch.float32, torch.int64)

    @pytest.mark.parametrize("n", [2, 3, 4])
    def test_is_all_reduce_and_sends_as_few_bytes(self, team, n, tmp_path):
        answers = in_a_world_of(
            team, n, _rings, self.LENGTHS, self.DTYPES, folder=tmp_path
        )
        total = sum(range(1, n + 1))
        for found, shaped in answers:
            assert torch.equal(shaped, torch.full((2, 3, 5), float(total)))
            for length, dtype, sent, ours, theirs in found:
                torch.testing.assert_close(ours, theirs)
                least = 2 * (n - 1) / n * length * dtype.itemsize
                # A chunk is longer by one number at most.
                assert abs(sent - least) <= 2 * (n - 1) * dtype.itemsize
                if length % n == 0:
                    assert sent == least
        for rows in zip(*(found for found, _ in answers), strict=True):
            everywhere = sum(row[2] for row in rows)
            length, dtype = rows[0][:2]
            # All together send 2 (n - 1) whole tensors, however they are cut.
            assert everywhere == 2 * (n - 1) * length * dtype.itemsize
            for row in rows:
                assert torch.equal(row[3], rows[0][3])  # the same to the last bit

    def test_a_world_of_one(self):
        values = torch.tensor([1.0, 2.0])
        assert so.world() == (0, 1)
        assert so.ring_all_reduce(values) == 0
        assert values.tolist() == [1, 2]

    def test_errors(self):
        with pytest.raises(ValueError, match="tensor must be contiguous"):
            so.ring_all_reduce(torch.zeros(4, 3).T)


class TestRingSteps:
    def test_by_hand(self):
        pair = [torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])]
        assert so.ring_steps(pair).tolist() == [
            [[1, 2], [10, 20]],
            [[1, 22], [11, 20]],
            [[11, 22], [11, 22]],
        ]

    @given(st.integers(1, 6), st.integers(0, 20))
    @settings(max_examples=30, deadline=None)
    def test_ends_with_the_sum_everywhere(self, n, length):
        tensors = [normal(length, seed=rank) for rank in range(n)]
        states = so.ring_steps(tensors)
        assert states.shape == (2 * n - 1, n, length)
        torch.testing.assert_close(states[0], torch.stack(tensors))
        total = sum(tensors)
        torch.testing.assert_close(states[-1], total.expand(n, -1))

    def test_each_number_is_counted_once(self):
        counts = so.ring_steps([torch.ones(8)] * 4)
        assert counts.amax((1, 2)).tolist() == [1, 2, 3, 4, 4, 4, 4]
        assert (counts[3] == 4).sum().item() == 8  # each process has one whole chunk
        assert [(state == 4).sum().item() for state in counts[3:]] == [8, 16, 24, 32]

    def test_is_what_the_processes_do(self, team, tmp_path):
        ((ours, _), *_) = in_a_world_of(team, 3, _rings, (7,), (torch.float64,),
                                        folder=tmp_path)  # fmt: skip
        tensors = [
            (10 * torch.randn(7, generator=_dice(rank))).double() for rank in range(3)
        ]
        assert torch.equal(so.ring_steps(tensors)[-1, 0], ours[0][3])

    def test_errors(self):
        for tensors in (
            [],
            [torch.zeros(2), torch.zeros(3)],
            [torch.zeros(2, 2)] * 2,
            [torch.zeros(2), torch.zeros(2).double()],
        ):
            with pytest.raises(ValueError, match="tensors must be at least one"):
                so.ring_steps(tensors)


# Gradients --------------------------------------------------------------------------


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def gradients(network):
    return [parameter.grad.clone() for parameter in network.parameters()]


def loss_of(network, images, labels):
    return F.cross_entropy(network(images), labels)


def _halves(images, labels):
    part = slice(dist.get_rank(), None, dist.get_world_size())
    images, labels = images[part], labels[part]
    found = {}
    network = small_network()
    loss_of(network, images, labels).backward()
    so.average_gradients(network)
    found["ours"] = gradients(network)
    network = small_network()
    finish = so.average_in_backward(network)
    for _ in range(2):  # a second step is another one
        network.zero_grad()
        loss_of(network, images, labels).backward()
        finish()
    found["in backward"] = gradients(network)
    network = small_network()
    wrapped = DistributedDataParallel(network)
    F.cross_entropy(wrapped(images), labels).backward()
    found["torch"] = gradients(network)
    return found


def _used_in_one():
    network = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(2)])
    network[0].weight.requires_grad_(False)
    if dist.get_rank() == 1:
        network[1](torch.ones(1, 1)).sum().backward()
    so.average_gradients(network)
    return network[0].weight.grad, network[1].weight.grad


class TestGradients:
    @pytest.mark.parametrize("n", [2, 4])
    def test_parts_of_a_batch_equal_the_whole(self, team, n, tmp_path):
        images, labels = normal(8, 6, seed=3), torch.arange(8) % 3
        network = small_network()
        loss_of(network, images, labels).backward()
        whole = gradients(network)
        for found in in_a_world_of(team, n, _halves, images, labels, folder=tmp_path):
            for gradient in found.values():
                for one, other in zip(gradient, whole, strict=True):
                    assert (one - other).abs().max() < 1e-6
                    torch.testing.assert_close(one, other)

    def test_unequal_parts_do_not(self, team, tmp_path):
        images, labels = normal(7, 6, seed=3), torch.arange(7) % 3
        network = small_network()
        loss_of(network, images, labels).backward()
        whole = gradients(network)
        found = in_a_world_of(team, 2, _halves, images, labels, folder=tmp_path)[0]
        assert (found["ours"][0] - whole[0]).abs().max() > 1e-4

    def test_what_one_process_did_not_use(self, team, tmp_path):
        for frozen, gradient in in_a_world_of(team, 2, _used_in_one, folder=tmp_path):
            assert frozen is None
            assert gradient.tolist() == [[0.5]]

    def test_a_world_of_one(self):
        network = small_network()
        finish = so.average_in_backward(network)
        loss_of(network, normal(4, 6), torch.arange(4) % 3).backward()
        before = gradients(network)
        so.average_gradients(network)
        finish()
        for one, other in zip(gradients(network), before, strict=True):
            assert torch.equal(one, other)


# Shards -----------------------------------------------------------------------------


class TestShards:
    @given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 99), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_nothing_twice_and_nothing_missing(self, number, n, seed, pad):
        parts = [
            so.shard_indices(number, rank, n, seed=seed, pad=pad) for rank in range(n)
        ]
        every = torch.cat(parts)
        assert set(every.tolist()) == set(range(number))
        sizes = {len(part) for part in parts}
        if pad:
            assert len(sizes) == 1
        else:
            assert len(every) == number
            assert max(sizes) - min(sizes) <= 1

    @given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
    @settings(max_examples=60, deadline=None)
    def test_padded_is_torchs_sampler(self, number, n, seed, epoch):
        for rank in range(n):
            ours = so.shard_indices(number, rank, n, seed=seed, epoch=epoch, pad=True)
            assert ours.tolist() == sampled(number, rank, n, seed=seed, epoch=epoch)

    def test_epochs_differ(self):
        first, second = (so.shard_indices(50, 0, 2, epoch=e) for e in (0, 1))
        assert not torch.equal(first, second)
        assert torch.equal(first, so.shard_indices(50, 0, 2))

    def test_errors(self):
        for arguments, keywords in (
            ((-1, 0, 1), {}),
            ((2.5, 0, 1), {}),
            ((3, 2, 2), {}),
            ((3, -1, 2), {}),
            ((3, 0, 0), {}),
            ((3, 0, True), {}),
            ((3, 0, 1), {"seed": -1}),
            ((3, 0, 1), {"epoch": 0.5}),
        ):
            with pytest.raises(ValueError, match="must be a whole number"):
                so.shard_indices(*arguments, **keywords)


def sampled(number, rank, world_size, *, seed=0, epoch=0, pad=True):
    """By torch's sampler, what it pads with cut off again where that is not wanted."""
    if not number:
        return []
    sampler = DistributedSampler(range(number), world_size, rank, seed=seed)
    sampler.set_epoch(epoch)
    indices = list(sampler)
    own = len(range(rank, number, world_size))
    return indices if pad else indices[:own]


# Batch norm -------------------------------------------------------------------------


def normalized(layer, features, slopes):
    """Output, and gradients of features, scale and shift."""
    features = features.clone().requires_grad_()
    result = layer(features)
    result.backward(slopes)
    return result.detach(), features.grad, layer.weight.grad, layer.bias.grad


def made(kind):
    layer = kind(3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
        layer.bias.copy_(torch.tensor([0.0, 0.3, 1.0]))
    return layer


def _synced(parts):
    features, slopes = parts[dist.get_rank()]
    layer = made(so.SyncedBatchNorm2d)
    found = normalized(layer, features, slopes)
    sums = [found[2].clone(), found[3].clone()]
    for each in sums:
        dist.all_reduce(each)
    values = torch.arange(3.0).requires_grad_()
    (so.AllReduceSum.apply(values) * (dist.get_rank() + 1)).sum().backward()
    theirs = torch.arange(3.0).requires_grad_()
    # Its default is the group that was there when torch's module was imported.
    summed = dist_functional.all_reduce(theirs, group=dist.group.WORLD)
    (summed * (dist.get_rank() + 1)).sum().backward()
    return (*found[:2], *sums), layer.state_dict(), values.grad, theirs.grad


class TestSyncedBatchNorm:
    @pytest.mark.parametrize(
        ("sizes", "offset"), [((2, 2), 0), ((3, 1), 0), ((1, 1), 0), ((2, 2, 1), 1e4)]
    )
    def test_is_that_of_the_whole_batch(self, team, sizes, offset, tmp_path):
        features = normal(sum(sizes), 3, 2, 4, seed=5) + offset
        slopes = normal(sum(sizes), 3, 2, 4, seed=6)
        whole_layer = made(nn.BatchNorm2d)
        whole = normalized(whole_layer, features, slopes)
        parts = list(zip(features.split(sizes), slopes.split(sizes), strict=True))
        answers = in_a_world_of(team, len(sizes), _synced, parts, folder=tmp_path)
        for k, each in enumerate(whole):
            found = [answer[0][k] for answer in answers]
            found = torch.cat(found) if k < 2 else found[0]
            torch.testing.assert_close(found, each, rtol=1e-7, atol=1e-7)
        for _, state, ours, theirs in answers:
            torch.testing.assert_close(state, dict(whole_layer.state_dict()))
            assert torch.equal(ours, theirs)

    def test_a_world_of_one_is_batch_norm(self):
        features, slopes = normal(4, 3, 2, 2), normal(4, 3, 2, 2, seed=1)
        ours, theirs = made(so.SyncedBatchNorm2d), made(nn.BatchNorm2d)
        for one, other in zip(
            normalized(ours, features, slopes),
            normalized(theirs, features, slopes),
            strict=True,
        ):
            torch.testing.assert_close(one, other)
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
        torch.testing.assert_close(ours.eval()(features), theirs.eval()(features))

    @pytest.mark.parametrize(
        "options",
        [{"momentum": None}, {"affine": False}, {"track_running_stats": False}],
    )
    def test_the_options_of_batch_norm(self, options):
        ours, theirs = (
            kind(3, **options).double()
            for kind in (so.SyncedBatchNorm2d, nn.BatchNorm2d)
        )
        for seed in range(3):
            features = normal(4, 3, 2, 2, seed=seed)
            torch.testing.assert_close(ours(features), theirs(features))
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
        torch.testing.assert_close(ours.eval()(features), theirs.eval()(features))

    def test_gradients(self):
        layer = so.SyncedBatchNorm2d(2, track_running_stats=False).double()
        assert torch.autograd.gradcheck(layer, normal(3, 2, 2, 2).requires_grad_())

    def test_errors(self):
        layer = so.SyncedBatchNorm2d(3)
        with pytest.raises(ValueError, match="two values per channel"):
            layer(torch.zeros(1, 3, 1, 1))
        with pytest.raises(ValueError, match="expected 4D input"):
            layer(torch.zeros(2, 3))
        with pytest.raises(ValueError, match="features must be floating"):
            so.synced_moments(torch.zeros(1, 3, 1, 1).long())

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_is_torchs_own_on_a_gpu(self, tmp_path):
        dist.init_process_group("gloo", f"file://{tmp_path}/meeting", None, 1, 0)
        try:
            features, slopes = normal(4, 3, 2, 2).cuda(), normal(4, 3, 2, 2).cuda()
            ours = made(so.SyncedBatchNorm2d).cuda()
            theirs = made(nn.SyncBatchNorm).cuda()
            for one, other in zip(
                normalized(ours, features, slopes),
                normalized(theirs, features, slopes),
                strict=True,
            ):
                torch.testing.assert_close(one, other)
        finally:
            dist.destroy_process_group()


# A whole training -------------------------------------------------------------------


def weights_of(folder):
    return load_checkpoint(folder / "run.pt")["parts"][0]


class TestTraining:
    def test_in_several_processes_and_in_one(self, team, tmp_path):
        alone = so.train_digits(tmp_path / "alone", steps=6)
        trained = team.run(_trained, tmp_path / "four")
        for state in trained:
            for name, value in alone.state_dict().items():
                torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)
                assert torch.equal(state[name], trained[0][name])

    def test_goes_on_from_its_checkpoint(self, tmp_path):
        whole = so.train_digits(tmp_path / "whole", steps=12, save_every=5)
        steps = []
        so.train_digits(tmp_path / "parts", steps=5, save_every=5)
        again = so.train_digits(
            tmp_path / "parts", steps=12, save_every=5, before=steps.append
        )
        assert steps == list(range(5, 12))
        for name, value in whole.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)

    def test_errors(self, team, tmp_path):
        for wrong in ({"steps": 0}, {"save_every": 1.5}, {"batch_size": True}):
            with pytest.raises(ValueError, match="must be a whole number"):
                so.train_digits(tmp_path, **wrong)
        said = team.run(_refused, tmp_path)
        assert all(
            "batch_size must be a multiple of 4, got 30" in each for each in said
        )
        assert not list(tmp_path.iterdir())

    def test_a_process_is_killed_and_the_training_resumes(self, tmp_path):
        program = ("-m", "lesson_utils.scaling_out", tmp_path, "--kill-at", 15)
        torchrun(*program, max_restarts=1)
        logs = [(tmp_path / f"{rank}.log").read_text().splitlines() for rank in (0, 1)]
        assert logs[1].index("attempt 0 step 15") + 1 == logs[1].index(
            "attempt 1 step 10"
        )
        assert logs[0][-1] == logs[1][-1] == "attempt 1 step 29"
        alone = so.train_digits(tmp_path / "alone").state_dict()
        for name, value in weights_of(tmp_path).items():
            torch.testing.assert_close(value, alone[name], rtol=1e-4, atol=1e-5)


@pytest.fixture
def small_dcgan(monkeypatch, tmp_path):
    """The program of the exercise at full size, for a few small pictures."""
    for name, value in {"SIZE": 16, "PICTURES": 256, "EPOCHS": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    words = "".join(
        cell["source"] for cell in nbformat.read(PAGE, 4).cells if cell["id"]
    )
    (program,) = re.findall(r"```python\n(import os\n.*?)```", words, re.DOTALL)
    path = tmp_path / "train_dcgan.py"
    path.write_text(program)
    return path


def test_the_program_at_full_size_runs_in_two_processes(small_dcgan):
    torchrun(small_dcgan)
    state = load_checkpoint(small_dcgan.with_name("dcgan.pt"))
    assert len(state["rows"]) == 2  # 256 pictures, 64 in each of two processes


def _trained(folder):
    return so.train_digits(folder, steps=6).state_dict()


def _refused(folder):
    try:
        so.train_digits(folder, batch_size=30)
    except ValueError as error:
        return str(error)


def test_grouped_batch_norm_is_what_processes_do(team, tmp_path):
    from studies.scaling_out import GroupedBatchNorm2d

    features = normal(8, 3, 2, 2).float()
    layer = GroupedBatchNorm2d(3)
    layer.groups = 4
    parts = team.run(_locally_normalized, features)
    torch.testing.assert_close(layer(features), torch.cat(parts))


def _locally_normalized(features):
    layer = nn.BatchNorm2d(3)
    return layer(features.chunk(4)[dist.get_rank()]).detach()


class TestStudy:
    def test_is_whole(self):
        from studies.scaling_out import BATCHES, GROUPS, RULES, SIZES

        study = read_study("scaling_out")
        seeds = len(study["seeds"])
        counts = {}
        for row in study["rows"]:
            counts[row["part"]] = counts.get(row["part"], 0) + 1
        assert counts["rates"] == len(BATCHES) * len(RULES) * seeds
        assert counts["batch norm"] == len(GROUPS) * seeds
        assert counts["messages"] == len(SIZES)
        assert all(fit["bandwidth"] > 0 for fit in study["fits"].values())


# Exercises --------------------------------------------------------------------------


def chunk_by_chunk(tensors):
    """With lists of chunks, where the solution has slices of a matrix."""
    n = len(tensors)
    if len({len(tensor) for tensor in tensors}) != 1:
        raise ValueError("tensors of one length, at least one")
    held = [list(tensor.tensor_split(n)) for tensor in tensors]
    states = [torch.stack([torch.cat(row) for row in held])]
    for step in range(2 * n - 2):
        mail = [(rank, (rank - step) % n) for rank in range(n)]
        mail = [(rank, chunk, held[rank][chunk]) for rank, chunk in mail]
        for rank, chunk, values in mail:
            old = held[(rank + 1) % n][chunk]
            held[(rank + 1) % n][chunk] = old + values if step < n - 1 else values
        states.append(torch.stack([torch.cat(row) for row in held]))
    return torch.stack(states)


def plain_ring(tensors):
    n, now = len(tensors), torch.stack(tensors)
    states = [now]
    for s in range(2 * (n - 1)):
        after = now.clone()
        for r in range(n):
            out = now[r].tensor_split(n)[(r - s) % n]
            into = after[(r + 1) % n].tensor_split(n)[(r - s) % n]
            into.copy_(into + out if s < n - 1 else out)
        now = after
        states.append(now)
    return torch.stack(states)


def dealt_by_hand(number, rank, world_size, *, seed=0, epoch=0, pad=False):
    if rank not in range(world_size):
        raise ValueError("rank out of range")
    dice = torch.Generator()
    dice.manual_seed(seed + epoch)
    order = torch.randperm(number, generator=dice).tolist()
    own = list(range(rank, number, world_size))
    if pad and number and len(own) < -(-number // world_size):
        own.append(rank + len(own) * world_size)
    return torch.tensor([order[place % number] for place in own], dtype=torch.int64)


def plain_shard(number, rank, world_size, *, seed=0, epoch=0, pad=False):
    order = torch.randperm(number, generator=_dice(seed + epoch))
    if pad:
        order = torch.cat([order, order[: -number % world_size]])
    return order[rank::world_size]


RIGHT = {
    "ring_all_reduce": chunk_by_chunk,
    "shard_indices": dealt_by_hand,
    "memory_per_gpu": lambda parameters, world_size, *, stage=0: memory_by_list(
        parameters, world_size, stage
    ),
}
PLAIN = {
    "ring_all_reduce": plain_ring,
    "shard_indices": plain_shard,
    "memory_per_gpu": lambda p, n, stage=0: (
        p * {0: 16, 1: 4 + 12 / n, 2: 2 + 14 / n, 3: 16 / n}[stage]
    ),
}
LIBRARY = {
    "ring_all_reduce": "A library shows its sum, not the states on the way.",
    "shard_indices": lambda number, rank, world_size, **keywords: torch.tensor(
        sampled(number, rank, world_size, **({"pad": False} | keywords))
    ),
    "memory_per_gpu": "DeepSpeed has estimators of its own; it is not installed.",
}


def memory_by_list(parameters, world_size, stage):
    if stage not in (0, 1, 2, 3) or world_size < 1:
        raise ValueError("no such stage, or no GPU")
    sizes = {"optimizer": 12, "gradients": 2, "weights": 2}
    return sum(
        parameters * size / (world_size if place < stage else 1)
        for place, size in enumerate(sizes.values())
    )


def ring(*, to=1, chunk=lambda r, s, n: (r - s) % n, adds=lambda s, n: s < n - 1,
         kept=lambda states: torch.stack(states)):  # fmt: skip
    """A ring with one of its parts done otherwise."""

    def answer(tensors):
        n, now = len(tensors), torch.stack(tensors)
        states = [now]
        for s in range(2 * (n - 1)):
            after = now.clone()
            for r in range(n):
                k = chunk(r, s, n)
                into = after[(r + to) % n].tensor_split(n)[k]
                out = now[r].tensor_split(n)[k]
                into.copy_(into + out if adds(s, n) else out)
            now = after
            states.append(now)
        return kept(states)

    return answer


def shard(make):
    """Places of an order that `make` makes of the arguments."""

    def answer(number, rank, world_size, *, seed=0, epoch=0, pad=False):
        order = make(number, rank, world_size, seed, epoch, pad)
        return order[rank::world_size]

    return answer


def padding(more=None, shuffle=None):
    """Right but for how it pads, or how it shuffles."""

    def answer(number, rank, world_size, *, seed=0, epoch=0, pad=False):
        if not 0 <= rank < world_size:
            raise ValueError("no such rank")
        order = (shuffle or shuffled)(number, seed + epoch)
        if pad and number:
            lacking = -number % world_size
            again = order.repeat(1 + lacking // number)[:lacking]
            again = more(order, lacking, world_size) if more else again
            order = torch.cat([order, again])
        return order[rank::world_size]

    return answer


def reseeded(number, seed):
    torch.manual_seed(seed)
    return torch.randperm(number)


def _unseeded():
    return torch.Generator()


def shuffled(number, seed):
    return torch.randperm(number, generator=_dice(seed))


def blocks(number, rank, world_size, *, seed=0, epoch=0, pad=False):
    order = shuffled(number, seed + epoch)
    if pad:
        order = torch.cat([order, order[: -number % world_size]])
    return order.tensor_split(world_size)[rank]


def in_place(tensors):
    """All states are one tensor, as nothing was cloned."""
    n, now = len(tensors), torch.stack(tensors)
    states = [now]
    for s in range(2 * (n - 1)):
        mail = [now[r].tensor_split(n)[(r - s) % n].clone() for r in range(n)]
        for r in range(n):
            into = now[(r + 1) % n].tensor_split(n)[(r - s) % n]
            into.copy_(into + mail[r] if s < n - 1 else mail[r])
        states.append(now)
    return torch.stack(states)


WRONG = {
    "ring_all_reduce": [
        (ring(to=-1), "send to r - 1"),
        (ring(chunk=lambda r, s, n: r), "the same chunk"),
        (ring(chunk=lambda r, s, n: (r + s) % n), "Chunk (r + s)"),
        (ring(adds=lambda s, n: True), "counts numbers twice"),
        (ring(adds=lambda s, n: False), "is *added*"),
        (ring(kept=lambda states: states[-1]), "the last state"),
        (ring(kept=lambda states: torch.stack(states[1:])), "before any step"),
        (
            ring(kept=lambda states: torch.stack(states[: len(states) // 2 + 1])),
            "the first n - 1 steps",
        ),
        (in_place, "share their memory"),
        (ring(to=-1, chunk=lambda r, s, n: (r + s) % n), "mirror image"),
        (ring(chunk=lambda r, s, n: (r - 1 - s) % n), "with chunk r - 1"),
        (ring(adds=lambda s, n: s <= n - 1), "once too often"),
        (ring(adds=lambda s, n: s < n - 2), "once too little"),
        (ring(kept=lambda states: torch.stack(states) / len(states[0])), "are means"),
    ],
    "shard_indices": [
        (blocks, "into blocks"),
        (
            shard(lambda number, r, n, seed, epoch, pad: torch.arange(number)),
            "not shuffled",
        ),
        (
            shard(lambda number, r, n, s, e, pad: shuffled(number, s + e + r)),
            "seen twice, and others never",
        ),
        (shard(lambda number, r, n, s, e, pad: shuffled(number, s)), "epoch does not"),
        (shard(lambda number, r, n, s, e, pad: shuffled(number, e)), "seed does not"),
        (
            shard(lambda number, r, n, s, e, pad: shuffled(number, s + e)),
            "each process gets as many",
        ),
        (
            shard(
                lambda number, r, n, s, e, pad: shuffled(number, s + e)[
                    : number - number % n
                ]
            ),
            "is never seen",
        ),
        (padding(lambda order, lacking, n: order[:lacking]), "as often as it takes"),
        (
            padding(lambda order, lacking, n: order[: n - len(order) % n]),
            "nothing is missing",
        ),
        (padding(shuffle=lambda n, seed: torch.randperm(n)), "whatever it is at"),
        (padding(shuffle=reseeded), "dropout's, too"),
        (
            padding(shuffle=lambda n, seed: torch.randperm(n, generator=_unseeded())),
            "has no seed",
        ),
        (
            lambda number, rank, n, *, seed=0, epoch=0, pad=False: padding()(
                number, rank, n, seed=seed * epoch, pad=pad
            ),
            "multiplied",
        ),
    ],
    "memory_per_gpu": [
        (
            lambda p, n, *, stage=0: {
                0: 16 * p, 1: 14 * p + 2 * p / n, 2: 2 * p + 14 * p / n, 3: 16 * p / n,
            }[stage],
            "gradients out first",
        ),
        (
            lambda p, n, *, stage=0: {
                0: 16 * p / n, 1: 4 * p + 12 * p / n, 2: 2 * p + 14 * p / n,
                3: 16 * p / n,
            }[stage],
            "Stage 0 shares nothing",
        ),
        (lambda p, n, *, stage=0: 16 * p / n, "at every stage"),
        (lambda p, n, *, stage=0: 16 * p / (n if stage else 1), "From stage 1 on"),
        (lambda p, n, *, stage=0: 16 * p, "Nothing is divided"),
        (lambda p, n, *, stage=0: memory_per_gpu(p, n, stage=stage) / 1e9, "gigabytes"),
        (
            lambda p, n, *, stage=0: {
                0: 16 * p, 1: 14 * p + 2 * p / n, 2: 12 * p + 4 * p / n, 3: 16 * p / n,
            }[stage],
            "share the weights out first",
        ),
        (
            lambda p, n, *, stage=0: {
                0: 12 * p, 1: 4 * p + 8 * p / n, 2: 2 * p + 10 * p / n, 3: 12 * p / n,
            }[stage],
            "copy of the weights is missing",
        ),
        (
            lambda p, n, *, stage=0: {
                0: 16 * p, 1: 4 * p + 12 * p / n, 2: 14 * p + 2 * p / n,
                3: 14 * p + 2 * p / n,
            }[stage],
            "what the stages before it",
        ),
    ],
}  # fmt: skip


class TestExercises(ExerciseTests):
    checks, right, wrong = scaling_out_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

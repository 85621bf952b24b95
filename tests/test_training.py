"""What training loops share: losses that are numbers, checkpoints, and `Run`."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lesson_utils.common import checkpoints
from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.compute import make_fabric
from lesson_utils.common.schedules import fall
from lesson_utils.common.training import (
    CHANGE,
    Run,
    batch_of_step,
    drawer,
    require_finite,
)


class TestRequireFinite:
    def test_numbers_pass(self):
        require_finite(3, loss=torch.tensor(1.0), other=-2.5)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_the_loss_and_the_step_are_named(self, value):
        with pytest.raises(FloatingPointError, match=r"generator_loss is .* step 7"):
            require_finite(7, loss=0.0, generator_loss=torch.tensor(value))


class TestCheckpoints:
    def test_round_trip(self, tmp_path):
        network = nn.Linear(3, 2)
        optimizer = torch.optim.Adam(network.parameters())
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "settings": {"epochs": 3, "rate": 1e-3, "name": "run"},
        }
        path = save_checkpoint(tmp_path / "all" / "new" / "run.pt", state)
        loaded = load_checkpoint(path)
        assert loaded["settings"] == state["settings"]
        assert torch.equal(loaded["network"]["weight"], network.weight)
        assert torch.equal(loaded["rng"], state["rng"])
        moments = loaded["optimizer"]["state"][0]
        assert torch.equal(
            moments["exp_avg"], optimizer.state[network.weight]["exp_avg"]
        )
        assert [file.name for file in path.parent.iterdir()] == ["run.pt"]

    def test_an_interrupted_write_leaves_the_old_one(self, tmp_path, monkeypatch):
        path = save_checkpoint(tmp_path / "run.pt", {"step": 1})

        def break_off(state, file):
            file.write(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoints.torch, "save", break_off)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(path, {"step": 2})
        assert load_checkpoint(path) == {"step": 1}
        assert os.listdir(tmp_path) == ["run.pt"]

    def test_a_state_that_could_run_code_is_not_written(self, tmp_path):
        path = save_checkpoint(tmp_path / "run.pt", {"step": 1})
        with pytest.raises(ValueError, match="state must be a dict of state dicts"):
            save_checkpoint(path, {"network": nn.Linear(2, 2)})
        assert load_checkpoint(path) == {"step": 1}
        assert os.listdir(tmp_path) == ["run.pt"]

    def test_a_state_that_is_no_dict(self, tmp_path):
        with pytest.raises(ValueError, match="state must be a dict"):
            save_checkpoint(tmp_path / "run.pt", torch.zeros(2))

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load_checkpoint(tmp_path / "none.pt")

    @pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04broken"])
    def test_a_broken_file(self, tmp_path, content):
        path = tmp_path / "run.pt"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="path must be a checkpoint.*run.pt"):
            load_checkpoint(path)

    def test_a_truncated_file(self, tmp_path):
        path = save_checkpoint(tmp_path / "run.pt", {"weights": torch.zeros(1000)})
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            load_checkpoint(path)

    def test_code_in_the_file_does_not_run(self, tmp_path):
        ran = tmp_path / "ran"

        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(ran),)

        torch.save({"network": Trap()}, tmp_path / "run.pt")
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            load_checkpoint(tmp_path / "run.pt")
        assert not ran.exists()


NUMBER = 10
INPUTS = torch.randn(NUMBER, 3, generator=torch.Generator().manual_seed(0))
TARGETS = INPUTS @ torch.tensor([[1.0], [-2.0], [0.5]])


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def shake(inputs, targets, *, generator):
    return inputs + 0.01 * torch.randn(inputs.shape, generator=generator), targets


def start(model, **options):
    options = {"steps": 6, "batch_size": 4, "progress": False} | options
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    return Run(model, optimizer, number=NUMBER, schedule=fall, **options)


def go(run, stop=None, inputs=INPUTS):
    """The loop that every user writes; `stop` pulls the plug within a step."""
    for step in run:
        x, y = run.batch(inputs, TARGETS, change=shake)
        if step == stop:
            raise KeyboardInterrupt
        out = run.network(x)
        run.learn(loss=F.mse_loss(out, y))
        run.note(error=(out - y).abs().mean())
    return run.history


def test_each_sample_once_before_any_twice():
    seen = torch.stack([batch_of_step(7, 3, 0, step) for step in range(4)])
    for epoch in seen.view(2, 6).tolist():  # the seventh waits
        assert len(set(epoch)) == 6
    assert sorted(batch_of_step(5, 9, 0, 2).tolist()) == list(range(5))
    assert seen[:2].tolist() != seen[2:].tolist()
    assert batch_of_step(7, 3, 1, 0).tolist() != seen[0].tolist()


class TestRun:
    def test_the_same_as_a_plain_loop(self):
        model, twin = linear(), linear()
        history = go(start(model, seed=3))
        optimizer = torch.optim.Adam(twin.parameters(), 0.05)
        losses = []
        for step in range(6):
            index = batch_of_step(NUMBER, 4, 3, step)
            dice = drawer(3, CHANGE, step, 0)
            x, y = shake(INPUTS[index], TARGETS[index], generator=dice)
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 6)
            loss = F.mse_loss(twin(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert history["loss"] == losses
        for name, value in model.state_dict().items():
            assert torch.equal(value, twin.state_dict()[name]), name

    def test_it_learns_and_leaves_evaluation_mode(self):
        model = linear()
        history = go(start(model, steps=300))
        assert list(history) == ["loss", "error"]
        assert min(history["loss"][-9:]) < 0.2 * history["loss"][0]
        assert not any(part.training for part in model.modules())

    @pytest.mark.parametrize(("stop", "save_every"), [(1, 1), (5, 1), (2, 2), (5, 2)])
    def test_resumed_to_the_last_bit(self, tmp_path, stop, save_every):
        whole = linear()
        expected = go(start(whole))
        options = {"checkpoint": tmp_path / "run.pt", "save_every": save_every}
        with pytest.raises(KeyboardInterrupt):
            go(start(linear(), **options), stop=stop)
        resumed = linear(seed=9)
        run = start(resumed, **options)
        assert run.step == stop - stop % save_every
        assert go(run) == expected
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name

    def test_a_finished_run_is_only_read(self, tmp_path):
        path = tmp_path / "run.pt"
        expected = go(start(linear(), checkpoint=path))
        assert go(start(linear(9), checkpoint=path), stop=0) == expected

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"seed": 1}, "seed is 0 there and 1 here"),
            ({"steps": 7}, "steps is 6 there and 7 here"),
            ({"settings": {"margin": 2}}, "margin"),
        ],
    )
    def test_the_checkpoint_of_another_run(self, tmp_path, options, words):
        path = tmp_path / "run.pt"
        go(start(linear(), checkpoint=path))
        with pytest.raises(ValueError, match=f"must be of this run, got .*{words}"):
            start(linear(), checkpoint=path, **options)

    def test_the_checkpoint_of_other_networks(self, tmp_path):
        path = tmp_path / "run.pt"
        go(start(linear(), checkpoint=path))
        other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(ValueError, match=r"another network: 2\.bias"):
            start(other, checkpoint=path)
        for name, value in before.items():  # and nothing of it was loaded
            assert torch.equal(value, other.state_dict()[name])

    def test_a_loss_that_is_no_number(self):
        model = linear()
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(FloatingPointError, match="loss is nan at step 1"):
            go(start(model), inputs=INPUTS * math.nan)
        assert torch.equal(before["0.weight"], model[0].weight)  # nothing was learned

    def test_names_that_change(self):
        run = start(linear())

        def loop():
            for step in run:
                x, y = run.batch(INPUTS, TARGETS)
                run.learn(**{"lost" if step else "loss": F.mse_loss(run.network(x), y)})

        with pytest.raises(ValueError, match="the same names at each step, loss, got"):
            loop()

    def test_names_that_come_late(self):
        run = start(linear())

        def loop():
            for step in run:
                if step:
                    run.note(loss=torch.tensor(1.0))

        with pytest.raises(ValueError, match="at each step, none, got loss"):
            loop()
        assert run.history == {}

    @pytest.mark.parametrize("name", ["steps", "batch_size", "save_every"])
    @pytest.mark.parametrize("value", [0, 1.5, True, math.inf])
    def test_bad_numbers(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must be a whole number >= 1"):
            start(linear(), **{name: value})

    def test_two_players(self, tmp_path):
        """Two networks, each with its optimizer, resume together."""

        def play(models, stop=None):
            optimizers = [torch.optim.SGD(m.parameters(), 0.1) for m in models]
            run = Run(
                models,
                optimizers,
                number=NUMBER,
                steps=4,
                batch_size=5,
                progress=False,
                checkpoint=tmp_path / "two.pt" if stop != "whole" else None,
                save_every=1,
            )
            for step in run:
                x, y = run.batch(INPUTS, TARGETS)
                if step == stop:
                    raise KeyboardInterrupt
                first, second = run.networks
                run.learn(a=F.mse_loss(first(x), y), b=F.mse_loss(second(x), y))
            return run.history

        whole = (linear(1), linear(2))
        expected = play(whole, "whole")
        with pytest.raises(KeyboardInterrupt):
            play((linear(1), linear(2)), 2)
        resumed = (linear(3), linear(4))
        assert play(resumed) == expected
        for one, other in zip(whole, resumed, strict=True):
            assert torch.equal(one[0].weight, other[0].weight)


class TestOneOfTwoProcesses:
    """What the first one does; the other is one whose numbers are all 0."""

    @pytest.fixture
    def fabric(self, monkeypatch):
        monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
        fabric = make_fabric()
        fabric.launch()
        monkeypatch.setattr(type(fabric), "world_size", 2)
        monkeypatch.setattr(
            fabric, "all_reduce", lambda values, *, reduce_op: values / 2
        )
        return fabric

    def test_history_and_statistics_are_means_over_both(self, fabric):
        model = linear()
        run = start(model, fabric=fabric)
        own = []
        for _ in run:
            x, y = run.batch(INPUTS, TARGETS)
            assert len(x) == 2  # of a batch of 4
            loss = F.mse_loss(run.network(x), y)
            run.learn(loss=loss)
            own.append(loss.item())
            statistics = model[1].running_var.clone()
        assert run.history["loss"] == [loss / 2 for loss in own]
        assert torch.equal(model[1].running_var, statistics / 2)

    def test_a_loss_that_is_no_number_ends_both_at_once(self, fabric):
        """If one stopped on its own, the other would wait for it."""
        run = start(linear(), fabric=fabric, save_every=2)
        learned = []

        def loop():
            for step in run:
                x, y = run.batch(INPUTS * math.nan, TARGETS)
                run.learn(loss=F.mse_loss(run.network(x), y))
                learned.append(step)

        with pytest.raises(FloatingPointError, match="loss is nan at step 1"):
            loop()
        assert learned == [0, 1]


_TWO_PROCESSES = """
import json, sys
import torch
from lesson_utils.common.compute import make_fabric
from tests.test_training import go, linear, start

torch.set_num_threads(1)
fabric = make_fabric(devices=2)
fabric.launch()
model = linear(fabric.global_rank)  # the first process's weights count
history = go(start(model, fabric=fabric, checkpoint=sys.argv[1] + "/run.pt"))
state = {name: value.tolist() for name, value in model.state_dict().items()}
with open(f"{sys.argv[1]}/{fabric.global_rank}.json", "w") as file:
    json.dump({"state": state, "history": history}, file)
try:
    start(linear(), fabric=fabric, batch_size=3)
except ValueError as error:
    assert "batch_size must be a multiple of 2 processes, got 3" in str(error)
else:
    raise AssertionError
"""


def test_two_processes_end_with_one_network(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    environment = os.environ | {
        "LESSON_UTILS_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", str(script), str(tmp_path)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)
    )
    assert first == second
    assert len(first["history"]["loss"]) == 6
    kept = load_checkpoint(tmp_path / "run.pt")["models"][0]
    for name, value in kept.items():
        assert value.tolist() == first["state"][name], name

"""What training loops share: losses that are numbers, and checkpoints."""

import math
import os

import pytest
import torch
from torch import nn

from lesson_utils.common import training
from lesson_utils.common.training import (
    load_checkpoint,
    require_finite,
    save_checkpoint,
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
        optimiser = torch.optim.Adam(network.parameters())
        network(torch.ones(1, 3)).sum().backward()
        optimiser.step()
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "rng": torch.get_rng_state(),
            "settings": {"epochs": 3, "rate": 1e-3, "name": "run"},
        }
        path = save_checkpoint(tmp_path / "new" / "run.pt", state)
        loaded = load_checkpoint(path)
        assert loaded["settings"] == state["settings"]
        assert torch.equal(loaded["network"]["weight"], network.weight)
        assert torch.equal(loaded["rng"], state["rng"])
        moments = loaded["optimiser"]["state"][0]
        assert torch.equal(
            moments["exp_avg"], optimiser.state[network.weight]["exp_avg"]
        )
        assert [file.name for file in path.parent.iterdir()] == ["run.pt"]

    def test_an_interrupted_write_leaves_the_old_one(self, tmp_path, monkeypatch):
        path = save_checkpoint(tmp_path / "run.pt", {"step": 1})

        def break_off(state, file):
            file.write(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(training.torch, "save", break_off)
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

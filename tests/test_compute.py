"""Device, seeds and Fabric."""

import random

import numpy as np
import pytest
import torch

from lesson_utils.common import compute


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_the_environment_names_the_device(monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
    assert compute.pick_device() == torch.device("cpu")


def test_without_a_name_the_best_device_is_taken(monkeypatch):
    monkeypatch.delenv("LESSON_UTILS_DEVICE", raising=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for available, kind in [(True, "cuda"), (False, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=available: found)
        assert compute.pick_device().type == kind
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert compute.pick_device().type == "mps"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there(monkeypatch, name):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", name)
    with pytest.raises(ValueError, match=f"LESSON_UTILS_DEVICE='{name}' must name"):
        compute.pick_device()


def test_one_seed_one_sequence_in_all_three_generators():
    compute.seed_everything(3)
    first = draws()
    compute.seed_everything(3)
    assert draws() == first
    compute.seed_everything(4)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, None])
def test_seeds_that_numpy_would_refuse(seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 42949"):
        compute.seed_everything(seed)


def test_fabric_trains_on_the_cpu(monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
    fabric = compute.make_fabric()
    fabric.launch()
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), lr=0.1))
    fabric.backward(model(torch.ones(4, 2)).sum())
    optimizer.step()
    assert fabric.device == torch.device("cpu")
    torch.testing.assert_close(model.weight.detach(), before - 0.4)


def test_fabric_computes_in_the_precision_asked_for(monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
    fabric = compute.make_fabric(precision="bf16-mixed")
    with fabric.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.bfloat16


@pytest.mark.parametrize("devices", [0, -1, "2"])
def test_fabric_refuses_odd_numbers_of_devices(devices):
    with pytest.raises(ValueError, match="devices must be a whole number >= 1"):
        compute.make_fabric(devices=devices)


@pytest.mark.parametrize(
    ("name", "bf16", "devices", "chosen", "precision"),
    [
        ("cpu", True, 1, 1, "32-true"),
        ("cuda", True, 1, 1, "bf16-mixed"),
        ("cuda", False, 1, 1, "32-true"),
        ("cuda:1", True, 1, [1], "bf16-mixed"),
        ("cuda:1", True, 2, 2, "bf16-mixed"),
    ],
)
def test_what_fabric_is_asked_for(monkeypatch, name, bf16, devices, chosen, precision):
    device = torch.device(name)
    monkeypatch.setattr(compute, "pick_device", lambda: device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    monkeypatch.setattr("lightning_fabric.Fabric", dict)
    assert compute.make_fabric(devices=devices) == {
        "accelerator": device.type,
        "devices": chosen,
        "precision": precision,
    }

"""Processes side by side: what they answer, and that they are always ended."""

import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import pytest
import torch
import torch.distributed as dist

from lesson_utils.common import processes
from lesson_utils.common.processes import Team, torchrun

ROOT = Path(__file__).resolve().parent.parent
# The processes get this file's functions as they are, and need not import it.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
PATIENCE = 120  # seconds, for what takes a moment on a machine that is not busy


@pytest.fixture(scope="module")
def team():
    with Team(2) as started:
        yield started


def ended(started):
    return all(process.poll() is not None for process in started)


def summed(rows):
    total = rows[dist.get_rank()].clone()
    dist.all_reduce(total)
    return total


def test_answers_come_by_rank(team):
    assert team.run(dist.get_rank) == [0, 1]
    assert team.run(lambda factor: factor * dist.get_rank(), 3) == [0, 3]
    rows = torch.tensor([[1.0, 2], [10, 20]])
    for total in team.run(summed, rows):
        assert total.tolist() == [11, 22]


def test_nothing_is_left_of_a_call(team):
    team.run(dist.get_rank)
    left = {path.name for path in team._folder.iterdir()}
    assert left == {"0.log", "1.log", "meeting"}


def test_what_a_process_does(tmp_path, monkeypatch):
    """In this one, as if it had been started: what it is told, what it answers."""
    for number, function in enumerate((dist.get_world_size, lambda: (1 for _ in ()))):
        content = cloudpickle.dumps((function, ()))
        (tmp_path / f"call-{number}").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.StringIO("call-0\ncall-1\n"))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "none")
    try:
        processes._work(tmp_path, 0, 1, PATIENCE)
        assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    answers = [
        pickle.loads((tmp_path / f"answer-{number}-0").read_bytes())  # noqa: S301 - ours
        for number in (0, 1)
    ]
    assert answers[0] == (True, 1)
    good, words = answers[1]
    assert not good
    assert "cannot pickle" in words


def test_nothing_leaves_the_machine(team):
    loopback = team.run(os.getenv, "GLOO_SOCKET_IFNAME")
    assert {name[:2] for name in loopback} == {"lo"}


def fails_in_one():
    if dist.get_rank() == 1:
        raise ArithmeticError("one and one is three")
    dist.barrier()  # waits for the one that has failed


def dies_in_one():
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def hangs_in_one():
    if dist.get_rank() == 1:
        time.sleep(10_000)
    return "here"


class TestEnding:
    def test_of_errors_deaths_and_hanging(self):
        for function, error, words in (
            (fails_in_one, RuntimeError, "."),  # either of the two may be seen first
            (dies_in_one, RuntimeError, "process [01]"),
            (hangs_in_one, TimeoutError, r"processes \[1\] did not come back"),
        ):
            team = Team(2)
            started = list(team.processes)
            assert team.run(dist.get_rank) == [0, 1]
            if function is hangs_in_one:
                team.timeout = 1.0
            with pytest.raises(error, match=words):
                team.run(function)
            assert ended(started)
            assert not team.processes
            with pytest.raises(ValueError, match="team must be open"):
                team.run(dist.get_rank)
            team.close()

    def test_with_the_block_and_with_its_error(self):
        team = Team(1)
        started, folder = list(team.processes), team._folder
        with pytest.raises(ZeroDivisionError), team:
            1 / 0  # noqa: B018 - an error of the block's own
        assert ended(started)
        assert not folder.exists()

    def test_with_a_program_that_is_killed(self):
        code = (
            "import os, signal, time\n"
            "from lesson_utils.common.processes import Team\n"
            "team = Team(1)\n"
            "print(team.run(os.getpid)[0], flush=True)\n"
            "team.run(lambda: __import__('time').sleep(10_000))\n"
        )
        program = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        try:
            process = int(program.stdout.readline())
        finally:
            program.kill()
            program.wait()
            program.stdout.close()
        end = time.monotonic() + PATIENCE
        while is_running(process):
            assert time.monotonic() < end
            time.sleep(0.1)


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # what nobody has waited for is a zombie
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_what_cannot_travel_is_said(team):
    with Team(1) as alone, pytest.raises(RuntimeError, match="pickle"):
        alone.run(lambda: (each for each in ()))
    assert team.run(dist.get_rank) == [0, 1]  # another team is none of its business


@pytest.mark.parametrize(("size", "timeout"), [(0, 1), (1.5, 1), (True, 1), (1, 0)])
def test_errors(size, timeout):
    with pytest.raises(ValueError, match=r"size must|timeout must"):
        Team(size, timeout=timeout)


SLEEPER = """
import os, sys, time
from lesson_utils.common.processes import end_with_parent
end_with_parent()
with open(os.path.join(sys.argv[1], os.environ["RANK"]), "w") as file:
    file.write(str(os.getpid()))
time.sleep(10_000)
"""


def test_torchrun_ends_what_it_started(tmp_path):
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    with pytest.raises(RuntimeError, match="exit code none after 20 s"):
        torchrun(script, tmp_path, timeout=20)
    end = time.monotonic() + PATIENCE
    for rank in (0, 1):
        path = tmp_path / str(rank)
        while path.exists() and path.read_text() and is_running(int(path.read_text())):
            assert time.monotonic() < end
            time.sleep(0.1)


TELLER = """
import os, sys
attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
print(f"attempt {attempt}: {sys.argv[1]}", flush=True)
if attempt == "0":
    raise ArithmeticError("one and one is three")
"""


def test_torchrun_returns_what_was_printed(tmp_path):
    script = tmp_path / "teller.py"
    script.write_text(TELLER)
    text = torchrun(script, "hello", processes=1, max_restarts=1)
    for words in ("attempt 0: hello", "one and one is three", "attempt 1: hello"):
        assert words in text


def test_torchrun_says_what_went_wrong(tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text("raise ArithmeticError('one and one is three')")
    with pytest.raises(RuntimeError, match="one and one is three"):
        torchrun(script, processes=1)
    for wrong in ({"processes": 0}, {"max_restarts": -1}, {"timeout": 0}):
        with pytest.raises(ValueError, match="must"):
            torchrun(script, **wrong)

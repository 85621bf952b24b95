"""Processes side by side on this machine: started once, asked often, always ended.

    with Team(2) as team:
        ranks = team.run(torch.distributed.get_rank)  # [0, 1]

Each process is a Python of its own with a process group of the gloo backend, on the
loopback interface, met through a file: no port is chosen, and nothing leaves the
machine. A process ends when its team is closed, when any process of the team fails or
takes too long, and when the program that started it ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lesson_utils.common.require import require_positive, require_whole

PAUSE = 0.005  # seconds between two looks at what has come


class Team:
    """Processes that call a function side by side, each with its own rank.

    Args:
        size: n, how many processes.
        timeout: seconds after which a call that has not come back is given up; the
            first call waits for the processes to start, too.

    Attributes:
        size: as given.
        processes: what was started, by rank; empty once the team is closed.

    Raises:
        ValueError: `size` is not a whole number >= 1, or `timeout` not above 0.
    """

    def __init__(self, size: int, *, timeout: float = 240.0) -> None:
        require_whole("size", size)
        require_positive("timeout", timeout)
        self.size, self.timeout, self._calls = size, timeout, 0
        self.processes: list[subprocess.Popen] = []
        self._folder = Path(tempfile.mkdtemp(prefix="lesson_utils-"))
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": _python_path(),
        }
        try:
            for rank in range(size):
                command = [sys.executable, "-m", "lesson_utils.common.processes"]
                command += [str(self._folder), str(rank), str(size), str(timeout)]
                with (self._folder / f"{rank}.log").open("wb") as log:
                    self.processes.append(
                        subprocess.Popen(
                            command,
                            stdin=subprocess.PIPE,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            env=environment,
                        )
                    )
        except BaseException:
            self.close()
            raise

    def run(self, function: Callable, *arguments: object) -> list:
        """Call a function in all processes at once, with the same arguments.

        Args:
            function: of a module or of a notebook's cell; inside,
                `torch.distributed.get_rank()` tells the processes apart.
            *arguments: what can be pickled.

        Returns:
            What each process returned, by rank.

        Raises:
            RuntimeError: a process raised, or ended; the message says which and why.
                All processes have been ended: the others would wait for it.
            TimeoutError: the call took longer than `timeout`; likewise.
            ValueError: the team is closed.
        """
        import cloudpickle  # takes functions of a notebook, too

        if not self.processes:
            raise ValueError("team must be open, got one that is closed")
        self._calls += 1
        call = self._folder / f"call-{self._calls}"
        call.write_bytes(cloudpickle.dumps((function, arguments)))
        try:
            for rank, process in enumerate(self.processes):
                try:
                    process.stdin.write(f"{call.name}\n".encode())
                    process.stdin.flush()
                except OSError:
                    raise RuntimeError(self._how_it_ended(rank)) from None
            return self._collect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all processes, now; a team may be closed twice."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            with contextlib.suppress(OSError):  # what was to be written is for nobody
                process.stdin.close()
        self.processes = []
        shutil.rmtree(self._folder, ignore_errors=True)

    def _collect(self) -> list:
        end = time.monotonic() + self.timeout
        results: dict[int, object] = {}
        while len(results) < self.size:
            for rank, process in enumerate(self.processes):
                ended = process.poll() is not None  # before looking for its answer
                answer = self._folder / f"answer-{self._calls}-{rank}"
                if rank not in results and answer.exists():
                    good, results[rank] = pickle.loads(answer.read_bytes())  # noqa: S301 - ours
                    answer.unlink()
                    if not good:
                        raise RuntimeError(f"process {rank} raised:\n{results[rank]}")
                elif rank not in results and ended:
                    raise RuntimeError(self._how_it_ended(rank))
            if time.monotonic() > end:
                late = [rank for rank in range(self.size) if rank not in results]
                raise TimeoutError(
                    f"processes {late} did not come back in {self.timeout:g} s"
                )
            time.sleep(PAUSE)
        (self._folder / f"call-{self._calls}").unlink()
        return [results[rank] for rank in range(self.size)]

    def _how_it_ended(self, rank: int) -> str:
        code = self.processes[rank].wait(timeout=10)
        said = (self._folder / f"{rank}.log").read_text(errors="replace")[-2000:]
        return f"process {rank} ended, exit code {code}\n{said}".rstrip()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "processes", None):
            self.close()


def torchrun(
    *arguments: object,
    processes: int = 2,
    max_restarts: int = 0,
    timeout: float = 300.0,
) -> str:
    """Run a program in several processes of this machine by torch's own launcher.

    Args:
        *arguments: the program and what it is told: a script's path, or "-m" and a
            module.
        processes: how many.
        max_restarts: how often all of them are started anew when one has failed.
        timeout: seconds.

    Returns:
        What they printed, errors of attempts that failed included.

    Raises:
        ValueError: a number is out of its range.
        RuntimeError: it failed more often than it may, or took longer than `timeout`;
            the message ends with what was printed. Nothing is left running if the
            program calls `end_with_parent`.
    """
    require_whole("processes", processes)
    require_whole("max_restarts", max_restarts, 0)
    require_positive("timeout", timeout)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": _python_path(),
        # One store for all attempts hands out the addresses of dead processes.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    with tempfile.TemporaryFile("w+") as said:
        program = subprocess.Popen(
            [*command, *map(str, arguments)],
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            code = program.wait(timeout)
        except subprocess.TimeoutExpired:
            code = f"none after {timeout:g} s"
        finally:
            program.kill()
            program.wait()
        said.seek(0)
        text = said.read()
    if code != 0:
        raise RuntimeError(f"torchrun ended, exit code {code}\n{text[-3000:]}")
    return text


def end_with_parent() -> None:
    """End this process when the one that started it is gone, even in mid-call."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _python_path() -> str:
    """What this program imports from: the package, and the places of its functions."""
    package = str(Path(__file__).resolve().parent.parent.parent)
    return os.pathsep.join([package, *filter(None, sys.path)])


def _work(folder: Path, rank: int, size: int, timeout: float) -> None:
    """What each process does: join the group, then call what it is told to call."""
    import torch.distributed as dist

    names = [name for _, name in socket.if_nameindex()]
    loopback = next((name for name in ("lo", "lo0") if name in names), None)
    if loopback:  # else gloo takes the interface of the machine's name
        os.environ["GLOO_SOCKET_IFNAME"] = loopback
    dist.init_process_group(
        "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=timeout),
    )
    for line in sys.stdin:
        call = line.strip()
        function, arguments = pickle.loads(  # noqa: S301 - of the program that started this one
            (folder / call).read_bytes()
        )
        try:
            answer = True, function(*arguments)
        except Exception:
            answer = False, traceback.format_exc()
        name = f"answer-{call.removeprefix('call-')}-{rank}"
        unfinished = folder / f".{name}"
        unfinished.write_bytes(_pickled(answer))
        unfinished.rename(folder / name)  # at one stroke: it is whole once it is there


def _pickled(answer: tuple[bool, object]) -> bytes:
    import cloudpickle

    try:
        return cloudpickle.dumps(answer)
    except Exception:
        return pickle.dumps((False, traceback.format_exc()))


if __name__ == "__main__":
    end_with_parent()
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

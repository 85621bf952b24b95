"""What `make book` and `make test` run, step by step, with the seconds of each.

    python3 -E -m tools.pipeline book
    python3 -E -m tools.pipeline test

Standard library only: this runs before anything is installed. Every step is called
through the environment's interpreter, never through a console script, which holds the
path of the folder it was installed in.
"""

import os
import subprocess
import sys
import time

from tools import environment

BOOK = ("notebooks", "pages")
TEST = ("lint", "units", "notebooks", "pages", "browser")


def commands(step: str, goal: str) -> list[list[str]]:
    """What a step runs, each as arguments of the environment's interpreter.

    Args:
        step: one of those of `BOOK` and `TEST`.
        goal: "book" or "test"; a reader's last digit must not stop him, so that only
            "test" fails on a checked output that came out differently.

    Returns:
        One command or more, to be run in their order.
    """
    pytest = ["-m", "pytest"]
    strict = ["--strict"] if goal == "test" else []
    return {
        "lint": [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check"]],
        "units": [[*pytest, "-n", "auto", "-m", "not browser", "tests"]],
        "notebooks": [["-m", "tools.execute", *strict]],
        "pages": [["-m", "tools.pages"]],
        "browser": [[*pytest, "-n", "2", "-m", "browser", "tests/browser"]],
    }[step]


def run(goal: str) -> int:
    """Run the steps of a goal; stop at the first that fails.

    Args:
        goal: "book" or "test".

    Returns:
        The exit status.
    """
    times: dict[str, float] = {}
    code, env = 0, environment.clean(os.environ)
    for step in ("environment", *(BOOK if goal == "book" else TEST)):
        start = time.perf_counter()
        if step == "environment":
            state = "installed" if environment.ensure() else "up to date"
            print(f"environment  {state}", flush=True)
        else:
            code = _run(commands(step, goal), env)
        times[step] = time.perf_counter() - start
        if code:
            break
    print()
    for name, seconds in {**times, "in all": sum(times.values())}.items():
        print(f"{name:12s} {seconds:7.1f} s")
    if code:
        print(f"\n`make {goal}` failed at: {step}")
    else:
        print(f"\nOpen {environment.ROOT / '_build' / 'html' / 'index.html'}")
    return code


def _run(steps: list[list[str]], env: dict[str, str]) -> int:
    for arguments in steps:
        command = [str(environment.python()), *arguments]
        code = subprocess.run(command, cwd=environment.ROOT, env=env).returncode
        if code:
            return code
    return 0


def main() -> None:
    """Run the goal given on the command line."""
    if sys.argv[1:] not in (["book"], ["test"]):
        sys.exit("usage: python3 -E -m tools.pipeline book|test")
    sys.exit(run(sys.argv[1]))


if __name__ == "__main__":
    main()

"""Make the book: environment, notebooks, pages. What `make book` runs.

Standard library only: this runs before anything is installed.
"""

import os
import subprocess
import sys
import time

# Run as a script by a Python that may know nothing of this package.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import environment


def main() -> None:
    """Run the three steps, each timed; stop at the first that fails."""
    times: dict[str, float] = {}
    for name in ("environment", "notebooks", "pages"):
        start = time.perf_counter()
        if name == "environment":
            installed = environment.ensure()
            state = "installed" if installed else "up to date"
            print(f"environment  {state}", flush=True)
        else:
            module = {"notebooks": "tools.execute", "pages": "tools.pages"}[name]
            command = [str(environment.python()), "-m", module]
            code = subprocess.run(command, cwd=environment.ROOT).returncode
            if code:
                sys.exit(code)
        times[name] = time.perf_counter() - start
    print()
    for name, seconds in {**times, "in all": sum(times.values())}.items():
        print(f"{name:12s} {seconds:7.1f} s")
    print(f"\nOpen {environment.ROOT / '_build' / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()

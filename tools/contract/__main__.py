"""Print what the book's contract has to complain of; exit 1 if there is anything."""

import sys
from pathlib import Path

from tools.contract.rules import RULES
from tools.contract.tree import Tree

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Try every rule on this checkout."""
    book = Tree(ROOT)
    complaints = [
        f"{fault} [{rule.__name__}]" for rule in RULES for fault in rule(book)
    ]
    print("\n".join(complaints) or f"{len(RULES)} rules hold.")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()

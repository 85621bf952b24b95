"""Change the modules, one place at a time, and see whether their tests notice.

    python -m tools.mutants                   a sample of each module, by its own tests
    python -m tools.mutants nms masks --all   every mutant of two modules
    python -m tools.mutants --report          what is known so far; runs nothing
    python -m tools.mutants --write           and write it to benchmarks/measured

Each mutant is one change of one module: a comparison or an operator exchanged, a number
off by one, a condition negated, a result dropped. It runs in a process of its own,
forked where torch and pytest are already loaded; an import hook puts the changed
source in the module's place, so that no file is ever written over. Its tests are those
of `tests/test_<stem>.py`, those that reach the changed line first. A mutant that hangs
counts as killed. Results are kept, line by line, in this machine's cache folder: a run
that was stopped goes on where it was, and what has changed since is measured again.
"""

import argparse
import ast
import contextlib
import copy
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import signal
import sys
import time
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import environment
from tools.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
MEASURED = Path("benchmarks/measured/mutants.json")
# Mutants that no test can tell from the original, each with the reason; by hand.
EQUIVALENT = Path("benchmarks/measured/equivalent_mutants.json")
SAMPLE, SEED = 8, 0
SLOW = 8.0  # a test that takes more seconds is left out
SPARE = 20.0  # seconds beside three times what the tests take: then a mutant hangs
# Modules whose tests stand in the file of the chapter that they were made for.
TESTS = {
    "__main__": ("doctor",),
    "checkpoints": ("training", "single_shot"),
    "codes": ("infogan",),
    "generating": ("gan", "dcgan"),
    "motion": ("frame_attention",),
    "segmenting": ("segmentation_metrics",),
    "set_prediction": ("detr",),
    "transformer": ("detr",),
}
HEAVY = [
    "torch",
    "torchvision",
    "numpy",
    "scipy.stats",
    "matplotlib.pyplot",
    "PIL.Image",
    "skimage.transform",
    "skimage.feature",
    "skimage.morphology",
    "sklearn.datasets",
    "pytest",
    "hypothesis",
    "tqdm.auto",
    "torchmetrics",
    "torch.utils.data",
    "torch.fx",
]

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
CALCULATED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Args:
        number: its place among the module's mutants.
        line: of the source as it is.
        column: from the first letter of that line, counted from 0.
        code: that line, without the spaces round it.
        function: where the line stands, as in "Stack.forward"; "" at the top.
        kind: what sort of change it is.
        before: the code that is changed.
        after: what it is changed to.
    """

    number: int
    line: int
    column: int
    code: str
    function: str
    kind: str
    before: str
    after: str


class _Changes(ast.NodeVisitor):
    """Walks a module and offers each change, in the order of the source."""

    def __init__(self) -> None:
        self.offers: list[tuple[ast.AST, str, str, ast.AST]] = []
        self.path: list[str] = []

    def offer(self, node: ast.AST, kind: str, changed: ast.AST) -> None:
        self.offers.append((node, ".".join(self.path), kind, changed))

    # What is left alone: annotations, decorators, docstrings and all other texts, what
    # an error, a warning or a line of progress says.

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.path.append(node.name)
        for part in node.body:
            self.visit(part)
        self.path.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.path.append(node.name)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for part in node.body:
            self.visit(part)
        self.path.pop()

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("print", "warn", "write", "cast", "TypeVar", "ValueError"):
            return
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        text = ast.unparse(node.test)
        if "__name__" in text or "TYPE_CHECKING" in text:
            return
        self.negate(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node)

    def visit_While(self, node: ast.While) -> None:
        self.negate(node)

    def negate(self, node: ast.If | ast.IfExp | ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            changed = ast.UnaryOp(ast.Not(), node.test)
            self.offer(node.test, "condition negated", changed)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.offer(test, "condition negated", ast.UnaryOp(ast.Not(), test))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, op in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[place] = COMPARED[type(op)]()
            self.offer(node, "comparison exchanged", changed)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not any(_is_text(side) for side in (node.left, node.right)):
            changed = copy.deepcopy(node)
            changed.op = CALCULATED[type(node.op)]()
            self.offer(node, "operator exchanged", changed)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if not _is_text(node.value):
            changed = copy.deepcopy(node)
            changed.op = CALCULATED[type(node.op)]()
            self.offer(node, "operator exchanged", changed)
        self.visit(node.value)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        changed = copy.deepcopy(node)
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.offer(node, "and, or exchanged", changed)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        kind = "not removed" if isinstance(node.op, ast.Not) else "sign removed"
        self.offer(node, kind, node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.offer(node, "flag turned over", ast.Constant(not node.value))
        elif isinstance(node.value, int | float):
            self.offer(node, "number off by one", ast.Constant(node.value + 1))

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.offer(node.value, "result dropped", ast.Constant(None))
        self.visit(node.value)


def _is_text(node: ast.AST) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text or isinstance(node, ast.JoinedStr)


class _Exchange(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return self.generic_visit(node)


def _offers(source: str) -> tuple[ast.Module, list]:
    tree = ast.parse(source)
    changes = _Changes()
    changes.visit(tree)
    return tree, changes.offers


def mutants_of(source: str) -> list[Mutant]:
    """All that can be changed in a module.

    Args:
        source: its text.

    Returns:
        The mutants, in an order that depends on the text alone.
    """
    _, offers = _offers(source)
    lines = source.splitlines()
    code = [line.strip() for line in lines]
    indent = [len(line) - len(line.lstrip()) for line in lines]
    return [
        Mutant(
            number,
            node.lineno,
            node.col_offset - indent[node.lineno - 1],
            code[node.lineno - 1],
            function,
            kind,
            _short(ast.unparse(node)),
            _short(ast.unparse(changed)),
        )
        for number, (node, function, kind, changed) in enumerate(offers)
    ]


def _short(code: str) -> str:
    """One line of at most 100 characters."""
    code = " ".join(code.split())
    return code if len(code) <= 100 else f"{code[:60]} … {code[-37:]}"


def mutated(source: str, number: int) -> ast.Module:
    """A module with one change made.

    Args:
        source: its text.
        number: of the mutant.

    Returns:
        The tree, with the lines of the original.
    """
    tree, offers = _offers(source)
    old, _, _, new = offers[number]
    tree = _Exchange(old, new).visit(tree)
    return ast.fix_missing_locations(tree)


def sample_of(stem: str, source: str, size: int = SAMPLE) -> list[Mutant]:
    """Mutants of a module, drawn evenly, the same ones at each call.

    Args:
        stem: the module's name, which is a part of the seed.
        source: its text.
        size: how many; all of them if there are fewer.

    Returns:
        Mutants in the order of the source.
    """
    every = mutants_of(source)
    drawn = random.Random(f"{SEED}:{stem}").sample(every, min(size, len(every)))
    return sorted(drawn, key=lambda mutant: mutant.number)


def modules(root: Path) -> dict[str, Path]:
    """The modules that are measured: those of the chapters, and what they share.

    Args:
        root: the folder of the book.

    Returns:
        Files by stem.
    """
    files = sorted((root / "lesson_utils").glob("*.py"))
    files += sorted((root / "lesson_utils/common").glob("*.py"))
    return {path.stem: path for path in files if path.stem != "__init__"}


def tests_of(root: Path, stem: str) -> list[Path]:
    """The test files that a module's mutants have to get past.

    Args:
        root: the folder of the book.
        stem: of the module.

    Returns:
        Files; none if the module has no tests of its own.
    """
    names = TESTS.get(stem, (stem,))
    files = [root / f"tests/test_{name}.py" for name in names]
    return [path for path in files if path.is_file()]


def digest_of(source: str) -> str:
    """Of what a module does, the same in each Python: comments and docstrings are out.

    Args:
        source: its text.

    Returns:
        Sixteen hexadecimal digits.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        holds = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if holds and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            for row in range(text.lineno - 1, text.end_lineno):
                lines[row] = ""
    code = "\n".join(filter(None, map(str.rstrip, lines)))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def digest_of_tests(root: Path, stem: str) -> str:
    """Of the files of tests of a module.

    Args:
        root: the folder of the book.
        stem: of the module.

    Returns:
        Sixteen hexadecimal digits.
    """
    content = b"".join(path.read_bytes() for path in tests_of(root, stem))
    return hashlib.sha256(content).hexdigest()[:16]


# One process a mutant.


class _Put(importlib.machinery.SourceFileLoader):
    """Loads one module from a tree instead of from its file."""

    tree: ast.Module

    def get_code(self, fullname: str) -> object:
        return compile(self.tree, self.path, "exec", dont_inherit=True)


class _Finder:
    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        if name != self.name:
            return None
        loader = _Put(name, str(self.path))
        loader.tree = self.tree
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class _Watch:
    """A plug-in of pytest: the first test that failed, and seconds of each test.

    Args:
        slow: tests that are left out.
        first: tests to be run before the others, in this order.
        path: of the module whose lines are noted, or None.
    """

    def __init__(self, slow: set[str], first: list[str], path: Path | None) -> None:
        self.slow = slow
        self.rank = {name: place for place, name in enumerate(first)}
        self.path = str(path) if path else None
        self.failed = ""
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, set[int]] = {}
        self.now: set[int] = set()

    def pytest_collection_modifyitems(self, items: list) -> None:
        kept = [item for item in items if item.nodeid not in self.slow]
        items[:] = sorted(kept, key=lambda i: self.rank.get(i.nodeid, len(self.rank)))

    def pytest_runtest_logstart(self, nodeid: str, location: object) -> None:
        if self.path:
            self.now = self.lines.setdefault(nodeid, set())
            sys.settrace(self.trace)

    def trace(self, frame: object, event: str, arg: object) -> object:
        if frame.f_code.co_filename != self.path:
            return None
        self.now.add(frame.f_lineno)
        return self.trace

    def pytest_runtest_logreport(self, report: object) -> None:
        spent = self.seconds.get(report.nodeid, 0)
        self.seconds[report.nodeid] = spent + report.duration
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: object) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid or "collection"

    def pytest_runtest_logfinish(self, nodeid: str, location: object) -> None:
        sys.settrace(None)


def _child(
    root: Path, stem: str, tree: ast.Module | None, watch: _Watch, out: int
) -> None:
    """Run the tests of a module on a tree in its place, and write what came of it."""
    import pytest
    import torch
    from hypothesis import settings

    torch.set_num_threads(1)
    # On a busy machine an example may take any time.
    settings.register_profile("mutants", deadline=None, database=None)
    settings.load_profile("mutants")
    path = modules(root)[stem]
    if tree is not None:
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        sys.meta_path.insert(0, _Finder(name, path, tree))
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-p", "no:nbval", "-m", "not browser and not gpu", "--tb=line"]
    files = [str(file) for file in tests_of(root, stem)]
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        try:
            code = int(pytest.main([*options, *files], plugins=[watch]))
        except BaseException as error:  # an exit asked for by the mutant is an end, too
            code, watch.failed = 3, watch.failed or repr(error)
    told = {"code": code, "failed": watch.failed, "seconds": watch.seconds}
    told["lines"] = {name: sorted(lines) for name, lines in watch.lines.items()}
    with os.fdopen(out, "w") as stream:
        json.dump(told, stream)


def _fork(
    root: Path, stem: str, tree: ast.Module | None, watch: _Watch, limit: float
) -> dict:
    """What a child tells; "code" is None if it did not end in time or told nothing."""
    begin = time.perf_counter()
    read, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()  # so that what it starts can be ended with it
        os.close(read)
        try:
            _child(root, stem, tree, watch, out)
        finally:
            os._exit(0)
    os.close(out)
    told: list[bytes] = []
    os.set_blocking(read, False)
    late = False
    while True:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(read, 1 << 16):
                told.append(piece)
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        if time.perf_counter() - begin > limit:
            late = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.02)
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(read, 1 << 16):
            told.append(piece)
    os.close(read)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it has left behind
    try:
        result = json.loads(b"".join(told))
    except ValueError:
        result = {"code": None, "failed": "", "seconds": {}, "lines": {}}
    result["took"] = time.perf_counter() - begin
    result["late"] = late
    return result


# What is known, and what is not.


def cache() -> Path:
    """Where results are kept on this machine."""
    import platformdirs

    return platformdirs.user_cache_path("lesson_utils") / "mutants.jsonl"


def known(path: Path) -> dict[tuple, dict]:
    """Results that were kept.

    Args:
        path: of the file, a result a line; a line that was cut off is passed over.

    Returns:
        The latest result of each mutant, by module, digest and number.
    """
    found: dict[tuple, dict] = {}
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    for line in lines:
        try:
            row = json.loads(line)
            found[row["module"], row["digest"], row["number"]] = row
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _measure(root: Path, stem: str, chosen: list[Mutant], store: Path) -> None:
    """Run the mutants of one module that nothing is known of."""
    path = modules(root)[stem]
    source = path.read_text("utf-8")
    digest, tests = digest_of(source), digest_of_tests(root, stem)
    there = known(store)
    due = []
    for mutant in chosen:
        row = there.get((stem, digest, mutant.number))
        # More tests do not bring a killed one back; a survivor has to face them.
        if row is None or (row["result"] == "survived" and row["tests"] != tests):
            due.append(mutant)
    if not due:
        print(f"{stem}: nothing to do", flush=True)
        return
    if not tests_of(root, stem):
        print(f"{stem}: no tests of its own", flush=True)
        return
    begin = _fork(root, stem, None, _Watch(set(), [], path), 1200)
    if begin["code"] != 0:
        print(f"{stem}: its tests fail without a mutant: {begin['failed']}", flush=True)
        return
    seconds = begin["seconds"]
    slow = {name for name, took in seconds.items() if took > SLOW}
    rest = sum(took for name, took in seconds.items() if name not in slow)
    limit = 3 * rest + SPARE
    print(
        f"{stem}: {len(due)} mutants, {len(seconds) - len(slow)} tests in {rest:.0f} s"
        + (f", {len(slow)} slow ones left out" if slow else ""),
        flush=True,
    )
    for mutant in due:
        reach = [name for name, lines in begin["lines"].items() if mutant.line in lines]
        first = sorted(reach, key=lambda name: seconds.get(name, 0))
        tree = mutated(source, mutant.number)
        run = _fork(root, stem, tree, _Watch(slow, first, None), limit)
        result = "survived" if run["code"] == 0 else "killed"
        row = {
            "module": stem,
            "digest": digest,
            "tests": tests,
            **vars(mutant),
            "result": result,
            "by": "time" if run["late"] else run["failed"] or f"exit {run['code']}",
            "seconds": round(run["took"], 1),
            "slow": len(slow),
        }
        store.parent.mkdir(parents=True, exist_ok=True)
        with store.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        place = f"{path.relative_to(root)}:{mutant.line}"
        print(
            f"  {result:8s} {row['seconds']:5.1f} s  {place}: {mutant.before} → "
            f"{mutant.after}" + (f"  ({row['by']})" if result == "killed" else ""),
            flush=True,
        )


def result_of(root: Path, store: Path, size: int | None = SAMPLE) -> dict:
    """All that is known of the modules as they stand.

    Args:
        root: the folder of the book.
        store: the kept results.
        size: mutants of a module that were to be drawn; None is all.

    Returns:
        What is committed: for each module how many mutants there are, how many were
        run and killed, its digest, and each survivor.
    """
    there, table = known(store), {}
    for stem, path in modules(root).items():
        source = path.read_text("utf-8")
        digest = digest_of(source)
        every = mutants_of(source)
        chosen = every if size is None else sample_of(stem, source, size)
        rows = [there.get((stem, digest, mutant.number)) for mutant in chosen]
        if not rows or None in rows:
            continue
        table[stem] = {
            "file": str(path.relative_to(root)),
            "digest": digest,
            "mutants": len(every),
            "run": len(rows),
            "killed": sum(row["result"] == "killed" for row in rows),
            "by_time": sum(row["by"] == "time" for row in rows),
            "slow_tests_left_out": max(row["slow"] for row in rows),
            "survivors": [
                {
                    name: value
                    for name, value in vars(mutant).items()
                    if name != "number"
                }
                for mutant, row in zip(chosen, rows, strict=True)
                if row["result"] == "survived"
            ],
        }
    return {
        "command": "python -m tools.mutants" + (" --all" if size is None else ""),
        "sample": size,
        "seed": SEED,
        "modules": table,
    }


def equivalent(root: Path) -> list[dict]:
    """The mutants that no test can tell from the original, each with a reason.

    Args:
        root: the folder of the book.

    Returns:
        Dicts of module, function, code, column, before, after and reason.
    """
    path = root / EQUIVALENT
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


def is_equivalent(stem: str, survivor: dict, listed: list[dict]) -> bool:
    """Whether a survivor is one of those that are listed with a reason.

    Args:
        stem: its module.
        survivor: as in the committed results.
        listed: as `equivalent` returns.

    Returns:
        Whether it is; the line does not matter.
    """
    same = ("function", "code", "column", "before", "after")
    return any(
        row["module"] == stem and all(row[name] == survivor[name] for name in same)
        for row in listed
    )


def report(root: Path, result: dict) -> str:
    """A line a module, and below it what survived.

    Args:
        root: the folder of the book.
        result: as `result_of` returns.

    Returns:
        Text of several lines.
    """
    listed, lines = equivalent(root), []
    run = killed = excused = 0
    for stem, row in result["modules"].items():
        run, killed = run + row["run"], killed + row["killed"]
        lines.append(f"{stem:22s} {row['killed']:3d} of {row['run']:3d} killed")
        for one in row["survivors"]:
            same = is_equivalent(stem, one, listed)
            excused += same
            lines.append(
                f"    {row['file']}:{one['line']} {one['function']}: {one['before']} "
                f"→ {one['after']}" + ("  (equivalent)" if same else "")
            )
    missing = [stem for stem in modules(root) if stem not in result["modules"]]
    share = f" ({killed / run:.1%})" if run else ""
    lines.append(
        f"\n{killed} of {run} mutants killed{share}; {excused} of the survivors are "
        f"equivalent; {len(missing)} modules are not measured: {', '.join(missing)}"
    )
    return "\n".join(lines)


def _load() -> Iterator[str]:
    """Import what the tests need, once for all children."""
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            yield name


def main() -> None:
    """Measure the modules that are named, or all of them, and report."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("modules", nargs="*", help="stems; all if none is named")
    parser.add_argument("--all", action="store_true", help="all mutants, no sample")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument(
        "--write", action="store_true", help=f"run nothing; write {MEASURED}"
    )
    given = parser.parse_args()
    there = modules(ROOT)
    for name in given.modules:
        if name not in there:
            parser.error(f"modules must be of {', '.join(there)}, got {name!r}")
    size, store = (None if given.all else SAMPLE), cache()
    if not (given.report or given.write):
        for name, value in environment.clean(os.environ).items():
            os.environ[name] = value
        sys.path.insert(0, str(ROOT))
        os.chdir(ROOT)
        for name in _load():
            print(f"without {name}", flush=True)
        ours = [name for name in sys.modules if name.startswith("lesson_utils")]
        if ours:
            sys.exit(f"modules of ours were loaded before the mutants: {ours}")
        for stem in given.modules or there:
            source = there[stem].read_text("utf-8")
            chosen = mutants_of(source) if given.all else sample_of(stem, source)
            _measure(ROOT, stem, chosen, store)
    result = result_of(ROOT, store, size)
    print(report(ROOT, result))
    if given.write:
        write_whole(
            ROOT / MEASURED, json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        )


if __name__ == "__main__":
    main()

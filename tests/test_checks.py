"""check, grade, hint and reveal, and the errors that authors meet."""

import random
import re
import subprocess
import sys
from html.parser import HTMLParser

import IPython.display
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lesson_utils import checks
from lesson_utils.checks import check, grade, hint, reveal
from lesson_utils.grading import render as _render
from lesson_utils.grading.exercise import Case, Exercise, Mistake
from lesson_utils.grading.outcome import Outcome
from lesson_utils.grading.registry import all_exercises, chapters, find

VALUES = torch.tensor([1.0, 2.0, 3.0, 6.0])
MASK = torch.tensor([True, False, True, False])


def masked_mean(values, mask):
    """The solution."""
    if not mask.any():
        raise ValueError("no values")
    return (values * mask).sum() / mask.sum()


def by_selection(values, mask, verbose=False):
    if mask.sum() == 0:
        raise ValueError
    return values[mask].mean()


def divides_by_all(values, mask):
    if not mask.any():
        raise ValueError
    return (values * mask).mean()


def ignores_the_mask(values, mask):
    return values.mean()


def nan_when_empty(values, mask):
    return values[mask].mean()


def stub(values, mask):
    raise NotImplementedError


def cases():
    yield Case("two of four", (VALUES, MASK), expected=torch.tensor(2.0))
    yield Case("none", (VALUES, MASK & False), raises=ValueError)
    yield Case.from_reference(
        "random", lambda v, m: v[m].mean(), torch.rand(64), mask_of(64), gradient=True
    )


def mask_of(size):
    return torch.arange(size) % 3 == 0


def make(**changes):
    fields = {
        "name": "masked_mean",
        "solution": masked_mean,
        "cases": cases,
        "mistakes": (
            Mistake("You average over everything.", ignores_the_mask),
            Mistake("You divided by `all`.", divides_by_all),
            Mistake("An empty mask gives NaN.", nan_when_empty),
        ),
        "hints": ("Think of a sum.", "Then divide."),
        "time_limit": 5.0,
    }
    return Exercise(**fields | changes)


def one(case, solution=masked_mean, **changes):
    return make(cases=lambda: [case], solution=solution, mistakes=(), **changes)


# grade ------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [masked_mean, by_selection])
def test_right_answers_pass(answer):
    outcome = grade(make(), answer)
    assert outcome.passed
    assert outcome == Outcome("masked_mean", 3, True, [], [], hardening=1)


@pytest.mark.parametrize(
    ("answer", "failing", "hint_text"),
    [
        (divides_by_all, ["two of four", "random"], "You divided by `all`."),
        (
            ignores_the_mask,
            ["two of four", "random", "none"],
            "average over everything",
        ),
        (nan_when_empty, ["none"], "An empty mask"),
    ],
)
def test_known_mistakes_earn_their_hint(answer, failing, hint_text):
    outcome = grade(make(), answer)
    assert not outcome.passed
    assert outcome.attempted
    assert [failure.case for failure in outcome.failures] == failing
    assert hint_text in outcome.failures[0].hint


def test_a_failure_tells_everything():
    failure = grade(make(), divides_by_all).failures[0]
    assert failure.given == (
        "values = tensor([1., 2., 3., 6.])\nmask = tensor([ True, False,  True, False])"
    )
    assert failure.expected == "tensor(2.)"
    assert failure.got == "tensor(1.)"
    assert failure.problem == "1 came back, 2 is due"


def test_of_two_mistakes_alike_the_one_alike_on_more_cases_wins():
    def right_on_empty(values, mask):
        return by_selection(values, mask) if not mask.any() else (values * mask).mean()

    def wrong_on_empty(values, mask):
        return (values * mask).mean()

    mistakes = (Mistake("wrong", wrong_on_empty), Mistake("right", right_on_empty))
    for ordered in (mistakes, mistakes[::-1]):
        assert grade(make(mistakes=ordered), divides_by_all).failures[0].hint == "right"
        assert grade(make(mistakes=ordered), wrong_on_empty).failures[0].hint == "wrong"


def test_a_mistake_must_change_the_input_as_the_answer_does():
    def halved(values, mask):
        return divides_by_all(values, mask)

    def halved_in_place(values, mask):
        return divides_by_all(values.mul_(mask), mask)

    mistakes = (Mistake("in place", halved_in_place), Mistake("halved", halved))
    # Without the case of gradients, where changing a leaf would raise.
    exercise = make(mistakes=mistakes, cases=lambda: list(cases())[:2])
    assert grade(exercise, halved).failures[0].hint == "halved"
    assert grade(exercise, halved_in_place).failures[0].hint == "in place"


def test_an_unknown_mistake_gets_a_general_hint():
    outcome = grade(make(), lambda values, mask: -masked_mean(values, mask))
    assert "sign" in outcome.failures[0].hint


def test_a_mistake_that_never_ends_does_not_hold_up_the_rest():
    def never_ends(values, mask):
        while True:
            pass

    mistakes = (
        Mistake("endless", never_ends),
        Mistake("all", divides_by_all),
    )
    outcome = grade(make(mistakes=mistakes, time_limit=0.4), divides_by_all)
    assert outcome.failures[0].hint == "all"


def test_the_stub_is_not_attempted():
    outcome = grade(make(), stub)
    assert (outcome.attempted, outcome.passed, outcome.failures) == (False, False, [])
    assert outcome.state == "not attempted"


def test_a_branch_left_open_is_an_attempt():
    def half(values, mask):
        if not mask.any():
            raise NotImplementedError
        return by_selection(values, mask)

    failure = grade(make(), half).failures[0]
    assert failure.case == "none"
    assert "not written yet" in failure.hint


def test_what_torch_cannot_do_is_not_a_branch_left_open():
    def refuses(values, mask):
        return (
            F.softplus(values.long()) if not mask.any() else by_selection(values, mask)
        )

    failure = grade(make(), refuses).failures[0]
    assert failure.case == "none"
    assert "NotImplementedError" in failure.problem
    assert failure.hint.startswith("Look for this before")


def test_a_module_without_forward_is_an_attempt():
    class Net(torch.nn.Module):
        pass

    case = Case("any", (VALUES,), expected=VALUES, call=lambda answer, x: answer()(x))
    assert grade(one(case), Net).attempted


def test_a_class_can_be_graded():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return x * self.factor

    case = Case(
        "twice",
        (VALUES,),
        {"factor": 2},
        expected=2 * VALUES,
        call=lambda answer, x, factor: answer(factor)(x),
    )
    assert grade(one(case, Scale), Scale).passed
    failure = grade(one(case, Scale), lambda factor: lambda x: x).failures[0]
    assert failure.given == "x = tensor([1., 2., 3., 6.])\nfactor = 2"


def test_gradients_are_graded():
    def square(x):
        return x**2

    def detached_square(x):
        return x.detach() ** 2

    def leaky(x):
        return x.detach() * x

    def symmetric(x):  # right values; the gradient is wrong by +c and -c
        wrong = torch.tensor([1.0, -1.0])
        return x**2 + wrong * (x - x.detach())

    case = Case.from_reference(
        "two", torch.square, torch.tensor([1.0, 3.0]), gradient=True
    )
    exercise = one(case, square)
    assert grade(exercise, square).passed
    lost = grade(exercise, detached_square).failures[0]
    assert "gradient with respect to x" in lost.problem
    assert "cut the graph" in lost.hint
    assert "0.5 (1/2) times" in grade(exercise, leaky).failures[0].hint
    assert not grade(exercise, symmetric).passed


def test_gradients_by_hand():
    exercise = one(
        Case(
            "sum",
            (VALUES, MASK.float()),
            expected=torch.tensor(4.0),
            gradients=(MASK.float(), None),
        ),
        lambda values, mask: (values * mask).sum(),
    )
    assert grade(exercise, lambda v, m: (v * m).sum()).passed
    assert not grade(
        exercise, lambda v, m: (v * m.detach()).sum() + 0 * v.sum()
    ).failures
    assert not grade(exercise, lambda v, m: (v.detach() * m).sum()).passed


def test_gradients_inside_no_grad():
    with torch.no_grad():
        assert grade(make(), by_selection).passed
        assert not torch.is_grad_enabled()


def test_the_process_is_left_as_it_was():
    def disturbs(values, mask):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        torch.manual_seed(99)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return values[mask].mean()

    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    due = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    grade(make(), disturbs)
    assert (torch.rand(1), np.random.rand(), random.random()) == due  # noqa: NPY002
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_random_answers_get_the_references_numbers():
    exercise = one(
        Case.from_reference("noise", lambda x: x + torch.randn_like(x), VALUES),
        lambda x: x,
    )
    torch.manual_seed(99)  # whatever was drawn in between
    assert grade(exercise, lambda x: torch.randn(4) + x).passed
    assert not grade(exercise, lambda x: torch.rand(4) + x).passed


def test_a_reference_may_use_numpy_or_have_weights():
    case = Case.from_reference(
        "numpy", lambda x: torch.from_numpy(x.numpy() * 2), VALUES
    )
    assert grade(one(case, lambda x: 2 * x), lambda x: x + x).passed
    weight = torch.tensor(2.0, requires_grad=True)
    case = Case.from_reference("weight", lambda x: {"y": [weight * x]}, VALUES)
    assert not case.expected["y"][0].requires_grad


# check, hint, reveal ----------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, as if in a notebook, with its metadata under that name."""
    outputs = []

    def display(bundle, *, raw, metadata):
        outputs.append(bundle | {"metadata": metadata})

    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", display)
    return outputs


@pytest.fixture(autouse=True)
def _no_hints_given():
    checks._hints_given.clear()


def test_check_prints_text_outside_a_notebook(capsys):
    assert check(make(), masked_mean) is None
    assert check(make(), stub) is None
    assert check(make(), divides_by_all) is None
    out = capsys.readouterr().out
    assert "Right. `masked_mean`: all 3 cases pass." in out
    assert "Not attempted yet." in out
    assert "  Got:      tensor(1.)\n" in out
    assert "  Hint:     You divided by `all`." in out


def test_check_displays_a_card_and_a_record_in_a_notebook(shown, capsys):
    check(make(), divides_by_all)
    assert capsys.readouterr().out == ""
    assert set(shown[0]) == {"text/plain", "text/html", "metadata"}
    assert shown[0]["metadata"][_render.RECORD] == {
        "name": "masked_mean",
        "state": "wrong",
        "correct": False,
        "failed": 2,
        "to_harden": 0,
        "case": "two of four",
        "hint": "You divided by `all`.",
    }


class Tags(HTMLParser):
    """Opening and closing tags that match, and the text between."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    ("answer", "state"),
    [(masked_mean, "right"), (divides_by_all, "wrong"), (stub, "todo")],
)
def test_the_card_is_a_status(shown, answer, state):
    check(make(), answer)
    tags = Tags(shown[0]["text/html"])
    tag, attributes = tags.seen[0]
    assert (tag, attributes["role"]) == ("div", "status")
    assert attributes["class"] == f"lc-check lc-check-{state}"
    assert ("dl" in [tag for tag, _ in tags.seen]) == (state == "wrong")
    if state == "wrong":
        assert ("code", {}) in tags.seen


def test_the_card_escapes_what_comes_from_the_reader(shown):
    def evil(values, mask):
        print("<script>print</script>")
        raise ValueError("<script>raise</script>")

    check(make(), evil)
    html = shown[0]["text/html"]
    assert "<script" not in html
    assert "<script>raise</script>" in Tags(html).text
    assert "<script>print</script>" in Tags(html).text


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("color", _render._BARS.values())
def test_the_cards_bars_stand_out_in_light_and_dark(color):
    for ground in ("#ffffff", "#121212"):
        light, dark = sorted([luminance(color), luminance(ground)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_the_card_colors_no_text(shown):
    check(make(), divides_by_all)
    html = shown[0]["text/html"]
    assert set(re.findall(r"(?<![-\w])color:([^;\"]+)", html)) == {"inherit"}


def test_hints_come_one_at_a_time(capsys):
    for _ in range(4):
        assert hint(make()) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Hint 1 of 2. Think of a sum."
    assert lines[1] == "Hint 2 of 2. Then divide."
    assert "the last of 2 hints" in lines[2]
    assert 'reveal("masked_mean")' in lines[2]
    assert lines[3] == lines[2]


def test_reveal_shows_the_source(capsys, shown, monkeypatch):
    assert reveal(make()) is None
    fenced = shown[0]["text/markdown"]
    assert fenced.startswith("```python\ndef masked_mean(values, mask):\n")
    assert fenced.endswith("\n```")
    monkeypatch.undo()
    reveal(make())
    assert capsys.readouterr().out.startswith("def masked_mean(values, mask):\n")


# finding exercises ------------------------------------------------------------------

MODULE = """
from lesson_utils.grading.exercise import Case, Exercise

def solution(x):
    return x

def cases():
    yield Case("one", (1,), expected=1)

EXERCISES = tuple(
    Exercise(name, solution, cases, hints=("a", "b")) for name in {names}
)
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Makes a book of the chapters given, in place of the real one."""
    monkeypatch.setattr(checks, "__path__", [str(tmp_path)])

    def write(**names):
        for chapter, own in names.items():
            (tmp_path / f"{chapter}.py").write_text(MODULE.format(names=own))

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"lesson_utils.checks.{path.stem}", None)
        vars(checks).pop(path.stem, None)


def test_exercises_are_found_by_name(book):
    book(made_a=["alpha", "beta"], made_b=["gamma", "made_b.alpha"], _private=["x"])
    assert chapters() == ["made_a", "made_b"]
    full = ["made_a.alpha", "made_a.beta", "made_b.gamma", "made_b.alpha"]
    assert list(all_exercises()) == full
    assert find("beta")[0] == "made_a.beta"
    assert find("made_b.alpha")[1].name == "made_b.alpha"
    assert grade("gamma", lambda x: x).name == "made_b.gamma"


def test_a_full_name_imports_one_chapter_only(book):
    book(made_a=["alpha"], made_b=["beta"])
    find("made_a.alpha")
    assert "lesson_utils.checks.made_a" in sys.modules
    assert "lesson_utils.checks.made_b" not in sys.modules


def test_in_a_chapters_notebook_its_own_come_first_and_no_others(book, monkeypatch):
    book(made_a=["alpha"], made_b=["alpha", "beta"], made_c=["gamma"])
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/book/part/made_b.ipynb")
    assert find("alpha")[0] == "made_b.alpha"
    assert "lesson_utils.checks.made_a" not in sys.modules
    assert find("gamma")[0] == "made_c.gamma"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alpha", "'alpha' is in several chapters: made_a.alpha or made_b.alpha"),
        ("alpah", "did you mean alpha"),
        ("made_a.alfa", "did you mean made_a.alpha"),
        ("made_a.gamma", "no exercise is named 'made_a.gamma'"),
        ("qqqqqq", "`python -m lesson_utils.checks` lists them all"),
        (masked_mean, "the exercise's name comes first, as a string, not a function"),
    ],
)
def test_names_that_name_no_exercise(book, name, message):
    book(made_a=["alpha"], made_b=["gamma", "alpha"])
    for use in (lambda: grade(name, stub), lambda: hint(name), lambda: reveal(name)):
        with pytest.raises(ValueError, match=re.escape(message)):
            use()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["alpha", "alpha"], "two exercises are named made.alpha"),
        (["other.alpha"], "belongs to chapter made"),
        ([], "must define EXERCISES"),
    ],
)
def test_chapters_that_list_their_exercises_badly(book, names, message):
    book(made=names)
    with pytest.raises(ValueError, match=message):
        all_exercises()


def test_importing_imports_no_chapter_and_no_jupyter():
    code = (
        "import sys, lesson_utils.checks as c\n"
        "from lesson_utils.grading.exercise import Case, Exercise\n"
        "case = lambda: [Case('one', (1,), expected=1)]\n"
        "c.check(Exercise('f', int, case, hints=('a', 'b')), lambda x: x)\n"
        "names = {'IPython', 'nbclient', 'nbformat', 'jupyter_client', 'matplotlib'}\n"
        "from lesson_utils.grading.registry import chapters\n"
        "names |= {f'{c.__name__}.{stem}' for stem in chapters()}\n"
        "print(names & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "Right. `f`: the one case passes.\nset()\n", run.stderr


# errors for authors -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "no name"}, "must be a function's name"),
        ({"name": "a.b.c"}, "must be a function's name"),
        ({"solution": 3}, "solution must be"),
        ({"cases": list(cases())}, "cases must be a function"),
        ({"hints": ("one",)}, "at least two hints"),
        ({"hints": "a string"}, "at least two hints"),
        ({"mistakes": (divides_by_all,)}, "tuple of Mistake"),
        ({"time_limit": 0}, "time limit must be positive"),
    ],
)
def test_malformed_exercises(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**changes)
    assert repr(changes.get("name", "masked_mean")) in str(error.value)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "has no cases"),
        ([Case("one", expected=1), Case("one", expected=2)], "share a name"),
    ],
)
def test_malformed_lists_of_cases(made, message):
    with pytest.raises(ValueError, match=f"'masked_mean'.*{message}"):
        grade(make(cases=lambda: made), masked_mean)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs either expected or raises"),
        ({"expected": 1, "raises": ValueError}, "needs either expected or raises"),
        ({"args": VALUES, "expected": 1}, "args must be a tuple"),
        ({"kwargs": [1], "expected": 1}, "kwargs must be a dict"),
        ({"expected": object()}, "cannot be compared"),
        ({"expected": 1, "gradients": ()}, "need a floating tensor"),
        ({"args": (VALUES,), "expected": 1, "gradients": ()}, "0 gradients for 1"),
        (
            {"args": (VALUES,), "raises": ValueError, "gradients": (VALUES,)},
            "need expected",
        ),
    ],
)
def test_malformed_cases(fields, message):
    with pytest.raises(ValueError, match=f"case 'odd': .*{message}"):
        Case("odd", **fields)


def test_a_case_without_a_name():
    with pytest.raises(ValueError, match="needs a name"):
        Case(" ", expected=1)


def test_none_may_be_expected():
    exercise = one(Case("nothing", expected=None), lambda: None)
    assert grade(exercise, lambda: None).passed
    assert not grade(exercise, lambda: 1).passed

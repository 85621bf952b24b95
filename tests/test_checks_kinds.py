"""The idea and its hardening: what is right, what is left, and which hint is given."""

import pytest
import torch

from lesson_utils.checks import check, grade
from lesson_utils.grading.clues import common_clue
from lesson_utils.grading.exercise import Case, Exercise, Mistake
from lesson_utils.grading.grade import grade_exercise
from lesson_utils.grading.render import outcome_html, outcome_record, outcome_text
from lesson_utils.grading.tensors import Rules, compare_tensors

X = torch.tensor([1.0, 2.0, 6.0])


def mean(x):
    if not x.numel() or x.isnan().any():
        raise ValueError("x must have values, and no NaN")
    return x.double().mean().to(x.dtype)


def plain(x):
    return x.sum() / len(x)


def refuses_nothing_empty(x):
    if x.isnan().any():
        raise ValueError("NaN")
    return x.mean()


def refuses_no_nan(x):
    if not x.numel():
        raise ValueError("empty")
    return x.mean()


def summed(x):
    if not x.numel() or x.isnan().any():
        raise ValueError("x")
    return x.sum()


def cases():
    yield Case("nothing", (X[:0],), raises=ValueError)
    yield Case("three values", (X,), expected=torch.tensor(3.0))
    yield Case(
        "65,504 twice in half precision",
        (torch.full((2,), 65504.0).half(),),
        expected=torch.tensor(65504.0).half(),
        hardening=True,
    )
    yield Case("a NaN", (X * torch.nan,), raises=ValueError)
    yield Case.from_reference("five values", torch.mean, torch.arange(5.0) ** 2)


EXERCISE = Exercise(
    "mean",
    mean,
    cases,
    mistakes=(
        Mistake("Refuse what is empty.", refuses_nothing_empty),
        Mistake("Refuse NaN.", refuses_no_nan),
        Mistake("Divide by the number.", summed),
    ),
    hints=("a", "b"),
    time_limit=0.5,
)


def changed(**fields):
    old = {name: getattr(EXERCISE, name) for name in EXERCISE.__dataclass_fields__}
    return Exercise(**old | fields)


# right and hardened -----------------------------------------------------------------


def test_what_raises_hardens_unless_it_is_said_otherwise():
    assert Case("a", raises=ValueError).hardening is True
    assert Case("a", raises=ValueError, hardening=False).hardening is False
    assert Case("a", expected=1).hardening is False
    assert Case("a", expected=1, hardening=True).hardening is True
    assert Case.from_reference("a", abs, 1, hardening=True).hardening is True


def test_the_cases_of_the_idea_come_first_in_their_order():
    names = [case.name for case in EXERCISE.list_cases()]
    assert names[:2] == ["three values", "five values"]
    assert names[2:] == ["nothing", "65,504 twice in half precision", "a NaN"]


@pytest.mark.parametrize(
    ("answer", "correct", "passed", "state"),
    [
        (mean, True, True, "right"),
        (plain, True, False, "right, not hardened"),
        (summed, False, False, "wrong"),
        (lambda x: mean(x) + (x.numel() == 5), False, False, "wrong"),
    ],
)
def test_correct_and_passed(answer, correct, passed, state):
    outcome = grade(EXERCISE, answer)
    assert (outcome.correct, outcome.passed) == (correct, passed)
    assert outcome.state == state
    assert (outcome.cases, outcome.hardening) == (5, 3)


def test_the_stub_is_neither_correct_nor_passed():
    def stub(x):
        raise NotImplementedError

    outcome = grade(EXERCISE, stub)
    assert (outcome.attempted, outcome.correct, outcome.passed) == (False,) * 3


def test_what_does_not_end_on_a_hardening_case_is_right_all_the_same():
    def waits_for_values(x):
        while not x.numel():
            pass
        return x.mean()

    outcome = grade(EXERCISE, waits_for_values)
    assert outcome.correct
    assert [failure.case for failure in outcome.failures] == ["nothing"]


def test_what_does_not_end_on_the_idea_is_not_right():
    def waits_for_ever(x):
        while True:
            pass

    assert not grade(EXERCISE, waits_for_ever).correct


# what is shown ----------------------------------------------------------------------


def test_right_is_said_first_and_then_what_is_left(capsys):
    check(EXERCISE, plain)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == (
        "Right. `mean`: all 2 cases pass. To harden it, look at 3 of 3 more:"
    )
    assert rest[0] == "  – “nothing”: it raised nothing (raises ValueError)"
    text = "\n".join(rest)
    assert "“65,504 twice in half precision”: the value is infinite" in text
    assert "  – “a NaN”" in text
    for gone in ("Input:", "Got:", "Not right"):
        assert gone not in text


def test_cases_that_lack_the_same_are_told_together():
    def lenient(x):
        return torch.nan_to_num(x).double().mean().nan_to_num().to(x.dtype)

    text = outcome_text(grade(EXERCISE, lenient))
    assert "“nothing”, “a NaN”: it raised nothing" in text
    assert text.count("Hint:") == 1


def test_the_card_of_a_right_answer_is_that_of_right():
    html = outcome_html(grade(EXERCISE, plain))
    assert "lc-check-right" in html
    assert html.index("Right.") < html.index("nothing")
    assert "<dl>" not in html
    assert html.count("<li>") == 3
    assert "<ul>" not in outcome_html(grade(EXERCISE, mean))
    assert "<ul>" not in outcome_html(grade(EXERCISE, summed))


def test_the_record_says_how_far_it_is():
    record = outcome_record(grade(EXERCISE, plain))
    assert record["state"] == "right, not hardened"
    assert (record["correct"], record["failed"], record["to_harden"]) == (True, 0, 3)
    record = outcome_record(grade(EXERCISE, summed))
    assert (record["correct"], record["failed"], record["to_harden"]) == (False, 2, 1)


def test_a_wrong_answer_is_told_of_the_idea_alone():
    text = outcome_text(grade(EXERCISE, lambda x: x.sum()))
    assert text.startswith("Not right yet. `mean`, case “three values”:")
    assert "nothing" not in text
    assert "Divide by the number." in text


# which hint -------------------------------------------------------------------------


def test_each_omission_has_its_own_hint():
    hints = {f.case: f.hint for f in grade(EXERCISE, plain).failures}
    assert hints["nothing"] == "Refuse what is empty."
    # Both known omissions overflow as well; neither is what is wrong there.
    assert "inf comes from" in hints["65,504 twice in half precision"]


def test_an_omission_without_a_mistake_is_told_in_general():
    exercise = changed(mistakes=())
    hints = {f.case: f.hint for f in grade(exercise, plain).failures}
    assert "raise `ValueError` yourself" in hints["nothing"]


def test_a_mistake_that_goes_wrong_elsewhere_too_gives_no_hint():
    def wrong_on_five(x):
        return x.sum() if x.numel() == 5 else mean(x)

    outcome = grade(EXERCISE, wrong_on_five)
    assert outcome.failures[0].case == "five values"
    assert "Divide by" not in outcome.failures[0].hint


def test_a_mistake_that_does_the_same_on_one_case_only_gives_no_hint():
    def nine(x):  # the sum of the three values, and of no others
        return torch.tensor(9.0)

    outcome = grade(EXERCISE, nine)
    assert outcome.failures[0].problem == "9 came back, 3 is due"
    assert "Divide by" not in outcome.failures[0].hint


def test_an_answer_with_a_second_mistake_is_told_of_the_first():
    def more():
        yield from cases()
        yield Case("seven", (torch.ones(7) * X[1],), expected=torch.tensor(2.0))

    def summed_and_more(x):
        return x.sum() if x.numel() != 7 else x.sum() + 1

    def summed_but_seven(x):
        return x.sum() if x.numel() != 7 else mean(x)

    exercise = changed(cases=more, mistakes=(Mistake("sum", summed_but_seven),))
    assert grade(exercise, summed_and_more).failures[0].hint == "sum"


def pairs(*changes):
    values = [torch.tensor([1.0, 3.0, 4.0, 9.0]), torch.tensor([2.0, 0.5, 7.0])]
    return [
        ([(value, change(value))], {})
        for value, change in zip(values, changes)  # noqa: B905
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ((lambda t: 2 * t,) * 2, "Every value is 2 times what is due."),
        ((lambda t: t * t.numel(),) * 2, "On other input it is another number."),
        ((lambda t: 2 * t, lambda t: t + 1), ""),
        ((lambda t: t + 1,) * 2, "too large by the same 1."),
        ((lambda t: t - 0.5,) * 2, "too small by the same 0.5."),
        ((lambda t: -t, lambda t: 2 * t), "another number"),
        ((lambda t: 0 * t,) * 2, "zero"),
        ((lambda t: 0 * t + 3,) * 2, "Every value is 3."),
        ((lambda t: t.flip(0),) * 2, "reverse order along dimension 0"),
        ((lambda t: t.roll(1),) * 2, "another order"),
        ((lambda t: t.roll(1), lambda t: t.roll(1) + 1), ""),
    ],
)
def test_an_observation_holds_of_every_result(changes, text):
    clue = common_clue(pairs(*changes))
    assert text in clue
    assert bool(text) == bool(clue)


def test_the_input_is_known_again():
    case = Case("a", (X,), expected=2 * X)
    exercise = Exercise("double", lambda x: 2 * x, lambda: [case], hints=("", ""))
    hint = grade(exercise, lambda x: x).failures[0].hint
    assert hint == "This is `x`, unchanged."


@pytest.mark.parametrize("returned", [None, 3, (1, 2, 3)])
def test_what_the_check_can_do_nothing_with_is_no_error_of_the_readers(returned):
    def total(answer, x):
        first, second = answer(x)
        return first + second

    case = Case("two", (X,), expected=2 * X, call=total)
    exercise = Exercise("pair", lambda x: (x, x), lambda: [case], hints=("", ""))
    failure = grade(exercise, lambda x: returned).failures[0]
    assert failure.problem.startswith("what came back is of no use here:")
    assert failure.got == str(returned)
    assert ("returns nothing" in failure.hint) == (returned is None)


def test_an_error_of_the_readers_object_is_the_readers():
    class Scale:
        def __call__(self, x):
            return x / self.missing

    case = Case("a", (X,), expected=X, call=lambda answer, x: answer()(x))
    exercise = Exercise("Scale", Scale, lambda: [case], hints=("", ""))
    failure = grade(exercise, Scale).failures[0]
    assert failure.problem == "it raised AttributeError"
    assert "return x / self.missing" in failure.got


# tolerances -------------------------------------------------------------------------


def differ(due, came, **rules):
    return compare_tensors(torch.tensor(due), torch.tensor(came), Rules(**rules))


def test_the_absolute_tolerance_grows_with_the_largest_value():
    # A zero among thousands carries the rounding of thousands.
    assert differ([1e4, 0.0], [1e4, 5e-3]) is None
    assert differ([1.0, 0.0], [1.0, 5e-3])
    assert differ([1e4, 0.0], [1e4, 5e-3], atol=1e-6)
    # What is as small as this is nothing in float32, unless it is asked for.
    assert differ([1.4e-11], [0.7e-11]) is None
    assert differ([1.4e-11], [0.7e-11], atol=0.0)


def test_infinity_has_no_say_in_the_tolerance():
    inf = float("inf")
    assert differ([inf, 0.0], [inf, 5e-3])


def test_grade_exercise_wants_no_name_of_the_book():
    assert grade_exercise("x", EXERCISE, mean).name == "x"

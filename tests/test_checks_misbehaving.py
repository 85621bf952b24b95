"""Answers that raise, hang, print, exit, return nonsense: each gets feedback."""

import io
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from lesson_utils.__main__ import UNSTOPPED
from lesson_utils.checks import grade
from lesson_utils.grading.exercise import Case, Exercise
from lesson_utils.grading.time_limit import TimeUp, call_within

X = torch.tensor([1.0, 2.0, 4.0])


def double(x, factor=2):
    return factor * x


def cases():
    yield Case("a vector", (X,), expected=2 * X)
    yield Case("a keyword", (X,), {"factor": 3}, expected=3 * X)


EXERCISE = Exercise("double", double, cases, hints=("a", "b"), time_limit=0.25)


def failure_of(answer, exercise=EXERCISE):
    outcome = grade(exercise, answer)
    assert not outcome.passed
    assert outcome.attempted
    return outcome.failures[0]


# endless ----------------------------------------------------------------------------


def spins(x, factor=2):
    while True:
        pass


def catches_exceptions(x, factor=2):
    while True:
        try:  # noqa: SIM105
            torch.ones(3).sum()
        except Exception:  # noqa: S110
            pass


def catches_everything(x, factor=2):
    while True:
        try:  # noqa: SIM105
            torch.ones(3).sum()
        except:  # noqa: E722, S110
            pass


def sleeps(x, factor=2):
    time.sleep(10**6)


def sleeps_and_catches_everything(x, factor=2):
    while True:
        try:  # noqa: SIM105
            time.sleep(10**6)
        except:  # noqa: E722, S110
            pass


def prints(x, factor=2):
    while True:
        print("again")


class SpinsBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        while True:
            pass


ENDLESS = [
    spins,
    catches_exceptions,
    catches_everything,
    sleeps,
    sleeps_and_catches_everything,
    prints,
]


@pytest.mark.parametrize("answer", ENDLESS)
def test_what_never_ends_is_stopped(answer):
    started = time.monotonic()
    outcome = grade(EXERCISE, answer)
    assert time.monotonic() - started < 3
    assert [failure.case for failure in outcome.failures] == ["a vector"]
    assert outcome.failures[0].problem == "it did not come to an end"
    assert "1 of 2 cases untried" in outcome.notes[-1]


@pytest.mark.parametrize("answer", [spins, catches_exceptions, sleeps])
def test_what_never_ends_is_stopped_on_another_thread(answer):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(grade(EXERCISE, answer)))
    thread.start()
    thread.join(3)
    assert outcomes[0].failures[0].problem == "it did not come to an end"


def test_a_loop_on_another_thread_does_not_run_on():
    def naps(x, factor=2):
        while True:
            try:  # noqa: SIM105
                time.sleep(0.01)
            except Exception:  # noqa: S110
                pass

    before = threading.active_count()
    thread = threading.Thread(target=lambda: grade(EXERCISE, naps))
    thread.start()
    thread.join(3)
    assert threading.active_count() == before


def test_what_never_ends_backwards_is_stopped():
    case = Case.from_reference("gradient", double, X, gradient=True)
    exercise = Exercise("f", double, lambda: [case], hints=("", ""), time_limit=0.25)
    assert "end" in failure_of(SpinsBackwards.apply, exercise).problem


def test_the_limit_is_for_all_cases_together():
    many = [Case(str(i), (X,), expected=2 * X) for i in range(50)]
    exercise = Exercise("f", double, lambda: many, hints=("", ""), time_limit=0.25)

    def slow(x):
        time.sleep(0.02)
        return 2 * x

    started = time.monotonic()
    assert grade(exercise, slow).failures[0].problem == "it did not come to an end"
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("timer", [(100, 7), (0, 0)])
def test_handler_timer_and_tracer_are_restored(timer):
    def own_handler(*_):
        pass

    old = signal.signal(signal.SIGALRM, own_handler)
    old_timer = signal.setitimer(signal.ITIMER_REAL, *timer)
    tracer = sys.gettrace()
    try:
        for answer in (spins, double):
            grade(EXERCISE, answer)
            assert signal.getsignal(signal.SIGALRM) is own_handler
            delay, interval = signal.getitimer(signal.ITIMER_REAL)
            assert delay == pytest.approx(timer[0], abs=5)
            assert bool(delay) == bool(timer[0])
            assert interval == timer[1]
            assert sys.gettrace() is tracer
    finally:
        signal.signal(signal.SIGALRM, old)
        signal.setitimer(signal.ITIMER_REAL, *old_timer)


@pytest.mark.parametrize("seconds", [0, -1, 1e-6])
def test_next_to_no_time(seconds):
    with pytest.raises(TimeUp):
        call_within(seconds, lambda: time.sleep(1))
    time.sleep(0.1)  # a late alarm would ring now


def test_call_within_returns_and_raises_what_the_function_does():
    def both():
        assert call_within(1, lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            call_within(1, lambda: 1 / 0)
        done.append(True)

    done = []
    both()
    thread = threading.Thread(target=both)
    thread.start()
    thread.join()
    assert done == [True, True]


# raising ----------------------------------------------------------------------------


def test_an_exception_is_told_with_the_readers_line():
    def divides(x, factor=2):
        return x + 1 / 0

    failure = failure_of(divides)
    number = divides.__code__.co_firstlineno + 1
    assert failure.got == (
        f"ZeroDivisionError: division by zero\nline {number}: return x + 1 / 0"
    )


def test_the_line_is_the_readers_even_where_a_library_raises():
    def wrong_sizes(x, factor=2):
        return torch.nn.functional.conv2d(x, x)

    assert "return torch.nn.functional.conv2d(x, x)" in failure_of(wrong_sizes).got


def test_code_without_a_source_gives_the_number_only():
    names = {}
    exec("def f(x, factor=2):\n    raise KeyError('k')", names)  # noqa: S102
    assert failure_of(names["f"]).got == "KeyError: 'k'\nline 2"


def test_a_stub_without_a_source_is_a_stub():
    names = {}
    exec("def f(x):\n    raise NotImplementedError", names)  # noqa: S102
    assert not grade(EXERCISE, names["f"]).attempted


def exits(x, factor=2):
    sys.exit(3)


def recurses(x, factor=2):
    return recurses(x)


def through_numpy(x, factor=2):
    return torch.tensor(x.numpy() * 2)


def in_place(x, factor=2):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("answer", "got", "hint"),
    [
        (exits, "SystemExit: 3", "`exit` would end"),
        pytest.param(
            *(recurses, "RecursionError", "calls itself too deep"),
            marks=pytest.mark.skipif(
                UNSTOPPED[0] <= sys.version_info < UNSTOPPED[1],
                reason="this Python does not stop it",
            ),
        ),
        (through_numpy, "RuntimeError", "Stay in torch"),
        (in_place, "RuntimeError", "work on a copy"),
    ],
)
def test_exceptions_with_a_known_cause(answer, got, hint):
    case = Case.from_reference("gradient", double, X, gradient=True)
    failure = failure_of(answer, Exercise("f", double, lambda: [case], hints=("", "")))
    assert got in failure.got
    assert hint in failure.hint


def test_odd_exceptions_are_feedback_too():
    class Odd(BaseException):
        def __str__(self):
            raise RuntimeError

    def raises_odd(x, factor=2):
        raise Odd

    assert "Odd" in failure_of(raises_odd).got


def test_the_readers_interrupt_passes():
    def interrupted(x, factor=2):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(EXERCISE, interrupted)
    assert signal.getitimer(signal.ITIMER_REAL)[0] != pytest.approx(0.25, abs=0.2)


def test_raises_wants_its_own_exception():
    case = Case("empty", (X[:0],), raises=(ValueError, IndexError))
    exercise = Exercise("f", double, lambda: [case], hints=("", ""))

    def raising(kind):
        def answer(x):
            raise kind("no")

        return answer

    assert grade(exercise, raising(ValueError)).passed
    assert grade(exercise, raising(UnicodeError)).passed  # a ValueError
    assert grade(exercise, raising(IndexError)).passed
    failure = failure_of(raising(TypeError), exercise)
    assert failure.expected == "raises ValueError or IndexError"
    assert failure.got.startswith("TypeError: no")
    assert failure_of(double, exercise).problem == "it raised nothing"


# signatures -------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [lambda: 1, lambda y: 1, lambda x, factor, z: 1])
def test_a_wrong_signature_names_the_right_one(answer):
    # The second is fine until a case gives a keyword.
    failures = grade(EXERCISE, answer).failures
    assert "double(x, factor=2)" in failures[-1].hint
    assert "it cannot be called as it should" in failures[-1].problem


def test_a_type_error_of_the_signature_is_not_a_type_error_due():
    case = Case("text", ("a",), raises=TypeError)
    exercise = Exercise("f", double, lambda: [case], hints=("", ""))
    assert not grade(exercise, lambda: 1).passed


def test_more_parameters_are_welcome():
    assert grade(EXERCISE, lambda x, factor=2, *, verbose=False: factor * x).passed
    assert grade(EXERCISE, lambda *args, **kwargs: double(*args, **kwargs)).passed


@pytest.mark.parametrize("answer", [3, None, 2 * X, "double"])
def test_what_is_no_function_is_said_so(answer):
    failure = failure_of(answer)
    assert failure.problem == "the answer is not a function"
    assert failure.expected == "double(x, factor=2)"


# results ----------------------------------------------------------------------------


class Rude:
    """An object that answers nothing."""

    def __getattribute__(self, name):
        raise RuntimeError("rude")


class RudeTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError("rude")


def loop_of_lists(x, factor=2):
    endless = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, factor=2: None,
        lambda x, factor=2: (factor * x).numpy(),
        lambda x, factor=2: factor,
        lambda x, factor=2: [factor * x],
        lambda x, factor=2: (factor * x)[None],
        lambda x, factor=2: (factor * x).double(),
        lambda x, factor=2: (factor * x).to("meta"),
        lambda x, factor=2: factor * x / 0,
        lambda x, factor=2: np.array(["a"]),
        lambda x, factor=2: (y for y in x),
        lambda x, factor=2: double,
        lambda x, factor=2: x.to_sparse(),
        lambda x, factor=2: Rude(),
        lambda x, factor=2: x.as_subclass(RudeTensor),
        loop_of_lists,
    ],
)
def test_odd_results_are_wrong_and_nothing_worse(answer):
    failure = failure_of(answer)
    assert failure.case == "a vector"
    assert failure.problem


def test_a_result_with_history_is_fine():
    weight = torch.tensor(1.0, requires_grad=True)
    assert grade(EXERCISE, lambda x, factor=2: weight * factor * x).passed


def test_changing_the_input_is_found():
    def answer(x, factor=2):
        return x.mul_(factor)

    failure = failure_of(answer)
    assert failure.problem == "the result is right, but x changed in place"
    assert "`clone`" in failure.hint
    outcome = grade(EXERCISE, lambda x, factor=2: x.zero_())
    assert outcome.failures[0].problem.endswith("besides, x changed in place")
    assert X.tolist() == [1, 2, 4]
    assert grade(EXERCISE, double).passed


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ([X], lambda value: value.append(1)),
        ([X], lambda value: value[0].add_(1)),
        ({"a": 1}, lambda value: value.update(a=2)),
        (np.ones(3), lambda value: value.fill(0)),
        (X, lambda value: value.resize_(2)),
    ],
)
def test_changing_any_kind_of_input_is_found(given, change):
    def answer(data):
        change(data)
        return 1

    case = Case("any", (given,), expected=1)
    exercise = Exercise("f", lambda data: 1, lambda: [case], hints=("", ""))
    assert grade(exercise, lambda data: 1).passed
    assert "data changed in place" in failure_of(answer, exercise).problem


def test_arguments_that_cannot_be_compared_are_left_alone():
    generator = torch.Generator().manual_seed(0)
    case = Case("module", (torch.nn.BatchNorm1d(3), generator), expected=1)
    exercise = Exercise("f", lambda net, g: 1, lambda: [case], hints=("", ""))

    def answer(net, g):
        net(torch.rand(4, 3, generator=g))
        return 1

    assert grade(exercise, answer).passed
    assert grade(exercise, answer).passed


# what is said beside ----------------------------------------------------------------


def test_prints_are_kept_and_told(capsys):
    def talks(x, factor=2):
        print("x is", x)
        print("error", file=sys.stderr)
        return factor * x

    outcome = grade(EXERCISE, talks)
    assert outcome.passed
    assert outcome.notes == ['Your function printed: "x is tensor([1., 2., 4.])"']
    assert capsys.readouterr() == ("", "")


def test_long_prints_are_shortened():
    def talks(x, factor=2):
        print("long " * 10**5)
        return factor * x

    (note,) = grade(EXERCISE, talks).notes
    assert len(note) < 120
    assert note.endswith('…"')


def test_closing_the_output_hurts_nobody(capsys):
    def closes(x, factor=2):
        sys.stdout.close()
        return factor * x

    out = sys.stdout
    assert grade(EXERCISE, closes).passed
    assert sys.stdout is out
    assert not isinstance(out, io.StringIO) or not out.closed


def test_warnings_are_told_once():
    def warns(x, factor=2):
        warnings.warn("broadcasting", UserWarning, stacklevel=1)
        return factor * x

    outcome = grade(EXERCISE, warns)
    assert outcome.passed
    assert outcome.notes == [
        "Your function caused a warning: UserWarning: broadcasting"
    ]

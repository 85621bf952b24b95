"""What counts as the same result, and how a difference is told."""

import numpy as np
import pytest
import torch

from lesson_utils.grading.compare import compare, is_comparable
from lesson_utils.grading.gradients import cotangent_like, gradients_of
from lesson_utils.grading.show import brief, show_arguments
from lesson_utils.grading.tensors import Rules

GRID = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
RAMP = torch.tensor([1.0, 2.0, 4.0])


def differ(expected, got, **rules):
    return compare(expected, got, Rules(**rules))


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (RAMP, RAMP.clone()),
        (RAMP, RAMP.clone().requires_grad_()),
        (RAMP, RAMP * (1 + 1e-5)),
        (RAMP.double(), RAMP.double() * (1 + 1e-9)),
        (RAMP.half(), RAMP.half() * 1.005),
        (RAMP.bfloat16(), RAMP.bfloat16() * 1.01),
        (torch.tensor([float("nan"), float("inf")]),) * 2,
        (torch.zeros(0, 4), torch.zeros(0, 4)),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j])),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0])),
        (np.arange(3)[::-1], np.array([2, 1, 0])),
        ((1, RAMP), [1, RAMP]),
        ([1, 2], (1, 2)),
        ({"a": RAMP, "b": [1.0]}, {"b": [1.0], "a": RAMP}),
        (0.1, torch.tensor(0.1).item()),
        (1.0, 1),
        (0.5, np.float32(0.5)),
        (3, np.int64(3)),
        (True, np.bool_(True)),
        (10**30, 10**30),
        (1 + 2j, 1 + 2j),
        ("xyxy", "xyxy"),
        (None, None),
    ],
)
def test_same(expected, got):
    assert differ(expected, got) is None


@pytest.mark.parametrize(
    ("expected", "got", "text", "clue"),
    [
        (RAMP, None, "None came back, where a tensor is due", "`return` statement"),
        (RAMP, RAMP.numpy(), "a NumPy array came back", "Stay in torch"),
        (torch.tensor(1.0), 1.0, "a float came back", "`.item()`"),
        (RAMP, (x for x in RAMP), "type generator", "`yield`"),
        (RAMP, (RAMP, RAMP), "a tuple came back", "comma"),
        (1.0, torch.tensor(1.0), "a tensor came back", "`.item()`"),
        (1, 1.0, "a float came back, where an int is due", ""),
        (1, True, "a bool came back", ""),
        (True, 1, "an int came back", ""),
        (None, 3, "an int came back, where None is due", ""),
        ("xyxy", "xywh", "'xywh' came back, 'xyxy' is due", ""),
        (True, False, "False came back, True is due", ""),
        (10**30, 10**30 + 1, "is due", ""),
        (0.5, 0.25, "0.25 came back, 0.5 is due", ""),
        (0.5, -0.5, "-0.5 came back", "sign"),
        (
            RAMP,
            RAMP.double(),
            "dtype float64, where float32 is due",
            "Keep the float32",
        ),
        (RAMP, RAMP.to("meta"), "device meta, where cpu is due", "new_zeros"),
        (RAMP, RAMP.to_sparse(), "layout sparse_coo", ""),
        (RAMP, RAMP[:, None], "shape (3, 1), where (3,) is due", "size 1"),
        (torch.ones(2, 3), torch.ones(3, 2), "shape (3, 2)", "transposed"),
        (torch.ones(2, 3), torch.ones(6), "shape (6,)", "reshape"),
        (
            RAMP,
            RAMP.tolist(),
            "a list came back, where a tensor is",
            "a list of num",
        ),
        (RAMP, torch.tensor(7.0), "shape (), where (3,) is due", "single number"),
        (RAMP, torch.ones(3, 3), "shape (3, 3)", "axes too many"),
        (RAMP, -RAMP, "3 of 3 values are wrong, the first at [0]", "sign"),
        (RAMP, RAMP / 4, "0.25 came back, 1 is due", "0.25 (1/4) times"),
        (RAMP, RAMP * 0, "wrong", "Every value is zero"),
        (RAMP, RAMP + 1, "wrong", "too large by the same 1"),
        (GRID, GRID.T, "2 of 4 values are wrong, the first at [0, 1]", "transposed"),
        (
            RAMP,
            RAMP.flip(0),
            "2 of 3 values are wrong",
            "reverse order along dimension 0",
        ),
        (RAMP, RAMP[[1, 0, 2]], "2 of 3 values are wrong", "another order"),
        (RAMP, RAMP + torch.tensor([0, 0, 1.0]), "1 of 3 values is wrong", ""),
        (RAMP > 3, RAMP <= 3, "wrong", "inverted"),
        (RAMP > 99, RAMP <= 99, "wrong", ""),
        (torch.ones(3), 2 * torch.ones(3), "wrong", ""),  # a multiple, but of anything
        (RAMP, RAMP.log() * float("nan"), "3 of 3 values are NaN", "0 / 0"),
        (RAMP, RAMP / 0, "3 of 3 values are infinite", "division by 0"),
        (torch.tensor(1.0), torch.tensor(2.0), "2 came back, 1 is due", ""),
        (
            torch.tensor(1.0).double(),
            torch.tensor(1 + 1e-6).double(),
            "1.000001",
            "Nearly right",
        ),
        (torch.tensor(1.0), torch.tensor(1.001), "1.001", ""),
        (torch.tensor([1 + 2j]), torch.tensor([1 - 2j]), "1-2j came back", ""),
        (torch.tensor([2**60]), torch.tensor([2**60 + 1]), "wrong", "Nearly"),
        (np.ones(2), np.ones(2, np.float32), "dtype float32", "Keep the float64"),
        (np.ones(2), np.array(["a", "b"]), "dtype <U1", "Keep"),
        (np.ones(2), np.zeros(2), "2 of 2 values are wrong", ""),
        ((1, 2), (1,), "1 items, where 2 are due", ""),
        ((1, RAMP), (1, -RAMP), "item 1: 3 of 3 values are wrong", "sign"),
        ({"a": 1}, {}, "the key 'a' is missing", ""),
        ({"a": 1}, {"a": 1, "b": 2}, "the key 'b' is one too many", ""),
        ({"a": RAMP}, {"a": RAMP[:2]}, "key 'a': shape (2,)", ""),
    ],
)
def test_different(expected, got, text, clue):
    difference = differ(expected, got)
    assert text in difference.text
    assert clue in difference.hint
    assert clue or not difference.hint


def test_a_dtype_is_overlooked_only_where_it_may_be():
    assert differ(RAMP, RAMP.double(), same_dtype=False) is None
    assert differ(1, 1.0, same_dtype=False) is None
    assert differ(np.ones(2), np.ones(2, np.float32), same_dtype=False) is None
    assert differ(torch.tensor([1]), torch.tensor([1.5]), same_dtype=False)
    assert differ(RAMP, None, same_dtype=False)


def test_tolerances_given_replace_those_of_the_dtype():
    assert differ(RAMP, RAMP * 1.05, rtol=0.1) is None
    assert differ(RAMP, RAMP * (1 + 1e-5), rtol=0, atol=0)
    assert differ(torch.tensor(1e-7), torch.tensor(2e-7)) is None
    assert differ(torch.tensor(1e-7), torch.tensor(2e-7), atol=0)
    assert differ(1.0, 1.05, rtol=0.1) is None


def test_values_that_print_alike_are_printed_in_full():
    text = differ(torch.tensor(1.0).double(), torch.tensor(1 + 1e-9), rtol=0, atol=0)
    assert text.text.startswith("dtype")
    text = differ(1.0, 1 + 1e-9, rtol=0, atol=0).text
    assert "1.000000001 came back, 1.0 is due" in text


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], np.array(["a"])])
def test_what_cannot_be_compared_is_known(value):
    assert not is_comparable(value)


def test_cotangents_are_fixed_and_distinct():
    weights = cotangent_like(torch.zeros(4, 5))
    assert torch.equal(weights, cotangent_like(torch.zeros(4, 5)))
    assert weights.unique().numel() == 20
    assert weights.min() >= 0.5
    assert weights.max() <= 1.5
    assert not torch.equal(weights, cotangent_like(torch.zeros(4, 5), index=1))
    assert cotangent_like(torch.tensor(3.0)) == 1


def test_gradients_of_nested_results():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    unused = torch.tensor([1.0], requires_grad=True)
    left, right = gradients_of({"a": (x * 3).sum(), "b": [x.detach()]}, [x, unused])
    assert left.tolist() == [3, 3]
    assert right.tolist() == [0]


class Rude:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor([1.0, 2.0], requires_grad=True), "tensor([1., 2.])"),
        (
            torch.zeros(3, 64, 64),
            "tensor of shape (3, 64, 64), float32, begins 0, 0, 0, 0, 0, 0, …",
        ),
        (np.arange(100), "array of shape (100,), int64, begins 0, 1, 2, 3, 4, 5, …"),
        ((1,), "(1,)"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, …]"),
        ({"a": RAMP}, "{'a': tensor([1., 2., 4.])}"),
        (torch.relu, "relu"),
        (torch.nn.ReLU, "ReLU"),
    ],
)
def test_brief(value, text):
    assert brief(value) == text


def test_brief_copes_with_anything():
    assert "Rude" in brief(Rude())
    assert len(brief("x" * 10**6)) < 400
    assert "sparse" in brief(torch.eye(100).to_sparse())


def test_lines_of_an_argument_stand_below_each_other():
    text = show_arguments({"grid": GRID, "dim": 1})
    assert text == "grid = tensor([[1., 2.],\n               [3., 5.]])\ndim = 1"
    assert show_arguments({}) == "no arguments"

"""Drawings of graphs: each value and operation once, and time runs to the right."""

from matplotlib.figure import Figure

from lesson_utils.autograd import Variable, topological_order
from lesson_utils.common.graph_drawing import draw_graph


def test_draws_each_value_and_operation_once():
    a, b = Variable(2.0), Variable([3.0, 4.0])
    y = (a * b + a).sum()
    axis = Figure().subplots()
    draw_graph(axis, topological_order(y), names={a: "a", b: "b"})
    texts = sorted(text.get_text() for text in axis.texts)
    assert texts == sorted(["a\n2", "b\n(2,)", "(2,)", "(2,)", "18", "×", "+", "sum"])


def test_the_axis_holds_all_of_it():
    a, b = Variable(2.0), Variable([3.0, 4.0])
    order = topological_order((a * b + a).sum())
    axis = Figure().subplots()
    draw_graph(axis, order)
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    for text in axis.texts:
        x, y = text.get_position()
        assert left < x < right
        assert low < y < high
    last = max(x for x, _ in (text.get_position() for text in axis.texts))
    assert last == 0  # the last value stands in column 0


def test_no_two_boxes_in_one_place_and_time_runs_to_the_right():
    x = Variable([[1.0, 2.0], [3.0, 4.0]])
    y = ((x.transpose(0, 1) / (x**2 + 1.0)) @ x)[0].sum() * x.mean()
    order = topological_order(y)
    axis = Figure().subplots()
    draw_graph(axis, order, text=lambda value: f"#{id(value)}")
    place = {t.get_text(): t.get_position() for t in axis.texts}
    assert len({place[f"#{id(value)}"] for value in order}) == len(order)
    for value in order:
        for part in value.creator.inputs if value.creator else ():
            assert place[f"#{id(part)}"][0] <= place[f"#{id(value)}"][0] - 1

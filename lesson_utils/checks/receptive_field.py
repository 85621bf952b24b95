"""The exercises of the chapter `book/foundations/receptive_field.ipynb`."""

from collections.abc import Callable, Iterator

from lesson_utils import receptive_field as rf
from lesson_utils.grading.exercise import Case, Exercise, Mistake
from lesson_utils.receptive_field import Layer

_MIXED = [
    Layer(3, 1, 1),
    Layer(2, 2),
    Layer(3, 1, 2, 2),
    Layer(5, 2, (1, 2)),
    Layer(3, 3, 1),
]


def _positions(layers: list[Layer], output: int) -> list[int]:
    """Every pixel that an output sees, window by window; negative ones are padding."""
    places = {output}
    for layer in reversed(layers):
        before = layer.padding[0] if isinstance(layer.padding, tuple) else layer.padding
        places = {
            place * layer.stride - before + layer.dilation * number
            for place in places
            for number in range(layer.kernel)
        }
    return [min(places), max(places)]


# receptive_field --------------------------------------------------------------------


def _fields_by_walking(layers: list[Layer]) -> list[tuple[int, int, float]]:
    """From the pixels of the first two outputs: no formula in common with ours."""
    fields = []
    for end in range(1, len(layers) + 1):
        first, last = _positions(layers[:end], 0)
        jump = _positions(layers[:end], 1)[0] - first
        fields.append((last - first + 1, jump, (first + last) / 2))
    return fields


def _receptive_field_cases() -> Iterator[Case]:
    yield Case("one 3 × 3", ([Layer(3)],), expected=[(3, 1, 1.0)])
    yield Case(
        "two 3 × 3, padded",
        ([Layer(3, padding=1), Layer(3, padding=1)],),
        expected=[(3, 1, 0.0), (5, 1, 0.0)],
    )
    yield Case(
        "a pooling below a convolution",
        ([Layer(2, 2), Layer(3, 1, 1)],),
        expected=[(2, 2, 0.5), (6, 2, 0.5)],
    )
    yield Case(
        "strides of 2 and 3",
        ([Layer(3, 2), Layer(3, 3), Layer(3)],),
        expected=[(3, 2, 1.0), (7, 6, 3.0), (19, 6, 9.0)],
    )
    dilated = [Layer(3, 1, 2, 2), Layer(4, 1, 0, 3)]
    yield Case.from_reference("dilated windows", _fields_by_walking, dilated)
    yield Case.from_reference("five layers of all kinds", _fields_by_walking, _MIXED)
    sided = [Layer(3, 2, (0, 1)), Layer(5, 2, (1, 2)), Layer(3, 1, (2, 0))]
    yield Case.from_reference("padding on one side", _fields_by_walking, sided)
    chain = 3 * [Layer(1, 2), Layer(3, 1, 1), Layer(1)]
    yield Case.from_reference("windows of one", _fields_by_walking, chain)
    yield Case("no layers", ([],), expected=[], hardening=True)


def _fields(step: Callable[..., tuple]) -> Callable[[list[Layer]], list[tuple]]:
    """A pass from the bottom with a step of one's own."""

    def answer(layers):
        size, jump, start, fields = 1, 1, 0.0, []
        for layer in layers:
            before = rf.Layer(1, 1, layer.padding).pads[0]
            size, jump, start = step(layer, before, size, jump, start)
            fields.append((size, jump, start))
        return fields

    return answer


def _stride_too_early(layer, before, size, jump, start):
    jump *= layer.stride
    start += ((layer.span - 1) / 2 - before) * jump
    return size + (layer.span - 1) * jump, jump, start


def _no_dilation(layer, before, size, jump, start):
    start += ((layer.kernel - 1) / 2 - before) * jump
    return size + (layer.kernel - 1) * jump, jump * layer.stride, start


def _dilation_times_kernel(layer, before, size, jump, start):
    span = layer.dilation * layer.kernel if layer.dilation > 1 else layer.kernel
    start += ((span - 1) / 2 - before) * jump
    return size + (span - 1) * jump, jump * layer.stride, start


def _no_padding(layer, before, size, jump, start):
    start += (layer.span - 1) / 2 * jump
    return size + (layer.span - 1) * jump, jump * layer.stride, start


def _both_paddings(layer, before, size, jump, start):
    start += ((layer.span - 1) / 2 - sum(layer.pads) / 2) * jump
    return size + (layer.span - 1) * jump, jump * layer.stride, start


def _strides_add(layer, before, size, jump, start):
    start += ((layer.span - 1) / 2 - before) * jump
    return size + (layer.span - 1) * jump, jump + layer.stride - 1, start


def _own_layer_only(layer, before, size, jump, start):
    start += (layer.span - 1) / 2 - before
    return size + layer.span - 1, jump * layer.stride, start


def _left_edge(layer, before, size, jump, start):
    start -= before * jump
    return size + (layer.span - 1) * jump, jump * layer.stride, start


def _whole_window(layer, before, size, jump, start):
    start += ((layer.span - 1) / 2 - before) * jump
    return size + layer.span * jump, jump * layer.stride, start


def _last_only(layers):
    return tuple(rf.receptive_field(layers)[-1])


_RECEPTIVE_FIELD = Exercise(
    name="receptive_field",
    solution=rf.receptive_field,
    cases=_receptive_field_cases,
    mistakes=(
        Mistake(
            "A layer's own stride does not widen its own field, only those of the "
            "layers above: multiply the jump last.",
            _fields(_stride_too_early),
        ),
        Mistake(
            "The dilation is not used: a window spans `dilation * (kernel - 1) + 1`.",
            _fields(_no_dilation),
        ),
        Mistake(
            "Between `kernel` inputs there are `kernel - 1` gaps: a window spans "
            "`dilation * (kernel - 1) + 1`, not `dilation * kernel`.",
            _fields(_dilation_times_kernel),
        ),
        Mistake(
            "The padding is not used: it moves the first window, and with it the "
            "start, to the left.",
            _fields(_no_padding),
        ),
        Mistake(
            "Only the padding *before* the input moves the first window; what is put "
            "behind does not.",
            _fields(_both_paddings),
        ),
        Mistake(
            "Strides multiply: of every second output every third one is every sixth.",
            _fields(_strides_add),
        ),
        Mistake(
            "This layer's steps are as long as the jump below it: multiply window and "
            "padding by the jump before you add them.",
            _fields(_own_layer_only),
        ),
        Mistake(
            "This is where the first field begins. The start is its *middle*, half of "
            "`window - 1` further.",
            _fields(_left_edge),
        ),
        Mistake(
            "A window of 3 inputs adds 2 steps to the field, not 3: one input is in it "
            "already.",
            _fields(_whole_window),
        ),
        Mistake("Return one tuple for *each* layer, in a list.", _last_only),
    ),
    hints=(
        "Keep three numbers while you walk up the layers: size, jump, start. A pixel "
        "has 1, 1 and 0.",
        "Work in pixels: this layer's neighbors lie one jump apart, so everything that "
        "it adds is multiplied by the jump *below* it.",
        "`window = dilation * (kernel - 1) + 1`; `start += ((window - 1) / 2 - before) "
        "* jump`; `size += (window - 1) * jump`; `jump *= stride`, in this order.",
    ),
)


# pixel_region -----------------------------------------------------------------------


def _region_by_walking(layers, index, size):
    """From the set of all pixels that the output sees along each axis."""
    (top, bottom), (left, right) = (_positions(layers, place) for place in index)
    height, width = size
    seen_rows = [row for row in range(top, bottom + 1) if 0 <= row < height]
    seen_columns = [place for place in range(left, right + 1) if 0 <= place < width]
    box = (seen_columns[0], seen_rows[0], seen_columns[-1] + 1, seen_rows[-1] + 1)
    whole = (bottom - top + 1) * (right - left + 1)
    return box, 1 - len(seen_rows) * len(seen_columns) / whole


def _pixel_region_cases() -> Iterator[Case]:
    padded = [Layer(3, 1, 1)]
    yield Case(
        "a 3 × 3 in the middle",
        (padded, (2, 5), (8, 9)),
        expected=((4, 1, 7, 4), 0.0),
    )
    yield Case(
        "a 3 × 3 in the corner",
        (padded, (0, 0), (8, 9)),
        expected=((0, 0, 2, 2), 5 / 9),
    )
    yield Case(
        "at the right edge",
        (padded, (3, 8), (8, 9)),
        expected=((7, 2, 9, 5), 1 / 3),
    )
    pools = [Layer(2, 2), Layer(3, 1, 1), Layer(2, 2)]
    yield Case.from_reference(
        "after two poolings", _region_by_walking, pools, (2, 1), (16, 24)
    )
    yield Case.from_reference(
        "layers of all kinds", _region_by_walking, _MIXED, (1, 3), (40, 64)
    )
    sided = [Layer(3, 2, (0, 1)), Layer(5, 2, (1, 2))]
    yield Case.from_reference(
        "padding on one side", _region_by_walking, sided, (5, 3), (24, 24)
    )
    wide = [Layer(3, 1, 2**k, 2**k) for k in range(4)]
    yield Case.from_reference(
        "a field larger than the picture", _region_by_walking, wide, (3, 7), (12, 10)
    )
    yield Case("no layers", ([], (1, 2), (3, 4)), expected=((2, 1, 3, 2), 0.0))
    yield Case(
        "a field of nothing but padding",
        ([Layer(1, 1, 2)], (0, 3), (4, 4)),
        expected=((1, 0, 2, 0), 1.0),
        hardening=True,
    )
    yield Case("a row too many", (pools, (4, 1), (16, 24)), raises=ValueError)
    yield Case("a column too many", (pools, (3, 6), (16, 24)), raises=ValueError)
    yield Case("a negative row", (pools, (-1, 0), (16, 24)), raises=ValueError)


def _ends(layers, index, size, clip=True):
    field = rf.receptive_field(layers)[-1] if layers else rf.Field(1, 1, 0.0)
    ends = []
    for place, pixels in zip(index, size, strict=True):
        if not 0 <= place < rf.output_size(layers, pixels):
            raise ValueError(f"index must be that of an output, got {place}")
        first = round(field.start + place * field.jump - (field.size - 1) / 2)
        last = first + field.size
        if clip:
            first, last = (min(max(end, 0), pixels) for end in (first, last))
        ends.append((first, last))
    return ends, field


def _cut_off(layers, index, size):
    ((y1, y2), (x1, x2)), field = _ends(layers, index, size)
    return 1 - (x2 - x1) * (y2 - y1) / field.size**2


def _not_clipped(layers, index, size):
    ((y1, y2), (x1, x2)), _ = _ends(layers, index, size, clip=False)
    return (x1, y1, x2, y2), _cut_off(layers, index, size)


def _last_pixel(layers, index, size):
    ((y1, y2), (x1, x2)), _ = _ends(layers, index, size)
    return (x1, y1, x2 - 1, y2 - 1), _cut_off(layers, index, size)


def _rows_first(layers, index, size):
    ((y1, y2), (x1, x2)), _ = _ends(layers, index, size)
    return (y1, x1, y2, x2), _cut_off(layers, index, size)


def _share_inside(layers, index, size):
    box, cut = rf.pixel_region(layers, index, size)
    return box, 1 - cut


def _number_of_pixels(layers, index, size):
    box, cut = rf.pixel_region(layers, index, size)
    whole = rf.receptive_field(layers)[-1].size ** 2 if layers else 1
    return box, cut * whole


def _along_one_axis(layers, index, size):
    ((y1, y2), (x1, x2)), field = _ends(layers, index, size)
    cut = [1 - (last - first) / field.size for first, last in ((y1, y2), (x1, x2))]
    return (x1, y1, x2, y2), sum(cut) / 2


def _from_the_center(layers, index, size):
    field = rf.receptive_field(layers)[-1] if layers else rf.Field(1, 1, 0.0)
    rf.pixel_region(layers, index, size)  # for what it refuses
    ends = []
    for place, pixels in zip(index, size, strict=True):
        first = round(field.start + place * field.jump)
        ends.append([min(max(e, 0), pixels) for e in (first, first + field.size)])
    (y1, y2), (x1, x2) = ends
    cut = 1 - (x2 - x1) * (y2 - y1) / field.size**2
    return (x1, y1, x2, y2), cut


def _no_start(layers, index, size):
    field = rf.receptive_field(layers)[-1] if layers else rf.Field(1, 1, 0.0)
    rf.pixel_region(layers, index, size)  # for what it refuses
    ends = []
    for place, pixels in zip(index, size, strict=True):
        first = place * field.jump
        ends.append([min(max(e, 0), pixels) for e in (first, first + field.size)])
    (y1, y2), (x1, x2) = ends
    return (x1, y1, x2, y2), 1 - (x2 - x1) * (y2 - y1) / field.size**2


def _any_index(layers, index, size):
    field = rf.receptive_field(layers)[-1] if layers else rf.Field(1, 1, 0.0)
    ends = []
    for place, pixels in zip(index, size, strict=True):
        first = round(field.start + place * field.jump - (field.size - 1) / 2)
        ends.append([min(max(e, 0), pixels) for e in (first, first + field.size)])
    (y1, y2), (x1, x2) = ends
    return (x1, y1, x2, y2), 1 - (x2 - x1) * (y2 - y1) / field.size**2


_PIXEL_REGION = Exercise(
    name="pixel_region",
    solution=rf.pixel_region,
    cases=_pixel_region_cases,
    mistakes=(
        Mistake(
            "The box goes beyond the picture: cut it off at 0, and at the height and "
            "the width.",
            _not_clipped,
        ),
        Mistake(
            "`x2` and `y2` are one *behind* the last pixel, as in a slice.",
            _last_pixel,
        ),
        Mistake(
            "The box is xyxy, but `index` and `size` name the rows first: the row "
            "belongs to y.",
            _rows_first,
        ),
        Mistake(
            "This is the share that lies *in* the picture; asked for is what was cut "
            "off.",
            _share_inside,
        ),
        Mistake(
            "This is how many pixels were cut off. Divide by the field's area.",
            _number_of_pixels,
        ),
        Mistake(
            "The share is one of *area*: 1 minus the product of both sides that are "
            "left, over the square of the size.",
            _along_one_axis,
        ),
        Mistake(
            "`start` is the field's middle. Its first pixel lies `(size - 1) / 2` "
            "before that.",
            _from_the_center,
        ),
        Mistake(
            "The first output does not begin at pixel 0 if there is padding: use "
            "`start`.",
            _no_start,
        ),
        Mistake(
            "There is no such output at that size of the picture: compare with "
            "`rf.output_size(layers, size)`, and raise a `ValueError`.",
            _any_index,
        ),
    ),
    hints=(
        "Both axes are alike: write one loop over (row, height) and (column, width).",
        "The field's middle is `start + index * jump`; its first pixel lies "
        "`(size - 1) / 2` before it, its end `size` behind that.",
        "`ends.append([min(max(end, 0), pixels) for end in (first, first + size)])`; "
        "rows give y1 and y2. The share is 1 minus the box's area over size².",
    ),
)


# choose_kernels ---------------------------------------------------------------------


def _partitions(steps: int, most: int) -> Iterator[list[int]]:
    """All ways to write a number as a sum, the largest part first."""
    if steps == 0:
        yield []
    for part in range(min(steps, most), 0, -1):
        for rest in _partitions(steps - part, part):
            yield [part, *rest]


def _kernels_by_search(field: int, budget: int) -> list[int]:
    """Every stack there is, by depth and then by weights."""
    stacks = [
        [2 * part + 1 for part in parts]
        for parts in _partitions((field - 1) // 2, field)
    ]
    affordable = [s for s in stacks if sum(k * k for k in s) <= budget]
    return min(affordable, key=lambda stack: (len(stack), sum(k * k for k in stack)))


def _choose_kernels_cases() -> Iterator[Case]:
    yield Case("one layer is enough", (5, 25), expected=[5])
    yield Case("one weight too few for it", (5, 24), expected=[3, 3])
    yield Case("11 pixels for 59 weights", (11, 59), expected=[5, 5, 3])
    yield Case("11 pixels for 121 weights", (11, 121), expected=[11])
    yield Case("11 pixels for 120 weights", (11, 120), expected=[7, 5])
    for field, budget in ((15, 90), (21, 120), (21, 1000), (25, 108), (23, 133)):
        yield Case.from_reference(
            f"{field} pixels for {budget} weights", _kernels_by_search, field, budget
        )
    yield Case("the smallest field", (3, 9), expected=[3])
    yield Case("too small a budget", (5, 17), raises=ValueError)
    yield Case("an even field", (6, 100), raises=ValueError)
    yield Case("a field of 1", (1, 100), raises=ValueError)


def _refuse(field, budget):
    if field < 3 or field % 2 == 0 or budget < 9 * (field - 1) // 2:
        raise ValueError("no stack of odd kernels has this field for this budget")


def _always_three(field, budget):
    _refuse(field, budget)
    return [3] * ((field - 1) // 2)


def _as_few_as_can_be(field, budget):
    _refuse(field, budget)
    return [field]


def _one_large(field, budget):
    _refuse(field, budget)
    for depth in range(1, (field - 1) // 2 + 1):
        kernels = [field - 2 * (depth - 1)] + [3] * (depth - 1)
        if sum(kernel**2 for kernel in kernels) <= budget:
            return kernels
    raise ValueError


def _below_the_budget(field, budget):
    _refuse(field, budget)
    steps = (field - 1) // 2
    for depth in range(1, steps + 1):
        each, more = divmod(steps, depth)
        kernels = more * [2 * each + 3] + (depth - more) * [2 * each + 1]
        if sum(kernel**2 for kernel in kernels) < budget or depth == steps:
            return kernels
    raise ValueError


def _kernels_add_up(field, budget):
    _refuse(field, budget)
    for depth in range(1, field + 1):
        each, more = divmod(field, depth)
        kernels = more * [each + 1] + (depth - more) * [each]
        if sum(kernel**2 for kernel in kernels) <= budget:
            return kernels
    raise ValueError


def _smallest_first(field, budget):
    return rf.choose_kernels(field, budget)[::-1]


def _refuses_nothing(field, budget):
    steps = (field - 1) // 2
    for depth in range(1, max(steps, 1) + 1):
        each, more = divmod(steps, depth)
        kernels = more * [2 * each + 3] + (depth - more) * [2 * each + 1]
        if sum(kernel**2 for kernel in kernels) <= budget:
            break
    return kernels


_CHOOSE_KERNELS = Exercise(
    name="choose_kernels",
    solution=rf.choose_kernels,
    cases=_choose_kernels_cases,
    mistakes=(
        Mistake(
            "3 × 3 everywhere has the fewest weights and the *most* layers. Take as "
            "few layers as the budget allows.",
            _always_three,
        ),
        Mistake(
            "One kernel as wide as the field has a weight for each *pair* of row and "
            "column: its square. Add layers until they keep to the budget.",
            _as_few_as_can_be,
        ),
        Mistake(
            "Of the stacks of this depth it is the dearest: squares add up to least if "
            "all kernels are as equal as they can be.",
            _one_large,
        ),
        Mistake(
            "*At most* `budget` weights: a stack that costs just as much will do.",
            _below_the_budget,
        ),
        Mistake(
            "Fields do not add up to the sum of the kernels: a kernel k adds k − 1 "
            "pixels, and one pixel is there at the start.",
            _kernels_add_up,
        ),
        Mistake("The largest kernel comes first.", _smallest_first),
        Mistake(
            "Odd kernels meet only odd fields from 3 on, and 3 × 3 everywhere is the "
            "cheapest stack: for what cannot be, raise a `ValueError`.",
            _refuses_nothing,
        ),
    ),
    hints=(
        "A kernel k adds k − 1 pixels: there are (field − 1) / 2 steps of two pixels "
        "to deal out to the layers.",
        "Try one layer, then two, then three. For each depth only the most even "
        "division matters.",
        "`each, more = divmod(steps, depth)`: `more` kernels of `2 * each + 3`, the "
        "others `2 * each + 1`; return them if their squares keep to the budget.",
    ),
)

EXERCISES = (_RECEPTIVE_FIELD, _PIXEL_REGION, _CHOOSE_KERNELS)

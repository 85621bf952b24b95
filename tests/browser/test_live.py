"""Figures that a page computes: their numbers are the modules', in any state."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

from lesson_utils import masks
from lesson_utils import receptive_field as rf
from lesson_utils.anchors import encode_offsets
from lesson_utils.common.boxes import box_iou
from lesson_utils.nms import greedy_nms
from tools import stills

pytestmark = pytest.mark.browser

PAGES = {
    "boxes": "detection/anchors",
    "suppression": "detection/nms",
    "fields": "foundations/receptive_field",
    "arithmetic": "foundations/upsampling",
    "masked_mean": "foundations/masks",
}
MOST_BYTES = 15_000


@pytest.fixture
def figure(request, open_page, site):
    """The figure that a test is about, on its page, and nothing wrong there."""
    name = request.param
    visit = open_page(site, f"book/{PAGES[name]}.html")
    found = visit.page.locator(f"[data-live={name}]")
    found.scroll_into_view_if_needed()
    yield found
    assert visit.errors == []
    assert visit.outside == []


def on(name):
    """Names the figure that a test is about."""
    return pytest.mark.parametrize("figure", [name], indirect=True)


def numbers(text):
    """All numbers in a text, whichever minus it has."""
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace("\u2212", "-"))
    return [float(number) for number in found]


def said(figure):
    return figure.locator(".lc-live-said").inner_text()


def test_the_scripts_are_small(html):
    files = sorted((html / "_static/figures").glob("*.js"))
    assert {file.name for file in files} == {"live.js", *stills.FIGURES.values()}
    assert sum(len(file.read_bytes()) for file in files) <= MOST_BYTES


def test_a_page_loads_its_own_scripts_only(open_page, site):
    loaded = {}
    for page in ("foundations/masks", "index"):
        urls = [r.url for r in open_page(site, f"book/{page}.html").responses]
        loaded[page] = sorted(
            Path(u).name.split("?")[0] for u in urls if "figures/" in u
        )
    assert loaded == {"foundations/masks": ["live.js", "masked_mean.js"], "index": []}


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_still_picture_stands_there(name, browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}book/{PAGES[name]}.html")
    figure = page.locator(f"[data-live={name}]")
    assert figure.locator("svg[role=img][aria-label]").is_visible()
    assert numbers(said(figure))
    assert figure.locator("figcaption").inner_text().strip()
    # Nothing pretends to answer.
    dead = "button, input, select, [tabindex], [role=application], [role=status]"
    assert figure.locator(dead).count() == 0
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_the_still_picture_is_the_figure_as_it_is_at_first(name, browser):
    kept = (stills.STILLS / f"{name}.html").read_text("utf-8")
    assert stills.still(browser, name) == kept, "run python -m tools.stills"


# ---- Two boxes ----------------------------------------------------------------------


def both_boxes(figure):
    labels = [
        figure.locator(f"[aria-label^='{name}']").get_attribute("aria-label")
        for name in ("anchor", "ground truth")
    ]
    return [torch.tensor([numbers(label)[:4]], dtype=torch.float64) for label in labels]


def check_boxes(figure):
    anchor, truth = both_boxes(figure)
    due = [box_iou(anchor, truth).item(), *encode_offsets(anchor, truth)[0].tolist()]
    shown = numbers(said(figure))
    assert shown[0] == pytest.approx(due[0], abs=0.0005001)
    assert shown[1:] == pytest.approx(due[1:], abs=0.005001)
    return shown[0]


@on("boxes")
def test_a_finger_that_drags_does_not_scroll_the_page(figure):
    # Chromium heeds this of the whole picture, not of a part of it.
    picture = figure.locator("svg:has([role=application])").first
    assert picture.evaluate("node => getComputedStyle(node).touchAction") == "none"


@on("boxes")
def test_boxes_dragged_anywhere_have_the_modules_iou_and_offsets(figure):
    mouse, dice = figure.page.mouse, np.random.default_rng(0)
    check_boxes(figure)
    seen = set()
    for turn in range(12):
        name = ("anchor", "ground truth")[turn % 2]
        parts = figure.locator(f"[aria-label^='{name}'] rect")
        grip = parts.nth(turn // 2 % 2).bounding_box()  # the box, or its corner
        x, y = grip["x"] + 6, grip["y"] + 6
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dice.uniform(-250, 250), y + dice.uniform(-150, 150), steps=3)
        mouse.up()
        seen.add(check_boxes(figure))
    assert len(seen) > 4
    # A pointer that is lifted moves nothing any more.
    before = said(figure)
    mouse.move(0, 0)
    assert said(figure) == before


@on("boxes")
def test_boxes_obey_the_arrow_keys_and_stay_in_the_picture(figure):
    page = figure.page
    anchor = figure.locator("[aria-label^=anchor]")
    anchor.focus()
    before, top = both_boxes(figure)[0][0], page.evaluate("scrollY")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    moved = torch.tensor([2, -1, 2, 0])
    assert torch.equal(both_boxes(figure)[0][0], before + moved)
    assert page.evaluate("scrollY") == top
    assert page.evaluate("document.activeElement.getAttribute('role')") == "application"
    for _ in range(100):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    x1, y1, _, y2 = both_boxes(figure)[0][0].tolist()
    assert (x1, y2 - y1) == (0, 4)
    check_boxes(figure)


# ---- Suppression --------------------------------------------------------------------


def drawn_boxes(figure):
    groups = figure.locator("svg g").evaluate_all(
        """groups => groups.map(g => {
          const at = ["x", "y", "width", "height"].map(
            name => +g.querySelector("rect").getAttribute(name));
          return [...at, +g.querySelector("text").textContent.split(" ")[1]];
        })"""
    )
    table = torch.tensor(groups, dtype=torch.float64)
    corner, side, scores = table[:, :2], table[:, 2:4], table[:, 4]
    return torch.cat([corner, corner + side], dim=1), scores


@on("suppression")
def test_suppression_keeps_what_the_module_and_torchvision_keep(figure):
    slider, step = (
        figure.locator("input"),
        figure.get_by_role("button", name="Next step"),
    )
    dice, kept_sizes = np.random.default_rng(1), set()
    for turn in range(8):
        if turn:
            figure.get_by_role("button", name="Other boxes").click()
        threshold = 0.4 if turn == 0 else round(0.05 * dice.integers(1, 19), 2)
        slider.fill(str(threshold))
        boxes, scores = drawn_boxes(figure)
        due = greedy_nms(boxes, scores, threshold)
        assert due.tolist() == torchvision.ops.nms(boxes, scores, threshold).tolist()
        names = ["ABCDEFGHI"[k] for k in due]
        assert said(figure).endswith(f": {', '.join(names)}.")
        left, iou = set(range(len(boxes))), box_iou(boxes, boxes)
        for k in due.tolist():
            step.click()
            left.discard(k)
            deleted = {j for j in left if iou[k, j] > threshold}
            left -= deleted
            told = re.search(r"delete (.*)\. Kept", said(figure))[1]
            assert set(re.findall(r"\b[A-I]\b", told)) == {
                "ABCDEFGHI"[j] for j in deleted
            }
            overlaps = sorted(iou[k, sorted(deleted)].tolist())
            shown = sorted(float(n) for n in re.findall(r"IoU (\S+?)\)", told))
            assert shown == pytest.approx(overlaps, abs=0.005001)
        assert step.is_disabled()
        assert said(figure).endswith(f"Kept: {', '.join(names)}.")
        assert figure.locator(".lc-live-kept").count() == len(due)
        kept_sizes.add(len(due))
    assert len(kept_sizes) > 1


@on("suppression")
def test_suppression_by_keyboard(figure):
    page, slider = figure.page, figure.locator("input")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "0.45"
    page.keyboard.press("Tab")  # Back is disabled at first
    page.keyboard.press("Enter")
    assert said(figure).startswith("Step 1 of 2: keep A")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert said(figure).startswith("Of 5 boxes 2")


# ---- Layers -------------------------------------------------------------------------


def table_of(figure):
    """The layers that the fields say, and the numbers beside them."""
    rows = figure.locator("table tr:has(input)").all()
    layers = [
        [int(i.input_value()) for i in row.locator("input").all()] for row in rows
    ]
    shown = [row.locator("td").all_inner_texts()[4:] for row in rows]
    return [rf.Layer(*numbers) for numbers in layers], shown


def reached(layers, index, size):
    """How many of a row of pixels an output depends on, by its gradient."""
    pixels = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    values = pixels
    for layer in layers:
        weight = torch.ones(1, 1, layer.kernel, dtype=torch.float64)
        options = (layer.stride, layer.padding, layer.dilation)
        values = F.conv1d(values, weight, None, *options)
    values[0, 0, index].backward()
    return int(pixels.grad.count_nonzero())


def check_fields(figure):
    layers, shown = table_of(figure)
    due = rf.receptive_field(layers)
    try:
        sizes = [rf.output_size(layers[: end + 1], 32) for end in range(len(layers))]
    except ValueError:
        assert "does not fit" in said(figure)
        assert not figure.locator("svg").is_visible()
        return False
    table = [[float(cell) for cell in row] for row in shown]
    assert table == [[*field, n] for field, n in zip(due, sizes, strict=True)]
    output, size, first, last, used, there = numbers(said(figure))
    assert (size, there) == (due[-1].size, 32)
    assert first == due[-1].start + output * due[-1].jump - (size - 1) / 2
    assert last == first + size - 1
    (left, _, right, _), _ = rf.pixel_region(layers, int(output), 32)
    assert (max(first, 0), min(last, 31)) == (left, right - 1) or left == right
    assert used == reached(layers, int(output), 32)
    assert figure.locator("svg circle").count() == 32 + sum(sizes)
    return True


@on("fields")
def test_fields_of_edited_stacks_are_the_modules(figure):
    dice = np.random.default_rng(2)
    assert check_fields(figure)
    fitted = 0
    for turn in range(10):
        word = ["Add a layer", "Remove the last"][turn % 3 == 2]
        button = figure.get_by_role("button", name=word)
        if button.is_enabled():
            button.click()
        for field in figure.locator("table input").all():
            least, most = (int(field.get_attribute(end)) for end in ("min", "max"))
            field.fill(str(dice.integers(least, min(most, 4) + 1)))
        fitted += check_fields(figure)
        if slider := figure.locator("input[type=range]:visible").all():
            slider[0].fill(
                str(dice.integers(0, int(slider[0].get_attribute("max")) + 1))
            )
            check_fields(figure)
    assert fitted >= 4


@on("fields")
def test_fields_refuse_what_is_no_layer(figure):
    kernel = figure.get_by_label("kernel of layer 1")
    before = said(figure)
    for wrong in ("", "0", "99", "2.5"):
        kernel.fill(wrong)
        assert said(figure) == before
    kernel.blur()
    assert kernel.input_value() == "3"
    figure.page.keyboard.press("Tab")
    kernel.focus()
    figure.page.keyboard.press("ArrowUp")
    assert kernel.input_value() == "4"
    check_fields(figure)


def check_arithmetic(figure):
    """Whether there are outputs, and they are torch's."""
    labels = figure.locator("label:visible").all()
    given = {
        label.locator("span").inner_text(): int(label.locator("input").input_value())
        for label in labels
    }
    n, kernel = given["inputs"], given["kernel"]
    options = {name: given[name] for name in ("stride", "padding", "dilation")}
    transposed = "output padding" in given
    extra = given.get("output padding", 0)
    generator = torch.Generator().manual_seed(n + 20 * kernel)
    x = torch.rand(1, 1, n, generator=generator, dtype=torch.float64)
    w = torch.rand(1, 1, kernel, generator=generator, dtype=torch.float64)
    run = F.conv_transpose1d if transposed else F.conv1d
    if transposed:
        options["output_padding"] = extra
        assert extra < max(options["stride"], options["dilation"])
    try:
        values = run(x, w, **options)[0, 0]
    except RuntimeError:
        assert "no window fits" in said(figure)
        assert not figure.locator("svg").is_visible()
        return False
    kind, sum_, terms = re.match(
        r"(\w+) convolution: (.*) outputs\.\n(.*)", said(figure)
    ).groups()
    assert kind == ("Transposed" if transposed else "Ordinary")
    assert sum_.endswith(f"= {len(values)}")
    if not transposed:
        assert len(values) == rf.output_size(
            [
                rf.Layer(
                    kernel, options["stride"], options["padding"], options["dilation"]
                )
            ],
            n,
        )
    ones = run(torch.ones_like(x), torch.ones_like(w), **options)[0, 0]
    texts = figure.locator("svg text").all_text_contents()
    outputs = [int(text) for text in texts if not text.startswith("x")]
    assert outputs == ones.int().tolist()
    chosen = int(re.match(r"y(\d+)", terms)[1])
    pairs = re.findall(r"w(\d+)·x(\d+)", terms)
    value = sum((w[0, 0, int(i)] * x[0, 0, int(j)]).item() for i, j in pairs)
    assert value == pytest.approx(values[chosen].item())
    return True


@on("arithmetic")
def test_arithmetic_of_both_convolutions_is_torchs(figure):
    dice = np.random.default_rng(3)
    assert check_arithmetic(figure)
    fitted = []
    for turn in range(12):
        if turn % 2:
            figure.get_by_role("button").click()
        for field in figure.locator("input[type=number]:visible").all():
            least, most = (int(field.get_attribute(end)) for end in ("min", "max"))
            field.fill(str(dice.integers(least, min(most, 6) + 1)))
        fitted.append(check_arithmetic(figure))
        if slider := figure.locator("input[type=range]:visible").all():
            slider[0].fill(
                str(dice.integers(0, int(slider[0].get_attribute("max")) + 1))
            )
            check_arithmetic(figure)
    assert sum(fitted) >= 6


# ---- A mask -------------------------------------------------------------------------


def check_mean(figure):
    source = figure.locator("img").get_attribute("src")
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    image = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) / 255
    cells = torch.ones(32, 32, dtype=torch.bool)
    path = figure.locator("svg path").get_attribute("d")
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)", path):
        cells[int(y), int(x) : int(x) + int(length)] = False
    mask = cells.repeat_interleave(4, 0).repeat_interleave(4, 1)  # (128, 128)
    kept, there, *shown = numbers(said(figure))
    assert (kept, there) == (mask.sum(), mask.numel())
    image = image.double()
    due = (image * mask).mean(dim=(1, 2)).tolist()
    if kept:
        due = masks.masked_mean(image, mask, dim=(1, 2)).tolist() + due
    assert shown == pytest.approx(due, abs=0.000501)
    return int(kept)


@on("masked_mean")
def test_a_drawn_mask_has_the_modules_mean(figure):
    mouse, dice = figure.page.mouse, np.random.default_rng(4)
    figure.locator(".lc-live-said", has_text="pixels").wait_for()
    seen = {check_mean(figure)}
    box = figure.locator("svg").bounding_box()
    for turn in range(6):
        figure.locator("input").fill(str(turn % 5))
        ends = dice.uniform(0, 1, (2, 2))
        ends = [
            (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ends
        ]
        mouse.move(*ends[0])
        mouse.down()
        mouse.move(*ends[1], steps=8)
        mouse.up()
        seen.add(check_mean(figure))
    figure.get_by_role("button", name="Invert").click()
    seen.add(check_mean(figure))
    assert len(seen) > 5
    figure.get_by_role("button", name="Drop all").click()
    assert check_mean(figure) == 0
    assert "there is nothing" in said(figure)


@on("masked_mean")
def test_a_mask_drawn_by_keyboard(figure):
    page, picture = figure.page, figure.locator("svg")
    figure.locator(".lc-live-said", has_text="pixels").wait_for()
    figure.get_by_role("button", name="Drop all").click()
    picture.focus()
    top = page.evaluate("scrollY")
    page.keyboard.press("Space")
    assert check_mean(figure) == 9 * 16
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert check_mean(figure) == 18 * 16
    page.keyboard.press("Space")  # and out again
    assert check_mean(figure) == 9 * 16
    assert "row 13, dropped" in picture.get_attribute("aria-label")
    assert page.evaluate("scrollY") == top

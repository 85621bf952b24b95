"""Pictures: captions, alternative text, small files, and what is refused."""

import base64
import io
import re
import textwrap

import numpy as np
import pytest
import torch
from PIL import Image

from lesson_utils.common import plotting
from lesson_utils.data.photographs import photograph

CAT = photograph("chelsea", size=(40, 60))
WORDS = {"caption": "A <cat>", "alt": 'A "cat"'}


def picture_in(html):
    encoded = re.search(r'<img src="data:image/webp;base64,([^"]+)"', html.data)
    return Image.open(io.BytesIO(base64.b64decode(encoded[1])))


def test_a_figure_has_its_words_escaped_and_its_size():
    html = plotting.show_images([CAT, CAT[:1], CAT[0] > 0.5], ["a", "b", "c"], **WORDS)
    assert 'alt="A &quot;cat&quot;"' in html.data
    assert "<figcaption>A &lt;cat&gt;</figcaption>" in html.data
    width, height = map(
        int, re.search(r'width="(\d+)" height="(\d+)"', html.data).groups()
    )
    picture = picture_in(html)
    assert picture.format == "WEBP"
    assert picture.width / picture.height == pytest.approx(width / height, rel=0.01)


def test_the_picture_shows_the_image():
    red = torch.zeros(3, 20, 20)
    red[0] = 1
    picture = picture_in(plotting.show_images([red], **WORDS)).convert("RGB")
    r, g, b = picture.getpixel((picture.width // 2, picture.height // 2))
    assert r > 240
    assert max(g, b) < 15


def test_boxes_are_drawn_round_the_pixels_they_hold():
    image, boxes = torch.ones(3, 20, 20), torch.tensor([[5.0, 5, 14, 14]])
    picture = picture_in(plotting.show_boxes(image, boxes, ["x"], **WORDS)).convert(
        "RGB"
    )

    def at(x, y):  # of the 20 x 20 image, which fills the height of the figure
        scale = picture.height / 20
        left = (picture.width - 20 * scale) / 2
        return picture.getpixel((round(left + x * scale), round(y * scale)))

    assert min(at(10, 10)) > 240
    assert min(at(2, 2)) > 240
    assert min(min(at(x / 10, 10)) for x in range(40, 62)) < 120  # the left edge


def test_notes_stand_in_the_corners_of_their_boxes():
    figure, axis = plotting.new_figure(height=2)
    plotting.draw_image(axis, CAT)  # 40 x 60
    boxes = torch.tensor([[0.25, 0.5, 0.75, 1], [-0.5, -0.5, 0.5, 0.5]])
    plotting.draw_boxes(axis, boxes, (40, 60), notes=["a", "b"])
    figure.draw_without_rendering()
    for note, (left, top) in zip(axis.texts, [(14.5, 19.5), (-0.5, -0.5)], strict=True):
        pixels = note.get_window_extent().transformed(axis.transData.inverted())
        assert left <= pixels.x0 < left + 3
        assert top <= pixels.y1 < top + 4


def test_opacity_is_that_of_the_boxes_in_turn():
    _, axis = plotting.new_figure(height=2)
    boxes = torch.tensor([[0.2, 0.2, 0.8, 0.8]] * 3)
    plotting.draw_boxes(axis, boxes, (40, 60), colors=["red"], opacity=[1.0, 0.5])
    red = [line.get_alpha() for line in axis.lines if line.get_color() == "red"]
    white = [line.get_alpha() for line in axis.lines if line.get_color() == "white"]
    assert red == [1, 0.5, 1]
    assert white == [0.8, 0.4, 0.8]


def test_an_animation_holds_its_frames_and_a_still():
    frames = [torch.full((3, 8, 12), level / 4) for level in range(5)]
    html = plotting.show_animation(frames, **WORDS)
    assert picture_in(html).n_frames == 5
    assert picture_in(html).info["loop"] == 0  # without an end
    assert 'width="480" height="320"' in html.data
    still = re.search(
        r'reduce\), print" srcset="([^"]+)" width="66" height="8"', html.data
    )
    with Image.open(io.BytesIO(base64.b64decode(still[1].partition(",")[2]))) as row:
        grays = [row.convert("L").getpixel((18 * place + 6, 4)) for place in range(4)]
    assert grays == [0, 64, 128, 255]


def steps(number):
    figures = []
    for step in range(number):
        figure, axis = plotting.new_figure(height=1)
        axis.plot([0, step])
        figures.append(figure)
    return figures


def test_a_slider_shows_one_of_its_figures():
    settings = ["0.1", "0.5", "a < b"]
    html = plotting.show_slider(
        steps(3), settings, label="IoU threshold", start=1, **WORDS
    ).data
    assert html.count("<img") == 3
    assert [
        i for i, part in enumerate(html.split("<img")[1:]) if "hidden " not in part[:9]
    ] == [1]
    assert "<output>0.5</output>" in html
    assert 'max="2" value="1"' in html
    assert 'data-settings="0.1|0.5|a &lt; b"' in html
    assert 'IoU threshold: a &lt; b."' in html


def test_source_is_a_fenced_block():
    markdown = plotting.show_source(plotting.save_picture).data
    assert markdown.startswith("```python\ndef save_picture(")
    code, _, words = markdown.partition("<details>")
    assert code.count('"""') == 2  # the first line of the docstring, no more
    assert "Returns:" not in code
    assert "Returns:" in words


def test_a_source_keeps_its_code_and_each_first_line():
    source = '''
    class Made:
        """One.

        Two.
        """

        def run(self):
            """Three."""
            return """four
            five"""
    '''
    short = plotting.short_source(source)
    assert short.startswith("class Made:\n")
    assert "Two" not in short
    assert all(word in short for word in ("One.", "Three.", "four", "five"))
    assert [*vars(_run(short)["Made"])] == [*vars(_run(source)["Made"])]


def _run(source):
    names = {}
    exec(textwrap.dedent(source), names)  # noqa: S102 our own text
    return names


def test_a_saved_picture_reads_back(tmp_path):
    path = plotting.save_picture(CAT, tmp_path / "cat.webp")
    back = torch.from_numpy(np.array(Image.open(path))) / 255
    assert (back.permute(2, 0, 1) - CAT).abs().mean() < 0.03
    assert path.stat().st_size < 40 * 60


def test_drawings_are_kept_without_loss(tmp_path):
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    path = plotting.save_picture(checks.float(), tmp_path / "checks.webp")
    assert np.unique(np.array(Image.open(path))).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.show_images([], **WORDS), "images must not be empty"),
        (lambda: plotting.show_images([CAT], ["a", "b"], **WORDS), "2 titles"),
        (lambda: plotting.show_images([CAT * 2], **WORDS), r"must lie in \[0, 1\]"),
        (lambda: plotting.show_images([CAT[:2]], **WORDS), r"got \(2, 40, 60\)"),
        (lambda: plotting.show_images([CAT], caption=" ", alt="a"), "caption must say"),
        (lambda: plotting.show_images([CAT], caption="a", alt=""), "alt must say"),
        (lambda: plotting.show_boxes(CAT, torch.ones(4), **WORDS), r"boxes.*\(4,\)"),
        (
            lambda: plotting.show_boxes(CAT, torch.ones(1, 4), ["a", "b"], **WORDS),
            "2 labels for 1 boxes",
        ),
        (lambda: plotting.show_animation([CAT], **WORDS), "at least two, got 1"),
        (lambda: plotting.save_picture(CAT, "cat.png"), "end in .webp"),
        (
            lambda: plotting.show_slider(steps(1), ["a"], label="b", **WORDS),
            "at least two.*got 1 figures",
        ),
        (
            lambda: plotting.show_slider(steps(2), ["a"], label="b", **WORDS),
            "got 2 figures and 1 settings",
        ),
        (
            lambda: plotting.show_slider(
                steps(2), ["a", "b"], label="c", start=2, **WORDS
            ),
            "start must be one of 2 figures, got 2",
        ),
        (
            lambda: plotting.show_slider(steps(2), ["a", "b"], label=" ", **WORDS),
            "label must say something",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

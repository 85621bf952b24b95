"""Pictures for the pages: one style, a caption and alternative text for each, small.

Every `show_*` returns an object that a notebook displays when it is the last value of
a cell: an HTML figure, which looks the same in Jupyter, in Colab and in the book. The
picture inside is WebP on a light paper, in the dark theme too.
"""

from __future__ import annotations

import ast
import base64
import inspect
import io
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lesson_utils.common.require import require_shape

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from PIL import Image

WIDTH = 7.2  # inches: the text's width on a page
DPI = 150  # sharp on a screen with two dots to the CSS pixel, yet small
PAPER = "#fbfaf7"

# Okabe and Ito's colors, which stay apart for colour-blind eyes; their yellow is
# left out, for it is lost on paper.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")


# What a slider does, where it stands: a page that is saved or mailed keeps it.
_ON_SLIDE = (
    "const setting = this.dataset.settings.split('|')[this.value];"
    "this.closest('figure').querySelectorAll('img').forEach("
    "(picture, index) => { picture.hidden = index != this.value; });"
    "this.previousElementSibling.textContent = setting;"
    "this.setAttribute('aria-valuetext', setting);"
)


def new_figure(
    rows: int = 1, columns: int = 1, *, height: float = 3.0, **subplots: object
) -> tuple[Figure, object]:
    """A figure in the book's style, as wide as the text.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        height: in inches; the width is 7.2.
        **subplots: what `Figure.subplots` takes, such as `sharey=True`.

    Returns:
        The figure and its axes: one, or an array of them, as `plt.subplots` returns.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A Figure of its own, not pyplot's: no global state, and nothing is shown twice.
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **subplots)


def show_figure(figure: Figure, *, caption: str, alt: str) -> HTML:
    """Display a matplotlib figure with its caption.

    Args:
        figure: from `new_figure`.
        caption: what to see in it, plain text.
        alt: what it shows, for a reader who does not see it.

    Returns:
        An HTML figure.

    Raises:
        ValueError: the caption or the alternative text is empty.
    """
    return _figure_html(_picture(*_drawn(figure), alt), caption)


def show_images(
    images: Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    caption: str,
    alt: str,
) -> HTML:
    """Display pictures side by side.

    Args:
        images: each (3, H, W), (1, H, W) or (H, W), in [0, 1] or boolean.
        titles: one for each picture; it may be empty.
        columns: how many stand in a row; all of them if left out.
        caption: what to see, plain text.
        alt: what they show, for a reader who does not see them.

    Returns:
        An HTML figure.

    Raises:
        ValueError: no images, one of another shape or beyond [0, 1] (a picture that
            is clipped in silence hides a mistake), or titles of another number.
    """
    if not len(images) or (titles is not None and len(titles) != len(images)):
        raise ValueError(
            f"images must not be empty and titles one for each, got {len(images)} "
            f"images and {titles if titles is None else len(titles)} titles"
        )
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    aspect = max(image.shape[-2] / image.shape[-1] for image in images)
    named = [
        any((titles or ())[k : k + columns]) for k in range(0, len(images), columns)
    ]
    height = sum(WIDTH / columns * aspect + (0.3 if line else 0.08) for line in named)
    figure, axes = new_figure(rows, columns, height=height, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        draw_image(axis, image)
        if titles is not None:
            axis.set_title(titles[index])
    return show_figure(figure, caption=caption, alt=alt)


def show_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str] | None = None,
    *,
    caption: str,
    alt: str,
) -> HTML:
    """Display a picture with boxes drawn round the pixels they hold.

    Args:
        image: (3, H, W), (1, H, W) or (H, W), in [0, 1] or boolean.
        boxes: (N, 4), xyxy in pixels, both ends included.
        labels: one for each box.
        caption: what to see, plain text.
        alt: what it shows, for a reader who does not see it.

    Returns:
        An HTML figure.

    Raises:
        ValueError: boxes are not (N, 4), labels are of another number, or the picture
            is not one (see `show_images`).
    """
    from matplotlib.patches import Rectangle

    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4), got shape {tuple(boxes.shape)}")
    if labels is not None and len(labels) != len(boxes):
        raise ValueError(
            f"labels must be one for each box, got {len(labels)} labels for "
            f"{len(boxes)} boxes"
        )
    height = min(WIDTH * image.shape[-2] / image.shape[-1], 4.5)
    figure, axis = new_figure(height=height)
    axis.axis("off")
    draw_image(axis, image)
    bright = COLORS[:-1]  # the dark one is lost on a dark picture
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        color = bright[index % len(bright)]
        # Half a pixel out on each side: the box holds its first and its last pixel.
        corner, size = (x1 - 0.5, y1 - 0.5), (x2 - x1 + 1, y2 - y1 + 1)
        axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, lw=2.5))
        if labels is not None:
            box = {"facecolor": color, "edgecolor": "none", "pad": 2}
            axis.text(x1, y1, labels[index], color="white", fontsize=9, bbox=box)
    return show_figure(figure, caption=caption, alt=alt)


def show_animation(
    frames: Sequence[Tensor],
    *,
    caption: str,
    alt: str,
    frames_per_second: float = 8,
    width: int = 480,
) -> HTML:
    """Display a short animation; paper, and who wants less motion, get four frames.

    Args:
        frames: each (3, H, W) or (H, W), in [0, 1] or boolean, of one shape.
        caption: what to see, plain text.
        alt: what it shows, for a reader who does not see it.
        frames_per_second: the pace.
        width: of the animation, in CSS pixels.

    Returns:
        An HTML figure.

    Raises:
        ValueError: fewer than two frames, or one that is not a picture.
    """
    if len(frames) < 2:
        raise ValueError(f"frames must be at least two, got {len(frames)}")
    pictures = [_to_pil(frame) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        quality=70,
        method=4,
    )
    height = round(width * pictures[0].height / pictures[0].width)
    moving = _picture(buffer.getvalue(), (width, height), alt)
    still = _in_a_row([pictures[k * (len(pictures) - 1) // 3] for k in range(4)])
    return _figure_html(
        '<picture><source media="(prefers-reduced-motion: reduce), print" '
        f'srcset="{_data_uri(_small_webp(still))}" width="{still.width}" '
        f'height="{still.height}">{moving}</picture>',
        caption,
    )


def show_slider(
    figures: Sequence[Figure],
    settings: Sequence[str],
    *,
    label: str,
    start: int = 0,
    caption: str,
    alt: str,
) -> HTML:
    """Display one of several figures, chosen by a slider that needs no kernel.

    Args:
        figures: at least two from `new_figure`, drawn alike.
        settings: what each stands for, in order, such as "0.3" and "0.5".
        label: what the slider sets, such as "IoU threshold".
        start: which figure is seen first.
        caption: what to see, plain text.
        alt: what they show, for a reader who does not see them; the setting is added.

    Returns:
        An HTML figure.

    Raises:
        ValueError: fewer than two figures, settings of another number, a start that is
            none of them, or a caption, label or alternative text that is empty.
    """
    if len(figures) < 2 or len(settings) != len(figures):
        raise ValueError(
            f"figures must be at least two and settings one for each, got "
            f"{len(figures)} figures and {len(settings)} settings"
        )
    if start not in range(len(figures)):
        raise ValueError(f"start must be one of {len(figures)} figures, got {start}")
    for name, value in (("label", label), ("alt", alt)):
        if not value.strip():
            raise ValueError(f"{name} must say something, got {value!r}")
    pictures = [
        _picture(*_drawn(figure), f"{alt} {label}: {setting}.", hidden=index != start)
        for index, (figure, setting) in enumerate(zip(figures, settings, strict=True))
    ]
    chosen = escape(settings[start])
    slider = (
        f"<label><span>{escape(label)}</span> <output>{chosen}</output>"
        f'<input type="range" min="0" max="{len(figures) - 1}" value="{start}" '
        f'data-settings="{escape("|".join(settings))}" aria-valuetext="{chosen}" '
        f'autocomplete="off" oninput="{_ON_SLIDE}"></label>'
    )
    return _figure_html("".join(pictures) + slider, caption)


def show_source(function: Callable | type) -> Markdown:
    """Display the source of a function or class, highlighted.

    Of its docstring, and of its methods', only the first line stands in the code; the
    whole one unfolds below.

    Args:
        function: anything with Python source, of the package or not.

    Returns:
        Markdown, which the book and Jupyter render as code in their own theme.
    """
    from IPython.display import Markdown

    code = f"```python\n{short_source(inspect.getsource(function))}\n```"
    words = inspect.getdoc(function)
    if not words or len(words.splitlines()) == 1:
        return Markdown(code)
    title = f"Arguments, errors and source of <code>{function.__name__}</code>"
    unfolds = f"<details><summary>{title}</summary>"
    return Markdown(f"{code}\n\n{unfolds}\n\n```text\n{words}\n```\n\n</details>")


def short_source(source: str) -> str:
    """A source whose docstrings are cut down to their first lines.

    Args:
        source: of a function or class.

    Returns:
        The same without what was cut, from the left margin on.
    """
    source = textwrap.dedent(source).strip("\n")
    lines = source.splitlines()
    documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in reversed([*ast.walk(ast.parse(source))]):
        words = ast.get_docstring(node) if isinstance(node, documented) else None
        if words:
            text = node.body[0]
            line = f'{" " * text.col_offset}"""{words.splitlines()[0]}"""'
            lines[text.lineno - 1 : text.end_lineno] = [line]
    return "\n".join(lines)


def save_picture(image: Tensor, path: str | Path) -> Path:
    """Save a picture small, as WebP: without loss where that is the smaller file.

    Args:
        image: (3, H, W), (1, H, W) or (H, W), in [0, 1] or boolean.
        path: ends in .webp.

    Returns:
        The path.

    Raises:
        ValueError: another ending, or not a picture (see `show_images`).
    """
    path = Path(path)
    if path.suffix != ".webp":
        raise ValueError(f"path must end in .webp, got {str(path)!r}")
    path.write_bytes(_small_webp(_to_pil(image)))
    return path


def draw_image(axis: object, image: Tensor) -> None:
    """Draw a picture on axes, pixel centers at integers, gray as gray.

    Args:
        axis: matplotlib axes.
        image: (3, H, W), (1, H, W) or (H, W), in [0, 1] or boolean.

    Raises:
        ValueError: not a picture (see `show_images`).
    """
    pixels = _pixels(image).numpy()
    # Small pictures show their pixels; large ones are smoothed when they shrink.
    interpolation = "nearest" if max(pixels.shape[:2]) <= 64 else "antialiased"
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation=interpolation)


def draw_boxes(
    axis: object,
    boxes: Tensor,
    size: tuple[int, int],
    *,
    colors: Sequence[str] = COLORS,
    notes: Sequence[str] = (),
    opacity: Sequence[float] | Tensor = (1.0,),
    width: float = 2.0,
    dashed: bool = False,
) -> None:
    """Draw boxes given in shares of a picture on axes that show the picture.

    An edge is drawn where it is, between pixels: 0 is the left edge of the first.

    Args:
        axis: matplotlib axes, on which `draw_image` has drawn.
        boxes: (N, 4), xyxy, in shares of the picture.
        size: the picture's height and width, in pixels.
        colors: of the boxes, in turn.
        notes: what is written into the boxes' corners, one for each; none at all.
        opacity: (M,), of the boxes, in turn.
        width: of the lines, in points.
        dashed: whether the lines are.

    Raises:
        ValueError: boxes are not (N, 4), or notes are of another number.
    """
    require_shape("boxes", boxes, "N 4")
    if len(notes) not in (0, len(boxes)):
        raise ValueError(
            f"notes must be one for each of {len(boxes)} boxes, or none, got "
            f"{len(notes)}"
        )
    height, across = size
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        # A pixel's center is at integers, its edges half a pixel away.
        left, right = across * x1 - 0.5, across * x2 - 0.5
        top, bottom = height * y1 - 0.5, height * y2 - 0.5
        outline = [left, right, right, left, left], [top, top, bottom, bottom, top]
        color = colors[index % len(colors)]
        alpha = float(opacity[index % len(opacity)])
        # White below, so that the box is seen on any picture.
        axis.plot(*outline, color="white", lw=width + 1.4, alpha=0.8 * alpha)
        axis.plot(*outline, "--" if dashed else "-", color=color, lw=width, alpha=alpha)
        if notes:
            back = {"facecolor": color, "edgecolor": "none", "pad": 1}
            place = max(left, 0) + 1, max(top, 0) + 2
            text = {"color": "white", "fontsize": 7, "va": "top", "bbox": back}
            axis.text(*place, notes[index], **text)


def _whole_width(figure: Figure) -> Bbox:
    """The part of a figure that is kept, in inches: all columns, no empty rows."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # lays out what the bounds are taken of
    drawn, margin = figure.get_tightbbox(), 0.06
    return Bbox.from_extents(0, drawn.y0 - margin, WIDTH, drawn.y1 + margin)


def _pixels(image: Tensor) -> Tensor:
    """(H, W) or (H, W, 3), float32 on the CPU, or a ValueError."""
    image = image.detach().cpu().float()
    if image.dim() == 3 and len(image) == 1:
        image = image[0]
    if image.dim() != 2 and not (image.dim() == 3 and len(image) == 3):
        raise ValueError(
            f"image must be (3, H, W), (1, H, W) or (H, W), got {tuple(image.shape)}"
        )
    # Resizing and arithmetic may overshoot by rounding; anything more is a mistake.
    if not ((image >= -1e-4) & (image <= 1 + 1e-4)).all():
        low, high = image.min().item(), image.max().item()
        raise ValueError(f"image must lie in [0, 1], got [{low:g}, {high:g}]")
    image = image.clamp(0, 1)
    return image if image.dim() == 2 else image.permute(1, 2, 0)


def _to_pil(image: Tensor) -> Image.Image:
    from PIL import Image

    pixels = _pixels(image).mul(255).round().to(torch.uint8).numpy()
    return Image.fromarray(pixels).convert("RGB")


def _in_a_row(pictures: Sequence[Image.Image], gap: int = 6) -> Image.Image:
    """Pictures of one size beside each other, on the color of the page's paper."""
    from PIL import Image

    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), PAPER)
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + gap), 0))
    return row


def _small_webp(picture: Image.Image) -> bytes:
    """The smaller of the two encodings: drawings without loss, photographs with."""
    sizes = []
    for options in ({"lossless": True, "quality": 70}, {"quality": 75}):
        buffer = io.BytesIO()
        picture.save(buffer, format="WEBP", method=4, **options)
        sizes.append(buffer.getvalue())
    return min(sizes, key=len)


def _drawn(figure: Figure) -> tuple[bytes, tuple[int, int]]:
    """A matplotlib figure as WebP, and its width and height in CSS pixels."""
    import matplotlib as mpl
    from PIL import Image

    buffer = io.BytesIO()
    with mpl.rc_context(_style()):
        figure.savefig(buffer, format="png", dpi=DPI, bbox_inches=_whole_width(figure))
    picture = Image.open(buffer).convert("RGB")
    # Two dots to the CSS pixel, nearly.
    size = tuple(round(side * 96 / DPI) for side in picture.size)
    return _small_webp(picture), size


def _picture(
    webp: bytes, size: tuple[int, int], alt: str, *, hidden: bool = False
) -> str:
    """An `img` whose width and height keep the page from jumping."""
    if not alt.strip():
        raise ValueError(f"alt must say something, got {alt!r}")
    return (
        f'<img{" hidden" * hidden} src="{_data_uri(webp)}" alt="{escape(alt)}" '
        f'width="{size[0]}" height="{size[1]}" style="max-width: 100%; height: auto;">'
    )


def _figure_html(content: str, caption: str) -> HTML:
    from IPython.display import HTML

    if not caption.strip():
        raise ValueError(f"caption must say something, got {caption!r}")
    return HTML(
        f'<figure class="lc-figure">{content}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def _style() -> dict[str, object]:
    from cycler import cycler

    ink = "#2b2b2b"
    return {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same everywhere
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "axes.prop_cycle": cycler(color=COLORS),
        "axes.grid": False,
        "grid.color": "#d9d6cd",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "image.interpolation": "nearest",
    }

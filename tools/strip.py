"""The strip of pictures on the front page: what six chapters end up with.

    python -m tools.strip

Each is painted by the book's own networks, or cut from a picture that a study or the
book has made; nothing is drawn for the purpose. They go to `book/_static/strip`.
"""

import io
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, make_grid

from lesson_utils.common.painting import paint
from lesson_utils.common.proposal_net import proposal_net
from lesson_utils.data.photographs import photograph
from lesson_utils.data.vehicles import PART_COLORS, Vehicles
from lesson_utils.dcgan import creature_generator
from lesson_utils.nms import nms
from lesson_utils.semantic_to_vehicle import encode_texts, vehicle_painter
from tools.files import write_whole
from tools.serve import ROOT

STRIP = ROOT / "book" / "_static" / "strip"
STUDIES = ROOT / "lesson_utils" / "studies"
SIDE = 240  # pixels, twice what the page shows, for fine screens
LIMIT = 60_000  # bytes, of all six
SHOWN = (0, 1)  # of the vehicles with a color that their kind never had in training


def vehicles() -> Image.Image:
    """Two maps, and below each what was painted for it; none was trained on."""
    data = Vehicles(4, seed=7, image_size=96, held_out=True)
    records = [data.describe(index) for index in SHOWN]
    maps = torch.stack([record.parts for record in records]).long()
    tokens = encode_texts([record.caption for record in records])
    painted = paint(vehicle_painter(), maps, tokens, seed=0)
    colored = torch.tensor(PART_COLORS)[maps].permute(0, 3, 1, 2)
    return _tiled(torch.cat([colored, painted]), 2)


def creatures() -> Image.Image:
    """Nine of the creatures that the book's generator draws."""
    dice = torch.Generator().manual_seed(4)
    with torch.no_grad():
        images = creature_generator()(torch.randn(9, 48, generator=dice))
    return _tiled(images / 2 + 0.5, 3)


def faces() -> Image.Image:
    """What is left of a face detector's boxes after suppression, round her face."""
    astronaut = photograph("astronaut")
    boxes, scores = proposal_net().propose(astronaut, min_side=40)
    kept = boxes[nms(boxes, scores, 0.3)[:1]]
    marked = draw_bounding_boxes(astronaut, kept, colors="#ffb000", width=6)
    return _picture(marked[:, 0:300, 66:366])


def style() -> Image.Image:
    """The cat in the petals, the last of three pictures of equal width."""
    with Image.open(STUDIES / "style_transfer-opening.webp") as opening:
        height = opening.height
        return opening.convert("RGB").crop(
            (opening.width - height, 0, opening.width, height)
        )


def cup() -> Image.Image:
    """The middle of the book's cover."""
    with Image.open(ROOT / "book" / "_static" / "cover.webp") as cover:
        left = (cover.width - cover.height) // 2
        return cover.convert("RGB").crop((left, 0, left + cover.height, cover.height))


def outlines() -> Image.Image:
    """Two scenes, and what a U-Net takes each pixel for."""
    with Image.open(STUDIES / "segmentation_metrics-predictions.webp") as table:
        table = table.convert("RGB")
        cell = table.height // 4
        picture = Image.new("RGB", (2 * cell, 2 * cell))
        for y, row in enumerate((0, 3)):
            for x, column in enumerate((0, 2)):
                left, top = column * cell, row * cell
                part = table.crop((left, top, left + cell, top + cell))
                picture.paste(part, (x * cell, y * cell))
    return picture


# By the stem of the chapter, in the order of the strip.
PICTURES: dict[str, Callable[[], Image.Image]] = {
    "semantic_to_vehicle": vehicles,
    "style_transfer": style,
    "masks": cup,
    "nms": faces,
    "segmentation_metrics": outlines,
    "dcgan": creatures,
}


def _tiled(images: Sequence[Tensor] | Tensor, columns: int) -> Image.Image:
    return _picture(make_grid(images, nrow=columns, padding=0))


def _picture(image: Tensor) -> Image.Image:
    pixels = image.clamp(0, 1) * 255 if image.is_floating_point() else image
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).numpy())


def encoded(picture: Image.Image) -> bytes:
    """A picture of the strip as WebP.

    Args:
        picture: a square one.

    Returns:
        The file's bytes.
    """
    small = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, format="webp", quality=72, method=6)
    return file.getvalue()


def main() -> None:
    """Make all six, and write them if they are small enough."""
    files = {stem: encoded(make()) for stem, make in PICTURES.items()}
    total = sum(map(len, files.values()))
    if total > LIMIT:
        raise SystemExit(f"the strip may have {LIMIT:,} bytes, got {total:,}")
    for stem, content in files.items():
        write_whole(STRIP / f"{stem}.webp", content)
        print(f"{stem}: {len(content):,} bytes")


if __name__ == "__main__":
    main()

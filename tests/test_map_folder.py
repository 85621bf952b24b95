"""Folders of pictures, maps and sentences: read as they are, refused by name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lesson_utils.data.map_folder import MapFolder
from lesson_utils.data.vehicles import PART_NAMES, Vehicles

SENTENCES = {"bus": "a red bus, at dusk", "car": "", "van": "ein grüner Lieferwagen"}


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 12 x 8 pixels, of three kinds of files."""
    dice = np.random.default_rng(0)
    for part in ("images", "maps"):
        (tmp_path / part).mkdir()
    for name, ending in (("van", "png"), ("bus", "webp"), ("car", "PNG")):
        pixels = dice.integers(0, 256, (8, 12, 3), dtype=np.uint8)
        file = tmp_path / "images" / f"{name}.{ending}"
        Image.fromarray(pixels).save(
            file, **({"lossless": True} if name == "bus" else {})
        )
        write_map(tmp_path, name, dice.integers(0, 4, (8, 12), dtype=np.uint8))
    write_captions(tmp_path)
    return tmp_path


def write_map(folder, name, numbers):
    Image.fromarray(numbers).save(folder / "maps" / f"{name}.png")


def write_captions(folder, **changes):
    said = SENTENCES | changes
    lines = [f"{name}\t{text}" for name, text in said.items() if text is not None]
    (folder / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pixels(folder, name):
    with Image.open(next((folder / "images").glob(f"{name}.*"))) as file:
        return torch.from_numpy(np.array(file)).permute(2, 0, 1).float() / 255


def numbers(folder, name):
    with Image.open(folder / "maps" / f"{name}.png") as file:
        return torch.from_numpy(np.array(file)).long()


def test_items_in_order(folder):
    data = MapFolder(folder, image_size=4)
    assert len(data) == 3
    assert data.names == ["bus", "car", "van"]
    assert data.parts == PART_NAMES
    for index, (name, text) in enumerate(SENTENCES.items()):
        image, parts, caption = data[index]
        assert caption == text == data.captions[index]
        # Each pixel of the small picture is the mean of 2 x 3 of the large one.
        means = F.avg_pool2d(pixels(folder, name), (2, 3))
        torch.testing.assert_close(image, means, rtol=0, atol=1.01 / 255)
        assert image.dtype == torch.float32
        # Maps are not mixed: a number of what the pixel covers, the middle one's.
        assert parts.dtype == torch.int64
        assert torch.equal(parts, numbers(folder, name)[1::2, 1::3])
    assert torch.equal(data[-1][0], data[2][0])


def test_as_large_as_they_are_nothing_changes(folder):
    square = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
    for name in SENTENCES:
        for file in (folder / "images").glob(f"{name}.*"):
            file.unlink()
        color = np.stack([square, 2 * square, 3 * square], -1)
        Image.fromarray(color).save(folder / "images" / f"{name}.png")
        write_map(folder, name, square)
    image, parts, _ = MapFolder(folder, image_size=8, parts="abcd")[1]
    assert torch.equal(parts, torch.from_numpy(square).long())
    torch.testing.assert_close(
        255 * image, torch.from_numpy(color).permute(2, 0, 1).float()
    )


def test_drawn_vehicles_come_back(tmp_path):
    """Written out and read again, they are what `Vehicles` gave."""
    vehicles = Vehicles(4, image_size=32)
    for part in ("images", "maps"):
        (tmp_path / part).mkdir()
    lines = []
    for index, (image, parts, caption) in enumerate(vehicles):
        levels = (255 * image).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(levels).save(tmp_path / "images" / f"{index}.png")
        write_map(tmp_path, str(index), parts.byte().numpy())
        lines.append(f"{index}\t{caption}")
    (tmp_path / "captions.txt").write_text("\n".join(lines), encoding="utf-8")
    data = MapFolder(tmp_path, image_size=32)
    for index, (image, parts, caption) in enumerate(vehicles):
        torch.testing.assert_close(data[index][0], image)
        assert torch.equal(data[index][1], parts)
        assert data[index][2] == caption
    images, maps, captions = next(iter(torch.utils.data.DataLoader(data, 4)))
    assert images.shape == (4, 3, 32, 32)
    assert maps.shape == (4, 32, 32)
    assert len(captions) == 4


def test_palettes_are_numbers(folder):
    palette = Image.fromarray(numbers(folder, "car").byte().numpy(), mode="P")
    palette.putpalette([255, 0, 0, 9, 9, 9, 0, 255, 0, 0, 0, 255])
    before = MapFolder(folder, image_size=6)[1][1]
    palette.save(folder / "maps" / "car.png")
    assert torch.equal(MapFolder(folder, image_size=6)[1][1], before)


def test_other_files_and_empty_lines_are_passed_over(folder):
    (folder / "images" / "notes.txt").write_text("")
    (folder / "maps" / "colors.json").write_text("{}")
    text = (folder / "captions.txt").read_text(encoding="utf-8")
    (folder / "captions.txt").write_text("\ufeff\n" + text + "\n\n", encoding="utf-8")
    assert MapFolder(folder, image_size=4).captions == list(SENTENCES.values())


def remove(folder, name):
    next(folder.glob(name)).unlink()


def add_picture(folder, name):
    Image.new("RGB", (12, 8)).save(folder / "images" / name)


def with_line(folder, line):
    with (folder / "captions.txt").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def shapeless(folder):
    for file in (folder / "images").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: remove(f, "maps/bus.png"), "each have a map .* got bus"),
        (lambda f: remove(f, "images/car.*"), "each have a picture .* got car"),
        (lambda f: write_captions(f, van=None), "a line in captions.txt, got van"),
        (lambda f: write_captions(f, tram="a tram"), "must name pictures .* got tram"),
        (lambda f: add_picture(f, "bus.jpg"), "of their own, got bus.jpg and bus.webp"),
        (
            lambda f: write_map(f, "van", np.zeros((8, 11), np.uint8)),
            r"got \(11, 8\) for \(12, 8\) pixels in van.png",
        ),
        (
            lambda f: write_map(f, "car", np.full((8, 12), 9, np.uint8)),
            "parts from 0 to 8, got 9 in car.png",
        ),
        (
            lambda f: write_map(f, "car", np.zeros((8, 12, 3), np.uint8)),
            "one channel, .* got mode RGB in car.png",
        ),
        (lambda f: with_line(f, "no tab"), "be <name><TAB>.* 'no tab' in line 4"),
        (lambda f: with_line(f, "\tno name"), "be <name><TAB>.* in line 4"),
        (lambda f: with_line(f, "bus\tagain"), "name each picture once.* in line 4"),
        (shapeless, "must hold pictures as images/<name>.png, got none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(folder, spoil, message):
    assert len(MapFolder(folder, image_size=4)) == 3
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        MapFolder(folder, image_size=4)


def test_many_names_are_cut_short(folder):
    for k in range(7):
        add_picture(folder, f"x{k}.png")
    with pytest.raises(ValueError, match="got x0, x1, x2, x3, x4 and 2 more"):
        MapFolder(folder, image_size=4)


def test_fewer_parts(folder):
    with pytest.raises(ValueError, match="parts from 0 to 1, got 3 in"):
        MapFolder(folder, image_size=4, parts=("sky", "car"))


def test_files_that_are_not_there_or_broken(folder, tmp_path):
    (folder / "images" / "bus.webp").write_bytes(b"no picture")
    with pytest.raises(OSError, match=r"bus\.webp"):
        MapFolder(folder, image_size=4)
    remove(folder, "captions.txt")
    with pytest.raises(OSError, match=r"captions\.txt"):
        MapFolder(folder, image_size=4)
    with pytest.raises(ValueError, match="folder must hold pictures"):
        MapFolder(tmp_path / "nowhere", image_size=4)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range(folder, index):
    with pytest.raises(IndexError, match=f"within 3 pictures, got {index}"):
        MapFolder(folder, image_size=4)[index]


@pytest.mark.parametrize("size", [0, 1.5, True])
def test_sizes(folder, size):
    with pytest.raises(ValueError, match="image_size must be a whole number"):
        MapFolder(folder, image_size=size)

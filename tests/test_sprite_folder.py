"""A folder of sprites: transparency, palettes, broken files, shapes, errors."""

import warnings

import pytest
import torch
from PIL import Image

from lesson_utils.data.sprite_folder import SpriteFolder

WHITE, RED = torch.ones(3), torch.tensor([1.0, 0.0, 0.0])


def square_on_nothing(size=16):
    """A red square in the middle of a picture that is otherwise transparent."""
    picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    inner = size // 2
    picture.paste((255, 0, 0, 255), (size // 4,) * 2 + (size // 4 + inner,) * 2)
    return picture


@pytest.fixture
def folder(tmp_path):
    """As d2l's archive is laid out: pokemon/<class>/*.png."""
    for name in ("ash", "birch", "empty"):
        (tmp_path / name).mkdir()
    square_on_nothing().save(tmp_path / "ash" / "alpha.png")
    square_on_nothing().convert("P").save(
        tmp_path / "ash" / "palette.png", transparency=0
    )
    square_on_nothing().convert("LA").save(tmp_path / "birch" / "grey.png")
    (tmp_path / "birch" / "notes.txt").write_text("no picture")
    return tmp_path


def test_alpha_and_palette_lie_on_white(folder):
    sprites = SpriteFolder(folder, image_size=16)
    assert [path.name for path in sprites.paths] == [
        "alpha.png",
        "palette.png",
        "grey.png",
    ]
    for index in range(2):
        image, label = sprites[index]
        assert (image.shape, image.dtype, label) == ((3, 16, 16), torch.float32, 0)
        torch.testing.assert_close(image[:, 0, 0], WHITE)
        torch.testing.assert_close(image[:, 8, 8], RED)
    image, label = sprites[2]
    assert label == 1
    torch.testing.assert_close(image[:, 0, 0], WHITE)
    assert image[0, 8, 8] == image[1, 8, 8] == image[2, 8, 8] < 0.5


def test_classes_are_the_folders_with_pictures(folder):
    sprites = SpriteFolder(folder)
    assert sprites.classes == ["ash", "birch"]
    assert sprites.unreadable == []
    assert len(sprites) == 3
    assert sprites[-1][1] == 1


def test_what_is_not_square_keeps_its_shape(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a" / "wide.png")
    image, _ = SpriteFolder(tmp_path, image_size=20)[0]
    torch.testing.assert_close(image[:, 0, 10], WHITE)
    torch.testing.assert_close(image[:, 10, 10], RED)
    assert ((image[1] < 0.5).sum() - 200).abs() <= 20


def test_broken_files_are_named_and_left_out(folder):
    whole = (folder / "ash" / "alpha.png").read_bytes()
    (folder / "ash" / "broken.png").write_bytes(b"this is no picture")
    (folder / "birch" / "short.png").write_bytes(whole[: len(whole) // 2])
    (folder / "birch" / "nothing.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"3 pictures.*broken\.png.*nothing.*short"):
        sprites = SpriteFolder(folder)
    assert len(sprites) == 3
    names = [path.name for path in sprites.unreadable]
    assert names == ["broken.png", "nothing.png", "short.png"]


def test_a_warning_names_five(tmp_path):
    (tmp_path / "a").mkdir()
    square_on_nothing().save(tmp_path / "a" / "good.png")
    for index in range(7):
        (tmp_path / "a" / f"{index}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"7 pictures.*4\.png and 2 more"):
        SpriteFolder(tmp_path)


def test_whole_folders_warn_of_nothing(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpriteFolder(folder)


def test_errors(folder, tmp_path):
    with pytest.raises(ValueError, match="0 such files"):
        SpriteFolder(tmp_path / "nowhere")
    (tmp_path / "all" / "a").mkdir(parents=True)
    (tmp_path / "all" / "a" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="1 such files, none of them readable"):
        SpriteFolder(tmp_path / "all")
    for wrong in (0, 64.0):
        with pytest.raises(ValueError, match=f"image_size must be.*got {wrong}"):
            SpriteFolder(folder, image_size=wrong)
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"within 3 pictures, got {index}"):
            SpriteFolder(folder)[index]

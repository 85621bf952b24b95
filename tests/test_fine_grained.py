"""The loaders of real fine-grained sets, on folders made here in their layout."""

import pytest
import torch
from PIL import Image

from lesson_utils.data.fine_grained import CUB200, FGVCAircraft


def save(path, size, color):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, quality=95)


@pytest.fixture
def aircraft(tmp_path):
    """Four photographs of two variants, each with a black banner of 20 lines."""
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    labels = {"1": "737-300", "2": "737-400", "3": "737-300", "4": "737-400"}
    for name in labels:
        picture = Image.new("RGB", (60, 60), (200, 40, 40))
        picture.paste((0, 0, 0), (0, 40, 60, 60))
        (data / "images").mkdir(parents=True, exist_ok=True)
        picture.save(data / "images" / f"{name}.jpg", quality=95)
    for level, names in {
        "variant": ["737-300", "737-400"],
        "family": ["Boeing 737"],
    }.items():
        plural = {"variant": "variants", "family": "families"}[level]
        (data / f"{plural}.txt").write_text("\n".join(names) + "\n")
        for split in ("train", "test"):
            lines = [
                f"{key} {name if level == 'variant' else 'Boeing 737'}"
                for key, name in labels.items()
            ]
            (data / f"images_{level}_{split}.txt").write_text("\n".join(lines[:3]))
    return tmp_path


@pytest.fixture
def birds(tmp_path):
    """Three photographs of two species, one of them to test on."""
    rows = {
        "classes.txt": ["1 001.Albatross", "2 002.Cardinal"],
        "images.txt": [
            "1 001.Albatross/a b.jpg",
            "2 002.Cardinal/c.jpg",
            "3 002.Cardinal/d.jpg",
        ],
        "image_class_labels.txt": ["1 1", "2 2", "3 2"],
        "train_test_split.txt": ["1 1", "2 0", "3 1"],
    }
    for name, lines in rows.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    for line, color in zip(rows["images.txt"], ("white", "red", "maroon"), strict=True):
        save(tmp_path / "images" / line.split(" ", 1)[1], (50, 30), color)
    return tmp_path


class TestAircraft:
    def test_items(self, aircraft):
        photographs = FGVCAircraft(aircraft, image_size=16)
        assert photographs.classes == ("737-300", "737-400")
        assert len(photographs) == 3
        assert [label for _, label in photographs] == [0, 1, 0]
        assert photographs[-1][1] == 0

    def test_the_banner_is_cut_off(self, aircraft):
        image, _ = FGVCAircraft(aircraft, image_size=16)[0]
        assert image.shape == (3, 16, 16)
        torch.testing.assert_close(
            image,
            torch.tensor([200, 40, 40.0])[:, None, None].expand(3, 16, 16) / 255,
            atol=0.06,
            rtol=0,
        )

    def test_levels(self, aircraft):
        assert FGVCAircraft(aircraft, annotation_level="family").classes == (
            "Boeing 737",
        )

    def test_it_is_not_there(self, tmp_path, monkeypatch):
        with pytest.raises(FileNotFoundError, match=r"(?s)download=True.*bundled"):
            FGVCAircraft(tmp_path)
        monkeypatch.setenv("LESSON_UTILS_DATA", str(tmp_path / "cache"))
        with pytest.raises(FileNotFoundError, match="fgvc-aircraft"):
            FGVCAircraft()

    @pytest.mark.parametrize(
        "wrong", [{"split": "all"}, {"annotation_level": "wing"}, {"image_size": 0}]
    )
    def test_arguments_that_will_not_do(self, aircraft, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FGVCAircraft(aircraft, **wrong)


class TestBirds:
    def test_items(self, birds):
        train = CUB200(birds, image_size=12)
        test = CUB200(birds, split="test", image_size=12)
        assert train.classes == ("001.Albatross", "002.Cardinal")
        assert [label for _, label in train] == [0, 1]
        assert [label for _, label in test] == [1]
        image, _ = train[0]
        assert image.shape == (3, 12, 12)
        assert image.min() > 0.95

    def test_a_file_is_missing(self, birds):
        (birds / "classes.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"classes\.txt"):
            CUB200(birds)

    def test_lists_that_do_not_fit(self, birds):
        (birds / "image_class_labels.txt").write_text("1 1\n")
        with pytest.raises(ValueError, match=r"3 in images\.txt, 1 in image_class"):
            CUB200(birds)

    @pytest.mark.parametrize("wrong", [{"split": "val"}, {"image_size": 1.5}])
    def test_arguments_that_will_not_do(self, birds, wrong):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            CUB200(birds, **wrong)

    @pytest.mark.parametrize("index", [2, -3])
    def test_indices(self, birds, index):
        with pytest.raises(IndexError, match=str(index)):
            CUB200(birds)[index]

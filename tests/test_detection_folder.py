"""Pictures with boxes from a folder: items, several objects, broken tables."""

import pytest
import torch
from PIL import Image

from lesson_utils.data.detection_folder import DetectionFolder
from lesson_utils.data.scenes import collate

HEADER = "img_name,label,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "images" / "0.png")
    Image.new("L", (20, 20), 128).save(tmp_path / "images" / "1.png")
    lines = "0.png,0,10,5,30,15\n1.png,1,0,0,20,10\n1.png,0,5,5,10,20\n"
    (tmp_path / "label.csv").write_text(HEADER + lines)
    return tmp_path


def test_items(folder):
    bananas = DetectionFolder(folder, classes=["banana", "apple"], image_size=8)
    assert len(bananas) == 2
    image, boxes, labels = bananas[0]
    assert image.shape == (3, 8, 8)
    assert image[:, 0, 0].tolist() == [1, 0, 0]
    assert boxes.tolist() == [[0.25, 0.25, 0.75, 0.75]]
    assert labels.tolist() == [0]
    _, boxes, labels = bananas[-1]
    torch.testing.assert_close(
        boxes, torch.tensor([[0, 0, 1, 0.5], [0.25, 0.25, 0.5, 1]])
    )
    assert labels.tolist() == [1, 0]


def test_they_go_into_a_batch_as_scenes_do(folder):
    images, labels = collate(
        list(DetectionFolder(folder, classes=["a", "b"], image_size=8))
    )
    assert images.shape == (2, 3, 8, 8)
    assert labels[:, :, 0].tolist() == [[0, -1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,label\n0.png,0\n", "columns img_name"),
        (HEADER, "must name a picture"),
        (HEADER + "0.png,0,1,2,x,4\n", "must hold numbers"),
        (HEADER + "0.png,0,1,2\n", "must hold numbers"),
        (HEADER + "0.png,7,1,2,3,4\n", "labels 0 to 0, got 7"),
    ],
)
def test_tables_that_will_not_do(folder, text, says):
    (folder / "label.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        DetectionFolder(folder, classes=["banana"])


def test_other_errors(folder):
    with pytest.raises(ValueError, match="image_size must be"):
        DetectionFolder(folder, classes=["a", "b"], image_size=0)
    with pytest.raises(IndexError, match="within 2 pictures, got 2"):
        DetectionFolder(folder, classes=["a", "b"])[2]
    with pytest.raises(FileNotFoundError):
        DetectionFolder(folder / "images", classes=["a", "b"])

"""Faces: scikit-image's own pixels, offline, in the documented order."""

import socket

import pytest
import torch

from lesson_utils.data.faces import CLASSES, faces


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the faces asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_shapes_range_and_labels():
    images, labels = faces()
    assert images.shape == (200, 1, 25, 25)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert 0 <= images.min() < images.max() <= 1
    assert [CLASSES[label] for label in labels[[0, 99]]] == ["face", "face"]
    assert [CLASSES[label] for label in labels[[100, 199]]] == ["no face", "no face"]


def test_the_first_hundred_are_the_faces():
    """Faces are alike, more than pieces of background are."""
    images, labels = faces()
    alike = []
    for label in (0, 1):
        own = images[labels == label]
        alike.append((own.mean(0).var() / own.var()).item())
    assert alike[CLASSES.index("face")] > 3 * alike[CLASSES.index("no face")]


def test_the_pixels_are_scikit_images():
    import skimage.data

    expected = torch.from_numpy(skimage.data.lfw_subset()).float()
    assert torch.equal(faces()[0][:, 0], expected)

"""Captioned scenes: sentences that are true, and what never occurs in training."""

from itertools import chain, product

import pytest
import torch

from lesson_utils.data import captions as cs


@pytest.fixture(scope="module")
def scenes():
    return {
        split: [cs.CaptionedScenes(9, split, seed=3).describe(k) for k in range(9)]
        for split in cs.SPLITS
    }


class TestScenes:
    def test_deterministic(self, scenes):
        again = cs.CaptionedScenes(40, "seen", seed=3)
        image, caption = again[4]
        assert torch.equal(image, scenes["seen"][4].image)
        assert caption == scenes["seen"][4].caption
        assert again.describe(4 - 40).caption == caption
        other = cs.CaptionedScenes(40, "seen", seed=4)
        assert [other[k][1] for k in range(4)] != [again[k][1] for k in range(4)]

    def test_sentences_are_of_the_vocabulary_and_true(self, scenes):
        for scene in chain(*scenes.values()):
            assert set(scene.caption.split()) <= set(cs.WORDS)
            one, other = scene.boxes
            sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).amax(1)
            assert sides[0] > sides[1] * 1.1  # the larger one is named first
            right, down = ((one[:2] + one[2:] - other[:2] - other[2:]) / 2).tolist()
            near, far = sorted((abs(right), abs(down)))
            assert near < 0.75 * far
            across = abs(right) > abs(down)
            place = 0 if across and right < 0 else 1 if across else 2 if down < 0 else 3
            assert scene.place == cs.PLACES[place]
            assert scene.caption == cs.caption(scene.subject, scene.place, scene.other)

    def test_creatures_are_in_their_boxes(self, scenes):
        for scene in scenes["train"]:
            assert scene.image.shape == (3, 64, 64)
            for values in (scene.image, scene.boxes):
                assert values.min() >= 0
                assert values.max() <= 1
            colorful = scene.image.amax(0) - scene.image.amin(0)
            for x1, y1, x2, y2 in (scene.boxes * 64).round().int().tolist():
                assert colorful[y1:y2, x1:x2].mean() > colorful.mean()

    def test_what_is_held_out(self, scenes):
        for scene in scenes["train"] + scenes["seen"]:
            assert not cs.held_out_pair(*scene.subject)
            assert not cs.held_out_pair(*scene.other)
            assert not cs.held_out_place(*scene.subject, scene.place)
        for scene in scenes["unseen place"]:
            assert not cs.held_out_pair(*scene.subject)
            assert cs.held_out_place(*scene.subject, scene.place)
        for scene in scenes["unseen pair"]:
            assert cs.held_out_pair(*scene.subject)
            assert not cs.held_out_pair(*scene.other)

    def test_errors(self):
        for arguments in ((0,), (1.5,), (3, "test")):
            with pytest.raises(ValueError, match=r"num_images|split"):
                cs.CaptionedScenes(*arguments)
        for keywords in ({"seed": -1}, {"image_size": 40}):
            with pytest.raises(ValueError, match=r"seed|image_size"):
                cs.CaptionedScenes(2, **keywords)
        with pytest.raises(IndexError, match="within 2 pictures"):
            cs.CaptionedScenes(2)[2]


def test_how_many_are_held_out():
    pairs = list(product(cs.COLORS, cs.KINDS))
    assert sum(cs.held_out_pair(*pair) for pair in pairs) == 6
    triples = [(*pair, place) for pair in pairs for place in cs.PLACES]
    assert sum(cs.held_out_place(*triple) for triple in triples) == 24


def test_stacked():
    data = cs.CaptionedScenes(3, image_size=96)
    images, texts, boxes = cs.stack_captions(data)
    assert images.shape == (3, 3, 96, 96)
    assert images.dtype == torch.uint8
    assert texts == [data[k][1] for k in range(3)]
    assert torch.equal(boxes[2], data.describe(2).boxes)


class TestSingleCreatures:
    def test_labels(self):
        images, labels = cs.single_creatures(12)
        assert images.shape == (12, 3, 40, 40)
        assert labels.shape == (12, 2)
        for color, kind in labels.tolist():
            assert not cs.held_out_pair(cs.COLORS[color], cs.KINDS[kind])
        assert torch.equal(cs.single_creatures(3)[0], images[:3])

    def test_errors(self):
        for arguments in ({"num_images": 0}, {"num_images": 1, "image_size": 20}):
            with pytest.raises(ValueError, match=r"num_images|image_size"):
                cs.single_creatures(**arguments)
        with pytest.raises(ValueError, match="seed"):
            cs.single_creatures(1, seed=-1)

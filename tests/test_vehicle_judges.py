"""Judges of painted vehicles: labels, shapes, and how well the bundled ones see."""

from dataclasses import replace

import pytest
import torch

from lesson_utils.common.segmenting import segment
from lesson_utils.data import vehicle_judges as vj
from lesson_utils.data.drawing.vehicle_builds import KINDS
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    KIND_NAMES,
    PART_NAMES,
    TIME_NAMES,
    VehicleAttributes,
    Vehicles,
    draw_vehicle,
)
from lesson_utils.segmentation_metrics import confusion_matrix, mean_iou

TRUCK = VehicleAttributes(
    kind="truck",
    color="red",
    windows=1,
    extra="a stripe",
    load="logs",
    time="at dusk",
    ground="snow",
    view="side",
    faces_left=False,
)


class TestQuestions:
    def test_each_answer_that_there_is_can_be_given(self):
        assert vj.QUESTIONS["color"] == COLOR_NAMES
        assert vj.QUESTIONS["kind"] == KIND_NAMES
        assert vj.QUESTIONS["time"] == TIME_NAMES
        assert vj.QUESTIONS["ground"] == GROUND_NAMES
        for name, of in (("extra", "extras"), ("load", "loads")):
            drawn = {value for kind in KINDS.values() for value in getattr(kind, of)}
            assert set(vj.QUESTIONS[name]) == drawn
            assert len(vj.QUESTIONS[name]) == len(drawn)

    def test_labels_by_hand(self):
        plain = replace(TRUCK, extra=None, load=None, color="black", kind="car")
        found = vj.attribute_labels([TRUCK, plain])
        assert found.dtype == torch.int64
        assert found.tolist() == [
            [
                COLOR_NAMES.index("red"),
                KIND_NAMES.index("truck"),
                TIME_NAMES.index("at dusk"),
                GROUND_NAMES.index("snow"),
                1,
                2,
            ],
            [
                COLOR_NAMES.index("black"),
                KIND_NAMES.index("car"),
                TIME_NAMES.index("at dusk"),
                GROUND_NAMES.index("snow"),
                0,
                0,
            ],
        ]


class TestAttributeNet:
    def test_shapes_and_gradients(self):
        torch.manual_seed(0)
        network = vj.AttributeNet((4, 6))
        images = torch.rand(3, 3, 16, 16)
        assert network.features(images).shape == (3, 6)
        logits = network(images)
        assert {name: value.shape for name, value in logits.items()} == {
            name: (3, len(of)) for name, of in vj.QUESTIONS.items()
        }
        sum(value.square().sum() for value in logits.values()).backward()
        assert all(p.grad.abs().max() > 0 for p in network.parameters()
                   if p.dim() > 1)  # fmt: skip

    def test_bytes_are_numbers(self):
        network = vj.AttributeNet((4, 6)).eval()
        levels = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
        torch.testing.assert_close(
            network.features(levels), network.features(levels / 255)
        )

    def test_answers_are_the_largest_logits_in_any_batches(self):
        torch.manual_seed(0)
        network, images = vj.AttributeNet((4, 6)).eval(), torch.rand(5, 3, 16, 16)
        found = vj.answers(network, images, batch_size=2)
        logits = network(images)
        for k, name in enumerate(vj.QUESTIONS):
            assert found[:, k].tolist() == logits[name].argmax(1).tolist()

    def test_errors(self):
        with pytest.raises(ValueError, match="widths must be a whole number"):
            vj.AttributeNet((4, 0))
        network = vj.AttributeNet((4,)).eval()
        images = torch.rand(2, 3, 16, 16)
        for bad, words in (
            (images[:0], "at least one picture, got none"),
            (2 * images, r"must lie in \[0, 1\]"),
            (images * torch.nan, r"must lie in \[0, 1\]"),
            (images[:, :1], "images must be"),
        ):
            with pytest.raises(ValueError, match=words):
                vj.answers(network, bad)
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            vj.answers(network, images, batch_size=0)


@pytest.fixture(scope="module")
def judges():
    return vj.vehicle_judges()


class TestTheBundledOnes:
    def test_they_are_the_shape_that_is_trained(self, judges):
        assert not any(judge.training for judge in judges)
        new = vj.Judges().state_dict()
        theirs = torch.nn.ModuleList(judges).state_dict()
        assert {name: value.shape for name, value in new.items()} == {
            name: value.shape for name, value in theirs.items()
        }

    @pytest.mark.parametrize("held_out", [False, True])
    def test_they_see_what_is_drawn(self, judges, held_out):
        segmenter, classifier = judges
        vehicles = Vehicles(12, seed=11, held_out=held_out)
        drawn = [vehicles.describe(k) for k in range(12)]
        images = torch.stack([each.image for each in drawn])
        parts = torch.stack([each.parts for each in drawn])
        confusion = confusion_matrix(segment(segmenter, images), parts, len(PART_NAMES))
        assert mean_iou(confusion) > 0.8
        labels = vj.attribute_labels([each.attributes for each in drawn])
        right = (vj.answers(classifier, images) == labels).float()
        assert right.mean() > 0.9
        assert right[:, 0].mean() > 0.9  # colors

    def test_what_is_changed_is_seen(self, judges):
        """The same vehicle in another color, at another time, on other ground."""
        changes = {"color": "blue", "time": "by day", "ground": "sand", "load": None}
        before = draw_vehicle(TRUCK, seed=3).image[None]
        for name, value in changes.items():
            column = list(vj.QUESTIONS).index(name)
            after = draw_vehicle(replace(TRUCK, **{name: value}), seed=3).image[None]
            found = [vj.answers(judges[1], each)[0, column] for each in (before, after)]
            names = [vj.QUESTIONS[name][int(each)] for each in found]
            assert names == [getattr(TRUCK, name), value]

"""The proposal network: her face, each window on its own, the pyramid, bad input."""

import pickle
from io import BytesIO

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import box_iou, nms

from lesson_utils.common.packaged_files import packaged_file
from lesson_utils.common.proposal_net import proposal_net
from lesson_utils.data.photographs import photograph

HER_FACE = torch.tensor([[175.0, 70.0, 265.0, 180.0]])  # by eye, on `astronaut`


@pytest.fixture(scope="module")
def network():
    return proposal_net()


def test_the_best_proposal_is_her_face(network):
    boxes, scores = network.propose(photograph("astronaut"))
    assert scores[0] > 0.99
    assert box_iou(boxes[:1], HER_FACE).item() > 0.7
    # It proposes; it does not decide: many boxes on a face, and many on no face.
    around = box_iou(boxes, HER_FACE)[:, 0] > 0.5
    assert 3 <= around.sum() < len(boxes) / 2
    assert len(nms(boxes, scores, 0.5)) < len(boxes) / 2


def test_each_window_is_judged_on_its_own(network):
    """Dense outputs are those of 12 x 12 crops, by the package's own tensors."""
    state = torch.load(BytesIO(packaged_file("facenet-pytorch")), weights_only=True)
    image = photograph("astronaut", size=48)  # (3, 48, 48)
    face, offsets = network(network.preprocess(image))
    assert face.shape == (1, 19, 19)
    for row, column in ((0, 0), (3, 17), (18, 18), (7, 0)):
        top, left = 2 * row, 2 * column
        x = (255 * image[None, :, top : top + 12, left : left + 12] - 127.5) / 128
        for number in (1, 2, 3):
            weight, bias = (state[f"conv{number}.{k}"] for k in ("weight", "bias"))
            x = F.prelu(F.conv2d(x, weight, bias), state[f"prelu{number}.weight"])
            x = F.max_pool2d(x, 2) if number == 1 else x
        logits, moves = (
            F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"]).flatten()
            for name in ("conv4_1", "conv4_2")
        )
        torch.testing.assert_close(
            face[0, row, column], logits.softmax(0)[1], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            offsets[0, :, row, column], moves, rtol=1e-4, atol=1e-5
        )


def test_boxes_are_in_pixels_of_the_picture_given(network):
    """One level of the pyramid, by hand; then at half the size: twice the boxes."""
    image = photograph("astronaut", size=(50, 80))
    level = {"min_score": 0.2, "factor": 0.01}
    boxes, scores = network.propose(image, min_side=12, **level)
    face, offsets = network(network.preprocess(image))
    expected = {}
    for row in range(face.shape[1]):
        for column in range(face.shape[2]):
            if (score := face[0, row, column].item()) >= 0.2:
                window = torch.tensor([column, row, column + 6, row + 6]) * 2.0
                expected[score] = window + 12 * offsets[0, :, row, column]
    assert scores.tolist() == sorted(expected, reverse=True)
    assert len(scores) > 5
    by_hand = torch.stack([expected[score] for score in scores.tolist()])
    inside = ((by_hand >= 0) & (by_hand <= torch.tensor([80, 50, 80, 50]))).all(1)
    torch.testing.assert_close(boxes[inside], by_hand[inside])
    doubled = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    twice, same = network.propose(doubled, min_side=24, **level)
    torch.testing.assert_close(scores, same, rtol=0, atol=1e-4)
    torch.testing.assert_close(2 * boxes, twice, rtol=0, atol=0.01)


def test_boxes_stay_on_the_picture_and_scores_descend(network):
    image = photograph("coffee")
    boxes, scores = network.propose(image, min_score=0.3)
    assert boxes.shape == (len(scores), 4)
    assert not boxes.requires_grad
    assert (scores >= 0.3).all()
    assert (scores.diff() <= 0).all()
    assert boxes.min() >= 0
    assert boxes[:, [0, 2]].max() <= 600
    assert boxes[:, [1, 3]].max() <= 400
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_nothing_to_find(network):
    for image in (torch.zeros(3, 40, 40), torch.rand(3, 15, 90)):
        boxes, scores = network.propose(image, min_score=1.0)
        assert boxes.shape == (0, 4)
        assert scores.shape == (0,)


def test_random_weights_and_copies(network):
    first, same, other = (
        proposal_net(None, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(first(image)[0], same(image)[0])
    assert not torch.equal(first(image)[0], other(image)[0])
    assert not network.training
    again = pickle.loads(pickle.dumps(network))  # noqa: S301
    assert torch.equal(again(image)[0], network(image)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_score": 1.5}, r"min_score must be in \[0, 1\], got 1.5"),
        ({"min_side": 11}, "min_side must be >= 12, got 11"),
        ({"min_side": float("nan")}, "min_side must be >= 12, got nan"),
        ({"min_side": float("inf")}, "min_side must be >= 12, got inf"),
        ({"factor": 1}, "factor must be between 0 and 1, got 1"),
        ({"factor": 0.0}, "factor must be between 0 and 1, got 0.0"),
        ({"image": torch.zeros(1, 3, 30, 30)}, r"image must be \(3, H, W\), got \(1,"),
        ({"image": torch.full((3, 30, 30), 255.0)}, r"images must lie in \[0, 1\]"),
    ],
)
def test_bad_arguments(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network.propose(**{"image": torch.zeros(3, 30, 30)} | arguments)


def test_other_weights():
    with pytest.raises(ValueError, match="weights must be 'mtcnn' or None, got 'b'"):
        proposal_net("b")

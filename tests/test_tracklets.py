"""Tracklets: determinism, what is known of each frame, twins, gaits."""

import pytest
import torch

from lesson_utils.data.tracklets import Tracklets, stack_tracklets


def clean(**keywords):
    return Tracklets(6, occluded=0, swapped=0, **keywords)


def test_an_item():
    data = Tracklets(4, cameras=3, frames=5)
    assert len(data) == 12
    images, identity = data[7]
    assert identity == 2
    assert images.shape == (5, 3, 40, 40)
    assert images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1


def test_the_same_index_is_the_same_video():
    first, again = Tracklets(6), Tracklets(6)
    again[3]
    for index in (0, 5, -1):
        assert torch.equal(first[index][0], again[index][0])
    other = Tracklets(6, seed=1)
    assert not torch.equal(first[0][0], other[0][0])
    assert not torch.equal(first[0][0], first[1][0])
    more = Tracklets(9, occluded=0, swapped=0)
    assert torch.equal(clean()[4][0], more[4][0])


def test_what_is_covered_and_what_is_wrong():
    data, plain = Tracklets(10, occluded=0.4, swapped=2), clean()
    for index in range(12):
        tracklet = data.describe(index)
        assert (tracklet.covered > 0).sum() == 4
        assert tracklet.wrong.sum() == 2
        assert not (tracklet.wrong & (tracklet.covered > 0)).any()
        assert tracklet.covered.max() <= 1
        # All other frames are those of the same walk without anybody in front.
        good = ~tracklet.wrong & (tracklet.covered == 0)
        same = plain.describe(index)
        assert torch.equal(tracklet.images[good], same.images[good])
        changed = (tracklet.images - same.images)[~good].abs().amax((1, 2, 3))
        assert changed.min() > 0.1
    hidden = [data.describe(k).covered for k in range(20)]
    typical = torch.cat([each[each > 0] for each in hidden]).mean()
    assert 0.3 < typical < 0.95


def test_occluded_frames_are_neighbors():
    covered = Tracklets(4, occluded=0.5).describe(0).covered > 0
    changes = (covered != covered.roll(1)).sum()
    assert changes == 2  # once in, once out, round the end


def test_a_gait_is_the_identitys_own():
    data = clean(cameras=2)
    first, again, other = (data.describe(k) for k in (0, 1, 2))
    assert (first.frequency, first.amplitude) == (again.frequency, again.amplitude)
    assert first.frequency != other.frequency
    lifted = first.centers[:, 1]
    assert lifted.max() - lifted.min() <= 2 * first.amplitude + 1e-4


def test_twins_look_alike_and_walk_differently():
    data = clean(cameras=1, twins=True)
    assert data._look(4) == data._look(5) != data._look(2)
    left, right = data.describe(4), data.describe(5)
    assert left.identity != right.identity
    assert left.frequency != right.frequency


def test_stacked():
    data = Tracklets(3, cameras=2, frames=4, occluded=0.25)
    images, identities, bad = stack_tracklets(data)
    assert images.shape == (6, 4, 3, 40, 40)
    assert images.dtype == torch.uint8
    assert identities.tolist() == [0, 0, 1, 1, 2, 2]
    assert ((bad > 0).sum(1) == 2).all()
    assert ((bad == 1).sum(1) >= 1).all()


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"num_identities": 1}, "num_identities must be"),
        ({"cameras": 0}, "cameras must be"),
        ({"frames": 1}, "frames must be"),
        ({"occluded": 1.5}, "occluded must lie"),
        ({"occluded": 0.9, "swapped": 2}, "frames must be at least 11"),
        ({"swapped": -1}, "swapped must be"),
        ({"image_size": 8}, "image_size must be"),
        ({"seed": 0.5}, "seed must be"),
    ],
)
def test_errors(keywords, words):
    with pytest.raises(ValueError, match=words):
        Tracklets(**{"num_identities": 4, **keywords})


def test_no_such_video():
    for index in (12, -13):
        with pytest.raises(IndexError, match="within 12 videos"):
            Tracklets(6)[index]

"""A single-shot detector: its layout, its losses, its training, and the measures."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import rpn

from lesson_utils import single_shot as ss
from lesson_utils.anchors import anchor_boxes, anchor_targets, encode_offsets
from lesson_utils.checks import single_shot as single_shot_checks
from lesson_utils.common import detections as measures
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.checkpoints import save_checkpoint
from lesson_utils.data.scenes import TYPES, Scenes, flip, stack_scenes
from tests.answers import ExerciseTests

TINY = {
    "image_size": 32,
    "stem_stride": 2,
    "widths": (4, 6, 8),
    "depths": (1, 1),
    "scales": ((0.2,), (0.4, 0.6)),
}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny(seed=0, classes=2, **changes):
    torch.manual_seed(seed)
    return ss.SingleShot(classes, **(TINY | changes))


@pytest.fixture(scope="module")
def scenes():
    return stack_scenes(Scenes(12, image_size=32, types=("fire", "water")))


class TestFlattenHead:
    def test_by_hand(self):
        output = torch.arange(2 * 6 * 1 * 2.0).view(2, 6, 1, 2)
        rows = ss.flatten_head(output, 3)
        assert rows.shape == (2, 4, 3)
        assert rows[0].tolist() == [[0, 2, 4], [6, 8, 10], [1, 3, 5], [7, 9, 11]]

    def test_a_pixel_finds_its_own_anchor(self):
        """A head that lights one anchor of one pixel lights its row of the anchors."""
        grid = anchor_boxes(3, 4, scales=[0.2, 0.4], ratios=[1])
        output = torch.zeros(1, 2 * 5, 3, 4)
        output[0, 5:, 1, 2] = 1  # the second anchor at row 1, column 2
        lit = ss.flatten_head(output, 5)[0].sum(dim=1).nonzero().item()
        x1, y1, x2, y2 = grid[lit].tolist()
        assert (x1 + x2) / 2 == pytest.approx(2.5 / 4)
        assert (y1 + y2) / 2 == pytest.approx(1.5 / 3)
        assert y2 - y1 == pytest.approx(0.4)

    @pytest.mark.parametrize(("shape", "values"), [((1, 4, 1, 3), 3), ((4, 3, 3), 2)])
    def test_errors(self, shape, values):
        with pytest.raises(ValueError, match="output must be"):
            ss.flatten_head(torch.zeros(shape), values)


class TestSingleShot:
    def test_shapes(self):
        model = ss.SingleShot(4).eval()
        logits, offsets = model(torch.zeros(2, 3, 96, 96, dtype=torch.uint8))
        anchors = 2 * (16**2 + 8**2 + 4**2)
        assert logits.shape == (2, anchors, 5)
        assert offsets.shape == (2, anchors, 4)
        assert model.anchors.shape == (anchors, 4)

    def test_every_pixel_of_the_picture_counts(self):
        model = tiny(stem_stride=4)
        images = rand(1, 3, 32, 32).requires_grad_()
        sum(part.square().sum() for part in model(images)).backward()
        assert (images.grad != 0).all()

    def test_a_map_without_scales_has_no_head(self):
        model = tiny(scales=((), (0.4, 0.6)))
        assert model.class_heads[0] is None
        assert model(rand(1, 3, 32, 32))[0].shape[1] == len(model.anchors) == 4 * 4 * 2

    def test_ratios(self):
        model = tiny(ratios=(1.0, 2.0))
        assert model(rand(1, 3, 32, 32))[0].shape[1] == len(model.anchors)

    def test_bytes_are_the_same_picture(self):
        model = tiny().eval()
        images = (rand(1, 3, 32, 32) * 255).byte()
        for ours, theirs in zip(model(images), model(images / 255), strict=True):
            torch.testing.assert_close(ours, theirs)

    def test_answers_move_with_the_picture(self):
        """What is seen four pixels further right is answered one pixel further on."""
        model = tiny(scales=((0.2,), ())).eval()
        images = torch.zeros(1, 3, 32, 32)
        images[..., 14:18, 10:14] = rand(3, 4, 4)
        rows = [model(x)[0].view(8, 8, 3) for x in (images, images.roll(4, dims=-1))]
        torch.testing.assert_close(rows[0][2:6, 2:5], rows[1][2:6, 3:6])

    def test_prior(self):
        model = tiny(prior=0.1)
        for head in model.class_heads:
            nn.init.zeros_(head.weight)
        background = model(rand(2, 3, 32, 32))[0].softmax(-1)[..., 0]
        torch.testing.assert_close(background, torch.full_like(background, 0.9))

    def test_no_prior(self):
        assert tiny(prior=None).class_heads[0].bias.unique().numel() > 2

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"classes": 0}, "num_classes"),
            ({"classes": 2.0}, "num_classes"),
            ({"scales": ((0.2,),)}, "one for each stage"),
            ({"depths": (1, 1, 1)}, "one for each stage"),
            ({"scales": ((), ())}, "some scales"),
            ({"image_size": 36}, "multiple of 8"),
            ({"image_size": 0}, "multiple of 8"),
            ({"prior": 0.0}, "prior"),
            ({"prior": 1.5}, "prior"),
            ({"scales": ((-0.2,), (0.4,))}, "scales"),
        ],
    )
    def test_errors(self, changes, words):
        with pytest.raises(ValueError, match=words):
            tiny(**changes)

    def test_a_picture_of_another_size(self):
        with pytest.raises(ValueError, match="images must be"):
            tiny()(torch.zeros(1, 3, 40, 40))


class TestPredict:
    def test_finds_what_it_was_told(self):
        """A network that answers with the targets finds the truths exactly."""
        model = tiny()
        labels = torch.tensor([[[1, 0.1, 0.1, 0.45, 0.5], [0, 0.5, 0.4, 0.9, 0.95]]])
        offsets, _, classes = anchor_targets(model.anchors, labels)
        model.forward = lambda images: (12 * F.one_hot(classes, 3).float(), offsets)
        (found,) = ss.predict(model, torch.zeros(1, 3, 32, 32))
        assert found.labels.sort().values.tolist() == [0, 1]
        for box, label in zip(found.boxes, found.labels, strict=True):
            truth = labels[0, labels[0, :, 0] == label, 1:][0]
            torch.testing.assert_close(box, truth, atol=1e-5, rtol=1e-5)
        assert measures.mean_average_precision([found], labels, num_classes=2) == 1

    def test_batches_make_no_difference(self, scenes):
        model = tiny()
        ones = ss.predict(model, scenes[0][:3], batch_size=1)
        all_ = ss.predict(model, scenes[0][:3])
        assert not model.training
        for one, other in zip(ones, all_, strict=True):
            torch.testing.assert_close(one.scores, other.scores)

    def test_no_pictures(self):
        assert ss.predict(tiny(), torch.zeros(0, 3, 32, 32)) == []

    def test_pictures_beyond_their_range(self):
        with pytest.raises(ValueError, match="images must lie in"):
            ss.predict(tiny(), 255 * rand(1, 3, 32, 32))


class TestHardNegativeMask:
    def test_by_hand(self):
        losses = torch.tensor([[0.1, 0.9, 0.5, 0.7, 0.3, 2.0]])
        positive = torch.tensor([[False] * 5 + [True]])
        mask = ss.hard_negative_mask(losses, positive, ratio=2)
        assert mask.tolist() == [[False, True, False, True, False, False]]

    def test_counts(self):
        losses, positive = rand(5, 300), rand(5, 300, seed=1) < 0.02
        mask = ss.hard_negative_mask(losses, positive)
        assert not (mask & positive).any()
        wanted = 3 * positive.sum(dim=1).clamp(min=1)
        assert torch.equal(mask.sum(dim=1), wanted)
        for row, chosen, real in zip(losses, mask, positive, strict=True):
            assert row[chosen].min() >= row[~chosen & ~real].max()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda x, p: (x, p[:, 1:], 3), "losses and is_positive"),
            (lambda x, p: (x[0], p[0], 3), "losses and is_positive"),
            (lambda x, p: (x, p.float(), 3), "boolean"),
            (lambda x, p: (x.fill_(math.nan), p, 3), "NaN"),
            (lambda x, p: (x, p, 0), "ratio"),
            (lambda x, p: (x, p, 1.5), "ratio"),
        ],
    )
    def test_errors(self, change, words):
        losses, positive, ratio = change(rand(2, 4), rand(2, 4) < 0.5)
        with pytest.raises(ValueError, match=words):
            ss.hard_negative_mask(losses, positive, ratio=ratio)


class TestLosses:
    logits = torch.randn(
        2, 40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    classes = torch.zeros(2, 40, dtype=torch.int64)
    classes[0, 3], classes[0, 30], classes[1, 7] = 1, 3, 2

    def test_mined_by_loop(self):
        total = 0.0
        for z, c in zip(self.logits, self.classes, strict=True):
            losses = [
                -zz.log_softmax(0)[cc].item() for zz, cc in zip(z, c, strict=True)
            ]
            real = [a for a in range(40) if c[a] > 0]
            rest = sorted((losses[a] for a in range(40) if c[a] == 0), reverse=True)
            total += sum(losses[a] for a in real) + sum(rest[: 3 * len(real)])
        ours = ss.mined_cross_entropy(self.logits, self.classes)
        assert ours.item() == pytest.approx(total / 3)


SHORT = {"steps": 3, "batch_size": 4, "progress": False}


class TestTrain:
    def test_learns(self, scenes):
        model = tiny()
        history = ss.train(model, *scenes, steps=40, batch_size=6, progress=False)
        assert not model.training
        for losses in history.values():
            assert len(losses) == 40
            assert sum(losses[-5:]) < 0.7 * sum(losses[:5])

    def test_a_resumed_run_is_the_whole_one(self, scenes, tmp_path):
        whole, part = tiny(), tiny()
        history = ss.train(whole, *scenes, **SHORT)
        path = tmp_path / "run.pt"

        def stop_at_the_last(*batch, generator):
            if path.exists():
                raise KeyboardInterrupt
            return flip(*batch, generator=generator)

        with pytest.raises(KeyboardInterrupt):
            ss.train(
                part, *scenes, **SHORT,
                checkpoint=path, save_every=2, augment=stop_at_the_last,
            )  # fmt: skip
        fresh = tiny(seed=9)
        assert ss.train(fresh, *scenes, **SHORT, checkpoint=path) == history
        for one, other in zip(
            whole.state_dict().values(), fresh.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(one, other)

    def test_a_checkpoint_of_another_run(self, scenes, tmp_path):
        path = tmp_path / "run.pt"
        ss.train(tiny(), *scenes, **SHORT, checkpoint=path)
        with pytest.raises(ValueError, match="seed is 0 there and 1 here"):
            ss.train(tiny(), *scenes, **SHORT, checkpoint=path, seed=1)
        save_checkpoint(path, {"rows": []})
        with pytest.raises(ValueError, match="checkpoint must be of this run"):
            ss.train(tiny(), *scenes, **SHORT, checkpoint=path)

    def test_padding_alone(self, scenes):
        """Pictures of nothing are a valid batch: they teach what background is."""
        empty = torch.full_like(scenes[1], -1.0)
        history = ss.train(tiny(), scenes[0], empty, **SHORT)
        assert all(math.isfinite(v) for v in history["class_loss"])
        assert history["box_loss"] == [0, 0, 0]

    def test_stops_when_the_loss_is_no_number(self, scenes):
        def broken(logits, classes):
            return logits.sum() * math.nan

        with pytest.raises(FloatingPointError, match="class_loss is nan at step 1"):
            ss.train(tiny(), *scenes, **SHORT, class_loss=broken)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda i, t: (i[:3], t, {}), "labels must be"),
            (lambda i, t: (i[:0], t[:0], {}), "labels must be"),
            (lambda i, t: (i, t[0], {}), "labels must be"),
            (
                lambda i, t: (i, t + torch.tensor([9.0, 0, 0, 0, 0]), {}),
                "classes below 2",
            ),
            (lambda i, t: (i.float(), t, {}), "images must lie"),
            (lambda i, t: (i, t, {"steps": 0}), "steps"),
            (lambda i, t: (i, t, {"batch_size": 0}), "batch_size"),
            (lambda i, t: (i, t, {"learning_rate": math.nan}), "learning_rate"),
        ],
    )
    def test_errors(self, scenes, change, words):
        images, labels, options = change(*scenes)
        with pytest.raises(ValueError, match=words):
            ss.train(tiny(), images, labels, **(SHORT | options))

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu(self, scenes):
        model = tiny()
        history = ss.train(model, *scenes, **SHORT)
        assert next(model.parameters()).device.type == "cuda"
        assert all(math.isfinite(v) for v in history["class_loss"])
        assert ss.predict(model, scenes[0])[0].boxes.device.type == "cpu"


def test_the_detector_that_was_trained_for_long():
    """Better than a page's own training, by a margin that its card says, too."""
    model = ss.scene_detector()
    images, labels = stack_scenes(Scenes(30, seed=99, image_size=96))
    found = ss.predict(model, images)
    value = measures.mean_average_precision(found, labels, num_classes=4)
    card = json.loads((WEIGHTS / "scene_detector.json").read_text(encoding="utf-8"))
    assert model.classes == TYPES
    assert value > 0.8
    assert card["map50"] > 0.85


def test_the_study_says_what_the_chapter_needs():
    """The study's variants run; its table holds them all."""
    from lesson_utils.common.studies import read_study
    from studies import single_shot as study_single_shot

    study = read_study("single_shot")
    names = {row["variant"] for row in study["rows"]}
    assert names == {variant.name for variant in study_single_shot.VARIANTS}
    usual = [row["map50"] for row in study["rows"] if row["variant"] == "as it is"]
    assert len(usual) >= 3
    assert min(usual) > 0.5


def test_the_wrong_order_of_the_study_is_a_reshape_without_permute():
    from studies.single_shot import WrongOrder

    output = torch.arange(10.0 * 256).view(1, 10, 16, 16)
    rows = torch.cat([ss.flatten_head(output, 5), torch.zeros(1, 160, 5)], dim=1)
    mixed = WrongOrder(4)._mix(rows)[:, :512]
    assert torch.equal(mixed, output.reshape(1, -1, 5))


# The exercises: right answers written in another way than the module's.


def flatten_head_by_blocks(output, values):
    batch, channels, height, width = output.shape
    if channels % values:
        raise ValueError("channels")
    blocks = output.split(values, dim=1)  # one for each anchor of a pixel
    rows = torch.stack([block.flatten(2).mT for block in blocks], dim=2)
    return rows.reshape(batch, height * width * len(blocks), values)


def hard_negative_mask_by_topk(losses, is_positive, ratio=3):
    if losses.shape != is_positive.shape or losses.isnan().any():
        raise ValueError("losses")
    mask = torch.zeros_like(is_positive)
    for row, positive, chosen in zip(losses, is_positive, mask, strict=True):
        background = (~positive).nonzero().flatten()
        number = ratio * max(int(positive.sum()), 1)
        order = row[background].sort(descending=True, stable=True).indices
        chosen[background[order[:number]]] = True
    return mask


def average_precision_by_numpy(scores, is_right, num_truths):
    if len(scores) != len(is_right) or scores.isnan().any():
        raise ValueError("scores")
    if num_truths < 1 or is_right.sum() > num_truths:
        raise ValueError("num_truths")
    area = best = 0.0
    order = sorted(range(len(scores)), key=lambda k: -scores[k].item())
    right = [is_right[k].item() for k in order]
    for number in range(len(right), 0, -1):  # from the least sure one up
        best = max(best, sum(right[:number]) / number)
        area += right[number - 1] * best / num_truths
    return area


RIGHT = {
    "flatten_head": flatten_head_by_blocks,
    "hard_negative_mask": hard_negative_mask_by_topk,
    "average_precision": average_precision_by_numpy,
}


def _ranked(function):
    def answer(losses, is_positive, ratio=3):
        if losses.shape != is_positive.shape or losses.isnan().any():
            raise ValueError("losses")
        return function(losses, is_positive, ratio)

    return answer


def _one_topk_for_all(losses, is_positive, ratio):
    masked = torch.where(is_positive, torch.tensor(-1.0).to(losses), losses)
    number = min(ratio * max(1, int(is_positive.sum())), int((~is_positive).sum()))
    flat = torch.zeros(losses.numel(), dtype=torch.bool)
    flat[masked.flatten().sort(descending=True, stable=True).indices[:number]] = True
    return flat.view_as(is_positive) & ~is_positive


def _area(right, truths):
    hits = right.float().cumsum(0)
    precision = hits / torch.arange(1, len(hits) + 1)
    envelope = precision.flip(0).cummax(0).values.flip(0)
    return (envelope * right).sum() / truths


def largest_of_background(losses, is_positive, ratio):
    mask = torch.zeros_like(is_positive)
    for row, objects, kept in zip(losses, is_positive, mask, strict=True):
        rows = torch.where(~objects)[0]
        wanted = ratio * max(1, objects.count_nonzero().item())
        kept[rows[row[rows].topk(min(wanted, len(rows)))[1]]] = True
    return mask


def _guarded(function):
    def answer(scores, is_right, num_truths):
        if len(scores) != len(is_right) or scores.isnan().any():
            raise ValueError("scores")
        if num_truths < max(1, int(is_right.sum())):
            raise ValueError("num_truths")
        return function(scores, is_right, num_truths)

    return answer


WRONG = {
    "flatten_head": [
        (lambda o, v: o.flatten(1).unflatten(1, (-1, v)), "as it lies"),
        (
            lambda o, v: o.transpose(1, 3).flatten(1).unflatten(1, (-1, v)),
            "Rows and columns",
        ),
        (
            lambda o, v: (
                o.unflatten(1, (v, -1)).flatten(3).permute(0, 3, 2, 1).flatten(1, 2)
            ),
            "same value",
        ),
        (
            lambda o, v: o.unflatten(1, (-1, v)).flatten(3).mT.flatten(1, 2),
            "All pixels of the first anchor",
        ),
        (lambda o, v: o.movedim(1, -1).reshape(-1, v), "run together"),
        (
            lambda o, v: o.movedim(1, -1).reshape(o.shape[0], -1, v),
            "no groups of three",
        ),
    ],
    "hard_negative_mask": [
        (_ranked(lambda x, p, r: largest_of_background(x, p, r)), "`topk` takes any"),
        (
            _ranked(lambda x, p, r: hard_negative_mask_by_topk(x, p, r) | p),
            "background alone",
        ),
        (
            _ranked(
                lambda x, p, r: (
                    (
                        x.argsort(1, descending=True).argsort(1)
                        < r * p.sum(1, keepdim=True).clamp(min=1)
                    )
                    & ~p
                )
            ),
            "take places",
        ),
        (
            _ranked(lambda x, p, r: hard_negative_mask_by_topk(-x, p, r)),
            "the easy ones",
        ),
        (_ranked(_one_topk_for_all), "all pictures together"),
        (
            _ranked(
                lambda x, p, r: (
                    hard_negative_mask_by_topk(x, p, r) & p.any(1, keepdim=True)
                )
            ),
            "teaches nothing",
        ),
        (
            lambda x, p, ratio=3: hard_negative_mask_by_topk(x.nan_to_num(9), p, ratio),
            "NaN is sorted",
        ),
    ],
    "average_precision": [
        (
            _guarded(
                lambda s, r, n: (
                    sum(
                        r[s.argsort(descending=True)][: k + 1].float().mean()
                        * r[s.argsort(descending=True)][k]
                        for k in range(len(s))
                    )
                    / n
                )
            ),
            "take each precision as it is",
        ),
        (
            _guarded(
                lambda s, r, n: _area(
                    r[s.argsort(descending=True, stable=True)], max(1, int(r.sum()))
                )
            ),
            "missed have to cost",
        ),
        (_guarded(lambda s, r, n: _area(r, n)), "not sorted"),
        (
            _guarded(lambda s, r, n: _area(r[s.argsort(stable=True)], n)),
            "least sure detection",
        ),
        (
            lambda s, r, n: average_precision_by_numpy(s, r, n) if n else 0.0,
            "0 would be a verdict",
        ),
    ],
}


def flatten_head_of_torchvision(output, values):
    batch, channels, height, width = output.shape
    anchors = channels // values
    return rpn.permute_and_flatten(output, batch, anchors, values, height, width)


def hard_negative_mask_plainly(losses, is_positive, *, ratio=3):
    masked = losses.clone()
    masked[is_positive] = -math.inf
    order = masked.argsort(dim=1, descending=True)
    rank = order.argsort(dim=1)
    return (rank < ratio * is_positive.sum(1, keepdim=True)) & ~is_positive


def hard_negative_mask_of_torchvision(losses, is_positive, *, ratio=3):
    # As torchvision's SSD picks them in `compute_loss`.
    foreground = is_positive.sum(1, keepdim=True)
    negative = losses.clone()
    negative[is_positive] = -float("inf")
    _, order = negative.sort(1, descending=True)
    return order.sort(1)[1] < ratio * foreground


def average_precision_plainly(scores, is_right, num_truths):
    right = is_right[scores.argsort(descending=True)].float()
    hits = right.cumsum(0)
    precision = hits / torch.arange(1, len(hits) + 1)
    recall = hits / num_truths
    area, before = 0.0, 0.0
    for k in range(len(hits)):
        area += (recall[k] - before) * precision[k:].max()
        before = recall[k]
    return area


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "flatten_head": lambda output, values: output.permute(0, 2, 3, 1).reshape(
        len(output), -1, values
    ),
    "hard_negative_mask": hard_negative_mask_plainly,
    "average_precision": average_precision_plainly,
}
LIBRARY = {
    "flatten_head": flatten_head_of_torchvision,
    "hard_negative_mask": hard_negative_mask_of_torchvision,
    "average_precision": "scikit-learn's counts no missed truths and fills no dents",
}


class TestExercises(ExerciseTests):
    checks, right, wrong = single_shot_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY


def test_offsets_and_anchors_agree_with_the_chapter_before():
    """The rows of the offsets are those of the anchors: the loss sees pairs."""
    model = tiny()
    labels = torch.tensor([[[0, 0.3, 0.3, 0.6, 0.7]]])
    offsets, mask, _ = anchor_targets(model.anchors, labels)
    bound = mask[0]
    truth = labels[0, :, 1:].expand(int(bound.sum()), 4)
    encoded = encode_offsets(model.anchors[bound], truth)
    torch.testing.assert_close(offsets[0, bound], encoded)

"""DETR: detection as set prediction, tested."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn
from torchvision import ops

from lesson_utils import detr
from lesson_utils.checks import detr as detr_checks
from lesson_utils.common import set_prediction as sets
from lesson_utils.common import transformer
from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.boxes import cxcywh_to_xyxy
from lesson_utils.common.studies import read_study
from tests.answers import ExerciseTests

DICE = torch.Generator().manual_seed(0)


def rand(*shape, dtype=torch.float32):
    return torch.rand(shape, generator=DICE, dtype=dtype)


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=DICE, dtype=dtype)


def some_boxes(*shape, dtype=torch.float32):
    return torch.cat([rand(*shape, 2, dtype=dtype), 0.1 + 0.4 * rand(*shape, 2)], -1)


class TestHungarian:
    def test_by_hand(self):
        cost = torch.tensor([[4.0, 1, 3], [2, 0, 5], [3, 2, 2]])
        rows, columns = sets.hungarian(cost)
        assert rows.tolist() == [0, 1, 2]
        assert columns.tolist() == [
            1,
            0,
            2,
        ]  # 1 + 2 + 2; the greedy one costs 0 + 2 + 4

    @pytest.mark.parametrize("ties", [False, True])
    def test_costs_what_scipys_costs(self, ties):
        for _ in range(500):
            n, m = torch.randint(1, 10, (2,), generator=DICE).tolist()
            cost = 10 * randn(n, m, dtype=torch.float64)
            cost = (cost / 4).round() if ties else cost
            rows, columns = sets.hungarian(cost)
            theirs = linear_sum_assignment(cost.numpy())
            assert len(rows) == len(set(columns.tolist())) == min(n, m)
            assert rows.tolist() == sorted(set(rows.tolist()))
            ours = cost[rows, columns].sum().item()
            assert ours == pytest.approx(cost.numpy()[theirs].sum(), abs=1e-9)

    def test_costs_what_trying_all_costs(self):
        for n, m in ((3, 3), (2, 5), (5, 3)):
            cost = randn(n, m, dtype=torch.float64)
            wide = cost if n <= m else cost.T
            least = min(
                sum(wide[i, j].item() for i, j in enumerate(columns))
                for columns in itertools.permutations(range(max(n, m)), min(n, m))
            )
            assert cost[sets.hungarian(cost)].sum().item() == pytest.approx(least)

    def test_empty_whole_numbers_and_huge(self):
        for shape in ((0, 3), (3, 0), (0, 0)):
            assert [len(part) for part in sets.hungarian(torch.zeros(shape))] == [0, 0]
        assert sets.hungarian(torch.tensor([[2, 1], [1, 2]]))[1].tolist() == [1, 0]
        cost = torch.tensor([[1e30, -1e30], [0.0, 5.0]])
        assert sets.hungarian(cost)[1].tolist() == [1, 0]

    def test_errors(self):
        for bad in (math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match="cost must be finite"):
                sets.hungarian(torch.tensor([[1.0, bad], [0, 2]]))
        with pytest.raises(ValueError, match="cost must be"):
            sets.hungarian(torch.zeros(3))


class TestMatch:
    def test_finds_what_was_shuffled(self):
        boxes, order = some_boxes(6), torch.randperm(6, generator=DICE)
        labels = torch.arange(6) % 3
        logits = 4 * F.one_hot(labels, 4).float()
        matched = sets.match(logits, boxes, labels[order], boxes[order])
        assert torch.equal(matched, order)

    def test_a_batch_is_its_pictures(self):
        logits, boxes = randn(2, 3, 5, 4), some_boxes(2, 3, 5)
        labels = torch.tensor([[0, 2, 1], [1, -1, -1], [-1, 0, 2]])
        targets = some_boxes(3, 3)
        together = sets.match(logits, boxes, labels, targets)  # (2, 3, 3)
        for layer, picture in itertools.product(range(2), range(3)):
            real = labels[picture] >= 0
            alone = sets.match(
                logits[layer, picture],
                boxes[layer, picture],
                labels[picture][real],
                targets[picture][real],
            )
            assert torch.equal(together[layer, picture][real], alone)
            assert (together[layer, picture][~real] == -1).all()

    def test_nothing(self):
        none = torch.zeros(0, dtype=torch.int64)
        assert sets.match(randn(5, 4), some_boxes(5), none, some_boxes(0)).shape == (0,)
        labels = torch.full((2, 3), -1)
        matched = sets.match(randn(2, 5, 4), some_boxes(2, 5), labels, some_boxes(2, 3))
        assert (matched == -1).all()

    def test_weights_decide(self):
        logits = torch.tensor([[0.0, 9, 0], [9, 0, 0]])
        boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.2, 0.2]])
        target = torch.tensor([0]), boxes[:1]
        assert sets.match(logits, boxes, *target, weights=(1, 5, 2)).item() == 0
        assert sets.match(logits, boxes, *target, weights=(9, 1, 1)).item() == 1

    def test_errors(self):
        with pytest.raises(ValueError, match="at most one for each of 2 queries"):
            sets.match(randn(2, 4), some_boxes(2), torch.arange(3), some_boxes(3))
        bad = randn(2, 4)
        bad[0, 0] = math.nan
        with pytest.raises(ValueError, match="logits must be numbers"):
            sets.match(bad, some_boxes(2), torch.arange(2), some_boxes(2))
        bad = some_boxes(2)
        bad[0, 0] = math.nan
        with pytest.raises(ValueError, match="boxes must be numbers"):
            sets.match(randn(2, 4), bad, torch.arange(2), some_boxes(2))
        with pytest.raises(ValueError, match="target_labels must be below 3"):
            sets.match(randn(2, 4), some_boxes(2), torch.tensor([3]), some_boxes(1))
        with pytest.raises(ValueError, match="target_boxes must be"):
            sets.match(randn(2, 4), some_boxes(2), torch.arange(2), some_boxes(1))


class TestSetLoss:
    def test_is_torchs(self):
        logits, boxes = randn(7, 4).requires_grad_(), some_boxes(7).requires_grad_()
        labels, targets = torch.tensor([2, 0, 1]), some_boxes(3)
        matched = torch.tensor([5, 0, 3])
        ours = sets.set_loss(logits, boxes, labels, targets, matched, no_object=0.2)
        classes = torch.tensor([0, 3, 3, 1, 3, 2, 3])
        weight = torch.tensor([1, 1, 1, 0.2])
        pairs = cxcywh_to_xyxy(boxes[matched]), cxcywh_to_xyxy(targets)
        theirs = (
            F.cross_entropy(logits, classes, weight=weight),
            F.l1_loss(boxes[matched], targets, reduction="sum") / 3,
            ops.generalized_box_iou_loss(*pairs, reduction="mean"),
        )
        for one, other, inputs in zip(
            ours, theirs, (logits, boxes, boxes), strict=True
        ):
            torch.testing.assert_close(one, other)
            slopes = [
                torch.autograd.grad(x, inputs, retain_graph=True)[0]
                for x in (one, other)
            ]
            torch.testing.assert_close(*slopes)

    def test_padding_changes_nothing(self):
        logits, boxes = randn(2, 5, 4), some_boxes(2, 5)
        labels, targets = torch.tensor([[1, 0], [2, 1]]), some_boxes(2, 2)
        matched = torch.tensor([[3, 1], [0, 4]])
        plain = sets.set_loss(logits, boxes, labels, targets, matched)
        more = torch.full((2, 2), -1)
        padded = sets.set_loss(
            logits,
            boxes,
            torch.cat([labels, more], 1),
            torch.cat([targets, torch.zeros(2, 2, 4)], 1),
            torch.cat([matched, more], 1),
        )
        torch.testing.assert_close(plain, padded)

    def test_no_target(self):
        logits, boxes = randn(3, 4), some_boxes(3).requires_grad_()
        none = torch.zeros(0, dtype=torch.int64)
        losses = sets.set_loss(logits, boxes, none, some_boxes(0), none)
        assert losses[0].item() == pytest.approx(
            -logits.log_softmax(-1)[:, -1].mean().item(), rel=1e-5
        )
        assert [each.item() for each in losses[1:]] == [0, 0]

    def test_order_of_queries_does_not_matter(self):
        logits, boxes = randn(6, 4), some_boxes(6)
        targets = torch.tensor([1, 2]), some_boxes(2)
        order = torch.randperm(6, generator=DICE)
        losses = [
            sets.set_loss(*answers, *targets, sets.match(*answers, *targets))
            for answers in ((logits, boxes), (logits[order], boxes[order]))
        ]
        torch.testing.assert_close(*losses)

    def test_gradient(self):
        logits = randn(4, 3, dtype=torch.float64).requires_grad_()
        boxes = some_boxes(4, dtype=torch.float64).double().requires_grad_()
        rest = (
            torch.tensor([0, 1]),
            some_boxes(2, dtype=torch.float64).double(),
            torch.tensor([2, 0]),
        )
        assert torch.autograd.gradcheck(
            lambda a, b: sets.set_loss(a, b, *rest), (logits, boxes)
        )

    def test_errors(self):
        logits, boxes, labels = randn(3, 4), some_boxes(3), torch.tensor([0, 1])
        targets = some_boxes(2)
        for matched, words in (
            ([0, 3], "matched must be of 3 queries"),
            ([0, -1], "matched must be of 3 queries"),
            ([1, 1], "matched must have no query twice"),
            ([1], "matched must be one query for each target"),
        ):
            with pytest.raises(ValueError, match=words):
                sets.set_loss(logits, boxes, labels, targets, torch.tensor(matched))
        with pytest.raises(ValueError, match="no_object must be"):
            sets.set_loss(
                logits, boxes, labels, targets, torch.tensor([0, 1]), no_object=0
            )


class TestAttention:
    @pytest.mark.parametrize("heads", [1, 2, 4])
    def test_is_torchs(self, heads):
        torch.manual_seed(0)
        theirs = nn.MultiheadAttention(8, heads, batch_first=True)
        ours = transformer.MultiHeadAttention(8, heads)
        ours.load_state_dict(theirs.state_dict())  # the names are the same
        q, k, v = (randn(2, n, 8) for n in (3, 5, 5))
        found, weights = ours(q, k, v)
        their_found, their_weights = theirs(q, k, v, average_attn_weights=False)
        torch.testing.assert_close(found, their_found)
        torch.testing.assert_close(weights, their_weights)
        assert weights.shape == (2, heads, 3, 5)

    def test_order_of_keys_does_not_matter(self):
        attention = transformer.MultiHeadAttention(8, 2)
        q, k, order = randn(1, 3, 8), randn(1, 5, 8), torch.randperm(5, generator=DICE)
        torch.testing.assert_close(
            attention(q, k, k)[0], attention(q, k[:, order], k[:, order])[0]
        )

    def test_gradient(self):
        weights = [randn(12, 4), randn(12), randn(4, 4), randn(4)]
        inputs = [randn(1, n, 4) for n in (2, 3, 3)]
        inputs = [each.double().requires_grad_() for each in (*inputs, *weights)]
        assert torch.autograd.gradcheck(
            lambda *args: transformer.multi_head_attention(*args, heads=2)[0], inputs
        )

    def test_errors(self):
        with pytest.raises(ValueError, match="multiple of 3 heads"):
            transformer.MultiHeadAttention(8, 3)
        attention = transformer.MultiHeadAttention(8, 2)
        with pytest.raises(ValueError, match="keys must be"):
            attention(randn(1, 3, 8), randn(1, 5, 4), randn(1, 5, 4))
        with pytest.raises(ValueError, match="values must be"):
            attention(randn(1, 3, 8), randn(1, 5, 8), randn(1, 4, 8))
        arguments = (randn(1, 2, 8),) * 3, (randn(24, 8), randn(24)), (randn(8, 8),)
        with pytest.raises(ValueError, match="multiple of 3 heads"):
            transformer.multi_head_attention(*sum(arguments, ()), randn(8), heads=3)


class TestLayers:
    def test_the_encoder_is_torchs(self):
        torch.manual_seed(0)
        theirs = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0, batch_first=True, norm_first=True
        ).eval()
        ours = transformer.EncoderLayer(8, 2, 16)
        ours.attention.load_state_dict(theirs.self_attn.state_dict())
        ours.alone[0].load_state_dict(theirs.linear1.state_dict())
        ours.alone[2].load_state_dict(theirs.linear2.state_dict())
        x = randn(2, 5, 8)
        torch.testing.assert_close(ours(x, torch.zeros(5, 8)), theirs(x))

    def test_the_decoder_is_torchs(self):
        torch.manual_seed(0)
        theirs = nn.TransformerDecoderLayer(
            8, 2, 16, dropout=0, batch_first=True, norm_first=True
        ).eval()
        ours = transformer.DecoderLayer(8, 2, 16)
        ours.among.load_state_dict(theirs.self_attn.state_dict())
        ours.across.load_state_dict(theirs.multihead_attn.state_dict())
        ours.alone[0].load_state_dict(theirs.linear1.state_dict())
        ours.alone[2].load_state_dict(theirs.linear2.state_dict())
        x, memory = randn(2, 3, 8), randn(2, 5, 8)
        found, weights = ours(x, torch.zeros(3, 8), memory, torch.zeros(5, 8))
        torch.testing.assert_close(found, theirs(x, memory))
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3))


class TestSinePositions:
    def test_by_hand(self):
        root = math.sqrt(0.5)
        expected = [[root, root, 0, -1], [root, -root, 0, -1]]
        expected += [[-root, -root, 0, -1], [-root, root, 0, -1]]
        torch.testing.assert_close(
            transformer.sine_positions(4, 1, 4), torch.tensor(expected)
        )

    def test_tells_all_positions_apart(self):
        positions = transformer.sine_positions(8, 8, 64)
        assert positions.shape == (64, 64)
        assert F.pdist(positions).min() > 0.5
        assert positions.abs().max() <= 1

    def test_looks_alike_at_neighbors(self):
        p = transformer.sine_positions(8, 8, 64).view(8, 8, 64)
        here = (p * p[3, 4]).sum(-1)
        assert here.argmax() == 3 * 8 + 4
        assert here[3, 5] > here[3, 6] > here[3, 7]

    def test_errors(self):
        with pytest.raises(ValueError, match="multiple of 4"):
            transformer.sine_positions(2, 2, 6)
        with pytest.raises(ValueError, match="height must be"):
            transformer.sine_positions(0, 2, 8)
        with pytest.raises(ValueError, match="temperature must be"):
            transformer.sine_positions(2, 2, 8, temperature=0)


def small_detr(**sizes):
    torch.manual_seed(0)
    return detr.Detr(2, image_size=24, dim=16, hidden=16, **sizes)


class TestDetr:
    def test_shapes(self):
        network = small_detr(num_queries=5, decoder=2)
        images = (255 * rand(3, 3, 24, 24)).byte()
        logits, boxes, attention = network(images)
        assert logits.shape == (2, 3, 5, 3)
        assert boxes.shape == (2, 3, 5, 4)
        assert attention.shape == (2, 3, 5, 4)
        assert ((boxes > 0) & (boxes < 1)).all()
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, 3, 5))

    def test_takes_features(self):
        network = small_detr().eval()
        images = rand(2, 3, 24, 24)
        features = network.features(images)
        assert features.shape == (2, 416, 2, 2)
        torch.testing.assert_close(network(features), network(images))

    def test_order_of_queries_does_not_matter(self):
        network = small_detr().eval()
        images, order = rand(2, 3, 24, 24), torch.randperm(10, generator=DICE)
        before = network(images)
        with torch.no_grad():
            network.queries.copy_(network.queries[order].clone())
        after = network(images)
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one[:, :, order], other)

    def test_learns(self):
        images = 0.3 * rand(16, 3, 24, 24)
        labels = torch.full((16, 2, 5), -1.0)
        for number in range(16):
            left = 2 + number % 8
            images[number, number % 2, 6:16, left : left + 10] = 1
            box = torch.tensor([left, 6, left + 10, 16]) / 24
            labels[number, 0] = torch.cat([torch.tensor([number % 2]), box])
        network = small_detr(num_queries=3, decoder=2)
        steps = []
        history = detr.train(
            network, images, labels, steps=40, batch_size=16, augment=None,
            after=steps.append, progress=False,
        )  # fmt: skip
        assert steps == list(range(1, 41))
        total = np.sum([history[name] for name in history], axis=0)
        assert total[-1] < 0.6 * total[0]
        assert not network.training
        found = detr.predict(network, images)
        assert [len(each.scores) for each in found] == [3] * 16
        assert all((each.scores.diff() <= 0).all() for each in found)
        assert all(each.boxes.min() >= 0 and each.boxes.max() <= 1 for each in found)
        few = detr.predict(network, images, score_threshold=0.9)
        assert sum(len(each.scores) for each in few) < 48
        assert detr.predict(network, images[:0]) == []

    def test_finds_what_the_last_layer_says(self):
        network = small_detr()
        logits = torch.zeros(3, 1, 2, 3)  # layers, pictures, queries, classes
        logits[:2, :, :, 2] = 9
        logits[2, 0, 0, 0], logits[2, 0, 1, 1] = math.log(3), math.log(8)
        boxes = torch.full((3, 1, 2, 4), 0.9)
        boxes[2, 0] = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.1, 0.5, 0.4, 0.2]])
        network.forward = lambda images: detr.Answers(logits, boxes, logits)
        (found,) = detr.predict(network, rand(1, 3, 24, 24))
        assert found.labels.tolist() == [1, 0]
        torch.testing.assert_close(found.scores, torch.tensor([8 / 10, 3 / 5]))
        corners = torch.tensor([[0, 0.4, 0.3, 0.6], [0.4, 0.3, 0.6, 0.7]])
        torch.testing.assert_close(found.boxes, corners)

    def first_step(self, network, look, **options):
        """Train, as long as by default, and stop when one step is taken."""
        labels = torch.tensor([1, 0.2, 0.2, 0.7, 0.8]).expand(4, 1, 5)

        def stop(step):
            look()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            detr.train(
                network, rand(4, 3, 24, 24), labels, after=stop, progress=False,
                **options,
            )  # fmt: skip

    def test_the_first_step_moves_each_weight_by_its_rate(self):
        """The rate rises to its peak in a fifth of 400 steps; the trunk's is half."""
        network = small_detr(num_queries=2, decoder=1)
        before = {name: p.clone() for name, p in network.named_parameters()}
        moved = {True: 0.0, False: 0.0}

        def look():
            for name, p in network.named_parameters():
                trunk = name.startswith(("stem", "stages"))
                moved[trunk] = max(moved[trunk], (p - before[name]).abs().max().item())

        self.first_step(network, look, learning_rate=4.01, weight_decay=0.0)
        rate = 4.01 * (1 / 401) / 0.2
        assert moved[False] == pytest.approx(rate, rel=1e-4)
        assert moved[True] == pytest.approx(rate / 2, rel=1e-4)

    @pytest.mark.parametrize(("options", "norm"), [({}, 1.0), ({"clip": 0.5}, 0.5)])
    def test_gradients_are_clipped(self, options, norm):
        network, found = small_detr(num_queries=2, decoder=1), []

        def look():
            slopes = [p.grad.flatten() for p in network.parameters()]
            found.append(torch.cat(slopes).norm().item())

        self.first_step(network, look, **options)
        assert found == [pytest.approx(norm, rel=1e-4)]

    def test_a_run_goes_on(self, tmp_path):
        images, labels = rand(8, 3, 24, 24), torch.full((8, 1, 5), -1.0)
        labels[:, 0] = torch.tensor([1, 0.2, 0.2, 0.7, 0.8])
        common = {"steps": 4, "batch_size": 4, "progress": False}
        whole = small_detr(num_queries=2, decoder=1)
        detr.train(whole, images, labels, **common)
        file = tmp_path / "run.pt"

        def stop(step):
            if step == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            detr.train(
                small_detr(num_queries=2, decoder=1), images, labels, after=stop,
                checkpoint=file, save_every=2, **common,
            )  # fmt: skip
        again = small_detr(num_queries=2, decoder=1)
        detr.train(again, images, labels, checkpoint=file, save_every=2, **common)
        for one, other in zip(whole.parameters(), again.parameters(), strict=True):
            assert torch.equal(one, other)

    def test_errors(self):
        network = small_detr(num_queries=1)
        with pytest.raises(ValueError, match="images must be"):
            network(rand(1, 3, 32, 32))
        images, labels = rand(2, 3, 24, 24), torch.zeros(2, 2, 5)
        labels[..., 3:] = 0.5
        with pytest.raises(ValueError, match="at most one for each of 1 queries"):
            detr.train(network, images, labels, steps=1, progress=False)
        with pytest.raises(ValueError, match="labels must be of classes below 2"):
            detr.train(network, images, labels + 2, steps=1, progress=False)
        for name in ("learning_rate", "clip"):
            with pytest.raises(ValueError, match=f"{name} must be"):
                detr.train(network, images, labels, **{name: 0})
        with pytest.raises(ValueError, match="num_queries must be"):
            small_detr(num_queries=0)


class TestBundled:
    def test_card(self):
        network = detr.scene_detr()
        card = verified_card(WEIGHTS / "scene_detr.safetensors")
        assert network.classes == tuple(card["classes"])
        assert (WEIGHTS / "scene_detr.safetensors").stat().st_size < 1_500_000
        steps = [row["steps"] for row in card["curve"] if row["part"] == "all"]
        assert steps[-1] == card["tuning_steps"]

    def test_study(self):
        from studies.detr import RATES

        rows = read_study("detr")["rows"]
        assert {row["network"] for row in rows} == set(RATES)


# Exercises --------------------------------------------------------------------------


def refuse(logits, boxes, target_labels):
    if not (logits.isfinite().all() and boxes.isfinite().all()):
        raise ValueError("not finite")
    if (target_labels >= logits.shape[1] - 1).any():
        raise ValueError("no such class")


def plain_costs(logits, boxes, target_labels, target_boxes):
    p = F.softmax(logits, dim=1)
    giou = ops.generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes))
    return 5 * torch.cdist(boxes, target_boxes, p=1) - p[:, target_labels] - 2 * giou


def careful_costs(logits, boxes, target_labels, target_boxes):
    refuse(logits, boxes, target_labels)
    refuse(logits, target_boxes, target_labels)
    odds = torch.exp(logits - torch.logsumexp(logits, 1, keepdim=True))
    columns = []
    for label, target in zip(target_labels, target_boxes, strict=True):
        wanted = cxcywh_to_xyxy(target[None])
        giou = ops.generalized_box_iou(cxcywh_to_xyxy(boxes), wanted)[:, 0]
        columns.append(-odds[:, label] + 5 * (boxes - target).abs().sum(1) - 2 * giou)
    return torch.stack(columns, 1) if columns else logits.new_zeros(len(logits), 0)


def torch_costs(logits, boxes, target_labels, target_boxes):
    pairs = [
        each.flatten(0, 1)
        for each in torch.broadcast_tensors(boxes[:, None], target_boxes[None])
    ]
    giou = 1 - ops.generalized_box_iou_loss(*map(cxcywh_to_xyxy, pairs))
    sure = logits.softmax(1)[:, target_labels]
    return 5 * torch.cdist(boxes, target_boxes, p=1) - sure - 2 * giou.view_as(sure)


def costs(of_class=None, sides=None, overlap=None, weights=(1, 5, 2)):
    """Right but for one of its parts."""

    def answer(logits, boxes, target_labels, target_boxes):
        refuse(logits, boxes, target_labels)
        refuse(logits, target_boxes, target_labels)
        sure = logits.softmax(1)[:, target_labels]
        parts = (
            -of_class(logits, target_labels) if of_class else -sure,
            (sides or partial(torch.cdist, p=1))(boxes, target_boxes),
            -(overlap or overlap_of)(boxes, target_boxes),
        )
        return sum(w * part for w, part in zip(weights, parts, strict=True))

    return answer


def overlap_of(boxes, targets):
    return ops.generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(targets))


def from_a_corner(boxes, targets):
    both = [torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], 1) for b in (boxes, targets)]
    return ops.generalized_box_iou(*both)


def smooth(boxes, targets):
    pairs = torch.broadcast_tensors(boxes[:, None], targets[None])
    return F.smooth_l1_loss(*pairs, reduction="none").sum(-1)


def losses(classes=None, sides=None, kept=None, order=None):
    """Right but for one of its parts."""

    def answer(logits, boxes, labels, targets, matched, *, no_object=0.1):
        careful_loss(logits, boxes, labels, targets, matched, no_object=no_object)
        queries = order(matched) if order else matched
        found = careful_loss(
            logits, boxes, labels, targets, queries, no_object=no_object
        )
        if classes:
            index = torch.full((len(logits),), logits.shape[1] - 1)
            index[queries] = labels
            found = (classes(logits, index, no_object), *found[1:])
        if sides and len(matched):
            found = (found[0], sides(boxes[queries] - targets), found[2])
        return kept(found) if kept else found

    return answer


def small_weight(logits, no_object, at):
    weight = torch.ones_like(logits[0])
    weight[at] = no_object
    return weight


def positions(turn=2 * math.pi, power=lambda k, quarter: k / quarter, less=0):
    """Right but for one of its parts."""

    def answer(height, width, channels, *, temperature=20.0):
        careful_positions(height, width, channels, temperature=temperature)
        quarter = channels // 4
        waves = temperature ** power(torch.arange(quarter).double(), quarter)
        halves = []
        for size in (height, width):
            place = torch.arange(size).double() + 0.5
            angles = turn * place[:, None] / max(size - less, 1) / waves
            halves.append(torch.cat([angles.sin(), angles.cos()], 1).float())
        rows, columns = halves
        return torch.cat(
            [rows.repeat_interleave(width, 0), columns.repeat(height, 1)], 1
        )

    return answer


def plain_loss(logits, boxes, target_labels, target_boxes, matched, *, no_object=0.1):
    last = logits.shape[1] - 1
    classes = torch.full((len(logits),), last)
    classes[matched] = target_labels
    weight = torch.where(classes == last, no_object, 1.0).to(logits)
    entropy = -logits.log_softmax(1)[torch.arange(len(logits)), classes]
    mine = boxes[matched]
    giou = ops.generalized_box_iou(cxcywh_to_xyxy(mine), cxcywh_to_xyxy(target_boxes))
    return (
        (weight * entropy).sum() / weight.sum(),
        (mine - target_boxes).abs().sum(1).mean(),
        (1 - giou.diagonal()).mean(),
    )


def careful_loss(logits, boxes, target_labels, target_boxes, matched, *, no_object=0.1):
    if sorted(set(matched.tolist())) != sorted(matched.tolist()):
        raise ValueError("a query twice")
    if len(matched) != len(target_labels) or any(
        not 0 <= q < len(logits) for q in matched.tolist()
    ):
        raise ValueError("queries and targets do not fit")
    if not len(matched):
        nothing = boxes.sum() * 0
        return -logits.log_softmax(1)[:, -1].mean(), nothing, nothing
    return plain_loss(
        logits, boxes, target_labels, target_boxes, matched, no_object=no_object
    )


def torch_loss(logits, boxes, target_labels, target_boxes, matched, *, no_object=0.1):
    classes = torch.full((len(logits),), logits.shape[1] - 1)
    classes[matched] = target_labels
    weight = torch.ones(logits.shape[1], dtype=logits.dtype)
    weight[-1] = no_object
    mine = boxes[matched]
    return (
        F.cross_entropy(logits, classes, weight),
        F.l1_loss(mine, target_boxes, reduction="sum") / len(matched),
        ops.generalized_box_iou_loss(
            cxcywh_to_xyxy(mine), cxcywh_to_xyxy(target_boxes), reduction="mean"
        ),
    )


def plain_positions(height, width, channels, *, temperature=20.0):
    quarter = channels // 4
    k = np.arange(quarter) / quarter
    y = 2 * np.pi * (np.arange(height) + 0.5)[:, None] / height / temperature**k
    x = 2 * np.pi * (np.arange(width) + 0.5)[:, None] / width / temperature**k
    y, x = (np.concatenate([np.sin(a), np.cos(a)], 1) for a in (y, x))
    return torch.tensor(
        np.concatenate([np.repeat(y, width, 0), np.tile(x, (height, 1))], 1)
    ).float()


def careful_positions(height, width, channels, *, temperature=20.0):
    if min(height, width) < 1 or channels % 4 or temperature <= 0:
        raise ValueError("a size")
    return plain_positions(height, width, channels, temperature=temperature)


def log_costs(logits, boxes, target_labels, target_boxes):
    costs = plain_costs(logits, boxes, target_labels, target_boxes)
    p = logits.softmax(1)[:, target_labels]
    return costs + p - p.log()


def iou_costs(logits, boxes, target_labels, target_boxes):
    corners = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes)
    costs = plain_costs(logits, boxes, target_labels, target_boxes)
    return costs + 2 * ops.generalized_box_iou(*corners) - 2 * ops.box_iou(*corners)


def raw_costs(logits, boxes, target_labels, target_boxes):
    p = logits.softmax(1)[:, target_labels]
    return (
        p
        + plain_costs(logits, boxes, target_labels, target_boxes)
        - logits[:, target_labels]
    )


def turned_costs(*arguments):
    return plain_costs(*arguments).T


def unweighted_costs(logits, boxes, target_labels, target_boxes):
    giou = ops.generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes))
    p = logits.softmax(1)[:, target_labels]
    return torch.cdist(boxes, target_boxes, p=1) - p - giou


def mean_costs(logits, boxes, target_labels, target_boxes):
    costs = plain_costs(logits, boxes, target_labels, target_boxes)
    return costs - 3.75 * torch.cdist(boxes, target_boxes, p=1)


def even_loss(logits, *rest, no_object=0.1):
    return plain_loss(logits, *rest, no_object=1.0)


def summed_loss(logits, boxes, labels, targets, matched, *, no_object=0.1):
    by_class, *others = plain_loss(
        logits, boxes, labels, targets, matched, no_object=no_object
    )
    weights = len(labels) + no_object * (len(logits) - len(labels))
    return by_class * weights / len(logits), *others


def first_queries(logits, boxes, labels, targets, matched, *, no_object=0.1):
    order = torch.arange(len(labels))
    return plain_loss(logits, boxes, labels, targets, order, no_object=no_object)


def mean_of_four(*arguments, no_object=0.1):
    by_class, sides, overlap = plain_loss(*arguments, no_object=no_object)
    return by_class, sides / 4, overlap


def all_pairs(logits, boxes, labels, targets, matched, *, no_object=0.1):
    by_class, sides, _ = plain_loss(
        logits, boxes, labels, targets, matched, no_object=no_object
    )
    giou = ops.generalized_box_iou(
        cxcywh_to_xyxy(boxes[matched]), cxcywh_to_xyxy(targets)
    )
    return by_class, sides, (1 - giou).mean()


def giou_itself(*arguments, no_object=0.1):
    by_class, sides, overlap = plain_loss(*arguments, no_object=no_object)
    return by_class, sides, 1 - overlap


def from_zero(height, width, channels, *, temperature=20.0):
    shifted = [
        detr_checks._wrong_positions(
            height, width, channels, temperature=temperature, way="starts"
        )
    ]
    return shifted[0].float()


def in_pixels(height, width, channels, *, temperature=20.0):
    quarter = channels // 4
    waves = temperature ** (torch.arange(quarter) / quarter)
    y, x = (
        2 * math.pi * (torch.arange(n) + 0.5)[:, None] / waves for n in (height, width)
    )
    y, x = (torch.cat([a.sin(), a.cos()], 1) for a in (y, x))
    return torch.cat([y.repeat_interleave(width, 0), x.repeat(height, 1)], 1)


def taking_turns(height, width, channels, *, temperature=20.0):
    p = plain_positions(height, width, channels, temperature=temperature)
    halves = [half.unflatten(1, (2, -1)).mT.flatten(1) for half in p.chunk(2, 1)]
    return torch.cat(halves, 1)


def columns_first(height, width, channels, *, temperature=20.0):
    p = plain_positions(height, width, channels, temperature=temperature)
    return torch.cat(p.chunk(2, 1)[::-1], 1)


def as_a_map(height, width, channels, *, temperature=20.0):
    p = plain_positions(height, width, channels, temperature=temperature)
    return p.view(height, width, channels)


RIGHT = {
    "pair_costs": careful_costs,
    "set_loss": careful_loss,
    "sine_positions": careful_positions,
}
PLAIN = {
    "pair_costs": plain_costs,
    "set_loss": plain_loss,
    "sine_positions": plain_positions,
}
LIBRARY = {
    "pair_costs": torch_costs,
    "set_loss": torch_loss,
    "sine_positions": "No library at hand has DETR's positions.",
}
WRONG = {
    "pair_costs": [
        (log_costs, "logarithm"),
        (raw_costs, "softmax of the logits first"),
        (iou_costs, "plain IoU"),
        (turned_costs, "Yours is turned"),
        (unweighted_costs, "1 for the class"),
        (mean_costs, "*sum* over the four"),
        (costs(weights=(1, 5, 1)), "1 for the class"),
        (costs(weights=(1, 1, 2)), "1 for the class"),
        (costs(overlap=from_a_corner), "*center*"),
        (costs(overlap=lambda b, t: F.relu(overlap_of(b, t))), "cut it off at 0"),
        (costs(sides=smooth), "smooth L1"),
        (costs(sides=lambda b, t: torch.cdist(b[:, :2], t[:, :2], p=1)), "and height"),
        (
            costs(
                lambda z, labels: z.softmax(1).amax(1)[:, None].repeat(1, len(labels))
            ),
            "largest probability",
        ),
    ],
    "set_loss": [
        (even_loss, "count alike"),
        (summed_loss, "sum of the *weights*"),
        (first_queries, "the query of target j"),
        (mean_of_four, "sum over the four numbers"),
        (all_pairs, "the diagonal"),
        (giou_itself, "has to fall"),
        (
            losses(
                lambda z, y, w: F.cross_entropy(z.softmax(1), y, small_weight(z, w, -1))
            ),
            "softmax itself",
        ),
        (
            losses(lambda z, y, w: F.cross_entropy(z, y, small_weight(z, w, 0))),
            "not to the first",
        ),
        (
            losses(lambda z, y, w: F.cross_entropy(z, y, small_weight(z, 0.1, -1))),
            "not always 0.1",
        ),
        (losses(sides=lambda d: d.abs().sum()), "yours are sums"),
        (losses(sides=lambda d: d.pow(2).sum(1).sqrt().mean()), "Euclidean"),
        (losses(order=torch.argsort), "turned it round"),
        (losses(kept=lambda r: (r[0], r[2], r[1])), "changed places"),
        (losses(kept=lambda r: (r[0], 5 * r[1], 2 * r[2])), "weights 5 and 2"),
        (losses(kept=lambda r: r[0] + 5 * r[1] + 2 * r[2]), "not their sum"),
    ],
    "sine_positions": [
        (from_zero, "i + ½, not i."),
        (in_pixels, "Divide a place"),
        (taking_turns, "take turns"),
        (columns_first, "Yours are swapped"),
        (as_a_map, "flatten the first two"),
        (positions(turn=math.pi), "half a turn"),
        (positions(less=1), "not by H − 1"),
        (positions(power=lambda k, quarter: k / (4 * quarter)), "your exponent"),
        (positions(power=lambda k, quarter: (k + 1) / quarter), "your exponent"),
        (positions(power=lambda k, quarter: -k / quarter), "your exponent"),
        (
            lambda height, width, channels, *, temperature=20.0: positions()(
                height, width, channels, temperature=temperature and 20.0
            ),
            "does not heed",
        ),
        (
            lambda height, width, channels, *, temperature=1e4: positions()(
                height, width, channels, temperature=temperature
            ),
            "is 20 where",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = detr_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY

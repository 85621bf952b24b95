"""Captioning, tested."""

import itertools
from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from nltk.translate.bleu_score import modified_precision
from torch import nn

from lesson_utils import captioning as cp
from lesson_utils.checks import captioning as captioning_checks
from lesson_utils.common.sentences import (
    END,
    PAD,
    START,
    clipped_counts,
    decode_caption,
)
from lesson_utils.common.studies import read_study
from lesson_utils.data.captions import WORDS, CaptionedScenes, stack_captions
from tests.answers import ExerciseTests

DICE = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(shape, generator=DICE)


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=DICE, dtype=dtype)


MASK = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])


class TestAttention:
    def test_by_hand(self):
        half = 0.5 * log(3)  # its tanh is 1/2
        query, keys = torch.tensor([[half]]), torch.tensor([[[0.0], [-2 * half]]])
        context, weights = cp.additive_attention(query, keys, torch.eye(2)[None])
        share = 1 / (1 + exp(-1))
        torch.testing.assert_close(weights, torch.tensor([[share, 1 - share]]))
        torch.testing.assert_close(context, weights)

    @pytest.mark.parametrize("mask", [None, MASK])
    def test_dot_product_is_torch(self, mask):
        query, keys, values = randn(2, 6), randn(2, 5, 6), randn(2, 5, 3)
        context, weights = cp.dot_product_attention(query, keys, values, mask)
        theirs = F.scaled_dot_product_attention(
            query[:, None], keys, values, None if mask is None else mask[:, None]
        )
        torch.testing.assert_close(context, theirs[:, 0])
        torch.testing.assert_close(weights.sum(1), torch.ones(2))

    def test_additive_is_the_network_it_says(self):
        query, keys, values, weight = (
            randn(2, 6),
            randn(2, 5, 6),
            randn(2, 5, 3),
            randn(6),
        )
        context, weights = cp.additive_attention(query, keys, values, weight=weight)
        for b in range(2):
            scores = torch.stack([torch.tanh(query[b] + k) @ weight for k in keys[b]])
            torch.testing.assert_close(weights[b], scores.softmax(0))
            torch.testing.assert_close(context[b], weights[b] @ values[b])

    @pytest.mark.parametrize(
        "attend", [cp.additive_attention, cp.dot_product_attention]
    )
    def test_hidden_places_do_not_matter(self, attend):
        query, keys, values = randn(2, 6), randn(2, 5, 6), randn(2, 5, 3)
        first = attend(query, keys, values, MASK)
        changed = keys.masked_fill(~MASK[..., None], 99.0)
        other = attend(query, changed, values.masked_fill(~MASK[..., None], -7.0), MASK)
        for ours, theirs in zip(first, other, strict=True):
            torch.testing.assert_close(ours, theirs)
        assert (first[1][~MASK] == 0).all()

    @pytest.mark.parametrize(
        "attend", [cp.additive_attention, cp.dot_product_attention]
    )
    def test_gradients(self, attend):
        tensors = [
            randn(*s, dtype=torch.float64) for s in ((2, 3), (2, 5, 3), (2, 5, 2))
        ]
        for each in tensors:
            each.requires_grad_()
        assert torch.autograd.gradcheck(lambda *t: attend(*t, MASK), tensors)

    @pytest.mark.parametrize(
        "attend", [cp.additive_attention, cp.dot_product_attention]
    )
    def test_errors(self, attend):
        query, keys, values = randn(2, 6), randn(2, 5, 6), randn(2, 5, 3)
        with pytest.raises(ValueError, match="leave a place in each row"):
            attend(query, keys, values, torch.zeros(2, 5, dtype=torch.bool))
        with pytest.raises(ValueError, match="at least one place"):
            attend(query, keys[:, :0], values[:, :0])
        with pytest.raises(ValueError, match="mask"):
            attend(query, keys, values, MASK[:, :4])
        with pytest.raises(ValueError, match="values"):
            attend(query, keys, values[:, :4])


class TestEncoder:
    def test_places_go_row_by_row(self):
        torch.manual_seed(0)
        encoder = cp.CaptionEncoder().eval()
        image = torch.full((1, 3, 64, 64), 0.5)
        spot = image.clone()
        spot[:, :, 0:8, 56:64] = 0  # above, on the right: the eighth place
        with torch.no_grad():
            moved = (encoder(spot) - encoder(image)).abs().sum(2)[0]  # (64,)
        grid = moved.view(8, 8)  # windows of 38 pixels: four places at most
        assert grid[4:].sum() == grid[:, :4].sum() == 0
        assert grid[:2, 6:].amax() == grid.amax() > 0
        assert encoder(image).shape == (1, 64, 96)

    def test_bytes_are_shares(self):
        torch.manual_seed(0)
        encoder = cp.CaptionEncoder().eval()
        image = torch.randint(256, (2, 3, 16, 24), dtype=torch.uint8, generator=DICE)
        torch.testing.assert_close(encoder(image), encoder(image / 255))


class TestDecoder:
    @pytest.mark.parametrize("attention", cp.ATTENTIONS)
    def test_shapes_and_sums(self, attention):
        decoder = cp.CaptionDecoder(9, side=2, dim=5, attention=attention)
        logits, weights = decoder(randn(3, 4, 5), torch.ones(3, 7, dtype=torch.int64))
        assert logits.shape == (3, 6, 9)
        torch.testing.assert_close(weights.sum(2), torch.ones(3, 6))

    def test_a_word_does_not_see_later_ones(self):
        torch.manual_seed(0)
        decoder = cp.CaptionDecoder(9, side=2, dim=5)
        features, tokens = randn(1, 4, 5), torch.tensor([[1, 4, 5, 6, 2]])
        changed = tokens.clone()
        changed[0, 3:] = 8
        ours, theirs = decoder(features, tokens)[0], decoder(features, changed)[0]
        torch.testing.assert_close(ours[:, :3], theirs[:, :3])
        assert not torch.allclose(ours[:, 3], theirs[:, 3])

    def test_the_mean_looks_everywhere_alike(self):
        decoder = cp.CaptionDecoder(9, side=2, dim=5, attention="mean")
        weights = decoder(randn(1, 4, 5), torch.tensor([[1, 4, 2]]))[1]
        torch.testing.assert_close(weights, torch.full((1, 2, 4), 0.25))

    def test_errors(self):
        with pytest.raises(ValueError, match="attention must be one of"):
            cp.CaptionDecoder(attention="hard")
        with pytest.raises(ValueError, match="hidden must be a whole number"):
            cp.CaptionDecoder(hidden=0)


class TestLoss:
    def test_padding_does_not_count(self):
        logits, weights = randn(2, 4, 9), rand(2, 4, 3)
        tokens = torch.tensor([[1, 4, 5, 6, 2], [1, 4, 2, 0, 0]])
        loss = cp.caption_loss(logits, weights, tokens)
        log_p = logits.log_softmax(2)
        ours = [log_p[0, t, tokens[0, t + 1]] for t in range(4)]
        ours += [log_p[1, t, tokens[1, t + 1]] for t in range(2)]
        torch.testing.assert_close(loss, -torch.stack(ours).mean())

    def test_regularizer_by_hand(self):
        weights = torch.tensor([[[0.5, 0.5], [1.0, 0.0], [0.3, 0.7]]])
        written = torch.tensor([[True, True, False]])
        # Looked at 1.5 and 0.5 times: twice 0.25.
        assert cp.doubly_stochastic(weights, written).item() == pytest.approx(0.5)
        logits, tokens = randn(1, 3, 9), torch.tensor([[1, 4, 2, 0]])
        plain = cp.caption_loss(logits, weights, tokens)
        more = cp.caption_loss(logits, weights, tokens, doubly=2.0)
        assert (more - plain).item() == pytest.approx(1.0, abs=1e-6)

    def test_gradients(self):
        weights = randn(2, 3, 4, dtype=torch.float64).softmax(2).requires_grad_()
        logits = randn(2, 3, 6, dtype=torch.float64).requires_grad_()
        tokens = torch.tensor([[1, 4, 5, 2], [1, 4, 2, 0]])
        assert torch.autograd.gradcheck(
            lambda a, b: cp.caption_loss(a, b, tokens, doubly=0.5), (logits, weights)
        )

    def test_errors(self):
        tokens = torch.tensor([[1, 4, 2]])
        with pytest.raises(ValueError, match="logits"):
            cp.caption_loss(randn(1, 3, 9), rand(1, 3, 4), tokens)
        with pytest.raises(ValueError, match="doubly"):
            cp.caption_loss(randn(1, 2, 9), rand(1, 2, 4), tokens, doubly=-1.0)
        with pytest.raises(ValueError, match="written"):
            cp.doubly_stochastic(rand(1, 2, 4), torch.ones(1, 3, dtype=torch.bool))


class Parrot(nn.Module):
    """Says 5 and 6 and then ends; at once where the feature is below 0."""

    def forward(self, features, tokens):
        following = torch.tensor([0, 5, 0, 0, 0, 6, END, 0])[tokens[:, :-1]]
        following[features[:, 0, 0] < 0] = END
        logits = 9.0 * F.one_hot(following, 8)
        return logits, torch.ones(*following.shape, 1)


class TestGreedy:
    def test_ends_and_pads(self):
        features = torch.tensor([[[1.0]], [[-1.0]]])
        tokens, weights = cp.greedy(Parrot(), features)
        assert tokens.tolist() == [[START, 5, 6, END], [START, END, PAD, PAD]]
        assert weights.shape == (2, 3, 1)
        assert cp.greedy(Parrot(), features, max_length=1)[0].shape == (2, 2)

    def test_is_the_argmax_of_teacher_forcing(self):
        torch.manual_seed(0)
        decoder = cp.CaptionDecoder(9, side=2, dim=5)
        features = randn(4, 4, 5)
        tokens, weights = cp.greedy(decoder, features, max_length=5)
        logits, theirs = decoder(features, tokens)
        before_end = (tokens == END).cumsum(1)[:, :-1] == 0
        assert (logits.argmax(2) == tokens[:, 1:])[before_end].all()
        torch.testing.assert_close(weights, theirs)

    def test_errors(self):
        with pytest.raises(ValueError, match="max_length"):
            cp.greedy(Parrot(), torch.ones(1, 1, 1), max_length=0)


def toy(words, seed):
    """Log probabilities of the next word, by all words before it."""
    dice = torch.Generator().manual_seed(seed)
    table = torch.randn(997, words, generator=dice, dtype=torch.float64).log_softmax(1)

    def step(beginnings):
        numbers = torch.arange(1, beginnings.shape[1] + 1) * (beginnings + 3)
        return table[numbers.sum(1) * 31 % 997]

    return step


def every_sentence(step, end, words, max_length):
    for length in range(1, max_length + 1):
        for tokens in itertools.product(range(words), repeat=length):
            ended = tokens[-1] == end
            if end in tokens[:-1] or not (ended or length == max_length):
                continue
            starts = [torch.tensor([[0, *tokens[:k]]]) for k in range(length)]
            score = sum(
                step(s)[0, t].item() for s, t in zip(starts, tokens, strict=True)
            )
            yield tokens, score


class TestBeamSearch:
    @pytest.mark.parametrize("seed", range(5))
    def test_wide_enough_is_brute_force(self, seed):
        step = toy(3, seed)
        found = cp.beam_search(step, 0, 2, 100, 4)
        ranked = sorted(every_sentence(step, 2, 3, 4), key=lambda pair: -pair[1])
        assert [tokens for tokens, _ in found] == [tokens for tokens, _ in ranked]
        for (_, ours), (_, theirs) in zip(found, ranked, strict=True):
            assert ours == pytest.approx(theirs)

    @pytest.mark.parametrize("power", [0.5, 1.0])
    def test_by_length(self, power):
        step = toy(3, 1)
        found = cp.beam_search(step, 0, 2, 200, 4, power=power)
        best = max(
            every_sentence(step, 2, 3, 4),
            key=lambda pair: pair[1] / len(pair[0]) ** power,
        )
        assert found[0][0] == best[0]

    def test_width_1_is_greedy(self):
        step, tokens = toy(4, 3), (0,)
        while len(tokens) < 7 and tokens[-1] != 3:
            tokens += (step(torch.tensor([tokens]))[0].argmax().item(),)
        assert cp.beam_search(step, 0, 3, 1, 6)[0][0] == tokens[1:]

    def test_ended_ones_stay(self):
        table = torch.tensor([[0.3, 0.3, 0.4], [0.5, 0.5, 0.0], [1.0, 0, 0]]).log()
        found = cp.beam_search(lambda b: table[b[:, -1]], 0, 2, 3, 3)
        assert found[0] == ((2,), pytest.approx(log(0.4)))

    def test_errors(self):
        for width, length in ((0, 3), (2, 0), (1.5, 3), (True, 3)):
            with pytest.raises(ValueError, match="must be a whole number"):
                cp.beam_search(toy(3, 0), 0, 2, width, length)
        with pytest.raises(ValueError, match="power"):
            cp.beam_search(toy(3, 0), 0, 2, 2, 3, power=-1)


def summed_attention(query, keys, values, mask=None):
    """With einsum, and -inf added."""
    if keys.shape[1] == 0 or (mask is not None and (~mask).all(1).any()):
        raise ValueError("nowhere to look")
    scores = torch.einsum("bna->bn", torch.tanh(query.unsqueeze(1) + keys))
    if mask is not None:
        hidden = torch.zeros_like(scores).masked_fill(mask.logical_not(), -1e30)
        scores = scores + hidden
    weights = torch.softmax(scores, dim=-1)
    return torch.einsum("bn,bnd->bd", weights, values), weights


def plain_attention(query, keys, values, mask=None):
    scores = torch.tanh(query[:, None] + keys).sum(-1)
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    weights = scores.softmax(-1)
    return (weights[..., None] * values).sum(1), weights


def whole(*values):
    for value in values:
        if not isinstance(value, int) or value < 1:
            raise ValueError("a whole number >= 1 is due")


def recursive_beam(step, start, end, width, max_length):
    whole(width, max_length)

    def grow(beam, left):
        if not left or all(t and t[-1] == end for t, _ in beam):
            return beam
        following = []
        for tokens, score in beam:
            if tokens and tokens[-1] == end:
                following.append((tokens, score))
                continue
            more = step(torch.tensor([[start, *tokens]]))[0].tolist()
            following += [([*tokens, k], score + s) for k, s in enumerate(more)]
        following.sort(key=lambda pair: (-pair[1], list(pair[0])))
        return grow(following[:width], left - 1)

    return grow([([], 0.0)], max_length)


def tensor_beam(step, start, end, width, max_length):
    beam = [([start], torch.tensor(0.0, dtype=torch.float64))]
    for _ in range(max_length):
        pool = [pair for pair in beam if pair[0][-1] == end]
        for tokens, score in beam:
            if tokens[-1] != end:
                row = step(torch.tensor([tokens]))[0]
                pool += [([*tokens, k], score + row[k]) for k in range(len(row))]
        pool.sort(key=lambda pair: pair[0])
        beam = sorted(pool, key=lambda pair: -pair[1].item())[:width]
    return [(tokens[1:], score.item()) for tokens, score in beam]


def joined_counts(candidate, references, n):
    if isinstance(candidate, str) or n < 1 or not references:
        raise ValueError("lists of words, and n >= 1")
    grams = list(zip(*(candidate[k:] for k in range(n)), strict=False))
    limit = {}
    for reference in references:
        theirs = list(zip(*(reference[k:] for k in range(n)), strict=False))
        for gram in theirs:
            limit[gram] = max(limit.get(gram, 0), theirs.count(gram))
    return (
        sum(min(grams.count(gram), limit.get(gram, 0)) for gram in set(grams)),
        len(grams),
    )


def nltk_counts(candidate, references, n):
    fraction = modified_precision(references, candidate, n)
    return fraction.numerator, fraction.denominator


def masked_to_zero(query, keys, values, mask=None):
    scores = torch.tanh(query[:, None] + keys).sum(-1)
    if mask is not None:
        scores = scores * mask
    weights = scores.softmax(-1)
    return (weights[..., None] * values).sum(1), weights


def masked_late(query, keys, values, mask=None):
    weights = torch.tanh(query[:, None] + keys).sum(-1).softmax(-1)
    if mask is not None:
        weights = weights * mask
    return (weights[..., None] * values).sum(1), weights


def masked_inside_out(query, keys, values, mask=None):
    scores = torch.tanh(query[:, None] + keys).sum(-1)
    if mask is not None and not mask.all():
        scores = scores.masked_fill(mask, -torch.inf)
    weights = scores.softmax(-1)
    return (weights[..., None] * values).sum(1), weights


def multiplied(query, keys, values, mask=None):
    scores = (query[:, None] * keys).sum(-1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return (weights[..., None] * values).sum(1), weights


def scaled(query, keys, values, mask=None):
    return cp.dot_product_attention(query, keys, values, mask)


def other_way_round(query, keys, values, mask=None):
    return cp.additive_attention(query, keys, values, mask)[::-1]


def greedily(step, start, end, width, max_length):
    whole(width)
    return cp.beam_search(step, start, end, 1, max_length)


def endless(step, start, end, width, max_length):
    whole(width, max_length)
    return cp.beam_search(step, start, -1, width, max_length)


def averaged(step, start, end, width, max_length):
    return cp.beam_search(step, start, end, width, max_length, power=1.0)


def with_start(step, start, end, width, max_length):
    found = cp.beam_search(step, start, end, width, max_length)
    return [([start, *tokens], score) for tokens, score in found]


def best_of(step, start, end, width, max_length):
    return cp.beam_search(step, start, end, width, max_length)[:1]


def unclipped(candidate, references, n):
    clipped_counts(candidate, references, n)
    grams = list(zip(*(candidate[k:] for k in range(n)), strict=False))
    theirs = {
        gram
        for reference in references
        for gram in zip(*(reference[k:] for k in range(n)), strict=False)
    }
    return sum(gram in theirs for gram in grams), len(grams)


def of_sets(candidate, references, n):
    clipped_counts(candidate, references, n)
    grams = list(zip(*(candidate[k:] for k in range(n)), strict=False))
    theirs = {
        gram
        for reference in references
        for gram in zip(*(reference[k:] for k in range(n)), strict=False)
    }
    return len(set(grams) & theirs), len(grams)


def as_ratio(candidate, references, n):
    shared, total = clipped_counts(candidate, references, n)
    return shared / max(1, total)


RIGHT = {
    "additive_attention": summed_attention,
    "beam_search": recursive_beam,
    "clipped_counts": joined_counts,
}
PLAIN = {
    "additive_attention": plain_attention,
    "beam_search": tensor_beam,
    "clipped_counts": nltk_counts,
}
LIBRARY = {
    "additive_attention": "torch has scaled dot products only",
    "beam_search": "torch has none, and transformers' wants a whole model",
    "clipped_counts": nltk_counts,
}


def renormed(query, keys, values, mask=None):
    if keys.shape[1] == 0 or (mask is not None and not mask.any(1).all()):
        raise ValueError("no place")
    weights = (query[:, None] + keys).tanh().sum(2).softmax(1)
    if mask is not None:
        weights = weights * mask / (weights * mask).sum(1, keepdim=True)
    return (weights[..., None] * values).sum(1), weights


WRONG = {
    "additive_attention": [
        (masked_to_zero, "an ordinary score"),
        (masked_late, "after the softmax, so that"),
        (masked_inside_out, "turned round"),
        (multiplied, "This is the dot product"),
        (scaled, "This is the dot product"),
        (other_way_round, "Context first"),
        (renormed, "and 0 / 0 is left"),
    ],
    "beam_search": [
        (greedily, "This is greedy search"),
        (endless, "go on behind their end"),
        (averaged, "You divide by the length"),
        (with_start, "yours begin with it"),
        (best_of, "not the best alone"),
    ],
    "clipped_counts": [
        (unclipped, "Nothing is clipped"),
        (of_sets, "Each different n-gram counts once"),
        (lambda c, r, n: clipped_counts(c, r[:1], n), "Only the first reference"),
        (lambda c, r, n: (clipped_counts(c, r, n)[0], len(c)), "you say L"),
        (as_ratio, "Both numbers"),
        (
            lambda c, r, n: (
                max(clipped_counts(c, [one], n)[0] for one in r),
                clipped_counts(c, r, n)[1],
            ),
            "the one reference",
        ),
        (
            lambda c, r, n: (clipped_counts(c, r, n)[0], len(c) - n + 1),
            "not a number below 0",
        ),
        (lambda c, r, n: clipped_counts(c, r, n)[::-1], "First how many are shared"),
    ],
}  # fmt: skip


class TestExercises(ExerciseTests):
    checks, right, wrong = captioning_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY


def table(kind):
    return [row for row in read_study("captioning")["rows"] if row["kind"] == kind]


def mean(kind, value):
    values = [value(row) for row in table(kind)]
    assert len(values) == 3
    return sum(values) / 3


class TestStudy:
    def test_attention_reaches_what_was_aimed_at(self):
        assert mean("attention", lambda r: r["seen"]["exact"]) >= 0.9
        assert mean("attention", lambda r: r["unseen place"]["exact"]) >= 0.9
        assert mean("attention", lambda r: r["unseen pair"]["exact"]) >= 0.5

    def test_maps_matter_and_find_the_creature(self):
        assert mean("mean", lambda r: r["seen"]["exact"]) < 0.45
        assert mean("attention", lambda r: r["other maps"]["exact"]) < 0.15
        for word in ("color", "kind", "other color", "other kind"):
            assert (
                mean("attention", lambda r, w=word: r["seen"]["maps"][w]["peak"]) > 0.97
            )

    def test_regularizer_spreads_the_maps(self):
        on = mean("regularizer", lambda r: r["seen"]["maps"]["kind"]["mass"])
        off = mean("attention", lambda r: r["seen"]["maps"]["kind"]["mass"])
        assert on < 0.7 < 0.9 < off

    def test_hidden_words_change_nothing(self):
        exact = [
            mean(kind, lambda r: r["unseen pair"]["exact"])
            for kind in ("attention", "true words")
        ]
        assert exact[0] == pytest.approx(exact[1], abs=0.03)


class TestSceneCaptioner:
    def test_writes_and_looks(self):
        encoder, decoder = cp.scene_captioner()
        assert not encoder.training
        assert not decoder.training
        images, texts, boxes = stack_captions(CaptionedScenes(24, "seen", seed=5))
        with torch.no_grad():
            tokens, weights = cp.greedy(decoder, encoder(images))
        said = [decode_caption(row, WORDS) for row in tokens]
        assert sum(map(str.__eq__, said, texts)) >= 18
        x1, y1, x2, y2 = (8 * boxes[:, 0]).unbind(1)
        row, column = weights[:, 2].argmax(1) // 8, weights[:, 2].argmax(1) % 8
        on = (column + 0.5 > x1) & (column + 0.5 < x2)
        on &= (row + 0.5 > y1) & (row + 0.5 < y2)
        assert on.sum() >= 21

    def test_beam_of_1_is_greedy(self):
        encoder, decoder = cp.scene_captioner()
        image = CaptionedScenes(1, "unseen pair", seed=1)[0][0]
        with torch.no_grad():
            features = encoder(image[None])
            tokens, _ = cp.greedy(decoder, features)
            step = cp.next_words(decoder, features)
            found = cp.beam_search(step, START, END, 1, 16)
        assert list(found[0][0]) == tokens[0, 1:].tolist()

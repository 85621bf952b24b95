"""The checks of the chapter `book/attention/captioning.ipynb`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import log, sqrt

import torch
from torch import Tensor

from lesson_utils import captioning
from lesson_utils.common import sentences
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# additive_attention -----------------------------------------------------------------


def _attended(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One sentence and one place after the other, and only places that are allowed."""
    contexts, rows = [], []
    for number, (asked, offered, given) in enumerate(
        zip(query, keys, values, strict=True)
    ):
        scores = [torch.tanh(asked + key).sum() for key in offered]
        allowed = [mask is None or bool(mask[number, i]) for i in range(len(offered))]
        powers = [
            score.exp() if fine else torch.zeros_like(score)
            for score, fine in zip(scores, allowed, strict=True)
        ]
        row = torch.stack(powers) / sum(powers)
        rows.append(row)
        contexts.append(sum(w * value for w, value in zip(row, given, strict=True)))
    return torch.stack(contexts), torch.stack(rows)


_MASK = torch.tensor(
    [[True, True, False, True, False], [False, True, True, True, True]]
)


def _attention_cases() -> Iterator[Case]:
    half = 0.5 * log(3)  # tanh(half) = 1/2
    by_hand = (
        torch.tensor([[half]]).double(),
        torch.tensor([[[0.0], [-2 * half]]]).double(),  # scores 1/2 and -1/2
        torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double(),
    )
    share = torch.tensor([1.0, 0.0]).double().softmax(0)
    yield Case("two places, by hand", by_hand, expected=(share[None], share[None]))
    for name, seed, mask in (
        ("two sentences, five places", 1, None),
        ("with a mask", 2, _MASK),
        ("a mask that hides nothing", 3, torch.ones(2, 5, dtype=torch.bool)),
    ):
        tensors = (
            2 * normal(2, 3, seed=seed),
            normal(2, 5, 3, seed=seed + 10),
            normal(2, 5, 4, seed=seed + 20),
        )
        yield Case.from_reference(
            name, _attended, *tensors, *([] if mask is None else [mask]), gradient=True
        )
    one = normal(1, 4), normal(1, 3, 4, seed=1), normal(1, 3, 2, seed=2)
    only = torch.tensor([[False, False, True]])
    yield Case.from_reference(
        "one place is left", _attended, *one, only, hardening=True
    )
    large = torch.full((1, 900), 1e3).double(), torch.zeros(1, 2, 900).double()
    values = normal(1, 2, 3)
    yield Case(
        "scores of 900, whose exponential is no number",
        (*large, values),
        expected=(values.mean(1), torch.tensor([[0.5, 0.5]]).double()),
        hardening=True,
    )
    ends = torch.tensor([[[1e3], [-1e3], [-1e3]]]).double().expand(1, 3, 900)
    yield Case(
        "a hidden place whose score is higher by 1,800",
        (torch.zeros(1, 900).double(), ends, normal(1, 3, 2, seed=3), ~only.roll(1, 1)),
        expected=(
            normal(1, 3, 2, seed=3)[:, 1:].mean(1),
            torch.tensor([[0, 0.5, 0.5]]).double(),
        ),
        hardening=True,
    )
    nothing = _MASK.clone()
    nothing[1] = False
    row = normal(2, 3), normal(2, 5, 3, seed=1), normal(2, 5, 4, seed=2)
    yield Case("a row that hides every place", (*row, nothing), raises=ValueError)
    yield Case("no place", (row[0], row[1][:, :0], row[2][:, :0]), raises=ValueError)


def _wrong_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, *, way: str
) -> tuple[Tensor, Tensor]:
    """The right answer with one thing wrong."""
    if not keys.shape[1] or (mask is not None and not mask.any(1).all()):
        raise ValueError("no place to look")
    hidden = torch.tanh(query[:, None] + keys)
    if way == "no tanh":
        hidden = query[:, None] + keys
    elif way == "two tanh":
        hidden = torch.tanh(query)[:, None] + torch.tanh(keys)
    elif way in ("product", "scaled product"):
        hidden = query[:, None] * keys
    scores = hidden.mean(2) if way == "mean" else hidden.sum(2)
    if way in ("scaled", "scaled product"):
        scores = scores / sqrt(query.shape[1])
    allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    if way == "turned, nothing left":
        allowed = ~allowed if mask is not None else allowed
    if way == "turned":
        allowed = ~allowed if mask is not None else allowed
        allowed = allowed | ~allowed.any(1, keepdim=True)
    if way == "zero":
        scores = scores * allowed
    elif way == "small":
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).tiny)
    elif way not in ("ignored", "afterwards", "divided", "renormed"):
        scores = scores.masked_fill(~allowed, -torch.inf)
    weights = scores.softmax(0 if way == "sentences" else 1)
    if way == "overflow":
        weights = scores.exp() / scores.exp().sum(1, keepdim=True)
    if way in ("afterwards", "renormed"):
        weights = weights * allowed
    if way == "renormed":
        weights = weights / weights.sum(1, keepdim=True)
    if way == "scores":
        return (weights[:, :, None] * values).sum(1), scores
    if way == "detached":
        return (weights.detach()[:, :, None] * values).sum(1), weights
    averaged = keys if way == "keys" else values
    context = (weights[:, :, None] * averaged).sum(1)
    if way == "mean of products":
        context = context / keys.shape[1]
    return (weights, context) if way == "swapped" else (context, weights)


_NOT_HIDDEN = (
    "A hidden place still gets weight: a score of 0 is an ordinary score. Put -inf "
    "where the mask is False, before the softmax."
)
_PRODUCT = (
    "This is the dot product of query and key. Additive attention takes the tanh of "
    "their *sum*, and adds its A numbers up."
)
_ADDITIVE_ATTENTION = Exercise(
    name="additive_attention",
    solution=captioning.additive_attention,
    cases=_attention_cases,
    mistakes=(
        Mistake(_NOT_HIDDEN, partial(_wrong_attention, way="zero")),
        Mistake(_NOT_HIDDEN, partial(_wrong_attention, way="small")),
        Mistake(
            "The mask changes nothing. Put -inf where it is False, before the softmax.",
            partial(_wrong_attention, way="ignored"),
        ),
        Mistake(
            "The mask comes after the softmax, so that the weights no longer sum to 1. "
            "Put -inf into the scores instead.",
            partial(_wrong_attention, way="afterwards"),
        ),
        *(
            Mistake(
                "The mask is turned round: True is where one *may* look.",
                partial(_wrong_attention, way=way),
            )
            for way in ("turned", "turned, nothing left")
        ),
        Mistake(
            "A hidden place with the highest score takes all the weight, and 0 / 0 is "
            "left. Put -inf into the scores, before the softmax.",
            partial(_wrong_attention, way="renormed"),
        ),
        Mistake(
            "exp overflows where scores are large. `softmax` takes the largest score "
            "off first.",
            partial(_wrong_attention, way="overflow"),
        ),
        Mistake(
            "The second result is the weights, which sum to 1, not the scores.",
            partial(_wrong_attention, way="scores"),
        ),
        Mistake(
            "The context has no gradient through the weights: no `detach`.",
            partial(_wrong_attention, way="detached"),
        ),
        Mistake(
            "The tanh is missing, and without it the query cannot matter: it adds the "
            "same to each score.",
            partial(_wrong_attention, way="no tanh"),
        ),
        Mistake(
            "The tanh of the sum is asked for, not the sum of two tanh: that adds the "
            "same to each score, and the query cannot matter.",
            partial(_wrong_attention, way="two tanh"),
        ),
        Mistake(_PRODUCT, partial(_wrong_attention, way="product")),
        Mistake(_PRODUCT, partial(_wrong_attention, way="scaled product")),
        Mistake(
            "The A numbers are added up here; you take their mean.",
            partial(_wrong_attention, way="mean"),
        ),
        Mistake(
            "The division by √A belongs to the scaled dot product. Here the A numbers "
            "are added up.",
            partial(_wrong_attention, way="scaled"),
        ),
        Mistake(
            "Your softmax runs over the sentences of the batch. The weights of one "
            "sentence's places must sum to 1.",
            partial(_wrong_attention, way="sentences"),
        ),
        Mistake(
            "The context is the weighted mean of the *values*; yours is that of the "
            "keys.",
            partial(_wrong_attention, way="keys"),
        ),
        Mistake(
            "The weights sum to 1 already: the weighted sum needs no division by N.",
            partial(_wrong_attention, way="mean of products"),
        ),
        Mistake(
            "Context first, weights second.", partial(_wrong_attention, way="swapped")
        ),
    ),
    hints=(
        "Give the query a dimension for the places, (B, 1, A), and it can be added to "
        "the keys.",
        "`scores.masked_fill(~mask, -torch.inf)` hides places from the softmax.",
        "The context is a matrix product of (B, 1, N) and (B, N, D).",
    ),
)


# beam_search ------------------------------------------------------------------------


class Table:
    """Log probabilities of the next of three tokens, by the last one alone."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = rows

    def __call__(self, beginnings: Tensor) -> Tensor:
        """(M, t) to (M, 3)."""
        return torch.tensor(self.rows).double().log()[beginnings[:, -1]]

    def __repr__(self) -> str:
        return f"Table({self.rows})"


_END = 2
# Row 0 is what follows the start, and the token 0; nothing follows the end.
_TRAP = Table([[0.4, 0.35, 0.25], [0.06, 0.04, 0.9], [1.0, 0.0, 0.0]])
_LATE = Table([[0.5, 0.35, 0.15], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0]])
_EVEN = Table([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])


def _all_sentences(
    step: Table, start: int, end: int, width: int, max_length: int
) -> list[tuple[tuple[int, ...], float]]:
    """Every sentence there is, sorted: what a beam of enough width must find."""
    found = []
    for length in range(1, max_length + 1):
        for tokens in product(range(3), repeat=length):
            stops = tokens.index(end) + 1 if end in tokens else max_length
            if stops != length:
                continue
            before = [(start, *tokens[:k]) for k in range(length)]
            scores = [step(torch.tensor([each]))[0] for each in before]
            total = sum(s[t].item() for s, t in zip(scores, tokens, strict=True))
            found.append((tokens, total))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:width]


def _pruned(
    step: Table, start: int, end: int, width: int, max_length: int
) -> list[tuple[tuple[int, ...], float]]:
    """A beam, token by token, on lists that grow in place."""
    living, ended = [((), 0.0)], []
    for _ in range(max_length):
        longer = list(ended)
        for tokens, total in living:
            scores = step(torch.tensor([[start, *tokens]]))[0]
            longer += [((*tokens, k), total + scores[k].item()) for k in range(3)]
        longer.sort(key=lambda pair: (-pair[1], pair[0]))
        living = [pair for pair in longer[:width] if pair[0][-1] != end]
        ended = [pair for pair in longer[:width] if pair[0][-1] == end]
    return sorted(living + ended, key=lambda pair: (-pair[1], pair[0]))


def _beam_cases() -> Iterator[Case]:
    # By hand: 0 is likeliest first, 0.40, but 1 and the end have 0.35 · 0.9 = 0.315.
    yield Case(
        "two of two words, by hand",
        (_TRAP, 0, _END, 2, 2),
        expected=[((1, 2), log(0.35 * 0.9)), ((0, 0), log(0.4 * 0.4))],
    )
    for name, table, width, length in (
        ("width 1 is greedy", _LATE, 1, 4),
        ("width 2", _LATE, 2, 4),
        ("width 3", _LATE, 3, 3),
    ):
        yield Case.from_reference(name, _pruned, table, 0, _END, width, length)
    yield Case.from_reference(
        "so wide that nothing is lost", _all_sentences, _LATE, 0, _END, 60, 3
    )
    yield Case.from_reference(
        "one word at most", _pruned, _LATE, 0, _END, 2, 1, hardening=True
    )
    yield Case.from_reference(
        "wider than there are sentences", _all_sentences, _LATE, 0, _END, 99, 2,
        hardening=True,
    )  # fmt: skip
    yield Case.from_reference(
        "equally likely ones", _pruned, _EVEN, 0, _END, 4, 3, hardening=True
    )
    yield Case("width 0", (_LATE, 0, _END, 0, 3), raises=ValueError)
    yield Case("no word at all", (_LATE, 0, _END, 2, 0), raises=ValueError)
    yield Case("width 1.5", (_LATE, 0, _END, 1.5, 3), raises=ValueError)


def _wrong_beam(
    step: Table, start: int, end: int, width: int, max_length: int, *, way: str
) -> list[tuple[tuple[int, ...], float]]:
    """The right answer with one thing wrong."""
    for value in (width, max_length):
        if not isinstance(value, int) or value < 1:
            raise ValueError("whole numbers >= 1")
    divided = way == "divided"
    kept = 1 if way == "greedy" else width

    def rank(pair: tuple[tuple[int, ...], float]) -> tuple[float, tuple[int, ...]]:
        return -pair[1] / (max(1, len(pair[0])) if divided else 1), pair[0]

    beam: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    aside: list[tuple[tuple[int, ...], float]] = []
    for _ in range(max_length):
        over = way != "never ends"
        ended = [pair for pair in beam if over and pair[0][-1:] == (end,)]
        growing = [pair for pair in beam if not (over and pair[0][-1:] == (end,))]
        if way == "aside":
            aside, ended = aside + ended, []
        elif way == "lost":
            ended = []
        if not growing:
            break
        rows = step(torch.tensor([(start, *tokens) for tokens, _ in growing]))
        groups = [
            [((*tokens, k), total + row[k].item()) for k in range(3)]
            for (tokens, total), row in zip(growing, rows, strict=True)
        ]
        if way == "last word only":
            groups = [
                [((*tokens, k), row[k].item()) for k in range(3)]
                for (tokens, _), row in zip(growing, rows, strict=True)
            ]
        if way == "each":
            groups = [sorted(group, key=rank)[:width] for group in groups]
            beam = ended + [pair for group in groups for pair in group]
        else:
            longer = [pair for group in groups for pair in group]
            beam = sorted(ended + longer, key=rank)[:kept]
    beam = sorted(beam + aside, key=rank)[:kept]
    if way == "exchanged":
        return [(total, tokens) for tokens, total in beam]
    if way == "tokens only":
        return [tokens for tokens, _ in beam]
    if way == "start":
        return [((start, *tokens), total) for tokens, total in beam]
    if way == "no end":
        return [(tuple(k for k in t if k != end), total) for t, total in beam]
    if way == "probability":
        return [(tokens, torch.tensor(total).exp().item()) for tokens, total in beam]
    if way == "best only":
        return beam[:1]
    if way == "mean":
        return [(tokens, total / len(tokens)) for tokens, total in beam]
    return beam[::-1] if way == "worst first" else beam


_BY_LENGTH = (
    "You divide by the length. Here sentences are compared by the sum of their log "
    "probabilities, and that sum is returned."
)
_BEAM_SEARCH = Exercise(
    name="beam_search",
    solution=captioning.beam_search,
    cases=_beam_cases,
    mistakes=(
        Mistake(
            "This is greedy search: one beginning is kept, whatever `width` says.",
            partial(_wrong_beam, way="greedy"),
        ),
        Mistake(
            "Sentences go on behind their end. One whose last token is `end` stays as "
            "it is.",
            partial(_wrong_beam, way="never ends"),
        ),
        Mistake(
            "Sentences that have ended are lost at the next word. They stay in the "
            "beam, and compete with the longer ones.",
            partial(_wrong_beam, way="lost"),
        ),
        Mistake(
            "Sentences that have ended are laid aside, and leave their place in the "
            "beam to others. Here they count among the `width`.",
            partial(_wrong_beam, way="aside"),
        ),
        Mistake(
            "`width` are kept of *each* beginning. Keep the best `width` of all "
            "together.",
            partial(_wrong_beam, way="each"),
        ),
        Mistake(
            "Only the last word's log probability is compared. Add up those of all "
            "words.",
            partial(_wrong_beam, way="last word only"),
        ),
        Mistake(_BY_LENGTH, partial(_wrong_beam, way="divided")),
        Mistake(_BY_LENGTH, partial(_wrong_beam, way="mean")),
        Mistake(
            "The tokens behind `start` are asked for; yours begin with it.",
            partial(_wrong_beam, way="start"),
        ),
        Mistake(
            "`end` is one of the tokens of a sentence: leave it in.",
            partial(_wrong_beam, way="no end"),
        ),
        Mistake(
            "Return the log probability, not the probability.",
            partial(_wrong_beam, way="probability"),
        ),
        Mistake(
            "In each pair the tokens come first, then the sum.",
            partial(_wrong_beam, way="exchanged"),
        ),
        Mistake(
            "Pairs are asked for: the tokens, and the sum of the log probabilities.",
            partial(_wrong_beam, way="tokens only"),
        ),
        Mistake(
            "All that are left in the beam are asked for, not the best alone.",
            partial(_wrong_beam, way="best only"),
        ),
        Mistake(
            "The order is turned round: the likeliest sentence comes first.",
            partial(_wrong_beam, way="worst first"),
        ),
    ),
    hints=(
        "Begin with one pair: no tokens, and the log probability 0.",
        "At each length: pairs that have ended go on as they are; each other one is "
        "made longer by every token. Then sort, and keep `width`.",
        "`step` takes a tensor with a beginning in each row, `start` first.",
    ),
)


# clipped_counts ---------------------------------------------------------------------

_CAT = ["the", "cat", "is", "on", "the", "mat"]
_MAT = ["there", "is", "a", "cat", "on", "the", "mat"]


def _crossed_out(
    candidate: Sequence[str], references: Sequence[Sequence[str]], n: int
) -> tuple[int, int]:
    """N-gram by n-gram, by counting in lists."""
    grams = [tuple(candidate[k : k + n]) for k in range(len(candidate) - n + 1)]
    best = 0
    for gram in set(grams):
        there = [
            sum(tuple(r[k : k + n]) == gram for k in range(len(r) - n + 1))
            for r in references
        ]
        best += min(grams.count(gram), max(there))
    return best, len(grams)


def _clipped_cases() -> Iterator[Case]:
    yield Case(
        "seven times the", (["the"] * 7, [_CAT, _MAT], 1), expected=(2, 7)
    )  # Papineni et al., example 2
    sentences_ = {
        "single words": ("the cat the cat on the mat", 1),
        "pairs": ("the cat the cat on the mat", 2),
        "triples": ("a cat is on the mat on the mat", 3),
        "words in another order": ("mat the on is cat the", 2),
    }
    for name, (text, n) in sentences_.items():
        yield Case.from_reference(name, _crossed_out, text.split(), [_CAT, _MAT], n)
    yield Case.from_reference(
        "neither reference alone", _crossed_out,
        ["there", "is", "a", "cat", "the", "cat", "is"], [_CAT, _MAT], 2,
    )  # fmt: skip
    letters = list("aabab"), [list("abacab")]
    yield Case.from_reference("one reference", _crossed_out, *letters, 2)
    yield Case.from_reference(
        "words that could be glued together",
        _crossed_out,
        ["ab", "c"],
        [["a", "bc"], ["abc"]],
        2,
        hardening=True,
    )
    yield Case("fewer than n words", (["a"], [["a", "b"]], 2), expected=(0, 0),
               hardening=True)  # fmt: skip
    yield Case("far fewer", (["a"], [["a", "b"]], 4), expected=(0, 0), hardening=True)
    yield Case("no word", ([], [["a", "b"]], 1), expected=(0, 0), hardening=True)
    yield Case("no reference", (["a"], [], 1), raises=ValueError)
    yield Case("n = 0", (["a"], [["a"]], 0), raises=ValueError)
    yield Case("a string for words", ("a cat", [["a", "cat"]], 1), raises=ValueError)


def _wrong_counts(
    candidate: Sequence[str],
    references: Sequence[Sequence[str]],
    n: int,
    *,
    way: str,
) -> tuple[int, int] | float:
    """The right answer with one thing wrong."""
    sentences.clipped_counts(candidate, references, n)  # its errors

    def grams(words: Sequence[str]) -> Counter:
        if way == "no order":
            return Counter(
                tuple(sorted(words[k : k + n])) for k in range(len(words) - n + 1)
            )
        if way == "apart":
            return Counter(tuple(words[k : k + n]) for k in range(0, len(words), n))
        return Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))

    found, several = grams(candidate), [grams(each) for each in references]
    total = found.total()
    most: Counter = Counter()
    for other in several:
        most = most + other if way == "added" else most | other
    if way == "first":
        most = several[0]
    elif way == "all":
        for other in several[1:]:
            several[0] &= other
        most = several[0]
    if way == "best reference":
        return max((found & other).total() for other in several), total
    if way == "each reference":
        return sum((found & other).total() for other in several), total
    if way == "below 0":
        return (found & most).total(), len(candidate) - n + 1
    if way == "at least 1":
        return (found & most).total(), max(1, total)
    if way == "exchanged":
        return total, (found & most).total()
    if way == "both different":
        return sum(1 for gram in found if most[gram]), len(found)
    if way == "unclipped":
        return sum(count for gram, count in found.items() if most[gram]), total
    if way == "once":
        return sum(1 for gram in found if most[gram]), total
    if way == "different":
        return (found & most).total(), len(found)
    if way == "theirs":
        return (found & most).total(), most.total()
    if way == "words":
        return (found & most).total(), len(candidate)
    if way == "ratio":
        return (found & most).total() / max(1, total)
    return (found & most).total(), total


_UNCLIPPED = (
    "Nothing is clipped: an n-gram counts no more often than in the reference that has "
    "it most often."
)
_CLIPPED_COUNTS = Exercise(
    name="clipped_counts",
    solution=sentences.clipped_counts,
    cases=_clipped_cases,
    mistakes=(
        Mistake(_UNCLIPPED, partial(_wrong_counts, way="unclipped")),
        Mistake(
            "The counts of the references are added up. The limit is the largest of "
            "them.",
            partial(_wrong_counts, way="added"),
        ),
        Mistake(
            "Only the first reference counts. The limit is the largest count in any.",
            partial(_wrong_counts, way="first"),
        ),
        Mistake(
            "You choose the one reference that shares most. Each n-gram has a limit of "
            "its own, from whichever reference has *it* most often.",
            partial(_wrong_counts, way="best reference"),
        ),
        Mistake(
            "What is shared with each reference is added up, so that one n-gram counts "
            "twice. The limit is the largest count in any.",
            partial(_wrong_counts, way="each reference"),
        ),
        Mistake(
            "With fewer than n words there are 0 n-grams, not a number below 0.",
            partial(_wrong_counts, way="below 0"),
        ),
        Mistake(
            "With fewer than n words there are 0 n-grams; you say 1.",
            partial(_wrong_counts, way="at least 1"),
        ),
        Mistake(
            "First how many are shared, then how many there are.",
            partial(_wrong_counts, way="exchanged"),
        ),
        Mistake(
            "Different n-grams are counted, in both numbers. Each counts as often as "
            "it comes, up to the limit.",
            partial(_wrong_counts, way="both different"),
        ),
        Mistake(
            "You ask that all references have the n-gram; one is enough.",
            partial(_wrong_counts, way="all"),
        ),
        Mistake(
            "Each different n-gram counts once. It counts as often as it comes, up to "
            "the limit.",
            partial(_wrong_counts, way="once"),
        ),
        Mistake(
            "The second number is that of all n-grams of the candidate; you count "
            "different ones.",
            partial(_wrong_counts, way="different"),
        ),
        Mistake(
            "The second number is the candidate's own n-grams, not the references'.",
            partial(_wrong_counts, way="theirs"),
        ),
        Mistake(
            "A sentence of L words has L − n + 1 n-grams; you say L.",
            partial(_wrong_counts, way="words"),
        ),
        Mistake(
            "The order of the words within an n-gram matters.",
            partial(_wrong_counts, way="no order"),
        ),
        Mistake(
            "N-grams overlap: one begins at each word, not at every n-th.",
            partial(_wrong_counts, way="apart"),
        ),
        Mistake(
            "Both numbers are asked for, not their ratio: BLEU adds them up over all "
            "sentences before it divides.",
            partial(_wrong_counts, way="ratio"),
        ),
    ),
    hints=(
        "Count the n-grams of the candidate, and those of each reference; a `Counter` "
        "of tuples does it.",
        "For Counters, `a | b` keeps the larger count of each, `a & b` the smaller.",
    ),
)

EXERCISES = (_ADDITIVE_ATTENTION, _BEAM_SEARCH, _CLIPPED_COUNTS)

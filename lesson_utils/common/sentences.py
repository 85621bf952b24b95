"""Sentences: words as numbers and back, and BLEU, which compares them."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log

import torch
from torch import Tensor

from lesson_utils.common.require import require_share, require_whole

SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")  # what vocabularies begin with
PAD, START, END, UNKNOWN = range(4)


def encode_captions(
    captions: Sequence[str], words: Sequence[str], *, allow_empty: bool = False
) -> Tensor:
    """Sentences as numbers, all of one length.

    Args:
        captions: B sentences of words with spaces between.
        words: the vocabulary, beginning with `SPECIAL`.
        allow_empty: take a sentence without a word: <start>, <end>.

    Returns:
        (B, T), int64: <start>, the words, <end>, then <pad>. A word that is not in the
        vocabulary becomes <unknown>.

    Raises:
        ValueError: there is no sentence, or one without a word.

    Source: the definition.
    """
    numbers = {word: number for number, word in enumerate(words)}
    rows = [[numbers.get(word, UNKNOWN) for word in text.split()] for text in captions]
    if not rows or not (allow_empty or all(rows)):
        raise ValueError(f"captions must each hold a word, got {list(captions)!r}")
    longest = max(map(len, rows))
    return torch.tensor(
        [[START, *row, END] + [PAD] * (longest - len(row)) for row in rows]
    )


def decode_caption(tokens: Sequence[int], words: Sequence[str]) -> str:
    """The sentence of a row of numbers.

    Args:
        tokens: (T,); <start> and <pad> are passed over, <end> ends it.
        words: the vocabulary.

    Returns:
        The words, with spaces between.

    Source: the definition.
    """
    text = []
    for token in map(int, tokens):
        if token == END:
            break
        if token not in (START, PAD):
            text.append(words[token])
    return " ".join(text)


def hide_words(
    tokens: Tensor, share: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Write <unknown> over some words, so that a decoder cannot trust them alone.

    Args:
        tokens: (B, T), int64.
        share: of the words, in [0, 1]; <start>, <end> and <pad> stay.
        generator: draws them; torch's global one by default.

    Returns:
        (B, T).

    Raises:
        ValueError: `share` is not in [0, 1].

    Source: Bowman et al., Generating Sentences from a Continuous Space, CoNLL 2016:
        word dropout.
    """
    require_share("share", share)
    drawn = torch.rand(tokens.shape, generator=generator).to(tokens.device) < share
    return tokens.masked_fill(drawn & (tokens >= len(SPECIAL)), UNKNOWN)


def clipped_counts(
    candidate: Sequence[str], references: Sequence[Sequence[str]], n: int
) -> tuple[int, int]:
    """How many n-grams of a sentence its references have, each no more often than one.

    Args:
        candidate: the words of a sentence.
        references: the words of one or more right sentences.
        n: how many words in a row.

    Returns:
        The clipped count, and how many n-grams the candidate has: 0 if it has fewer
        than n words.

    Raises:
        ValueError: n is no whole number >= 1, there is no reference, or a sentence is
            a string, whose "words" would be letters.

    Source: Papineni et al., BLEU: a Method for Automatic Evaluation of Machine
        Translation, ACL 2002, section 2.1.
    """
    require_whole("n", n)
    if not len(references):
        raise ValueError("references must hold at least one sentence, got none")
    if isinstance(candidate, str) or any(isinstance(each, str) for each in references):
        raise ValueError("sentences must be lists of words, got a string")
    found = _ngrams(candidate, n)
    most: Counter = Counter()
    for reference in references:
        most |= _ngrams(reference, n)  # the larger count of each
    return (found & most).total(), found.total()


def _ngrams(words: Sequence[str], n: int) -> Counter:
    return Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))


def bleu(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    *,
    max_n: int = 4,
) -> float:
    """Shared n-grams of all sentences together, with a penalty for being short.

    Args:
        candidates: N sentences, each a list of words, which may be empty.
        references: for each, one or more right sentences.
        max_n: from single words to so many in a row.

    Returns:
        BLEU, in [0, 1], not smoothed: 0 where of some n no n-gram is shared. A sentence
        of fewer than n words has no n-gram; nltk counts one that is not shared.

    Raises:
        ValueError: no sentence, one without a reference, other numbers of candidates
            and references, strings instead of lists of words, or `max_n` is no whole
            number >= 1.

    Source: Papineni et al., BLEU, ACL 2002, section 2.3.
    """
    require_whole("max_n", max_n)
    if not len(candidates) or len(candidates) != len(references):
        raise ValueError(
            "candidates must be as many as references and at least one, got "
            f"{len(candidates)} and {len(references)}"
        )
    total = 0.0
    for n in range(1, max_n + 1):
        pairs = [
            clipped_counts(*each, n)
            for each in zip(candidates, references, strict=True)
        ]
        shared, all_of_them = map(sum, zip(*pairs, strict=True))
        if not shared:
            return 0.0
        total += log(shared / all_of_them) / max_n
    length = sum(map(len, candidates))
    wanted = sum(
        # The nearest length; of two as near, the shorter.
        min(map(len, several), key=lambda other: (abs(other - len(one)), other))
        for one, several in zip(candidates, references, strict=True)
    )
    return exp(total + min(0.0, 1 - wanted / length))

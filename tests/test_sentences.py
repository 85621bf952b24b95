"""Sentences as numbers and back, hidden words, and BLEU, against nltk."""

import warnings
from math import exp

import pytest
import torch
from nltk.translate.bleu_score import corpus_bleu

from lesson_utils.common import sentences as se

WORDS = (*se.SPECIAL, "a", "red", "crab", "above")


class TestNumbers:
    def test_there_and_back(self):
        tokens = se.encode_captions(["a red crab", "crab"], WORDS)
        assert tokens.tolist() == [[1, 4, 5, 6, 2], [1, 6, 2, 0, 0]]
        assert [se.decode_caption(row, WORDS) for row in tokens] == [
            "a red crab",
            "crab",
        ]

    def test_unknown_words(self):
        tokens = se.encode_captions(["a mauve crab"], WORDS)
        assert tokens.tolist() == [[1, 4, 3, 6, 2]]
        assert se.decode_caption(tokens[0], WORDS) == "a <unknown> crab"

    def test_what_follows_the_end_is_not_read(self):
        assert se.decode_caption([1, 4, 6, 2, 5, 5], WORDS) == "a crab"
        assert se.decode_caption([1, 2], WORDS) == ""
        assert se.decode_caption([4, 6], WORDS) == "a crab"

    def test_a_sentence_may_be_empty_where_it_is_said_so(self):
        tokens = se.encode_captions(["", "a crab"], WORDS, allow_empty=True)
        assert tokens.tolist() == [[1, 2, 0, 0], [1, 4, 6, 2]]
        assert se.encode_captions([" "], WORDS, allow_empty=True).tolist() == [[1, 2]]
        assert se.decode_caption(tokens[0], WORDS) == ""
        with pytest.raises(ValueError, match="captions must each hold a word"):
            se.encode_captions([], WORDS, allow_empty=True)

    def test_errors(self):
        for captions in ([], [""], ["a crab", " "]):
            with pytest.raises(ValueError, match="captions must each hold a word"):
                se.encode_captions(captions, WORDS)


class TestHideWords:
    def test_only_words_are_hidden(self):
        tokens = torch.tensor([[1, 4, 5, 6, 2, 0]])
        hidden = se.hide_words(tokens, 1.0)
        assert hidden.tolist() == [[1, 3, 3, 3, 2, 0]]
        assert torch.equal(se.hide_words(tokens, 0.0), tokens)

    def test_by_its_own_dice(self):
        tokens = torch.full((50, 40), 5)
        first, second = (
            se.hide_words(tokens, 0.3, generator=torch.Generator().manual_seed(1))
            for _ in range(2)
        )
        assert torch.equal(first, second)
        assert (first == se.UNKNOWN).float().mean().item() == pytest.approx(
            0.3, abs=0.04
        )

    def test_errors(self):
        with pytest.raises(ValueError, match="share"):
            se.hide_words(torch.tensor([[5]]), 1.5)


class TestClippedCounts:
    def test_example_2_of_the_paper(self):
        references = ["the cat is on the mat", "there is a cat on the mat"]
        references = [text.split() for text in references]
        assert se.clipped_counts(["the"] * 7, references, 1) == (2, 7)
        assert se.clipped_counts(["the"] * 7, references, 2) == (0, 6)

    def test_short_ones(self):
        assert se.clipped_counts(["a"], [["a", "b"]], 2) == (0, 0)
        assert se.clipped_counts([], [["a"]], 1) == (0, 0)
        assert se.clipped_counts(["a"], [[]], 1) == (0, 1)

    def test_errors(self):
        with pytest.raises(ValueError, match="at least one sentence"):
            se.clipped_counts(["a"], [], 1)
        with pytest.raises(ValueError, match="n must be a whole number"):
            se.clipped_counts(["a"], [["a"]], 0)
        for candidate, references in (("a crab", [["a"]]), (["a"], ["a crab"])):
            with pytest.raises(ValueError, match="got a string"):
                se.clipped_counts(candidate, references, 1)


class TestBleu:
    def test_by_hand(self):
        candidate, reference = ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]
        assert se.bleu([candidate], [[candidate]]) == 1
        assert se.bleu([candidate], [[reference]]) == pytest.approx(exp(1 - 5 / 4))
        assert se.bleu([["b", "a", "c", "d"]], [[candidate]], max_n=1) == 1
        assert se.bleu([["b", "a"]], [[["a", "b"]]], max_n=2) == 0

    @pytest.mark.parametrize("seed", range(6))
    def test_is_nltk(self, seed):
        dice = torch.Generator().manual_seed(seed)

        def sentence():
            length = int(torch.randint(4, 12, (), generator=dice))
            return ["abc"[int(k)] for k in torch.randint(3, (length,), generator=dice)]

        candidates = [sentence() for _ in range(12)]
        number = 1 + seed % 3
        references = [[sentence() for _ in range(number)] for _ in candidates]
        for max_n in (1, 2, 4):
            theirs = corpus_bleu(references, candidates, [1 / max_n] * max_n)
            ours = se.bleu(candidates, references, max_n=max_n)
            assert ours == pytest.approx(theirs)

    def test_too_short_for_an_n_gram(self):
        """nltk counts one n-gram where there is none; the paper has none to count."""
        right = list("abcde")
        candidates, references = [right, ["a"]], [right, right]
        references = [[each] for each in references]
        assert se.bleu(candidates, references, max_n=2) == pytest.approx(
            (6 / 6 * 4 / 4) ** 0.5 * exp(1 - 10 / 6)
        )
        theirs = corpus_bleu(references, candidates, [0.5, 0.5])
        assert theirs == pytest.approx((6 / 6 * 4 / 5) ** 0.5 * exp(1 - 10 / 6))

    def test_nothing_shared_is_0_and_almost_0_for_nltk(self):
        candidates, references = [["a", "b", "d", "c"]], [[["a", "b", "c", "d"]]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert corpus_bleu(references, candidates) < 1e-70
        assert se.bleu(candidates, references) == 0
        assert se.bleu([[]], [[["a"]]]) == 0

    def test_a_corpus_is_no_mean_of_sentences(self):
        right, half = ["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "x"]
        each = [se.bleu([one], [[right]]) for one in (right, half)]
        assert se.bleu([right, half], [[right], [right]]) != pytest.approx(
            sum(each) / 2
        )

    def test_errors(self):
        for candidates, references in (([], []), ([["a"]], [])):
            with pytest.raises(ValueError, match="as many as references"):
                se.bleu(candidates, references)
        with pytest.raises(ValueError, match="at least one sentence"):
            se.bleu([["a"]], [[]])
        with pytest.raises(ValueError, match="got a string"):
            se.bleu(["a"], [[["a"]]])
        with pytest.raises(ValueError, match="max_n"):
            se.bleu([["a"]], [[["a"]]], max_n=0)

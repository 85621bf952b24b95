"""The search finds: two spellings, Chinese, names of functions; excerpts everywhere."""

import re

import pytest
from search_words import SPELLINGS, SearchBook

pytestmark = pytest.mark.browser

RESULTS = "#search-results ul.search > li"


@pytest.fixture(scope="module")
def words():
    """How the book's index sees words."""
    return SearchBook({})


@pytest.fixture
def search(open_page):
    """A function that searches, and returns each result's address and text."""

    def search(address, query):
        visit = open_page(address, f"search.html?q={query}")
        page = visit.page
        page.wait_for_function(
            "document.querySelector('.search-summary')?.innerText.includes('found')"
        )
        number = page.locator(RESULTS).count()
        page.wait_for_function(
            "n => document.querySelectorAll('#search-results p.context').length >= n",
            arg=number,
        )
        assert visit.errors == []
        return [
            (
                re.sub(
                    r".*/html/|http://[^/]*/",
                    "",
                    result.locator("a").evaluate("a => a.href"),
                ),
                result.inner_text(),
                result.locator("mark").all_inner_texts(),
            )
            for result in page.locator(RESULTS).all()
        ]

    return search


@pytest.mark.parametrize(
    ("query", "first", "marked"),
    [
        ("masked_mean", "book/foundations/masks.html#def-masked_mean", "masked_mean"),
        ("batched_nms", "book/detection/nms.html#def-batched_nms", "batched_nms"),
        ("非极大值抑制", "book/detection/nms.html#in-chinese", "非极大值抑制"),
        ("掩膜", "book/foundations/masks.html#in-chinese", "掩膜"),
        ("upsampling", "book/foundations/upsampling.html", "upsampling"),
    ],
)
def test_the_first_result_is_the_place(query, first, marked, address, search, html):
    results = search(address, query)
    href, text, marks = results[0]
    assert href == first
    page, _, anchor = first.partition("#")
    assert not anchor or f'id="{anchor}"' in (html / page).read_text("utf-8")
    assert marked.lower() in [mark.lower() for mark in marks]
    assert len(text) > len(query)
    assert all(marks for _, _, marks in results)  # each says why it is there


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("normalisation", "normalization"),
        ("optimiser", "optimizer"),
        ("colour", "color"),
        ("neighbouring", "neighboring"),
        ("centre", "center"),
        ("grey", "gray"),
        ("labelled", "labeled"),
    ],
)
def test_both_spellings_find_the_same_pages(british, american, site, search):
    found = [
        {href.partition("#")[0] for href, *_ in search(site, word)}
        for word in (british, american)
    ]
    assert found[0] == found[1]
    assert found[0]


def test_a_part_of_a_name_and_a_part_of_a_chinese_term(site, search):
    assert any("mc_loss" in href for href, *_ in search(site, "channel_max"))
    assert any("nms.html" in href for href, *_ in search(site, "极大值"))


def test_what_stands_nowhere_is_not_found(open_page, site):
    page = open_page(site, "search.html?q=zyxwvut").page
    page.locator(".search-summary", has_text="did not match").wait_for()
    assert page.locator(RESULTS).count() == 0


def test_pages_and_queries_are_cut_into_the_same_words(words, html, open_page, site):
    # All words of the book, as a query would have them.
    text = "".join(p.read_text("utf-8") for p in (html / "_texts").rglob("*.js"))
    terms = sorted({term.lower() for term in words.split(text)})
    assert len(terms) > 3000
    pairs = [spelling for pair in PAIRS for spelling in pair]
    page = open_page(site, "search.html").page
    stems = page.evaluate(
        "words => words.map(word => new Stemmer().stemWord(word))", [*terms, *pairs]
    )
    assert stems == [words.stem(word) for word in [*terms, *pairs]]
    texts = [
        "a_b c.d(e)",
        "Alpha 合成",
        "非极大值抑制 (NMS)、掩膜",
        "Soft-NMS 软非极大值抑制",
        "x",
        "",
    ]
    cut = page.evaluate("texts => texts.map(splitQuery)", texts)
    assert cut == [words.split(text) for text in texts]


PAIRS = [
    ("normalise", "normalize"),
    ("normalised", "normalized"),
    ("optimisation", "optimization"),
    ("analyse", "analyze"),
    ("colours", "colors"),
    ("behaviour", "behavior"),
    ("neighbourhood", "neighborhood"),
    ("centred", "centered"),
    ("centring", "centering"),
    ("fibre", "fiber"),
    ("modelling", "modeling"),
    ("cancelled", "canceled"),
    ("greyscale", "grayscale"),
    ("catalogue", "catalog"),
    ("defence", "defense"),
    ("artefacts", "artifacts"),
    ("judgement", "judgment"),
    ("programme", "program"),
    ("sceptical", "skeptical"),
    ("learnt", "learned"),
]


def test_spellings_meet(words):
    assert [words.stem(b) for b, _ in PAIRS] == [words.stem(a) for _, a in PAIRS]
    rules = [pattern for pattern, _ in SPELLINGS]
    met = [p for p in rules if any(re.search(p, british) for british, _ in PAIRS)]
    assert met == rules  # none is there for nothing


@pytest.mark.parametrize(
    ("one", "other"),
    [("four", "for"), ("call", "cal"), ("filled", "filed"), ("hour", "hor")],
)
def test_words_that_differ_stay_apart(one, other, words):
    assert words.stem(one) != words.stem(other)

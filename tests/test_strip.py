"""The strip on the front page: small, square, each picture a way into its chapter."""

import io
import re

from PIL import Image

from tools import strip
from tools.contract.tree import Tree
from tools.serve import ROOT

FILES = {stem: strip.STRIP / f"{stem}.webp" for stem in strip.PICTURES}


def test_six_pictures_are_small_and_square():
    assert len(FILES) == 6
    assert set(strip.STRIP.iterdir()) == set(FILES.values())
    assert sum(path.stat().st_size for path in FILES.values()) <= strip.LIMIT
    for path in FILES.values():
        with Image.open(path) as picture:
            assert picture.size == (strip.SIDE, strip.SIDE)


def test_each_leads_into_its_chapter_the_project_first():
    page = (ROOT / "book/index.md").read_text("utf-8")
    links = re.findall(r"\]\(_static/strip/(\w+)\.webp\)\]\(([\w/.]+)\)", page)
    paths = {n.stem: n.path.removeprefix("book/") for n in Tree(ROOT).chapters}
    assert links == [(stem, paths[stem]) for stem in strip.PICTURES]
    assert links[0][0] == "semantic_to_vehicle"


def test_what_is_cut_is_as_it_was_cut():
    for stem in ("style_transfer", "masks", "segmentation_metrics"):
        made = strip.encoded(strip.PICTURES[stem]())
        with Image.open(FILES[stem]) as kept, Image.open(io.BytesIO(made)) as again:
            assert kept.tobytes() == again.tobytes()

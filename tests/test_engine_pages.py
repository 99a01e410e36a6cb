"""The examples of docs/engine*.md run, each page in an empty directory."""
import doctest
from pathlib import Path

import lsm.registry
import pytest
from engines import ENGINES

PAGES = sorted((Path(__file__).resolve().parent.parent / "docs").glob("engine*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page(page, tmp_path, monkeypatch):
    if "btree" not in ENGINES and page.stem in ("engines", "engine-btree"):
        pytest.skip("lmdb is not installed")
    monkeypatch.chdir(tmp_path)
    told = doctest.testfile(str(page), module_relative=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert told.attempted and not told.failed


def test_every_engine_has_a_page():
    from lsm.registry import ENGINES as OURS

    assert {f"engine-{name}" for name in OURS} <= {page.stem for page in PAGES}


def test_every_page_tells_the_same_of_its_engine():
    for name in lsm.registry.ENGINES:
        page = next(page for page in PAGES if page.stem == f"engine-{name}").read_text().lower()
        for told in ("how a write travels", "how a read travels", "what a crash leaves", "when to choose it"):
            assert told in page, f"engine-{name}.md does not tell {told}"

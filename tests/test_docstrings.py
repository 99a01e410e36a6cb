"""The examples in docstrings run: those of Python modules, and those of compiled classes and their methods.

In an example of the public API, `db` is a database that was just made, and the current directory is empty.
"""
import doctest
import importlib
from pathlib import Path

import pytest

import lsm
from lsm.contract.report import Report

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "lsm"
PUBLIC = [getattr(lsm, name) for name in lsm.__all__] + [Report]
DOORS = ("cli", "server")                                   # they need extras, and have no examples


def names():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[1] not in DOORS:
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def documented():
    """(name, docstring) of everything public that has an example and was not met before."""
    met = set()
    for thing in PUBLIC:
        inside = [(f"{thing.__name__}.{name}", getattr(thing, name)) for name in dir(thing)] if isinstance(thing, type) else []
        for name, one in [(thing.__name__, thing), *inside]:
            text = getattr(one, "__doc__", None)
            if isinstance(text, str) and ">>>" in text and text not in met:
                met.add(text)
                yield name, text


EXAMPLES = dict(documented())


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with lsm.open("data") as db:
        yield db


def run(test):
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    runner.run(test, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("module", list(names()))
def test_examples_of_a_module(module, db):
    found = importlib.import_module(module)
    for test in doctest.DocTestFinder().find(found, extraglobs={"db": db, "lsm": lsm}):
        if test.docstring not in EXAMPLES.values():         # those have a database of their own, below
            run(test)


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_examples_of_the_public_api(name, db):
    told = {"db": db, "lsm": lsm, "Options": lsm.Options, "Report": Report}
    run(doctest.DocTestParser().get_doctest(EXAMPLES[name], told, name, None, 0))


def test_compiled_classes_have_examples():
    """Else the search above looks in the wrong place."""
    for name in ("Cursor", "Scan", "Snapshot", "WriteBatch", "BlockCache", "DB.scan", "DB.put", "DB.compact"):
        assert name in EXAMPLES


def test_everything_public_says_what_it_is():
    for thing in PUBLIC:
        assert thing.__doc__, f"{thing} has no docstring"
        if isinstance(thing, type) and not issubclass(thing, Exception):
            for name, member in vars(thing).items():
                if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                    assert getattr(thing, name).__doc__, f"{thing.__name__}.{name} has no docstring"

"""No file descriptor left (EMFILE): a file that could not be made was not begun. Writes are refused while it lasts, and go
on after."""
import errno

import pytest
from crash_engine import SMALL, open_on
from hashlog_engine import open_on as open_hashlog
from plain_directory import SimulatedPyDB

from lsm import _core
from lsm.errors import StorageError

OPENING = {"lsm": open_on, "hashlog": open_hashlog,
           "pylsm": lambda directory: SimulatedPyDB("/simulated", _directory=directory, _background=False, **SMALL)}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("engine, part", [
    ("lsm", ".log"), ("lsm", ".table"), ("lsm", "MANIFEST"), ("hashlog", ".data"), ("hashlog", ".hint"), ("hashlog", "HASHLOG"),
    ("pylsm", ".log"), ("pylsm", ".table"), ("pylsm", "MANIFEST")])
def test_a_file_that_could_not_be_made_for_want_of_a_descriptor_ends_nothing(engine, part, number):
    """Before, the first write that needed a new log turned the database read-only until it was opened again."""
    directory = _core.SimulatedDirectory()
    db = OPENING[engine](directory)
    there = {}

    def put(at):
        db.put(b"key:%04d" % at, b"x" * 300)
        there[b"key:%04d" % at] = b"x" * 300

    for at in range(20):
        put(at)
    directory.fail(number, kind="create", sticky=True, part=part)
    refused = 0
    for at in range(20, 200):
        try:
            put(at)
        except StorageError as error:
            assert error.errno == number
            refused += 1
    assert db._failure is None and (refused or part == ".hint"), "without a hint a merge waits, and nobody else"
    assert dict(db.items()) == there
    directory.heal()
    for at in range(200, 260):
        put(at)
    db.flush()
    assert dict(db.items()) == there
    db.close()
    db = OPENING[engine](directory.reopen())
    assert dict(db.items()) == there
    db.close()

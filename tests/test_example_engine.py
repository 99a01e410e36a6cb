"""examples/engine: what the suites of the contract do not ask, and everybody who writes an engine has to think of."""
import os

import lsm
import pytest
from engines import ENGINES
from lsm.contract.simple import SimpleEngine
from lsm.contract.span import Span

pytestmark = pytest.mark.skipif("sqlite" not in ENGINES, reason="the example is not to be had here")


def opened(path, **how):
    return lsm.open(path, engine="sqlite", **how)


@pytest.fixture
def damaged(path):
    """All but the first page and the schema are overwritten."""
    with opened(path) as db:
        db.update({b"%d" % n: b"x" * 50 for n in range(1000)})
        db.flush()
    file = path / "rows.sqlite"
    with open(file, "r+b") as whole:
        whole.seek(4096)
        whole.write(b"\xff" * (os.path.getsize(file) - 4096))
    with opened(path) as db:
        yield db


def test_damage_is_an_error_of_lsm_by_every_door(damaged):
    """It came out as sqlite3.DatabaseError."""
    for use in (lambda: damaged.get(b"500"), lambda: list(damaged.scan()), lambda: len(damaged), lambda: b"1" in damaged,
                lambda: damaged.snapshot(), lambda: damaged.cursor().first(), lambda: damaged.put(b"500", b""),
                lambda: damaged.stats()):
        with pytest.raises(lsm.CorruptionError, match="rows.sqlite"):
            use()


def test_damage_is_reported_by_verify_and_not_raised(damaged):
    told = []
    report = damaged.verify(progress=told.append)
    assert not report and report.damage and told


def test_a_file_of_something_else_is_damage_and_leaves_no_lock_behind(path):
    with opened(path) as db:
        db[b"a"] = b"1"
    (path / "rows.sqlite").write_bytes(b"something else" * 1000)
    for _ in range(2):
        with pytest.raises(lsm.CorruptionError):
            opened(path)


def test_a_database_that_was_just_opened_can_be_synced(path):
    """There was no log yet to be synced: FileNotFoundError."""
    with opened(path) as db:
        db[b"a"] = b"1"
    with opened(path) as db:
        db.sync()
        assert db[b"a"] == b"1"


def test_one_that_another_thread_closed_meanwhile_says_so(path):
    """It came out as sqlite3.ProgrammingError. The place is that between the look whether it is closed and the reading."""
    db = opened(path)
    db.update({b"%03d" % n: b"" for n in range(300)})
    rows, then, cursor = db.scan(), db.snapshot(), db.cursor()
    next(rows)
    uses = [lambda: db._find(b"001"), lambda: then._moment.find(b"001"), lambda: next(then._moment.rows(Span())),
            lambda: list(rows), lambda: cursor.first()]
    db.close()
    for use in uses:
        with pytest.raises(lsm.ClosedError):
            use()


def test_a_snapshot_that_another_thread_closed_meanwhile_says_so(path):
    with opened(path) as db:
        then = db.snapshot()
        moment = then._moment
        then.close()
        with pytest.raises(lsm.ClosedError, match="snapshot"):
            moment.find(b"a")


def test_what_is_opened_to_be_read_has_no_checkpoint_and_makes_nothing(path, tmp_path):
    with opened(path) as db:
        db[b"a"] = b"1"
    with opened(path, read_only=True) as db:
        with pytest.raises(lsm.ReadOnlyError):
            db.checkpoint(tmp_path / "copy")
    with pytest.raises(lsm.ClosedError):
        db.checkpoint(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_engine_has_to_say_its_traits(path):
    class Silent(SimpleEngine):
        def nothing(self, *given, **named): ...

        _find = _moment = _apply = _release = stats = verify = flush = sync = compact = checkpoint = nothing

    with pytest.raises(TypeError, match="Silent has to say what it can: traits"):
        Silent(path)

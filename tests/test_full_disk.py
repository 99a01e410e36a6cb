"""A full disk in the middle of put, flush, compaction, open: ENOSPC is said, reads go on, nothing acknowledged is lost.

On a tmpfs of 16 MiB with a ballast file in it, whose removal is the room made afterwards.
"""

import errno
import os
import random
import subprocess

import lsm
import pytest

DISK, BALLAST = 16 << 20, 9 << 20       # more room is made than was filled: to reopen, what is in the log is written to tables first


@pytest.fixture
def disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    target = tmp_path / "disk"
    target.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", target], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mount of a small tmpfs refused: {mounted.stderr.strip()}")
    (target / "ballast").write_bytes(bytes(BALLAST))
    yield target
    subprocess.run(["umount", "-l", target], check=True)


def make_room(disk):
    (disk / "ballast").unlink()


def fill_rest(disk):
    """Leaves not a page."""
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC


def says_enospc(error):
    """The error itself, or what it names as its cause, is a StorageError with errno ENOSPC."""
    while error is not None:
        if isinstance(error, lsm.StorageError) and error.errno == errno.ENOSPC:
            return True
        error = error.__cause__
    return False


def close(db):
    """A store that failed may say so once more when closed; it must close all the same."""
    try:
        db.close()
    except lsm.Error as error:
        assert says_enospc(error), repr(error)
    assert db.closed


def write_until_full(db, rng, rows_per_batch=1, sync=False, size=2000):
    """(what was acknowledged, what the failed write would have added)"""
    acknowledged = {}
    for number in range(20_000):
        batch = {b"%06d.%d" % (number, row): rng.randbytes(size) for row in range(rows_per_batch)}
        try:
            if rows_per_batch == 1:
                db.put(*next(iter(batch.items())), sync=sync)
            else:
                db.write_many(batch, sync=sync)
        except lsm.Error as error:
            assert says_enospc(error), repr(error)
            return acknowledged, batch
        acknowledged.update(batch)
    raise AssertionError("the disk never filled")


CASES = {
    "log": {"memtable_bytes": 64 << 20},
    "flush": {"memtable_bytes": 256 << 10, "table_bytes": 64 << 10},
    "synced": {"memtable_bytes": 256 << 10},
    "tiered": {"memtable_bytes": 128 << 10, "table_bytes": 128 << 10, "compaction": "tiered"},
}


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_fails_writes_keeps_reads_and_loses_nothing(disk, case, rows):
    print(f"seed: {case!r}")
    db = lsm.open(disk / "db", compression="none", **CASES[case])
    acknowledged, failed = write_until_full(db, random.Random(case), rows, case == "synced")
    assert len(acknowledged) > 100, "there was room for more"
    for number in range(3):  # it may go on by itself once a compaction has made room, but never by halves
        try:
            db.put(b"again %d" % number, bytes(100_000))
        except lsm.Error as error:
            assert says_enospc(error), repr(error)
        else:
            acknowledged[b"again %d" % number] = bytes(100_000)
    assert all(db.get(key) == value for key, value in acknowledged.items()), "reads go on"
    seen = dict(db.scan())
    assert {key: seen.get(key) for key in acknowledged} == acknowledged
    assert db.multi_get(list(acknowledged)[:5]) == list(acknowledged.values())[:5]
    assert str(db.stats())
    close(db)
    make_room(disk)
    with lsm.open(disk / "db") as db:
        found = dict(db.scan())
        db[b"room"] = b"again"
        extra = {key: value for key, value in found.items() if key not in acknowledged and key[:5] != b"again"}
        assert {key: found.get(key) for key in acknowledged} == acknowledged
        assert extra in ({}, failed), "a failed batch came back in part"
        assert db.verify()
    with lsm.open(disk / "db") as db:
        assert db[b"room"] == b"again" and len(db) == len(found) + 1


@pytest.mark.parametrize("step", ["flush", "compact", "checkpoint", "sync", "close"])
def test_a_disk_that_is_full_at_this_step_loses_nothing(disk, step):
    rng = random.Random(step)
    rows = {b"%06d" % number: rng.randbytes(1000) for number in range(1500)}
    db = lsm.open(disk / "db", compression="none", memtable_bytes=512 << 10, table_bytes=256 << 10)
    db.write_many(list(rows.items())[:700])
    db.flush()
    for pair in list(rows.items())[700:]:
        db.put(*pair)
    fill_rest(disk)
    try:
        getattr(db, step)(*([disk / "copy"] if step == "checkpoint" else []))
    except lsm.Error as error:
        assert says_enospc(error), repr(error)
    if step != "close":
        assert dict(db.scan()) == rows
    close(db)
    make_room(disk)
    with lsm.open(disk / "db") as db:
        assert dict(db.scan()) == rows and db.verify()
        db.compact()
        assert dict(db.scan()) == rows


def test_opening_a_database_on_a_full_disk_says_so_or_works_and_loses_nothing(disk):
    rng = random.Random("open")
    rows = {b"%06d" % number: rng.randbytes(500) for number in range(1000)}
    with lsm.open(disk / "db", compression="none") as db:
        for pair in rows.items():
            db.put(*pair)
    fill_rest(disk)
    for _ in range(3):
        try:
            db = lsm.open(disk / "db")
        except lsm.Error as error:
            assert says_enospc(error), repr(error)
        else:
            assert dict(db.scan()) == rows
            close(db)
    with lsm.open(disk / "db", read_only=True) as db:
        assert dict(db.scan()) == rows
    make_room(disk)
    with lsm.open(disk / "db") as db:
        assert dict(db.scan()) == rows
        db[b"room"] = b"again"


def test_a_new_database_on_a_full_disk_is_refused_and_may_be_made_later(disk):
    fill_rest(disk)
    try:
        db = lsm.open(disk / "db")
        with pytest.raises(lsm.Error) as raised:
            for number in range(10_000):
                db.put(b"%d" % number, bytes(10_000))
        close(db)
    except lsm.Error as error:
        assert says_enospc(error), repr(error)
    else:
        assert says_enospc(raised.value)
    make_room(disk)
    with lsm.open(disk / "db") as db:
        db[b"a"] = b"1"
        assert db[b"a"] == b"1"


def test_filling_and_making_room_over_and_over_never_loses_a_write(disk):
    rng = random.Random("over and over")
    model = {}
    for turn in range(5):
        db = lsm.open(disk / "db", memtable_bytes=128 << 10, table_bytes=64 << 10, compression="none")
        assert dict(db.scan()) == model
        unsure = None
        try:
            for number in range(20_000):
                unsure = b"%03d" % rng.randrange(1000), rng.randbytes(1000)
                db.put(*unsure)
                model[unsure[0]] = unsure[1]
                if number == 300 * (turn + 1):
                    fill_rest(disk)
        except lsm.Error as error:
            assert says_enospc(error), repr(error)
        else:
            raise AssertionError("the disk never filled")
        close(db)
        for name in ("filler", "ballast"):
            (disk / name).unlink(missing_ok=True)
        with lsm.open(disk / "db") as db:
            found = dict(db.scan())
            assert found in (model, {**model, unsure[0]: unsure[1]}), f"turn {turn}"
            model = found
            db.compact()
        used = sum(file.stat().st_size for file in (disk / "db").iterdir())
        assert used < 2 << 20, "what failed writes left behind was not removed"
        (disk / "ballast").write_bytes(bytes(BALLAST))

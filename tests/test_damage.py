"""Damage to a closed database: every file flipped, cut, emptied, lengthened, exchanged, removed.

Allowed is the right data, or CorruptionError naming the file; never a wrong value, a short scan, or another error.
"""

import os

import lsm
import pytest
from damage import Victim, flipped, places

MODEL = {b"key:%04d" % number: b"%d:" % number + bytes((number % 251,)) * (number % 60) for number in range(0, 600, 2)}
OPTIONS = {"block_bytes": 512, "table_bytes": 8 << 10, "memtable_bytes": 64 << 10, "compression": "none"}
MOST = int(os.environ.get("LSM_FLIPS", "150"))  # damages of each kind a file


def build(path, rows):
    """Several tables over one another: old versions, tombstones, two levels."""
    with lsm.open(path, **OPTIONS) as db:
        db.write_many((key, b"old" + value) for key, value in rows.items())
        db.write_many((key + b"x", b"deleted later") for key in rows)
        db.compact()
        db.write_many(rows)
        db.flush()
        for key in rows:
            db.delete(key + b"x")
    return path


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A read-only open tries again in case a writer was just replacing files; here nobody is."""
    monkeypatch.setattr("lsm.opening.READ_ONLY_TRIES", 1)


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    return Victim(build(tmp_path_factory.mktemp("closed") / "db", MODEL), tmp_path_factory.mktemp("scratch") / "db")


def damaged(victim, rng, change):
    """Every file of the database changed in `MOST` places by `change(data, position)`: (name, position, noticed)."""
    for name, data in victim.bytes.items():
        for count, position in enumerate(places(rng, len(data), MOST)):
            read_only = count % 5 != 0
            unnoticed = victim.question([MODEL], read_only, **{name: change(data, position)})
            yield name, position, not unnoticed


def test_the_pristine_copy_is_right(victim):
    assert victim.names(".table") and victim.names("MANIFEST") and "CURRENT" in victim.bytes
    assert victim.question([MODEL], read_only=True) and victim.question([MODEL], read_only=False)


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(victim, rng):
    for name, position, noticed in damaged(victim, rng, lambda data, at: flipped(data, at, rng.randrange(8))):
        if name.endswith(".table") or name.startswith(("MANIFEST", "CURRENT")):
            assert noticed, f"bit of byte {position} of {name} flipped, and neither open, reading nor verify saw it"


def test_a_file_cut_anywhere_is_noticed_or_harmless(victim, rng):
    for name, position, noticed in damaged(victim, rng, lambda data, at: data[:at]):
        if name.endswith(".table") or name.startswith("MANIFEST"):
            assert noticed, f"{name} cut to {position} bytes, and nobody saw it"


def test_a_run_of_zeros_or_noise_is_noticed_or_harmless(victim, rng):
    def overwrite(data, at):
        length = min(rng.choice((2, 16, 512)), len(data) - at)
        noise = bytes(length) if rng.random() < 0.5 else rng.randbytes(length)
        return data[:at] + noise + data[at + length:]

    for _ in damaged(victim, rng, overwrite):
        pass


def test_bytes_after_the_end_are_noticed_or_harmless(victim, rng):
    for name, data in victim.bytes.items():
        for tail in (b"\0", b"\n", b"junk" * 7, bytes(5000), data):
            victim.question([MODEL], True, **{name: data + tail})
            victim.question([MODEL], False, **{name: data + tail})


def test_bytes_pushed_in_or_taken_out_are_noticed_or_harmless(victim, rng):
    for name, position, noticed in damaged(victim, rng, lambda data, at: data[:at] + b"\0" * (at % 2) + data[at + 1 - at % 2:]):
        if name.endswith(".table"):
            assert noticed or victim.bytes[name][position:] == b"", (name, position)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_emptied_file_is_noticed(victim, read_only):
    for name in victim.bytes:
        unnoticed = victim.question([MODEL], read_only, **{name: b""})
        assert name.endswith(".log") or not unnoticed, name


@pytest.mark.parametrize("read_only", [True, False])
def test_a_missing_table_or_manifest_is_noticed(victim, read_only):
    for name in victim.names(".table") + victim.names("MANIFEST"):
        assert not victim.question([MODEL], read_only, **{name: None}), name


def test_a_missing_log_is_noticed_or_was_empty(victim):
    for name in victim.names(".log"):
        victim.question([MODEL], True, **{name: None})


def test_without_its_current_file_it_is_no_new_database(victim):
    victim.restore()
    (victim.scratch / "CURRENT").unlink()
    before = sorted(os.listdir(victim.scratch))
    for arguments in ({}, {"create": True}, {"read_only": True}):
        with pytest.raises(lsm.Error) as raised:
            lsm.open(victim.scratch, **arguments)
        assert str(victim.scratch) in str(raised.value)
    assert set(before) <= {*os.listdir(victim.scratch), "LOCK"}
    (victim.scratch / "CURRENT").write_bytes(victim.bytes["CURRENT"])
    with lsm.open(victim.scratch) as db:
        assert dict(db.scan()) == MODEL


def test_two_exchanged_tables_are_noticed(victim):
    one, two = victim.names(".table")[:2]
    for read_only in (True, False):
        assert not victim.question([MODEL], read_only, **{one: victim.bytes[two], two: victim.bytes[one]})


def test_a_table_of_another_database_is_noticed(victim, path):
    """The same writes, the same numbers, other values: sound in itself, but not ours."""
    build(path, {key: value[::-1] for key, value in MODEL.items()})
    tried = 0
    for name in victim.names(".table"):
        if (path / name).exists():
            tried += 1
            for read_only in (True, False):
                assert not victim.question([MODEL], read_only, **{name: (path / name).read_bytes()}), name
    assert tried


def test_a_table_replaced_by_a_directory_is_an_error(victim):
    for name in victim.names(".table") + victim.names("MANIFEST") + ["CURRENT"]:
        victim.restore()
        (victim.scratch / name).unlink()
        (victim.scratch / name).mkdir()
        with pytest.raises(lsm.Error) as raised, lsm.open(victim.scratch, read_only=True) as db:
            list(db.scan())
        assert name in str(raised.value)


def test_damage_under_an_open_database_is_noticed_when_the_block_is_read(victim):
    victim.restore()
    with lsm.open(victim.scratch, block_cache_bytes=0) as db:
        for name in victim.names(".table"):
            with open(victim.scratch / name, "r+b") as file:
                size = file.seek(0, 2)
                for position in range(0, size, 97):
                    file.seek(position)
                    file.write(b"\xa5")
        for read in (lambda: list(db.scan()), lambda: list(db.scan(reverse=True)), lambda: len(db), db.compact):
            with pytest.raises(lsm.Error):
                read()
        for key, value in MODEL.items():
            try:
                assert db.get(key) == value
            except lsm.CorruptionError as error:
                assert error.path.endswith(".table")
        assert not db.verify()


def test_a_table_cut_short_under_an_open_database_is_an_error_not_a_signal(victim):
    victim.restore()
    with lsm.open(victim.scratch, block_cache_bytes=0) as db:
        for name in victim.names(".table"):
            os.truncate(victim.scratch / name, 100)
        for read in (lambda: list(db.scan()), lambda: db.get(b"key:0300"), lambda: db.multi_get(list(MODEL))):
            with pytest.raises(lsm.CorruptionError):
                read()


def test_a_compaction_that_meets_damage_keeps_its_inputs_and_says_so(victim):
    victim.restore()
    name = max(victim.names(".table"), key=lambda name: len(victim.bytes[name]))
    (victim.scratch / name).write_bytes(flipped(victim.bytes[name], len(victim.bytes[name]) // 3, 2))
    try:
        db = lsm.open(victim.scratch)
    except lsm.CorruptionError:
        return
    with pytest.raises(lsm.Error):
        db.compact()
    try:
        db.close()
    except lsm.Error:
        pass
    assert (victim.scratch / name).exists(), "the damaged input was thrown away"

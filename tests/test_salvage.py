"""salvage and lsm.verify on damaged databases of each engine with checksums of its own: every file flipped, cut, removed, exchanged.

Of each damage: what opens and reads gives right data or CorruptionError; salvage gives only rows that were really written, and
each that it does not call doubtful is the newest of its key; lsm.verify names the damage, or nothing was lost by it. Sampled with a
printed seed; LSM_LONG=1 tries every bit of every file, and every length (an hour and more).
"""
import os
import random
import shutil

import lsm
import pytest
from lsm import CorruptionError, _core

ENGINES = {"lsm": {"block_bytes": 128, "compression": "none", "memtable_bytes": 4096},
           "pylsm": {"block_bytes": 128, "compression": "none", "memtable_bytes": 4096}, "hashlog": {"file_bytes": 4096}}
SHORT = {("lsm", True), ("lsm", False), ("hashlog", False)}
LONG = os.environ.get("LSM_LONG") == "1"
SAMPLE = 1                              # damages of each kind a file
SEED = "salvage 1"


def story(db, written):
    """Old values, deletions, several files; what is ever written is noted."""
    def write(key, value):
        written.setdefault(key, set()).add(value)
        db[key] = value

    for n in range(24):
        write(b"key %02d" % n, b"old %d" % n * 3)
    db.flush()
    for n in range(0, 24, 3):
        write(b"key %02d" % n, b"new %d" % n)
    del db[b"key 07"], db[b"key 08"]
    db.flush()
    write(b"key 25", b"later")
    db.flush()


class Subject:
    """A pristine database, closed or with its live log, and what it holds."""

    def __init__(self, place, engine, closed):
        self.place, self.written = place, {}
        db = lsm.open(place / "source", engine=engine, _background=False, **ENGINES[engine])     # it is copied as it lies there
        story(db, self.written)
        if not closed:
            for n in range(6):
                self.written.setdefault(b"key %02d" % n, set()).add(b"logged %d" % n)
                db.put(b"key %02d" % n, b"logged %d" % n, sync=n == 3)
        self.model = dict(db.items())
        if closed:
            db.close()
        shutil.copytree(place / "source", place / "pristine")
        if not closed:
            db.close()
        self.bytes = {path.name: path.read_bytes() for path in sorted((place / "pristine").iterdir()) if path.name != "LOCK"}

    def damaged(self, changes):
        """A copy with these files changed (None: removed)."""
        copy = self.place / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.place / "pristine", copy)
        for name, data in changes.items():
            (copy / name).unlink() if data is None else (copy / name).write_bytes(data)
        return copy

    def opened(self, copy):
        """What the damaged database holds if it opens and reads to the end, else what it held."""
        try:
            with lsm.open(copy, engine=lsm.engine_at(copy) or "lsm", read_only=True, create=False) as db:
                return dict(db.items())
        except lsm.Error:
            return self.model

    def judge(self, changes, what):
        copy, rescued = self.damaged(changes), self.place / "rescued"
        before = {path.name: path.read_bytes() for path in copy.iterdir()}
        shutil.rmtree(rescued, ignore_errors=True)
        try:
            told = lsm.salvage(copy, rescued)
        except lsm.NotADatabaseError:
            assert len(self.bytes) == len(changes), what        # nothing is left of it
            return None
        assert {path.name: path.read_bytes() for path in copy.iterdir()} == before, "the source was touched"
        with lsm.open(rescued, engine=lsm.engine_at(rescued), read_only=True) as db:
            found = dict(db.items())
        for key, value in found.items():
            assert value in self.written[key], (what, key, "a row that nobody wrote")
        doubtful = {key for key in found if any(low <= key <= high for low, high in told.doubtful_keys)}
        assert len(doubtful) <= told.doubtful, what
        model = self.opened(copy)                               # of a torn log, what opening leaves of it
        for key, value in found.items():
            assert key in doubtful or model.get(key) == value, (what, key, value, str(told))
        lost = [error.keys for error in told.damage if error.keys]
        for key in model.keys() - found.keys():
            assert any((low is None or low <= key) and (high is None or key <= high) for low, high in lost), (what, key)
        report = lsm.verify(copy)
        for error in report.damage:
            assert isinstance(error, CorruptionError) and os.path.basename(error.path) in {*self.bytes, os.path.basename(copy)}
        if report.ok:
            assert found == model, what
        return told


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("lsm.opening.READ_ONLY_TRIES", 1)


@pytest.fixture(scope="module", params=[(engine, closed) for engine in ENGINES for closed in (True, False)
                                        if LONG or (engine, closed) in SHORT],
                ids=lambda given: f"{given[0]} {'closed' if given[1] else 'live'}")
def subject(request, tmp_path_factory):
    return Subject(tmp_path_factory.mktemp("salvage"), *request.param)


def written_part(name, data):
    """Of a log the unused room behind the records is left alone, but for its first bytes."""
    return len(data.rstrip(b"\0")) + 16 if name.endswith((".log", ".data")) else len(data)


def test_the_sound_database_is_copied_whole(subject):
    told = subject.judge({}, "nothing")
    assert told.ok and told.rows == len(subject.model) and not told.doubtful


@pytest.mark.timeout(0 if LONG else 120)
def test_flipped_bits(subject):
    rng, count = random.Random(SEED), 0
    for name, data in subject.bytes.items():
        size = min(written_part(name, data), len(data))
        places = range(size * 8) if LONG else sorted(rng.sample(range(size * 8), min(SAMPLE, size * 8)))
        for place in places:
            changed = data[:place >> 3] + bytes([data[place >> 3] ^ 1 << (place & 7)]) + data[(place >> 3) + 1:]
            subject.judge({name: changed}, f"{SEED}: bit {place} of {name}")
            count += 1
    print(f"{SEED}: {count:,} bits flipped")


@pytest.mark.timeout(0 if LONG else 120)
def test_cut_files(subject):
    rng, count = random.Random(SEED), 0
    for name, data in subject.bytes.items():
        size = min(written_part(name, data), len(data))
        for length in range(size) if LONG else [rng.randrange(size) for _ in range(SAMPLE)]:
            subject.judge({name: data[:length]}, f"{SEED}: {name} cut to {length}")
            count += 1
    print(f"{SEED}: {count:,} lengths")


def test_removed_zeroed_and_exchanged_files(subject):
    names = list(subject.bytes)
    for name in names:
        subject.judge({name: None}, f"{name} removed")
        subject.judge({name: bytes(len(subject.bytes[name]))}, f"{name} zeroed")
    for suffix in (".table", ".data", ".log"):
        same = [name for name in names if name.endswith(suffix)]
        for one, other in zip(same, same[1:]):
            subject.judge({one: subject.bytes[other], other: subject.bytes[one]}, f"{one} and {other} exchanged")


@pytest.fixture
def closed(tmp_path):
    return Subject(tmp_path, "lsm", True)


def test_a_table_without_footer_is_read_by_the_checksums_of_its_blocks(closed):
    for name in [name for name in closed.bytes if name.endswith(".table")]:
        told = closed.judge({name: closed.bytes[name][:-64] + bytes(64)}, name)
        assert told.rows == len(closed.model) and told.damage and not told.doubtful


def test_without_current_the_newest_manifest_counts(closed):
    told = closed.judge({"CURRENT": None}, "CURRENT")
    assert told.rows == len(closed.model) and not told.doubtful and "newest manifest" in told.notes[0]


def test_without_a_manifest_every_row_is_doubtful(closed):
    gone = {name: None for name in closed.bytes if name.startswith(("MANIFEST", "CURRENT"))}
    told = closed.judge(gone, "manifest")
    assert told.rows == told.doubtful >= len(closed.model)
    assert lsm.salvage(closed.place / "copy", closed.place / "certain", doubtful=False).rows == 0


def test_a_table_that_ends_behind_a_whole_block_is_not_taken_for_a_whole_one(closed):
    """As many bytes as a footer has were behind the last block: they were taken for the footer, the last three blocks for filter,
    index and properties, and nobody was told of what is missing."""
    for name, data in closed.bytes.items():
        end, ends = 0, [0]
        while name.endswith(".table") and (end := _core.sealed_end(data, end, len(data))):
            ends.append(end)
        for end in ends[:-2]:
            closed.judge({name: data[:end + 64]}, f"{name} cut to {end + 64}")


def test_exchanged_tables_are_found_under_each_others_name(closed):
    one, other = [name for name in closed.bytes if name.endswith(".table")][:2]
    told = closed.judge({one: closed.bytes[other], other: closed.bytes[one]}, "exchanged")
    assert told.rows == len(closed.model)


def test_verify_goes_on_behind_a_damaged_footer_and_names_the_keys(closed):
    copy = closed.damaged({})
    with lsm.open(copy, block_cache_bytes=0) as db:
        name = max((name for name in closed.bytes if name.endswith(".table")), key=lambda name: len(closed.bytes[name]))
        data = bytearray(closed.bytes[name])
        data[20] ^= 1                                           # a block
        data[-60] ^= 1                                          # the footer
        with open(copy / name, "r+b") as file:
            file.write(data)
        damage = db.verify().damage
        assert len(damage) == 2 and all(error.path.endswith(name) and error.keys for error in damage)
        assert "will not open again" in damage[1].detail
        with open(copy / name, "r+b") as file:
            file.write(closed.bytes[name])


def test_salvage_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(lsm.NotADatabaseError):
        lsm.salvage(tmp_path, tmp_path / "out")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "BTREE").write_bytes(b"")
    with pytest.raises(lsm.NotOfferedError):
        lsm.salvage(tmp_path / "db", tmp_path / "out")

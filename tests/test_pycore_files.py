"""One set of files for both cores: what one wrote, or left behind when it was killed, the other opens and goes on with."""
import doctest
import os
import pathlib
import random
import shutil
import subprocess
import sys

import lsm
import pytest
from crash import states
from crash_engine import SMALL, abandon, random_changes
from model import TINY, contents, random_key, random_value
from plain_directory import SimulatedPyDB
from test_table_golden import ENTRIES, GOLDEN, OPTIONS

from lsm import _core, _pycore
from lsm.engines.lsm import DB
from lsm.engines.pylsm import PyDB
from lsm.tree import manifest

ENGINES = {"lsm": DB, "pylsm": PyDB}
LAYOUTS = {
    "default": {},
    "tiny": TINY,
    "tiny lz4 tiered": {**TINY, "compression": "lz4", "compaction": "tiered"},
    "no filter, every entry a restart": {**TINY, "compression": "none", "bloom_bits_per_key": 0, "restart_interval": 1},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_history_written_by_both_in_turn(path, rng, name):
    """Each life of the database is of one engine, by chance, and ends in a close, or as a killed process does."""
    model = {}
    for life in range(24):
        engine = rng.choice(list(ENGINES))
        db = lsm.open(path, engine=engine, **LAYOUTS[name])
        assert contents(db) == model, f"life {life}, {engine}"
        for number in range(rng.randrange(250)):
            key, value = random_key(rng), random_value(rng, number)
            if rng.random() < 0.2:
                db.delete(key)
                model.pop(key, None)
            elif rng.random() < 0.1:
                with db.write_batch() as batch:
                    batch.delete(key + b"x")
                    batch[key] = value
                model[key] = value
                model.pop(key + b"x", None)
            else:
                db.put(key, value, sync=rng.random() < 0.02)
                model[key] = value
            if rng.random() < 0.01:
                db.flush()
            if rng.random() < 0.003:
                db.compact()
        report = db.verify()
        assert report.ok, report
        abandon(db) if rng.random() < 0.5 else db.close()
        release(db)
    for engine in ENGINES:
        with lsm.open(path, engine=engine, read_only=True) as db:
            assert contents(db) == model and db.verify().ok


def release(db):
    """What the death of the process would have done: the shaker ends, and the lock is free."""
    if db._shaker is not None:
        db._shaker.stop()
    db._tree.directory.close()


def lives(engine, seed):
    """One history on a simulated disk, by one engine: its files after each step."""
    rng = random.Random(seed)
    disk = _core.SimulatedDirectory(mapped=False)
    options = {**SMALL, "memtable_bytes": 1 << 20, "compression": "none"}

    def open_on():
        genuine, os.urandom = os.urandom, lambda size: b"Z" * size
        try:
            return engine("/simulated", _directory=disk, _background=False, **options)
        finally:
            os.urandom = genuine

    db = open_on()
    for number in range(1, 161):
        for key, value in random_changes(rng, number).items():
            db.delete(key) if value is None else db.put(key, value)
        if number % 10 == 0:
            snapshot = db.snapshot() if number % 20 == 0 else None
            db.put(b"key00", b"under a snapshot")
            disk.clock = number * 1_000_000         # not the number of looks at it is to be the same, but what is written
            db.flush()
            yield number, disk.files()
            if snapshot is not None:
                snapshot.close()
        if number % 40 == 0:
            db.compact()
            yield number, disk.files()
        if number % 50 == 0:
            db.close()
            disk = disk.reopen()
            db = open_on()
    db.close()
    yield "closed", disk.files()


@pytest.mark.parametrize("seed", ["one", "two", "three"])
def test_the_same_history_leaves_the_same_bytes(seed):
    """Tables, manifests and CURRENT; logs too, but for the times in their records."""
    compared = 0
    for (number, compiled), (_, plain) in zip(lives(lsm.DB, seed), lives(SimulatedPyDB, seed), strict=True):
        assert sorted(compiled) == sorted(plain)
        for name in compiled:
            if name.endswith(".table"):
                compared += 1
                assert without_times(name, compiled[name]) == without_times(name, plain[name]), (number, name)
            elif name.startswith("MANIFEST"):
                assert timeless(compiled[name]) == timeless(plain[name]), (number, name)
            elif name.endswith(".log"):
                assert len(compiled[name]) == len(plain[name])
            else:
                assert compiled[name] == plain[name] or name == "LOCK"
    assert compared > 20


def without_times(name, data):
    from test_pycore_parts import without_time

    return without_time(data)


def timeless(data):
    """What a manifest says, but for when tables were made, and their checksums, in which that is too."""
    state = manifest.decode(data, "")
    return [(meta.number, meta.size, meta.entries, meta.smallest, meta.largest, meta.min_sequence, meta.max_sequence)
            for meta in state.version.tables()], state.logs, state.last_sequence, state.number, state.next_file


@pytest.mark.parametrize("writer, reader", [(lsm.DB, SimulatedPyDB), (SimulatedPyDB, lsm.DB)], ids=["to plain", "to compiled"])
def test_what_a_crash_of_one_leaves_the_other_recovers(writer, reader):
    """Killed, or the power lost, at any operation: the recovered contents are the same as by its own recovery."""
    disk = _core.SimulatedDirectory(mapped=writer is lsm.DB)
    rng = random.Random("crashes")
    options = {**SMALL, "compression": "none"}
    db = writer("/simulated", _directory=disk, _background=False, **options)
    for number in range(1, 41):
        with db.write_batch(sync=number % 6 == 0) as batch:
            for key, value in random_changes(rng, number).items():
                batch.delete(key) if value is None else batch.put(key, value)
    journal, checked = disk.journal(), 0
    abandon(db)
    for model in ("weak", "ext4"):
        for state in random.Random(model).sample(list(states(journal, model)), 60):
            found = []
            for engine in (writer, reader):
                other = _core.SimulatedDirectory(state.files, mapped=False)
                try:
                    again = engine("/simulated", _directory=other, _background=False, create=False, **options)
                except lsm.Error as error:
                    found.append(type(error))
                    continue
                found.append((dict(again.items()), again._sequence))
                assert again.verify().ok
                again.close()
            assert found[0] == found[1], state.description
            checked += isinstance(found[0], tuple)
    assert checked > 60


def test_golden_files_open_and_are_made_again(tmp_path):
    shutil.copytree(GOLDEN.parent, tmp_path / "v1")
    directory = _pycore.Directory(str(tmp_path / "v1"))
    for name in ("000042.table", "lz4.table"):
        table = _pycore.Table(directory, name, _pycore.BlockCache(1 << 20))
        assert table.entries_list() == ENTRIES and table.entries_list(reverse=True) == ENTRIES[::-1]
        table.verify(_pycore.crc32c((tmp_path / "v1" / name).read_bytes()))
    writer = _pycore.TableWriter(directory, "again.table", database_id=bytes(range(16)), **OPTIONS)
    for one in ENTRIES:
        writer.add(*one)
    writer.finish()
    assert (tmp_path / "v1" / "again.table").read_bytes() == GOLDEN.read_bytes()
    memtable = _pycore.Memtable()
    data = GOLDEN.with_name("000042.log").read_bytes()
    twin = _core.Memtable()
    asked = ("000042.log", 42, bytes(range(16)), 7)
    assert _pycore.replay_log(data, *asked, memtable, "") == _core.replay_log(data, *asked, twin, "")
    assert memtable.entries == twin.entries > 0


@pytest.mark.skipif("zstd" in _pycore.compressions, reason="this interpreter has zstd")
def test_a_compression_it_lacks_is_named(tmp_path):
    shutil.copy(GOLDEN.with_name("zstd.table"), tmp_path)
    with pytest.raises(lsm.UnsupportedError, match="zstd"):
        _pycore.Table(_pycore.Directory(str(tmp_path)), "zstd.table", _pycore.BlockCache(0)).entries_list()


# ------------------------------------------------------------------------------------------ without the extension

WITHOUT = """
import sys, warnings
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "lsm._core":
            raise ImportError("no extension was built", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run_without_extension(program, *arguments):
    source = str(pathlib.Path(lsm.__file__).resolve().parent.parent)
    return subprocess.run([sys.executable, "-c", WITHOUT + program, *arguments], capture_output=True, text=True, timeout=100,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])})


def test_without_the_extension_it_works_and_warns_once(path):
    done = run_without_extension("""
with warnings.catch_warnings(record=True) as met:
    warnings.simplefilter("always")
    import lsm
    with lsm.open(sys.argv[1]) as db:
        db.update({b"kenya": b"Nairobi", b"rwanda": b"Kigali"})
        with db.snapshot() as then, db.write_batch() as batch:
            del batch[b"rwanda"]
        db.compact()
        assert list(db.scan()) == [(b"kenya", b"Nairobi")] and db.verify() and db.stats().tables == 1
        assert [len(chunk) for chunk in db.scan_chunks()] == [1]
    with lsm.open(sys.argv[1], engine="pylsm", block_cache=lsm.BlockCache(1000)) as db:
        assert db[b"kenya"] == b"Nairobi"
    with lsm.open(sys.argv[1] + "memory", engine="memory") as db:
        db[b"a"] = b"b"
    try:
        lsm.open(sys.argv[1] + "hashlog", engine="hashlog")
    except lsm.UnsupportedError as error:
        assert "engine='pylsm'" in str(error), error
    else:
        raise AssertionError("hashlog is C")
assert "lsm._core" not in sys.modules
print([(one.category.__name__, str(one.message)[:40]) for one in met])
""", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("RuntimeWarning") == 1 and "the compiled core of lsm is not there" in done.stdout, done.stdout
    with lsm.open(path) as db:
        assert dict(db.items()) == {b"kenya": b"Nairobi"} and db.verify().ok


def test_with_the_extension_the_plain_core_is_not_even_imported():
    source = "import sys, lsm; assert not any(name.startswith('lsm._pycore') for name in sys.modules), 'imported'"
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr


def test_the_examples_of_the_page_run():
    page = pathlib.Path(__file__).resolve().parent.parent / "docs" / "engine-pylsm.md"
    told = doctest.testfile(str(page), module_relative=False)
    assert told.attempted >= 10 and not told.failed


def test_the_page_names_every_file():
    page = (pathlib.Path(__file__).resolve().parent.parent / "docs" / "engine-pylsm.md").read_text()
    for path in sorted(pathlib.Path(_pycore.__file__).parent.glob("*.py")):
        assert path.name == "__init__.py" or f"`{path.name}`" in page, path.name


def test_a_block_cache_is_taken_whichever_core_it_is_of(tmp_path):
    for cache in (lsm.BlockCache(1 << 20), _pycore.BlockCache(1 << 20)):
        used = []
        for name in ("a", "b"):
            with lsm.open(tmp_path / name, engine="pylsm", block_cache=cache) as db:
                db.update({b"%03d" % number: bytes(100) for number in range(300)})
                db.flush()
                assert len(db) == 300
                used.append(db.stats().cache_used)
                assert db.stats().cache_capacity == 1 << 20
                with lsm.open(tmp_path / name, engine="pylsm", block_cache=cache, read_only=True) as reader:
                    assert len(reader) == 300 and reader.stats().cache_used > used[-1], "it is one cache for both"
    with pytest.raises(TypeError, match="BlockCache"):
        lsm.open(tmp_path / "c", engine="pylsm", block_cache=1 << 20)

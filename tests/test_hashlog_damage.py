"""hashlog: damage by other hands than a crash's. Every bit of a small closed database is flipped, every file cut, emptied,
removed, exchanged: allowed is the right data, or CorruptionError naming the file; never a wrong value or a missing key. Of a
database that a process left behind without closing it, the last write may also be gone, as if it had been torn.
"""
import os
import random
import shutil
import struct

import hashlog_reference as reference
import lsm
import pytest
from hashlog_engine import SMALL, HashRun
from lsm import _core
from lsm.engines.hashlog.database import HashLog
from lsm.errors import CorruptionError

EVERY = 1 if os.environ.get("LSM_LONG") == "1" else 3


def story(run):
    run.write({b"kenya": b"Nairobi" * 9, b"rwanda": b"Kigali"})
    run.write({b"uganda": b"Kampala" * 30})
    run.flush()
    run.write({b"kenya": b"NBO"})
    run.write({b"rwanda": None})
    run.flush()
    run.write({b"tanzania": b"Dodoma" * 40})
    return run


def read(files, accepted):
    """Open and read everything, then verify: is what was found one of `accepted`? Answers whether anything was noticed."""
    errors = []
    directory = _core.SimulatedDirectory(files)
    try:
        db = HashLog("/simulated", _directory=directory, _background=False, read_only=True, **SMALL)
    except (CorruptionError, lsm.VersionError) as error:
        return error
    try:
        try:
            found = dict(db.scan())
            assert found in accepted, found
        except CorruptionError as error:
            errors.append(error)
        for key in sorted(set().union(*accepted)):
            try:
                value = db.get(key)
                assert value in {model.get(key) for model in accepted}, (key, value)
            except CorruptionError as error:
                errors.append(error)
        report = db.verify()
        errors.extend(report.damage)
    finally:
        db.close()
    return errors[0] if errors else None


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A read-only open tries again in case a writer was just replacing files; here nobody is."""
    monkeypatch.setattr("lsm.opening.READ_ONLY_TRIES", 1)


def flips(data, every=EVERY):
    for place in range(len(data)):
        for bit in range(8):
            if (place * 8 + bit) % every == 0:
                yield place, data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1:]


@pytest.mark.parametrize("kind", ["HASHLOG", ".data", ".hint"])
def test_every_bit_of_a_closed_database(kind):
    run = story(HashRun())
    run.close()
    files, model = run.directory.crashed_process(), run.history[-1]
    assert read(files, [model]) is None
    count = 0
    for name in [name for name in files if kind in name]:
        for place, damaged in flips(files[name]):
            error = read({**files, name: damaged}, [model])
            assert error is not None, f"{name} byte {place}: nothing was noticed"
            assert name.split(".")[0] in str(error) or isinstance(error, lsm.VersionError), (name, error)
            count += 1
    print(f"{count:,} flips")


def test_every_bit_of_the_files_of_a_killed_process():
    """The tail may be dropped, if nothing says that it had been synced; everything else is noticed."""
    run = story(HashRun())
    run.write({b"last": b"1", b"but": b"one batch"})
    files, history = run.directory.crashed_process(), run.history
    assert read(files, [history[-1]]) is None
    open_ = max(name for name in files if name.endswith(".data"))
    end = len(files[open_].rstrip(b"\0")) + 8
    lost = 0
    for place, damaged in flips(files[open_][:end]):
        error = read({**files, open_: damaged + files[open_][end:]}, [history[-2], history[-1]])
        if error is None:
            lost += 1
            assert dict_of({**files, open_: damaged + files[open_][end:]}) in (history[-2], history[-1]), place
    assert lost, "a flip in the last write looks like a tear"


def dict_of(files):
    with HashLog("/simulated", _directory=_core.SimulatedDirectory(files), _background=False, read_only=True) as db:
        return dict(db.scan())


def test_a_flip_below_the_watermark_is_noticed_whatever_it_looks_like():
    run = HashRun()
    run.write({b"a": b"1" * 600}, sync=True)
    run.write({b"b": b"2"})                 # says that the first had been synced
    files = run.directory.crashed_process()
    name = next(name for name in files if name.endswith(".data"))
    zeroed = files[name][:64] + bytes(640) + files[name][704:]
    for damaged in (zeroed, *(data for place, data in flips(files[name][:700], 97))):
        error = read({**files, name: damaged + files[name][len(damaged):]}, [run.history[-1]])
        assert isinstance(error, CorruptionError)


def test_files_cut_emptied_removed_exchanged():
    run = story(HashRun())
    run.close()
    files, model = run.directory.crashed_process(), run.history[-1]
    data = [name for name in files if name.endswith(".data")]
    rng = random.Random("cut")
    for name in (*data, "HASHLOG"):
        for size in {0, 1, 63, 64, len(files[name]) - 1, *(rng.randrange(len(files[name])) for _ in range(20))}:
            if size < len(files[name]):
                assert isinstance(read({**files, name: files[name][:size]}, [model]), CorruptionError), (name, size)
        without = {other: bytes_ for other, bytes_ in files.items() if other != name}
        assert isinstance(read(without, [model]), CorruptionError), name
    for one in data:
        for other in data:
            if one != other:
                assert isinstance(read({**files, one: files[other]}, [model]), CorruptionError), (one, other)


def test_a_hint_that_is_gone_or_damaged_costs_time_alone(tmp_path, caplog):
    with lsm.open(tmp_path / "db", engine="hashlog") as db:
        db.update({b"%d" % i: b"%d" % i * 10 for i in range(100)})
        del db[b"7"]
        model = dict(db.items())
    hint = next((tmp_path / "db").glob("*.hint"))
    genuine = hint.read_bytes()
    for contents in (None, b"", genuine[:50], genuine[:-1], genuine + b"x", genuine[:70] + b"?" + genuine[71:]):
        hint.unlink() if contents is None else hint.write_bytes(contents)
        caplog.clear()
        with lsm.open(tmp_path / "db", engine="hashlog", read_only=True) as db:
            assert dict(db.items()) == model
            assert not db.verify().ok
        assert "is not used" in caplog.text and hint.name in caplog.text
        hint.write_bytes(genuine)


def resealed(hint):
    return hint[:8] + struct.pack("<I", reference.masked(hint[12:])) + hint[12:]


def changed(hint, at, form, value):
    data = bytearray(hint)
    struct.pack_into(form, data, at, value)
    return resealed(bytes(data))


def test_a_hint_of_a_right_checksum_that_says_what_no_version_wrote_costs_time_alone(tmp_path, caplog):
    with lsm.open(tmp_path / "db", engine="hashlog") as db:
        db.update({b"%03d" % i: b"%d" % i * 10 for i in range(100)})
        model = dict(db.items())
    path = next((tmp_path / "db").glob("*.hint"))
    genuine = path.read_bytes()
    first, entry = 64, reference.HINT_ENTRY.size + 3
    hints = {"version": changed(genuine, 12, "<I", 2), "number": changed(genuine, 16, "<Q", 9),
             "database": changed(genuine, 24, "<B", genuine[24] ^ 1), "size of the file": changed(genuine, 40, "<Q", 8),
             "an entry less": changed(genuine, 48, "<Q", 99), "an entry more": changed(genuine, 48, "<Q", 101),
             "kind": changed(genuine, first, "<B", 7), "place": changed(genuine, first + 8, "<I", 0xFFFFFFFF),
             "within the header": changed(genuine, first + 8, "<I", 1), "value": changed(genuine, first + 12, "<I", 0xFFFFFFF0),
             "key": changed(genuine, first + 16, "<H", 0xFFFF)}
    hints |= {f"cut to {size}": resealed(genuine[:size]) for size in range(len(genuine) - 2 * entry, len(genuine))}
    for what, contents in hints.items():
        path.write_bytes(contents)
        caplog.clear()
        with lsm.open(tmp_path / "db", engine="hashlog", read_only=True) as db:
            assert dict(db.items()) == model, what
        assert "is not used" in caplog.text and path.name in caplog.text, what


def test_a_hint_that_leads_to_another_record_is_noticed_by_get(tmp_path):
    """It says what a version may have written, so it is used; the record is held against it."""
    with lsm.open(tmp_path / "db", engine="hashlog", block_cache_bytes=0) as db:
        for key in (b"a", b"b", b"c"):
            db[key] = key * 100
        db[b"gone"] = b""
        del db[b"gone"]
    path = next((tmp_path / "db").glob("*.hint"))
    genuine, size = path.read_bytes(), reference.HINT_ENTRY.size
    places, at = [], 64
    while at < len(genuine):
        tag, place, value_size, key_size = reference.HINT_ENTRY.unpack_from(genuine, at)
        places.append((at, tag, place, value_size))
        at += size + key_size
    (a, a_tag, *_), (_, b_tag, b_place, _), (c, _, c_place, c_size), _, (gone, gone_tag, *_) = places
    for key, contents in {
            b"a": changed(genuine, a + 8, "<I", b_place),                                   # of another key
            b"b": changed(genuine, 64 + size + 1, "<Q", b_tag + (1 << 20)),                 # of another sequence
            b"c": changed(genuine, c + 12, "<I", c_size - 1),                               # of another size
            b"gone": changed(genuine, gone, "<Q", gone_tag | 1)}.items():                   # a deletion
        path.write_bytes(contents)
        with lsm.open(tmp_path / "db", engine="hashlog", read_only=True, block_cache_bytes=0) as db:
            for read_ in (lambda db=db, key=key: db.get(key), lambda db=db, key=key: db.multi_get([key]),
                          lambda db=db: list(db.scan())):
                with pytest.raises(CorruptionError) as raised:
                    read_()
                assert raised.value.path.endswith(".data")
            assert not db.verify().ok
            rest = [other for other in (b"a", b"b", b"c") if other != key]
            assert [db.get(other) for other in rest] == [other * 100 for other in rest]


def test_a_value_damaged_on_disk_is_noticed_by_get(tmp_path):
    with lsm.open(tmp_path / "db", engine="hashlog", block_cache_bytes=0) as db:
        db[b"small"], db[b"large"] = b"s" * 100, b"l" * 100_000
    path = next((tmp_path / "db").glob("*.data"))
    data = path.read_bytes()
    for key, letter in ((b"small", b"s"), (b"large", b"l")):
        place = data.index(letter * 50) + 25
        shutil.copytree(tmp_path / "db", tmp_path / "copy")
        (tmp_path / "copy" / path.name).write_bytes(data[:place] + b"!" + data[place + 1:])
        with lsm.open(tmp_path / "copy", engine="hashlog") as db:
            with pytest.raises(CorruptionError, match=path.name) as raised:
                db.get(key)
            assert 64 <= raised.value.offset <= place
            for read_ in (lambda db=db: list(db.scan()), lambda db=db, key=key: db.multi_get([key]),
                          lambda db=db, key=key: db.snapshot().get(key)):
                with pytest.raises(CorruptionError):
                    read_()
            assert not db.verify().ok
        shutil.rmtree(tmp_path / "copy")

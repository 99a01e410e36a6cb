"""The B-tree engine: what it does so that LMDB keeps the contract."""
import os
import threading

import lsm
import pytest

lmdb = pytest.importorskip("lmdb")

from lsm.engines.btree.layout import encode     # noqa: E402
from lsm.tree.manifest import checksum          # noqa: E402


def opened(path, **how):
    return lsm.open(path, engine="btree", **how)


def test_keys_that_lmdb_has_no_room_for_keep_their_order(path):
    keys = [b"", b"\0", b"\0\0", b"\0\1", b"\1", b"a", b"a\0"]
    with opened(path, lazy_sync=True) as db:
        db.write_many((key, key + b"!") for key in reversed(keys))
        assert list(db) == keys and list(reversed(db)) == keys[::-1]
        assert list(db.scan(b"\0", b"\1", values=False)) == keys[1:4]
        assert [db[key] for key in keys] == [key + b"!" for key in keys]
        assert list(db.scan(prefix=b"\0", reverse=True, values=False)) == keys[3:0:-1]


@pytest.mark.parametrize("first", [b"a", b"\0"])
def test_the_longest_key_fits_whatever_it_begins_with(path, first):
    with opened(path, lazy_sync=True) as db:
        longest = first + b"k" * (db.traits.key_bytes_max - 1)
        db[longest] = b"1"
        assert db[longest] == b"1" and list(db) == [longest]
        with pytest.raises(ValueError, match="510 bytes: engine='lsm' takes up to 65,535"):
            db[longest + b"k"] = b""
        with db.snapshot() as then:
            assert then.get(longest + b"k") is None
        assert list(db.scan(longest + b"k")) == []


def test_the_map_grows_by_itself(path):
    with opened(path, lazy_sync=True, _map_bytes=1 << 20) as db:
        db.write_many((b"%06d" % number, bytes(1000)) for number in range(8000))
        assert len(db) == 8000 and db.stats().map_bytes >= 8 << 20
        for number in range(8000, 9000):
            db[b"%06d" % number] = bytes(5000)
        assert len(db) == 9000 and db.verify()


def test_a_map_that_may_not_grow_says_so_and_loses_nothing(path):
    with opened(path, lazy_sync=True, _map_bytes=1 << 20) as db:
        db[b"a"] = b"1"
        with db.snapshot() as then:
            with pytest.raises(lsm.StorageError, match="close them"):
                db.write_many((b"%06d" % number, bytes(1000)) for number in range(8000))
            assert dict(then.scan()) == {b"a": b"1"}
        db.write_many((b"%06d" % number, bytes(1000)) for number in range(8000))
        assert len(db) == 8001


def test_a_file_cut_short_is_damage_not_a_signal(path):
    with opened(path) as db:
        db.write_many((b"%06d" % number, bytes(1000)) for number in range(3000))
    data = path / "tree-000001" / "data.mdb"
    size = os.path.getsize(data)
    os.truncate(data, size // 2)
    for read_only in (False, True):
        with pytest.raises(lsm.CorruptionError, match="cut short") as raised:
            opened(path, read_only=read_only)
        assert raised.value.offset == size // 2
    os.truncate(data, 100)
    with pytest.raises(lsm.Error):
        opened(path)


def test_a_damaged_head_and_marker_are_errors(path):
    opened(path).close()
    data = path / "tree-000001" / "data.mdb"
    head = data.read_bytes()
    data.write_bytes(bytes(len(head)))
    with pytest.raises(lsm.CorruptionError):
        opened(path)
    data.write_bytes(head)
    newer = b"lsm btree 3 what nobody knows yet "
    (path / "BTREE").write_bytes(newer + checksum(newer) + b"\n")
    with pytest.raises(lsm.VersionError, match="upgrade"):
        opened(path)
    (path / "BTREE").write_bytes(b"lsm btree 1\n")
    with pytest.raises(lsm.VersionError, match="lsm dump"):
        opened(path)
    (path / "BTREE").write_bytes(encode(1).replace(b"01 ", b"02 "))
    with pytest.raises(lsm.CorruptionError, match="checksum"):
        opened(path)
    (path / "BTREE").write_bytes(b"something else")
    with pytest.raises(lsm.CorruptionError, match="BTREE"):
        opened(path)


def test_compaction_gives_room_back_and_waits_for_readers(path):
    with opened(path, lazy_sync=True) as db:
        db.write_many((b"%06d" % number, bytes(1000)) for number in range(3000))
        for number in range(2900):
            db.delete(b"%06d" % number)
        before = db.stats().bytes
        with db.snapshot():
            db.compact()
            assert db.stats().bytes == before
        db.compact()
        assert db.stats().bytes < before / 5 and len(db) == 100
        db[b"a"] = b"1"
    with opened(path) as db:
        assert len(db) == 101


def test_a_read_only_one_holds_its_moment_beside_a_writer(path):
    with opened(path, lazy_sync=True) as db:
        db[b"a"] = b"1"
    code = ("import lsm, sys\n"
            f"with lsm.open({str(path)!r}, engine='btree', read_only=True) as db:\n"
            "    print(db[b'a'], flush=True); sys.stdin.readline(); print(dict(db.scan()), flush=True)\n")
    import subprocess
    import sys
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert child.stdout.readline() == "b'1'\n"
    with opened(path, lazy_sync=True) as db:
        db[b"a"] = b"2"
    assert child.communicate("\n", timeout=60)[0] == "{b'a': b'1'}\n"


def test_without_the_package_it_says_what_to_install(path, monkeypatch):
    monkeypatch.setattr("lsm.engines.btree.environment.lmdb", None)
    with pytest.raises(lsm.UnsupportedError, match=r"lsmkv\[btree\]"):
        opened(path)
    assert not path.exists()


@pytest.mark.parametrize("change", ["compact", "grow"])
def test_reads_go_on_right_while_the_map_is_replaced(path, change):
    """A get began its transaction in an environment that compaction was closing, or that was growing under it."""
    with opened(path, lazy_sync=True, _map_bytes=1 << 20) as db:
        db[b"k"] = b"v"
        stop, wrong = threading.Event(), []

        def read():
            while not stop.is_set():
                try:
                    if db.get(b"k") != b"v":
                        wrong.append("another value")
                except Exception as error:
                    wrong.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(30):
            if change == "compact":
                db.compact()
            else:
                db.write_many((b"%d:%d" % (turn, n), bytes(1000)) for n in range(100))
        stop.set()
        reader.join()
        assert not wrong, wrong[:3]


def test_moments_closed_beside_the_store_wait_for_nobody(path):
    """Each used to hold a lock that the other waited for: the moment its own, who closes the store the engine's."""
    for _ in range(30):
        db = opened(path, lazy_sync=True)
        db.write_many((b"%03d" % number, b"v") for number in range(100))
        moments = [db.snapshot() for _ in range(20)]
        begun = threading.Barrier(3)

        def end(some, begun=begun):
            begun.wait(60)
            for moment in some:
                try:
                    moment.get(b"001")
                    list(moment.scan(limit=5))
                except lsm.ClosedError:
                    pass
                moment.close()

        ending = [threading.Thread(target=end, args=(moments[half::2],)) for half in (0, 1)]
        for thread in ending:
            thread.start()
        begun.wait(60)
        db.close()
        for thread in ending:
            thread.join(60)
            assert not thread.is_alive()


def test_a_moment_that_nobody_has_any_more_is_closed(path):
    with opened(path, lazy_sync=True) as db:
        db[b"a"] = b"1"
        moment = db._frozen()               # what is left when a signal's handler raised before anybody had it
        assert db.stats().moments == 1
        del moment
        assert db.stats().moments == 0


@pytest.mark.parametrize("reading", ["get", "snapshot", "scan"])
def test_who_comes_when_the_map_is_to_change_waits_behind_it(path, reading):
    """Readers that came again and again could keep compaction, and the growing of the map, from ever coming about."""
    with opened(path, lazy_sync=True) as db:
        db[b"k"] = b"v"
        gate, done = db._environment.gate, []
        rows = db.scan()
        with db.snapshot() as then:
            reads = {"get": lambda: db.get(b"k"), "snapshot": lambda: then.get(b"k"), "scan": lambda: next(rows)}
            changer = threading.Thread(target=lambda: gate.alone(lambda: done.append("changed")))
            reader = threading.Thread(target=lambda: done.append(reads[reading]()))
            with gate._locks[-1]:                       # a reading that takes long
                changer.start()
                while not gate._wanted:
                    threading.Event().wait(0.001)
                reader.start()
                reader.join(0.2)
                assert done == []
            changer.join(60)
            reader.join(60)
            assert done == ["changed", (b"k", b"v") if reading == "scan" else b"v"]
            rows.close()


def test_a_handler_in_the_middle_of_a_reading_does_not_wait_for_a_change_that_waits_for_it(path):
    with opened(path, lazy_sync=True) as db:
        db[b"k"] = b"v"
        gate, rows = db._environment.gate, db.scan()
        changer = threading.Thread(target=lambda: gate.alone(lambda: None))
        with db.snapshot() as then:
            with gate.lock():                           # this thread is reading, and now a handler runs in it
                changer.start()
                while not gate._wanted:
                    threading.Event().wait(0.001)
                assert db.get(b"k") == b"v"
                with pytest.raises(lsm.BusyError):
                    then.get(b"k")
                with pytest.raises(lsm.BusyError):
                    next(rows)
            changer.join(60)
            assert then.get(b"k") == b"v" and list(rows) == [(b"k", b"v")]      # being busy passes

"""The B-tree engine: what is made and checked when it is opened; and who else has it open, in this process and its children."""
import os
from types import SimpleNamespace

import lsm
import pytest
from child import Child, run

pytest.importorskip("lmdb")

from lsm.engines.btree import copying, layout       # noqa: E402


def opened(path, **how):
    return lsm.open(path, engine="btree", **how)


# ------------------------------------------------------------ making

def test_the_marker_comes_when_the_tree_is_durable(path, monkeypatch):
    """The name of data.mdb was never synced: after a loss of power an acknowledged write could be in a file without a name."""
    done = []
    genuine, mapped, prepare, switch = copying.core.Directory, copying.mapped, layout.prepare, layout.switch

    class Directory:
        def __init__(self, path, **how):
            self._directory = genuine(path, **how)
            done.append("name of the tree")

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            self._directory.close()

        def sync(self):
            done.append("name of the file")
            self._directory.sync()

    class Mapped:
        def __init__(self, *given):
            self._environment = mapped(*given)
            self.close = self._environment.close

        def sync(self, force):
            done.append("file")
            self._environment.sync(force)

    monkeypatch.setattr(copying, "core", SimpleNamespace(Directory=Directory))
    monkeypatch.setattr(copying, "mapped", Mapped)
    monkeypatch.setattr(layout, "prepare", lambda *given: (done.append("marker prepared"), prepare(*given)))
    monkeypatch.setattr(layout, "switch", lambda *given: (done.append("marker"), switch(*given)))
    opened(path).close()
    assert done == ["name of the tree", "file", "name of the file", "marker prepared", "marker"]


def test_a_database_whose_making_was_killed_is_made_again(path, monkeypatch):
    def killed(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "prepare", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(path)
    monkeypatch.undo()
    assert "tree-000001" in os.listdir(path) and lsm.engine_at(path) is None
    for how in ({"read_only": True}, {"create": False}):
        with pytest.raises(lsm.NotADatabaseError):
            opened(path, **how)
    with opened(path) as db:
        db[b"a"] = b"1"


def test_trees_that_lost_their_marker_are_damage_and_stay(path):
    with opened(path, lazy_sync=True) as db:
        db.write_many((b"%03d" % number, bytes(1000)) for number in range(100))
    (path / "BTREE").unlink()
    for how in ({}, {"read_only": True}, {"create": False}):
        with pytest.raises(lsm.CorruptionError, match="BTREE.* missing"):
            opened(path, **how)
    (path / "BTREE").write_bytes(layout.encode(1))
    with opened(path) as db:
        assert len(db) == 100


@pytest.mark.parametrize("size", [None, 0, 1, 4096, 8192])
def test_a_missing_or_empty_file_beside_a_marker_is_damage(path, size):
    """It was opened as an empty database, and made anew."""
    with opened(path, lazy_sync=True) as db:
        db.write_many((b"%03d" % number, bytes(1000)) for number in range(100))
    data = path / "tree-000001" / "data.mdb"
    data.unlink() if size is None else os.truncate(data, size)
    for how in ({}, {"read_only": True}):
        with pytest.raises(lsm.CorruptionError) as raised:
            opened(path, **how)
        assert raised.value.path == str(data)
    assert not data.exists() if size is None else data.stat().st_size == size


def test_a_missing_tree_is_damage(path):
    with opened(path) as db:
        db[b"a"] = b"1"
    (path / "tree-000001").rename(path / "tree-000002")
    for how in ({}, {"read_only": True}):
        (path / "BTREE").write_bytes(layout.encode(1))
        with pytest.raises(lsm.CorruptionError, match="missing"):
            opened(path, **how)


@pytest.mark.parametrize(("how", "error"), [({"lock_timeout": "soon"}, TypeError), ({"lock_timeout": True}, TypeError),
                                            ({"lock_timeout": -1}, ValueError), ({"lazy_sync": 1}, lsm.OptionError)])
def test_arguments_are_checked_before_anything_is_made(path, how, error):
    with pytest.raises(error, match=next(iter(how))):
        opened(path, **how)
    assert not path.exists()


# ------------------------------------------------------------ twice in one process

def test_who_only_reads_shares_the_environment_of_who_writes(path):
    """LMDB opens a file once in a process: it was an I/O error."""
    with opened(path, lazy_sync=True) as db:
        db.update({b"a": b"1", b"b": b"1"})
        with opened(path, read_only=True) as reader, opened(path, read_only=True) as another:
            del db[b"a"]
            assert reader[b"a"] == b"1" and len(reader) == reader.stats().entries == len(another) == 2
            assert dict(reader.scan()) == {b"a": b"1", b"b": b"1"} and dict(db) == {b"b": b"1"}
            assert db.stats().moments == 2
            db.compact()                                        # has to wait for their moments
            assert db._number == 1
            with pytest.raises(lsm.ReadOnlyError):
                reader.put(b"c", b"1")
            with db.snapshot() as then, another.snapshot() as other:
                another.close()
                assert then[b"b"] == b"1"
                for use in (lambda: other[b"b"], lambda: another[b"b"]):
                    with pytest.raises(lsm.ClosedError):
                        use()
        db.compact()
        assert db._number == 2 and dict(db) == {b"b": b"1"}


def test_who_reads_goes_on_when_who_wrote_has_closed(path):
    db = opened(path)
    db[b"a"] = b"1"
    rows = db.scan()
    with opened(path, read_only=True) as reader:
        db.close()
        with pytest.raises(lsm.ClosedError):
            next(rows)
        assert reader[b"a"] == b"1"
        with opened(path) as db:
            db[b"a"] = b"2"
            assert reader[b"a"] == b"1"
        with pytest.raises(lsm.BusyError, match="lazy_sync=False.*close that first"):
            opened(path, lazy_sync=True)
    with opened(path, lazy_sync=True) as db:
        assert db[b"a"] == b"2"


def test_who_would_write_beside_a_reader_of_its_process_is_told_what_to_do(path):
    opened(path).close()
    with opened(path, read_only=True), pytest.raises(lsm.BusyError, match="open it to write first"):
        opened(path)
    opened(path).close()


def test_an_open_database_can_be_converted(path, tmp_path):
    with opened(path, lazy_sync=True) as db:
        db.update({b"a": b"1", b"b": b"2"})
        assert lsm.convert(path, tmp_path / "copy", engine="lsm").rows == 2
        db[b"c"] = b"3"
    with lsm.open(tmp_path / "copy") as copy:
        assert dict(copy) == {b"a": b"1", b"b": b"2"}


# ------------------------------------------------------------ forks

def test_a_child_that_lives_on_does_not_keep_the_lock_of_its_killed_parent(path):
    with Child("""
db = lsm.open(sys.argv[1], engine="btree")
db[b"a"] = b"1"
if os.fork() == 0:
    print("forked")
    sys.stdin.readline()                # the end, when the test has ended
    os._exit(0)
os.wait()
""", path) as parent:
        assert parent.hear() == "forked"
        parent.kill()
        with opened(path) as db:
            assert db[b"a"] == b"1"


def test_a_child_may_open_what_its_parent_reads(path):
    run("""
path = sys.argv[1]
with lsm.open(path, engine="btree") as db:
    db[b"a"] = b"1"
parent = lsm.open(path, engine="btree", read_only=True)
child = os.fork()
if child == 0:
    try:
        parent[b"a"]
    except lsm.ForkedError:
        with lsm.open(path, engine="btree", read_only=True) as db:
            os._exit(0 if db[b"a"] == b"1" else 2)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
assert parent[b"a"] == b"1"
parent.close()
with lsm.open(path, engine="btree") as db, db.snapshot() as then:
    child = os.fork()
    if child == 0:
        try:
            lsm.open(path, engine="btree", read_only=True)
        except lsm.BusyError:           # the child has the snapshot too, and may not end it
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    db[b"a"] = b"2"
    assert then[b"a"] == b"1"
""", path)

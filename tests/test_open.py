"""Opening: what a path may be, whose database it is, what is refused before anything is touched."""

import os
import pathlib
import shutil
import stat
import tempfile

import lsm
import pytest
from child import run


def listing(directory):
    """Everything a write would change: names, sizes, times, and the bytes."""
    return {
        str(file.relative_to(directory)): (file.stat().st_size, file.stat().st_mtime_ns, file.read_bytes())
        for file in sorted(pathlib.Path(directory).rglob("*")) if file.is_file()
    }


@pytest.mark.parametrize("kind", [str, os.fsencode, pathlib.Path], ids=["str", "bytes", "Path"])
def test_a_path_is_str_bytes_or_path_like(path, kind):
    with lsm.open(kind(path)) as db:
        db[b"a"] = b"1"
        assert os.fspath(db.path) == os.fspath(path)
    with lsm.open(path, create=False) as db:
        assert db[b"a"] == b"1"


def test_a_relative_path_holds_when_the_process_moves(path, monkeypatch):
    path.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(path.parent)
    with lsm.open("db") as db:
        monkeypatch.chdir("/")
        db.write_many((b"%d" % number, b"v" * 100) for number in range(100))
        db.flush()
        db.compact()
        assert len(db) == 100 and db.verify()
    with lsm.open(path, create=False) as db:
        assert len(db) == 100


@pytest.mark.parametrize("name", ["Ünïcødé 数据", "with space\nand line", os.fsdecode(b"bytes \xff\xfe"), "d" * 200])
def test_any_name_a_directory_can_have_will_do(tmp_path, name):
    with lsm.open(tmp_path / name) as db:
        db[b"a"] = b"1"
        db.flush()
    with lsm.open(tmp_path / name, create=False) as db:
        assert db[b"a"] == b"1"


@pytest.mark.parametrize("wrong", [None, 5, 1.5, ["a"], object()], ids=lambda value: type(value).__name__)
def test_what_is_not_a_path_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        lsm.open(wrong)


def test_a_path_with_a_zero_byte_is_a_value_error(tmp_path):
    with pytest.raises(ValueError):
        lsm.open(str(tmp_path / "a\0b"))
    assert not list(tmp_path.iterdir())


def test_a_missing_parent_directory_is_made_or_named(tmp_path):
    try:
        lsm.open(tmp_path / "a" / "b").close()
    except lsm.Error as error:
        assert str(tmp_path / "a") in str(error)


def test_a_file_is_not_a_database(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    for read_only in (False, True):
        with pytest.raises(lsm.NotADatabaseError, match="file"):
            lsm.open(file, read_only=read_only)
    with pytest.raises(lsm.Error):
        lsm.open(file / "below")
    assert file.read_bytes() == b"precious"


@pytest.mark.parametrize("others", [["notes.txt"], ["000001.txt"], [".git/config"], ["data.log", "x.table"]])
def test_a_directory_of_other_things_is_refused_and_untouched(tmp_path, others):
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"precious")
    before = listing(tmp_path)
    for read_only in (False, True):
        with pytest.raises(lsm.NotADatabaseError):
            lsm.open(tmp_path, read_only=read_only)
    assert listing(tmp_path) == before


def test_an_empty_directory_becomes_a_database(tmp_path):
    lsm.open(tmp_path).close()
    lsm.open(tmp_path, create=False).close()


def test_other_files_beside_a_database_are_left_alone(path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
    strangers = ["notes.txt", "000009.txt", "table", "x.table", "1.table", "MANIFEST-old", "000001.table.bak"]
    for name in strangers:
        (path / name).write_bytes(b"precious")
    with lsm.open(path, memtable_bytes=16 << 10) as db:
        db.write_many((b"%04d" % number, b"v" * 100) for number in range(1000))
        db.compact()
    for name in strangers:
        assert (path / name).read_bytes() == b"precious"


def test_without_create_nothing_is_made(path):
    with pytest.raises(lsm.NotADatabaseError, match="create"):
        lsm.open(path, create=False)
    with pytest.raises(lsm.NotADatabaseError):
        lsm.open(path, read_only=True)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(lsm.NotADatabaseError):
        lsm.open(path, create=False)
    assert not list(path.iterdir())
    with pytest.raises(FileNotFoundError):
        lsm.open(path, create=False)


def test_a_symbolic_link_to_a_database_is_the_database(path, tmp_path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(lsm.LockedError):
            lsm.open(tmp_path / "link")
    with lsm.open(tmp_path / "link") as db:
        assert db[b"a"] == b"1"


def test_a_new_directory_is_for_its_owner_only(path):
    lsm.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


AS_NOBODY = """
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


@pytest.fixture
def public():
    """A directory another user may reach (those of pytest are for their owner)."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lsm-public-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def test_a_directory_without_write_permission_is_named_with_its_errno(public):
    public.chmod(0o555)
    run(AS_NOBODY + """
import errno
for path in (sys.argv[1], sys.argv[1] + "/new"):
    try:
        lsm.open(path)
    except lsm.StorageError as error:
        assert error.errno == errno.EACCES, error.errno
        assert sys.argv[1] in str(error), str(error)
    else:
        raise AssertionError("opened")
""", public)
    assert not list(public.iterdir())


def test_a_database_on_read_only_ground_opens_read_only(public):
    path = public / "db"
    with lsm.open(path) as db:
        db.write_many((b"%04d" % number, b"v") for number in range(1000))
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    before = listing(path)
    run(AS_NOBODY + """
import errno
try:
    lsm.open(sys.argv[1])
except lsm.StorageError as error:
    assert error.errno == errno.EACCES, error.errno
else:
    raise AssertionError("opened for writing")
with lsm.open(sys.argv[1], read_only=True) as db:
    assert len(db) == 1000 and db.verify()
""", path)
    assert listing(path) == before


def test_no_file_descriptors_left_is_an_error_and_leaves_the_database_well(path):
    with lsm.open(path, memtable_bytes=16 << 10, table_bytes=16 << 10) as db:
        db.write_many((b"%06d" % number, b"v" * 100) for number in range(2000))
    run("""
import errno, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
for count in range(12):
    try:
        db = lsm.open(sys.argv[1])
    except lsm.StorageError as error:
        assert error.errno == errno.EMFILE, error
    else:
        try: assert sum(1 for _ in db.scan()) == 2000
        except lsm.StorageError as error: assert error.errno == errno.EMFILE, error
        db.close()
    os.close(held.pop())
for fd in held: os.close(fd)
with lsm.open(sys.argv[1]) as db: assert sum(1 for _ in db.scan()) == 2000 and db.verify()
""", path)


def test_closing_gives_every_descriptor_back_though_the_object_lives(path):
    def count():
        return len(os.listdir("/proc/self/fd"))

    lsm.open(path).close()
    before = count()
    kept = []
    for number in range(30):
        db = lsm.open(path)
        db[b"%d" % number] = b"v"
        kept += [db, db.snapshot(), db.cursor(), db.scan(), db.write_batch()]
        db.close()
        with pytest.raises(lsm.Error):
            lsm.open(path.with_name("none"), create=False)
    assert count() <= before

"""The real storage layer, through its Python door: names, whole files, logs both ways, locks, and what it refuses."""
import errno
import gc
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading

import pytest

from lsm import _core
from lsm.errors import ClosedError, CorruptionError, LockedError, StorageError

BAD_NAMES = ["", ".", "..", "a/b", "/etc/passwd", "x" * 64, "zero\0byte"]


@pytest.fixture(params=["mapped", "plain"])
def directory(request, tmp_path):
    with _core.Directory(tmp_path / "db", create=True, mapped=request.param == "mapped") as directory:
        yield directory


def prefix(directory, name, size):
    data = directory.read(name)
    return data[:size], set(data[size:]) <= {0}


# ------------------------------------------------------------------------------------------- whole files and names

def test_a_new_directory_is_private_and_its_files_are_not(tmp_path):
    directory = _core.Directory(tmp_path / "db", create=True)
    directory.create("a", b"")
    assert os.stat(tmp_path / "db").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "db" / "a").st_mode & 0o777 == 0o644 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_create_read_size_exists(directory):
    for name, data in [("empty", b""), ("one", b"x"), ("large", os.urandom(3_000_000))]:
        directory.create(name, data)
        assert directory.read(name) == data
        assert directory.size(name) == len(data)
        assert directory.exists(name)
    directory.sync()
    assert not directory.exists("other")
    assert directory.list() == ["empty", "large", "one"]


def test_create_takes_any_buffer(directory):
    directory.create("a", bytearray(b"abc"))
    directory.create("b", memoryview(b"abcdef")[::2])
    assert (directory.read("a"), directory.read("b")) == (b"abc", b"ace")


def test_create_refuses_a_name_that_is_taken(directory):
    directory.create("a", b"first")
    with pytest.raises(StorageError) as caught:
        directory.create("a", b"second")
    assert caught.value.errno == errno.EEXIST
    assert directory.read("a") == b"first"


def test_read_over_its_limit_is_corruption(directory):
    directory.create("a", b"12345")
    assert directory.read("a", limit=5) == b"12345"
    with pytest.raises(CorruptionError) as caught:
        directory.read("a", limit=4)
    assert caught.value.path == os.path.join(directory.path, "a")


@pytest.mark.parametrize("operation", ["read", "size", "unlink", "rename", "link", "truncate"])
def test_a_missing_file_is_named(directory, tmp_path, operation):
    arguments = {"rename": ("new",), "truncate": (0,), "link": (directory,)}.get(operation, ())
    with pytest.raises(StorageError) as caught:
        getattr(directory, operation)("missing", *arguments)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == os.path.join(directory.path, "missing")
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_plain(directory, name):
    directory.create("good", b"")
    for call in (lambda: directory.create(name, b""), lambda: directory.read(name), lambda: directory.unlink(name),
                 lambda: directory.rename("good", name), lambda: directory.rename(name, "good"),
                 lambda: directory.exists(name), lambda: directory.link(name, directory),
                 lambda: directory.lock(name), lambda: directory.create_log(name)):
        with pytest.raises(ValueError):
            call()
    assert directory.list() == ["good"]


def test_rename_replaces_and_unlink_removes(directory):
    directory.create("a", b"new")
    directory.create("b", b"old")
    directory.rename("a", "b")
    assert directory.list() == ["b"] and directory.read("b") == b"new"
    directory.unlink("b")
    assert directory.list() == []


def test_link_into_another_directory(directory, tmp_path):
    directory.create("a", b"shared")
    with _core.Directory(tmp_path / "other", create=True) as other:
        directory.link("a", other)
        directory.unlink("a")
        assert other.read("a") == b"shared"


def test_a_link_into_a_directory_of_another_kind_is_refused(directory):
    directory.create("a", b"1")
    for one, other in ((directory, _core.SimulatedDirectory()), (_core.SimulatedDirectory({"a": b"1"}), directory)):
        with pytest.raises(StorageError) as caught:
            one.link("a", other)
        assert caught.value.errno == errno.EXDEV


def test_names_that_begin_with_dots_are_names(directory):
    names = [".a", "..a", "..."]
    for name in names:
        directory.create(name, b"")
    assert directory.list() == sorted(names)


def test_what_cannot_be_a_lock_is_refused(directory, tmp_path):
    (tmp_path / "db" / "held").mkdir()
    with pytest.raises(StorageError) as caught:
        directory.lock("held")
    assert caught.value.errno == errno.EISDIR
    directory.lock("LOCK")
    directory.unlock()


def test_a_lock_whose_file_somebody_emptied_holds(directory, tmp_path):
    directory.lock("LOCK")
    (tmp_path / "db" / "LOCK").write_bytes(b"")
    with _core.Directory(tmp_path / "db") as other, pytest.raises(LockedError) as caught:
        other.lock("LOCK")
    assert not caught.value.pid


def test_truncate(directory):
    directory.create("a", b"abcdef")
    directory.truncate("a", 2)
    assert directory.read("a") == b"ab"
    with pytest.raises(ValueError):
        directory.truncate("a", 3)


def test_links_pipes_and_directories_are_refused(directory, tmp_path):
    (tmp_path / "outside").write_bytes(b"secret")
    os.symlink(tmp_path / "outside", os.path.join(directory.path, "link"))
    os.mkfifo(os.path.join(directory.path, "pipe"))
    os.mkdir(os.path.join(directory.path, "sub"))
    with pytest.raises(StorageError) as caught:
        directory.read("link")
    assert caught.value.errno == errno.ELOOP
    for name, expected in (("pipe", errno.ENXIO), ("sub", errno.EISDIR)):
        with pytest.raises(StorageError) as caught:
            directory.read(name)
        assert caught.value.errno == expected
    with pytest.raises(StorageError):
        directory.create("link", b"x")
    assert (tmp_path / "outside").read_bytes() == b"secret"


def test_many_names(directory):
    names = [f"{i:06d}.table" for i in range(500)]
    for name in names:
        os.close(os.open(os.path.join(directory.path, name), os.O_CREAT))
    assert directory.list() == names


# ------------------------------------------------------------------------------------------- opening

def test_a_missing_directory(tmp_path):
    with pytest.raises(StorageError) as caught:
        _core.Directory(tmp_path / "none")
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, FileNotFoundError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_a_file_in_place_of_a_directory(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for create in (False, True):
        with pytest.raises(StorageError) as caught:
            _core.Directory(tmp_path / "file", create=create)
        assert caught.value.errno == errno.ENOTDIR
        assert isinstance(caught.value, NotADirectoryError)
        assert "give a directory" in str(caught.value)


def test_paths(tmp_path):
    _core.Directory(os.fsencode(tmp_path / "bytes"), create=True)
    _core.Directory(tmp_path / "ünïcode \U0001f400", create=True)
    with pytest.raises(ValueError):
        _core.Directory("zero\0byte", create=True)
    with pytest.raises(TypeError):
        _core.Directory(None)


def test_read_only_changes_nothing(tmp_path):
    with _core.Directory(tmp_path, create=True) as directory:
        directory.create("a", b"abc")
    directory = _core.Directory(tmp_path, read_only=True)
    assert directory.read("a") == b"abc"
    for call in (lambda: directory.create("b", b""), lambda: directory.unlink("a"), lambda: directory.rename("a", "b"),
                 lambda: directory.truncate("a", 0), lambda: directory.lock(), lambda: directory.create_log("l"),
                 lambda: directory.link("a", directory)):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.errno == errno.EROFS
    assert directory.list() == ["a"] and directory.read("a") == b"abc"


def test_use_after_close(directory):
    log = directory.create_log("l")
    directory.close()
    directory.close()
    for call in (directory.list, directory.sync, directory.now, directory.lock, lambda: directory.read("l")):
        with pytest.raises(ClosedError):
            call()
    log.append(b"a log keeps what it needs of its directory")
    log.close()
    log.close()
    with pytest.raises(ClosedError):
        log.append(b"x")


def test_closing_gives_the_descriptor_back(tmp_path):
    directory = _core.Directory(tmp_path)
    open_before = len(os.listdir("/proc/self/fd"))
    directory.close()
    assert len(os.listdir("/proc/self/fd")) == open_before - 1


def test_closing_while_others_work(tmp_path):
    """They are told that it is closed, or (already past that check) get EBADF."""
    for _ in range(30):
        directory = _core.Directory(tmp_path)
        directory.lock()
        wrong = []

        def work():
            try:
                while True:
                    directory.list()
                    directory.exists("LOCK")
                    directory.sync()
            except ClosedError:
                pass
            except StorageError as error:
                if error.errno != errno.EBADF:
                    wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        directory.close()
        for thread in threads:
            thread.join()
        assert not wrong


def test_an_object_that_was_never_opened_is_closed():
    with pytest.raises(ClosedError):
        _core.Directory.__new__(_core.Directory).list()
    with pytest.raises(ClosedError):
        _core.LogFile.__new__(_core.LogFile).append(b"")


def test_now(directory):
    import time
    assert abs(directory.now() / 1e6 - time.time()) < 60


# ------------------------------------------------------------------------------------------- logs

@pytest.mark.parametrize("size", [0, 1, 160, 4095, 4096, 4097, 65536, 300_000, 2_000_000])
def test_a_log_holds_what_was_appended(directory, size):
    expected = b""
    with directory.create_log("l") as log:
        for i in range(40 if size < 100_000 else 5):
            piece = bytes([i + 1]) * size
            log.append(piece)
            expected += piece
            assert log.size == len(expected)
            if i % 3 == 0:
                log.sync()
        assert prefix(directory, "l", len(expected)) == (expected, True)
        log.truncate(len(expected))
        assert directory.size("l") == len(expected)
        log.append(b"more")
    assert prefix(directory, "l", len(expected) + 4) == (expected + b"more", True)


def test_a_log_may_be_cut_and_continued(directory):
    log = directory.create_log("l")
    log.append(b"a" * 100_000)
    log.truncate(50_001)
    log.append(b"b" * 70_000)
    assert prefix(directory, "l", 120_001) == (b"a" * 50_001 + b"b" * 70_000, True)
    with pytest.raises(ValueError):
        log.truncate(120_002)


@pytest.mark.parametrize("make", [lambda path: _core.Directory(path), lambda path: _core.SimulatedDirectory()])
def test_a_log_and_its_directory_in_a_cycle(tmp_path, make):
    """The collector must not free the directory before the log's file is closed."""
    class Holder:
        pass

    for i in range(20):
        holder = Holder()
        holder.directory = make(tmp_path)
        holder.log = holder.directory.create_log(f"{i}")
        holder.log.append(b"x")
        holder.self = holder
        del holder
        gc.collect()


def test_one_log_synced_while_written(directory):
    log = directory.create_log("l")
    stop = threading.Event()

    def syncing():
        while not stop.is_set():
            log.sync()

    thread = threading.Thread(target=syncing)
    thread.start()
    try:
        for i in range(3000):
            log.append(i.to_bytes(4, "big") * 64)
    finally:
        stop.set()
        thread.join()
    expected = b"".join(i.to_bytes(4, "big") * 64 for i in range(3000))
    assert prefix(directory, "l", len(expected)) == (expected, True)


@pytest.mark.parametrize("mapped", [True, False])
def test_appended_bytes_survive_kill_9(tmp_path, mapped):
    code = ("import os, signal, sys\nfrom lsm import _core\n"
            f"log = _core.Directory({str(tmp_path)!r}, mapped={mapped}).create_log('l')\n"
            "for i in range(1000): log.append(b'%06d' % i)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n")
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL
    expected = b"".join(b"%06d" % i for i in range(1000))
    assert prefix(_core.Directory(tmp_path), "l", len(expected)) == (expected, True)


@pytest.fixture(params=["mapped", "plain"])
def small_disk(request, tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is refused here")
    try:
        yield _core.Directory(place, mapped=request.param == "mapped")
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("size", [160, 5000, 70_000, 400_000])
def test_a_full_disk_is_an_error_and_leaves_the_log_as_it_was(small_disk, size):
    log = small_disk.create_log("l")
    expected = b""
    with pytest.raises(StorageError) as caught:
        while True:
            piece = os.urandom(size)
            log.append(piece)
            expected += piece
    assert caught.value.errno == errno.ENOSPC
    assert "make room" in str(caught.value)
    assert len(expected) > 500_000                      # the preallocation did not waste the disk
    for _ in range(3):
        with pytest.raises(StorageError):
            log.append(b"x" * 500_000)
    assert log.size == len(expected)
    assert prefix(small_disk, "l", len(expected)) == (expected, True)
    with pytest.raises(StorageError) as caught:
        small_disk.create("t", b"x" * 900_000)
    assert caught.value.errno == errno.ENOSPC
    assert small_disk.list() == ["l"]


def test_a_log_goes_on_after_room_was_made(small_disk):
    small_disk.create("ballast", b"x" * 700_000)
    log = small_disk.create_log("l")
    expected = b""
    with pytest.raises(StorageError):
        while True:
            log.append(b"y" * 1000)
            expected += b"y" * 1000
    small_disk.unlink("ballast")
    log.append(b"z" * 300_000)
    log.sync()
    expected += b"z" * 300_000
    assert prefix(small_disk, "l", len(expected)) == (expected, True)


def test_the_file_size_limit_is_an_error(directory):
    log = directory.create_log("l")
    log.append(b"a" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(StorageError) as caught:
            log.append(b"b" * 500_000)
        assert caught.value.errno == errno.EFBIG
        log.append(b"c" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert prefix(directory, "l", 2000) == (b"a" * 1000 + b"c" * 1000, True)


def test_too_many_open_files(directory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    gc.collect()            # what earlier tests left to the collector would give back descriptors in the middle of this
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with pytest.raises(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(StorageError) as caught:
            directory.create("a", b"")
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert "open files" in str(caught.value)


# ------------------------------------------------------------------------------------------- the lock

def test_the_lock_names_its_holder(tmp_path):
    first, second = _core.Directory(tmp_path), _core.Directory(tmp_path)
    first.lock()
    for other in (first, second):
        with pytest.raises(LockedError) as caught:
            other.lock()
        assert (caught.value.path, caught.value.pid) == (str(tmp_path), os.getpid())
    first.unlock()
    first.unlock()
    second.lock()
    second.close()
    first.lock()
    assert first.list() == ["LOCK"]


def test_opening_the_lock_file_elsewhere_does_not_drop_it(tmp_path):
    first, second = _core.Directory(tmp_path), _core.Directory(tmp_path)
    first.lock()
    open(tmp_path / "LOCK").close()
    with pytest.raises(LockedError):
        second.lock()


def test_the_lock_dies_with_its_process(tmp_path):
    code = (f"import os, signal\nfrom lsm import _core\nd = _core.Directory({str(tmp_path)!r})\nd.lock()\n"
            "print(os.getpid(), flush=True)\nsignal.pause()\n")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    directory = _core.Directory(tmp_path)
    with pytest.raises(LockedError) as caught:
        directory.lock()
    assert caught.value.pid == pid
    child.kill()
    child.wait()
    child.stdout.close()
    directory.lock()


def _in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_neither_keeps_nor_drops_the_lock(tmp_path):
    directory, other = _core.Directory(tmp_path), _core.Directory(tmp_path)
    directory.create("a", b"abc")
    directory.lock()
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            directory.after_fork_in_child()
            try:
                directory.unlink("a")
                os._exit(1)
            except StorageError:
                pass
            directory.close()
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        except BaseException:
            os._exit(2)
    os.read(ready[0], 1)
    with pytest.raises(LockedError):
        other.lock()                        # the child's close left it to the parent
    directory.unlock()
    other.lock()                            # and the living child does not hold it
    os.write(go[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert directory.read("a") == b"abc"
    for fd in (*ready, *go):
        os.close(fd)


def test_closing_in_a_child_without_the_hook_does_not_drop_the_lock(tmp_path):
    directory, other = _core.Directory(tmp_path), _core.Directory(tmp_path)
    directory.lock()
    assert _in_child(directory.close) == 0
    with pytest.raises(LockedError):
        other.lock()

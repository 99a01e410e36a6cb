"""The simulated disk, the states of a crash, and the oracle: each on its own, and together on a toy store."""
import errno
import gc
import json
import os
import random
import struct
import threading
import zlib

import pytest

from crash import Disk, bounds, check_recovered, process_bounds, states
from lsm import _core
from lsm._core import Operation
from lsm.errors import CorruptionError, LockedError, StorageError
from table_files import open_table, some_entries, write_table


def kinds(directory):
    return [operation.kind for operation in directory.journal()]


# ------------------------------------------------------------------------------------------- it behaves as a directory

def test_it_holds_what_it_was_given():
    directory = _core.SimulatedDirectory({"b": b"2", "a": b"1"})
    assert directory.list() == ["a", "b"]
    assert directory.read("b") == b"2"
    assert directory.files() == {"a": b"1", "b": b"2"}
    assert kinds(directory) == ["initial", "initial"]


def random_steps(seed):
    """Operations for a directory that has a second one beside it; logs are named l*, at most one open at a time."""
    rng = random.Random(seed)
    names = ["a", "b", "c"]
    for _ in range(60):
        kind = rng.choice(["create", "rename", "unlink", "link", "truncate", "log", "append", "append", "append", "cut",
                           "sync", "close", "list", "sync_directory"])
        yield (kind, rng.choice(names), rng.choice(names), rng.choice([0, 1, 100, 4096, 5000, 70_000, 300_000]))


def play(directory, other, step, logs):
    """What the step answers: a result or an errno."""
    kind, name, new, size = step
    try:
        if kind == "create":
            directory.create(name, bytes([size % 251]) * size)
        elif kind == "link":
            directory.link(name, other)
        elif kind == "rename":
            directory.rename(name, new)
        elif kind == "unlink":
            directory.unlink(name)
        elif kind == "truncate":
            directory.truncate(name, size)
        elif kind == "sync_directory":
            directory.sync()
        elif kind == "log":
            logs.append(directory.create_log("l" + name))
        elif kind == "list":
            return directory.list(), other.list()
        elif logs and kind == "append":
            logs[-1].append(bytes([size % 251 + 1]) * size)
            return logs[-1].size
        elif logs and kind == "cut":
            logs[-1].truncate(size)
            return logs[-1].size
        elif logs and kind == "sync":
            logs[-1].sync()
        elif logs and kind == "close":
            logs.pop().close()
    except StorageError as error:
        return error.errno
    except ValueError:
        return "ValueError"


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_it_does_what_the_real_one_does(tmp_path, seed, mapped):
    """Also the sizes of the prepared tails are the same, where the real one maps its logs."""
    real = _core.Directory(tmp_path / "db", create=True, mapped=mapped)
    real_other = _core.Directory(tmp_path / "other", create=True)
    simulated = _core.SimulatedDirectory(mapped=mapped)
    simulated_other = simulated.beside("/other")
    real_logs, simulated_logs = [], []
    maps = len(probe_log(real)) > 1
    for number, step in enumerate(random_steps(seed)):
        answers = play(real, real_other, step, real_logs), play(simulated, simulated_other, step, simulated_logs)
        assert answers[0] == answers[1], (seed, number, step)
        files = {name: real.read(name) for name in real.list()}
        found = simulated.files()
        if mapped and not maps:
            files, found = ({n: d.rstrip(b"\0") for n, d in each.items()} for each in (files, found))
        assert files == found, (seed, number, step)


def probe_log(directory):
    with directory.create_log("probe") as log:
        log.append(b"x")
    data = directory.read("probe")
    directory.unlink("probe")
    return data


def test_the_lock():
    first = _core.SimulatedDirectory()
    second = first.reopen()
    first.lock()
    with pytest.raises(LockedError) as caught:
        second.lock()
    assert caught.value.pid == os.getpid()
    first.close()
    second.lock()
    assert first.files() == {"LOCK": b""}


def test_read_only_changes_nothing():
    directory = _core.SimulatedDirectory({"a": b"abc"})
    before = directory.journal()
    readonly = directory.reopen(read_only=True)
    for call in (lambda: readonly.create("b", b""), lambda: readonly.unlink("a"), lambda: readonly.rename("a", "b"),
                 lambda: readonly.truncate("a", 0), readonly.lock, lambda: readonly.create_log("l"),
                 lambda: readonly.link("a", readonly)):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.errno == errno.EROFS
    assert readonly.read("a") == b"abc"
    assert directory.journal() == before


def test_links_between_disks_are_refused():
    directory = _core.SimulatedDirectory({"a": b""})
    with pytest.raises(StorageError) as caught:
        directory.link("a", _core.SimulatedDirectory())
    assert caught.value.errno == errno.EXDEV


def test_a_link_of_a_missing_file_is_refused():
    directory = _core.SimulatedDirectory()
    with pytest.raises(StorageError) as caught:
        directory.link("missing", directory.beside("/other"))
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 64])
def test_names_are_plain_as_in_the_real_one(name):
    directory = _core.SimulatedDirectory({"good": b""})
    for call in (lambda: directory.create(name, b""), lambda: directory.read(name), lambda: directory.unlink(name),
                 lambda: directory.rename("good", name), lambda: directory.rename(name, "good"),
                 lambda: directory.link(name, directory.beside("/other")), lambda: directory.lock(name),
                 lambda: directory.create_log(name)):
        with pytest.raises(ValueError):
            call()
    assert directory.files() == {"good": b""}


def test_the_clock_is_its_own():
    directory = _core.SimulatedDirectory()
    first = directory.now()
    assert directory.now() == first + 1000
    directory.clock = 5
    assert directory.now() == 1005


def test_the_collector_may_close_logs_while_the_journal_is_told():
    directory = _core.SimulatedDirectory()
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for i in range(50):
            holder = [directory.create_log(f"{i}")]
            holder.append(holder)
            del holder
            directory.journal()
            directory.files()
    finally:
        gc.set_threshold(*before)
    assert len(directory.files()) == 50


def test_threads():
    directory = _core.SimulatedDirectory()

    def write(number):
        with directory.create_log(f"{number}") as log:
            for i in range(200):
                log.append(bytes([number]) * 50)
                log.sync()
                directory.list()
            log.truncate(log.size)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert directory.files() == {str(n): bytes([n]) * 10_000 for n in range(4)}


# ------------------------------------------------------------------------------------------- journal and plan

def test_the_journal():
    directory = _core.SimulatedDirectory({"old": b"o"})
    directory.create("a", b"xyz")
    directory.mark("started", 1)
    with directory.create_log("l") as log:
        log.append(b"one")
        log.append(b"two")
        log.sync()
        log.truncate(6)
    directory.rename("a", "b")
    directory.sync()
    directory.unlink("old")
    assert [tuple(operation) for operation in directory.journal()] == [
        ("initial", 0, 0, "old", 1, 0, b"o", ""),
        ("create", 0, 0, "a", 2, 0, b"", ""),
        ("append", 0, 0, "a", 2, 0, b"xyz", ""),
        ("sync", 0, 0, "a", 2, 0, b"", ""),
        ("mark", 0, 0, "started", 0, 1, b"", ""),
        ("create", 0, 0, "l", 3, 0, b"", ""),
        ("allocate", 0, 0, "l", 3, 65536, b"", ""),
        ("append", 0, 0, "l", 3, 0, b"one", ""),
        ("append", 0, 0, "l", 3, 3, b"two", ""),
        ("sync", 0, 0, "l", 3, 0, b"", ""),
        ("truncate", 0, 0, "l", 3, 6, b"", ""),
        ("rename", 0, 0, "a", 2, 0, b"", "b"),
        ("sync_directory", 0, 0, "", 0, 0, b"", ""),
        ("unlink", 0, 0, "old", 1, 0, b"", ""),
    ]
    assert directory.journal(13)[0].kind == "unlink"


def workload(directory):
    with directory.create_log("l") as log:
        for i in range(3):
            log.append(b"x" * 1000)
            log.sync()
    directory.create("t", b"y" * 100)
    directory.read("t")
    directory.rename("t", "u")
    directory.sync()
    directory.list()
    directory.unlink("l")


@pytest.mark.parametrize("sticky", [False, True])
def test_every_operation_can_fail(sticky):
    reference = _core.SimulatedDirectory()
    workload(reference)
    assert sum(reference.steps_of().values()) == reference.steps > 15
    for n in range(reference.steps):
        directory = _core.SimulatedDirectory()
        directory.fail(errno.EIO, after=n, sticky=sticky)
        try:
            workload(directory)
        except StorageError as error:
            assert error.errno == errno.EIO
        else:       # the close of a file whose first error was told, or an unlink of what create left: swallowed
            assert n < reference.steps
        directory.heal()
        directory.list()


def test_plans_by_kind_and_name():
    directory = _core.SimulatedDirectory()
    directory.fail(errno.ENOSPC, after=1, kind="append", part=".table")
    directory.create("1.log", b"x")
    directory.create("1.table", b"x")
    directory.create("2.log", b"x")
    with pytest.raises(StorageError) as caught:
        directory.create("2.table", b"x")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == "/simulated/2.table"
    directory.create("2.table", b"x")
    with pytest.raises(ValueError):
        directory.fail(errno.EIO, kind="nonsense")


def test_there_is_room_for_eight_plans():
    directory = _core.SimulatedDirectory({"a": b"1"})
    for _ in range(8):
        directory.fail(errno.EIO, after=99, part="a part of a name that is longer than any name may be, which matches nothing" * 2)
    with pytest.raises(ValueError, match="8 plans already"):
        directory.fail(errno.EIO)
    assert directory.read("a") == b"1"
    directory.heal()
    directory.fail(errno.EIO)
    with pytest.raises(StorageError):
        directory.read("a")


def test_a_failed_sync_of_the_directory_is_final():
    directory = _core.SimulatedDirectory()
    directory.fail(errno.EIO, kind="sync_directory")
    for _ in range(3):
        with pytest.raises(StorageError) as caught:
            directory.sync()
        assert caught.value.errno == errno.EIO
    directory.reopen().sync()


def test_a_file_cut_under_its_reader_ends_too_soon():
    directory = _core.SimulatedDirectory()
    write_table(directory, "000003.table", some_entries(3, 200), block_bytes=512)
    table = open_table(directory, "000003.table")
    directory.reopen().truncate("000003.table", 700)
    with pytest.raises(CorruptionError, match="000003.table"):
        table.entries_list()


def test_a_failed_read():
    directory = _core.SimulatedDirectory({"a": b"abc"})
    directory.fail(errno.EIO, kind="pread", sticky=True)
    for _ in range(2):
        with pytest.raises(StorageError):
            directory.read("a")
    directory.heal()
    assert directory.read("a") == b"abc"


def test_a_failed_sync_is_final_for_its_file():
    directory = _core.SimulatedDirectory()
    log = directory.create_log("l")
    log.append(b"abc")
    directory.fail(errno.EIO, kind="sync")
    for _ in range(3):
        with pytest.raises(StorageError) as caught:
            log.sync()
        assert caught.value.errno == errno.EIO
    assert [o.result for o in directory.journal() if o.kind == "sync"] == [errno.EIO]
    directory.create("other", b"")


def test_a_full_disk_leaves_the_log_as_it_was_and_can_be_cleared():
    directory = _core.SimulatedDirectory({"ballast": bytes(10_000)})
    directory.capacity = 100_000
    log, written = directory.create_log("l"), b""
    with pytest.raises(StorageError) as caught:
        while True:
            log.append(b"x" * 777)
            written += b"x" * 777
    assert caught.value.errno == errno.ENOSPC
    assert 80_000 < len(written) < 90_000                   # the last pages were used, not whole chunks only
    assert directory.read("l").rstrip(b"\0") == written
    assert directory.used <= directory.capacity
    directory.capacity = 200_000
    log.append(b"y" * 777)
    assert directory.read("l").rstrip(b"\0") == written + b"y" * 777
    directory.unlink("l")
    assert directory.used > 10_000                          # still open
    log.close()
    assert directory.used == 10_000


# ------------------------------------------------------------------------------------------- states

def made(*operations):
    """A journal from (kind, name, node, offset, data[, result]) rows."""
    return [Operation(kind, rest[0] if rest else 0, 0, name, node, offset, data, "")
            for kind, name, node, offset, data, *rest in operations]


def final(journal, model):
    """The distinct states at the end of a journal."""
    found = [state.files for state in states(journal, model) if state.point == len(journal)]
    every = [state.files for state in states(journal, model, start=len(journal))]
    assert all(files in every for files in found)
    return every


CREATE = ("create", "a", 1, 0, b"")
WRITE = ("append", "a", 1, 0, b"abcd")
SYNC = ("sync", "a", 1, 0, b"")
SYNC_DIRECTORY = ("sync_directory", "", 0, 0, b"")


def test_weak_synced_file_without_its_name():
    assert {} in final(made(CREATE, WRITE, SYNC), "weak")
    assert {"a": b"abcd"} in final(made(CREATE, WRITE, SYNC), "weak")


def test_ext4_any_sync_commits_names():
    assert final(made(CREATE, WRITE, SYNC), "ext4") == [{"a": b"abcd"}]


@pytest.mark.parametrize("model", ["weak", "ext4"])
def test_all_synced_is_one_state(model):
    assert final(made(CREATE, WRITE, SYNC, SYNC_DIRECTORY), model) == [{"a": b"abcd"}]


def test_weak_name_without_bytes_zeros_junk_torn():
    found = [files.get("a") for files in final(made(CREATE, SYNC_DIRECTORY, WRITE), "weak")]
    for expected in (b"", b"abcd", bytes(4), b"a", b"ab", b"abc", b"\0bcd"):
        assert expected in found
    assert any(data not in (b"", bytes(4)) and data[0] not in b"a\0" for data in found)     # junk


def test_ext4_has_no_junk():
    found = [files.get("a") for files in final(made(CREATE, SYNC_DIRECTORY, WRITE), "ext4")]
    assert sorted(found) == [b"", b"a", b"ab", b"abc", b"abcd"]


def test_pages_get_through_in_any_order():
    data = bytes([1]) * 4096 + bytes([2]) * 4096 + bytes([3]) * 10
    found = [files["a"] for files in final(made(CREATE, SYNC_DIRECTORY, ("append", "a", 1, 0, data)), "ext4")]
    assert bytes(4096) + data[4096:] in found                           # a hole
    assert data[:4096] + bytes(4096) + data[8192:] in found
    assert data[:8192 + 1] in found


def test_appends_in_prepared_room():
    journal = made(CREATE, ("allocate", "a", 1, 8, b""), SYNC, SYNC_DIRECTORY, WRITE, ("append", "a", 1, 4, b"ef"))
    found = [files["a"] for files in final(journal, "ext4")]
    assert b"\0\0\0\0ef\0\0" in found and b"abcd\0\0\0\0" in found and b"abcdef\0\0" in found and bytes(8) in found


@pytest.mark.parametrize("model", ["weak", "ext4"])
def test_nothing_saves_what_a_failed_sync_passed_over(model):
    journal = made(CREATE, SYNC_DIRECTORY, WRITE, (*SYNC, errno.EIO), ("append", "a", 1, 4, b"ef"), SYNC)
    found = [files["a"] for files in final(journal, model)]
    assert b"\0\0\0\0ef" in found and b"abcdef" in found


def test_weak_rename_is_atomic_and_unordered_between_directories():
    journal = made(("initial", "a", 1, 0, b"new"), ("initial", "b", 2, 0, b"old")) + [
        Operation("rename", 0, 0, "a", 1, 0, b"", "b")]
    found = final(journal, "weak")
    assert sorted(map(sorted, found)) == [["a", "b"], ["b"]]
    assert {"b": b"new"} in found and {"a": b"new", "b": b"old"} in found


def test_weak_unlink_may_overtake_a_creation():
    journal = made(("initial", "old", 1, 0, b""), ("create", "new", 2, 0, b""), ("unlink", "old", 1, 0, b""))
    assert {} in final(journal, "weak")
    assert {} not in final(journal, "ext4")


def test_failed_operations_change_nothing():
    journal = made(CREATE, SYNC_DIRECTORY, ("append", "a", 1, 0, b"", errno.ENOSPC))
    assert final(journal, "weak") == [{"a": b""}]


def test_many_pending_changes_are_sampled_and_deterministic():
    rows = [CREATE, SYNC_DIRECTORY, *(("append", "a", 1, i * 4, b"%04d" % i) for i in range(60))]
    first = [(s.point, s.description, s.files) for s in states(made(*rows), "weak", seed=3)]
    again = [(s.point, s.description, s.files) for s in states(made(*rows), "weak", seed=3)]
    assert first == again
    assert 500 < len(first) < 60 * 150


def test_states_of_another_folder():
    directory = _core.SimulatedDirectory({"a": b"abc"})
    other = directory.beside("/other")
    directory.link("a", other)
    assert [s.files for s in states(directory.journal(), "weak", folder=other.folder)] == [{}, {"a": b"abc"}]


def test_bounds():
    directory = _core.SimulatedDirectory()
    for kind, value in [("started", 1), ("acknowledged", 1), ("started", 2), ("synced", 2), ("started", 3)]:
        directory.mark(kind, value)
    assert bounds(directory.journal()) == (2, 3)
    assert bounds(directory.journal()[:2]) == (0, 1)
    assert process_bounds(directory.journal()[:3]) == (1, 2)


def test_a_disk_folds_what_is_durable():
    disk = Disk("weak")
    for operation in made(CREATE, WRITE, SYNC, SYNC_DIRECTORY):
        disk.take(operation)
    assert (disk.changes, disk.files(frozenset(), 0)) == ([], {"a": b"abcd"})


# ------------------------------------------------------------------------------------------- the oracle

def test_the_oracle():
    history = [{}, {b"a": b"1"}, {b"a": b"2"}, {b"a": b"2", b"b": b"3"}]
    assert check_recovered(history, 1, 3, {b"a": b"2"}) == 2
    for lo, hi, contents, said in [
            (2, 3, {b"a": b"1"}, "lost"), (0, 1, {b"a": b"2"}, "not yet started"),
            (1, 3, {b"b": b"3"}, r"b'a': expected b'2', found nothing"),
            (1, 3, {b"a": b"2", b"b": b"x" * 99}, r"\(99 bytes\)")]:
        with pytest.raises(AssertionError, match=said):
            check_recovered(history, lo, hi, contents)


# ------------------------------------------------------------------------------------------- all of it, on a toy

class Toy:
    """A store of a page: a log of checksummed batches; every five writes all goes into a new `base` and a new log.

    `forget` leaves out one step that durability needs; the states must show it.
    """

    def __init__(self, directory, forget=None):
        self.directory, self.forget = directory, forget
        self.data, self.number = recover(directory)
        self.number += 1
        self.written = 0
        self.start_log()

    def start_log(self):
        self.log = self.directory.create_log(f"{self.number:06d}.log")
        self.sync_directory("name of the log")

    def sync_directory(self, which):
        if self.forget != which:
            self.directory.sync()

    def write(self, batch, sync):
        payload = json.dumps(batch).encode()
        self.log.append(struct.pack("<II", len(payload), zlib.crc32(payload)) + payload)
        if sync and self.forget != "sync":
            self.log.sync()
        merge(self.data, batch)
        self.written += 1
        if self.written % 5 == 0:
            self.rotate()

    def rotate(self):
        old, self.number = f"{self.number:06d}.log", self.number + 1
        self.log.close()
        self.directory.create("base.tmp", json.dumps([self.number, self.data]).encode())
        self.directory.rename("base.tmp", "base")
        self.sync_directory("rename before unlink")
        self.directory.unlink(old)
        self.start_log()


def merge(data, batch):
    for key, value in batch.items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value


def recover(directory):
    names = directory.list()
    first, data = json.loads(directory.read("base")) if "base" in names else (1, {})
    number = first
    for name in names:
        if name.endswith(".log") and int(name[:6]) >= first:
            number = max(number, int(name[:6]))
            for batch in batches(directory.read(name)):
                merge(data, batch)
    return data, number


def batches(log, at=0):
    while len(log) - at >= 8:
        size, crc = struct.unpack_from("<II", log, at)
        payload = log[at + 8:at + 8 + size]
        if size == 0 or len(payload) < size or zlib.crc32(payload) != crc:
            return
        yield json.loads(payload)
        at += 8 + size


def run_toy(forget=None, sync_every=1, writes=12, mapped=True):
    rng = random.Random(7)
    directory = _core.SimulatedDirectory(mapped=mapped)
    toy, history, model = Toy(directory, forget), [{}], {}
    for i in range(1, writes + 1):
        batch = {rng.choice("abcdef"): rng.choice([None, f"value {i} " + "x" * rng.choice([1, 600])]) for _ in range(2)}
        sync = i % sync_every == 0
        directory.mark("started", i)
        toy.write(batch, sync)
        directory.mark("synced" if sync else "acknowledged", i)
        merge(model, batch)
        history.append(dict(model))
    return directory, history


def violations(directory, history, model):
    count = 0
    for state in states(directory.journal(), model):
        try:
            contents, _ = recover(_core.SimulatedDirectory(state.files))
            check_recovered(history, *state.bounds, contents)
        except (AssertionError, ValueError):
            count += 1
    return count


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("sync_every", [1, 4, 100])
@pytest.mark.parametrize("model", ["weak", "ext4"])
def test_the_right_toy_survives_every_state(model, sync_every, mapped):
    directory, history = run_toy(sync_every=sync_every, mapped=mapped)
    checked = 0
    for state in states(directory.journal(), model):
        contents, _ = recover(_core.SimulatedDirectory(state.files))
        try:
            check_recovered(history, *state.bounds, contents)
        except AssertionError as error:
            raise AssertionError(f"{model} point {state.point}, {state.description}: {error}") from None
        checked += 1
    assert checked > 80


@pytest.mark.parametrize("forget, model", [
    ("sync", "weak"), ("sync", "ext4"), ("name of the log", "weak"), ("rename before unlink", "weak")])
def test_a_forgotten_step_is_caught(forget, model):
    assert violations(*run_toy(forget), model) > 0


def test_a_killed_process_loses_nothing_acknowledged():
    directory, history = run_toy(sync_every=100)
    contents, _ = recover(_core.SimulatedDirectory(directory.crashed_process()))
    assert check_recovered(history, *process_bounds(directory.journal()), contents) == 12


def test_a_crash_during_recovery():
    """The states of the recovery's own journal, from each state of a first crash."""
    directory, history = run_toy(sync_every=4, writes=6)
    for state in list(states(directory.journal(), "weak"))[::9]:
        again = _core.SimulatedDirectory(state.files)
        Toy(again)
        for second in states(again.journal(), "weak"):
            contents, _ = recover(_core.SimulatedDirectory(second.files))
            check_recovered(history, *state.bounds, contents)

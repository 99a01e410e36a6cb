"""`lsm load`, `dump`, `convert` as a script meets them: exit status, stdout and stderr, closed pipes, Ctrl-C, terminals."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from test_cli_tour import lsm_program

import lsm

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

COMMAND = [sys.executable, "-m", "lsm.cli"]
TIMEOUT = 60


@pytest.fixture
def small(tmp_path):
    with lsm.open(tmp_path / "small") as db:
        db.put(b"kenya:capital", b"Nairobi")
        db.put(b"a\xff", b"\x00")
        db.delete(b"tanzania:capital")
    return str(tmp_path / "small")


@pytest.fixture
def large(tmp_path):
    with lsm.open(tmp_path / "large", compression="none") as db:
        db.write_many((b"%06d" % number, b"v" * 100) for number in range(30_000))
    return str(tmp_path / "large")


def told(done):
    """The lines on stderr; none of them a traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    return text.splitlines()


def fed(data, *arguments):
    """The finished process of a command that was given this on stdin."""
    return subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, timeout=TIMEOUT)


@pytest.mark.parametrize("format", ["text", "jsonl", "binary"])
def test_a_dump_is_loaded_back_and_stdout_is_only_data(small, tmp_path, format):
    done = lsm_program("dump", small, "--format", format)
    assert (done.returncode, told(done)) == (0, [])
    (tmp_path / "file").write_bytes(done.stdout)
    loaded = lsm_program("load", str(tmp_path / "copy"), str(tmp_path / "file"))
    assert (loaded.returncode, loaded.stdout) == (0, b"")
    assert told(loaded) == [f"lsm load: 2 puts and 0 deletes of 23 bytes loaded into {tmp_path / 'copy'}"]
    assert lsm_program("load", "-q", str(tmp_path / "copy"), str(tmp_path / "file")).stderr == b""
    with lsm.open(tmp_path / "copy") as db, lsm.open(small) as source:
        assert dict(db) == dict(source)


def test_a_table_shows_deletions_and_versions(small, tmp_path):
    table, = [name for name in os.listdir(small) if name.endswith(".table")]
    done = lsm_program("dump", f"{small}/{table}")
    assert done.stdout.decode() == "a\\xff→\\x00\nkenya:capital→Nairobi\ntanzania:capital→†\n"
    done = lsm_program("dump", f"{small}/{table}", "--versions", "-f", "jsonl")
    assert b'{"sequence": 3, "key": "tanzania:capital", "value": null}' in done.stdout


def test_output_is_utf8_whatever_the_terminal_says(small):
    done = lsm_program("dump", small, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stdout.decode()) == (0, "a\\xff→\\x00\nkenya:capital→Nairobi\n")


def test_loading_into_an_engine_and_deleting(tmp_path):
    text = "a→1\nb→2\na→†\n".encode()
    for engine in ("hashlog", "lsm"):
        if engine not in lsm.engine_names():
            continue
        path = str(tmp_path / engine)
        assert fed(text, "load", path, "-", "--engine", engine).returncode == 0
        assert fed("{c→3".encode(), "load", path, "-", "-f", "text").returncode == 0
        assert lsm.engine_at(path) == engine
        assert lsm_program("dump", path).stdout.decode() == "b→2\n\\{c→3\n"


def test_bad_input_names_the_line_and_keeps_what_came_before(tmp_path):
    (tmp_path / "in.txt").write_text("a→1\nb→2\nnonsense\nc→3\n")
    done = lsm_program("load", str(tmp_path / "db"), str(tmp_path / "in.txt"))
    assert done.returncode == 1
    assert told(done)[0].startswith("lsm load: 2 puts and 0 deletes")
    assert told(done)[1] == f"lsm load: {tmp_path / 'in.txt'}: line 3: there is no → between key and value"
    assert lsm_program("dump", str(tmp_path / "db")).stdout.decode() == "a→1\nb→2\n"


def test_nonsense_makes_no_database(tmp_path):
    for name, data in (("nothing", b"nonsense"), ("cut", b"\x89lsm\r\n"), ("object", b"{}")):
        (tmp_path / name).write_bytes(data)
        done = lsm_program("load", str(tmp_path / "db"), str(tmp_path / name))
        assert done.returncode == 1 and name in told(done)[-1]
    done = lsm_program("load", str(tmp_path / "db"), str(tmp_path / "missing"))
    assert done.returncode == 1 and "missing" in told(done)[-1]
    assert not (tmp_path / "db").exists()


def test_damage_prints_what_is_before_it(large):
    table = max((os.path.join(large, name) for name in os.listdir(large)), key=os.path.getsize)
    with open(table, "r+b") as file:
        file.seek(1_000_000)
        file.write(b"\xff" * 10)
    for source in (large, table):
        done = lsm_program("dump", source)
        lines = done.stdout.splitlines()
        assert done.returncode == 1
        assert lines == [b"%06d\xe2\x86\x92" % number + b"v" * 100 for number in range(len(lines))] and len(lines) > 5000
        assert re.match(rf"lsm dump: {table}: damaged at byte \d+: ", told(done)[-1])
    done = lsm_program("dump", large, "--format", "binary")
    cut = fed(done.stdout, "load", large + "2", "-")
    assert (done.returncode, cut.returncode) == (1, 1) and "cut off" in told(cut)[-1]
    with lsm.open(large + "2") as db:
        assert len(db) == len(lines)


@pytest.mark.parametrize("arguments", [
    ["dump"], ["dump", "x", "--format", "csv"], ["dump", "x", "--format", "binary", "--versions"], ["dump", ".", "--versions"],
    ["load", "x"], ["convert", "x", "y"], ["convert", "x", "y", "--engine", "lms"], ["convert", "x", "y", "--engine", "memory"],
    ["dump", ".", "--engine", "lms"],
])
def test_a_wrong_command_line_is_status_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = lsm_program(*arguments, PYTHONPATH=os.pathsep.join(sys.path))
    assert done.returncode == 2 and told(done) and done.stdout == b""
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_is_status_1(tmp_path):
    for arguments in (["dump", str(tmp_path)], ["dump", str(tmp_path / "x")],
                      ["convert", str(tmp_path), str(tmp_path / "y"), "--engine", "lsm"]):
        done = lsm_program(*arguments)
        assert done.returncode == 1 and len(told(done)) == 1 and str(tmp_path) in told(done)[0]


def test_a_locked_database_is_said_by_load_and_does_not_matter_to_dump(small, tmp_path):
    (tmp_path / "in.txt").write_text("a→1\n")
    with lsm.open(small):
        done = lsm_program("load", small, str(tmp_path / "in.txt"))
        assert done.returncode == 1 and f"process {os.getpid()}" in told(done)[-1]
        assert lsm_program("dump", small).returncode == 0


def test_a_conversion_says_what_it_did(small, tmp_path):
    done = lsm_program("convert", small, str(tmp_path / "copy"), "--engine", "lsm")
    assert (done.returncode, done.stdout) == (0, b"")
    assert told(done) == [f"lsm convert: 2 rows of 23 bytes copied, each of them read again and compared; {small} is as it was"]
    again = lsm_program("convert", small, str(tmp_path / "copy"), "--engine", "lsm")
    assert again.returncode == 1 and "new or empty" in told(again)[0]


def test_help_says_what_arguments_are():
    for command, words in (("dump", ["--versions", "jsonl", "Only read"]), ("load", ["stdin", "--format"]),
                           ("convert", ["--engine", "compare", "empty"])):
        done = lsm_program(command, "--help", COLUMNS="100")
        assert done.returncode == 0
        for word in words:
            assert word in done.stdout.decode()


@pytest.mark.parametrize("format", ["text", "binary"])
def test_a_closed_pipe_is_no_error(large, format):
    dump = subprocess.Popen([*COMMAND, "dump", large, "--format", format], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert dump.stdout.read(100)
    dump.stdout.close()
    assert dump.wait(TIMEOUT) == 0
    assert dump.stderr.read() == b""
    dump.stderr.close()


def test_a_full_disk_behind_stdout_is_an_error(small):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "dump", small], stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT)
    assert (done.returncode, told(done)) == (1, ["lsm dump: No space left on device"])


def test_closed_stdin_and_stdout_are_said(small):
    program = f"{sys.executable} -m lsm.cli"
    for command, status, line in ((f"dump {small} >&-", 1, "lsm dump: stdout: the output is closed"),
                                  (f"load {small} - <&-", 1, "lsm load: stdin: the input is closed"),
                                  (f"convert {small} {small}2 --engine lsm -q >&-", 0, None)):
        done = subprocess.run(["sh", "-c", f"{program} {command}"], stderr=subprocess.PIPE, timeout=TIMEOUT)
        assert (done.returncode, told(done)) == (status, [line] if line else [])


def interrupt(process, ready):
    """Ctrl-C once `ready`; status and stderr."""
    try:
        while not ready():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 130
        return process.stderr.read().decode()
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_ctrl_c_while_nobody_reads_the_dump(large):
    process = subprocess.Popen([*COMMAND, "dump", large], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    select.select([process.stdout], [], [], TIMEOUT)
    time.sleep(0.2)                 # the pipe is full, the dump waits
    assert interrupt(process, lambda: True) == "lsm dump: interrupted\n"


def test_ctrl_c_while_loading_keeps_whole_batches(tmp_path):
    path = str(tmp_path / "db")
    process = subprocess.Popen([*COMMAND, "load", path, "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    for number in range(10_500):
        process.stdin.write("%06d→v\n".encode() % number)
    process.stdin.flush()
    text = interrupt(process, lambda: list((tmp_path / "db").glob("*.log")))
    assert text.splitlines()[-1] == "lsm load: interrupted" and "Traceback" not in text
    with lsm.open(path, lock_timeout=5) as db:
        assert len(db) % 10_000 == 0
        assert db.verify().ok


def slow_conversion(source, destination):
    """`lsm convert`, standing still between copying and comparing."""
    program = (
        "import sys, time; from lsm import conversion; conversion._compare = lambda *told: time.sleep(60);"
        "from lsm.cli import main; sys.argv = ['lsm', 'convert', *sys.argv[1:], '--engine', 'lsm']; sys.exit(main())"
    )
    return subprocess.Popen([sys.executable, "-c", program, source, str(destination)], stderr=subprocess.PIPE)


def test_ctrl_c_while_converting_leaves_nothing(large, tmp_path):
    process = slow_conversion(large, tmp_path / "copy")
    assert interrupt(process, (tmp_path / "copy.converting" / "CURRENT").exists) == "lsm convert: interrupted\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["large"]


def test_a_killed_conversion_leaves_no_copy_that_looks_whole(large, tmp_path):
    process = slow_conversion(large, tmp_path / "copy")
    while not (tmp_path / "copy.converting" / "CURRENT").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.converting", "large"]
    done = lsm_program("convert", large, str(tmp_path / "copy"), "--engine", "lsm")
    assert done.returncode == 1 and "copy.converting" in told(done)[0] and "remove this" in told(done)[0]


def on_a_terminal(*arguments):
    """(status, what the terminal showed) of a command whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
                               env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    os.close(ours)
    assert process.stdout.read() == b""
    process.stdout.close()
    return process.wait(TIMEOUT), shown.decode()


def test_progress_is_shown_on_a_terminal(large, tmp_path):
    status, shown = on_a_terminal("convert", large, str(tmp_path / "copy"), "--engine", "lsm")
    assert status == 0
    assert "copying" in shown and "comparing" in shown and "30,000 of 30,000 rows" in shown and "rows/s" in shown
    (tmp_path / "file").write_bytes(lsm_program("dump", large).stdout)
    status, shown = on_a_terminal("load", str(tmp_path / "again"), str(tmp_path / "file"))
    assert status == 0
    assert "loading" in shown and "of 3.30 MB" in shown and "30,000 puts" in shown


def test_a_binary_dump_is_not_shown_on_a_terminal(small):
    ours, theirs = pty.openpty()
    done = subprocess.run([*COMMAND, "dump", small, "-f", "binary"], stdout=theirs, stderr=subprocess.PIPE, timeout=TIMEOUT)
    os.close(ours), os.close(theirs)
    assert done.returncode == 2 and "terminal" in told(done)[0]

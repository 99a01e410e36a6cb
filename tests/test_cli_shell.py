"""`lsm shell`: as a script in a pipe; typed at a terminal; its words, its completion and its history by themselves."""
import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

from terminal import CTRL_C, CTRL_D, CTRL_P, Terminal  # noqa: E402

import lsm  # noqa: E402
from lsm.cli.outcome import Failed  # noqa: E402
from lsm.cli.shell.commands import COMMANDS, execute  # noqa: E402
from lsm.cli.shell.completion import KEYS, completions  # noqa: E402
from lsm.cli.shell.history import LINES, History, place  # noqa: E402
from lsm.cli.shell.interrupts import AGAIN, Interrupts  # noqa: E402
from lsm.cli.shell.session import Session  # noqa: E402
from lsm.cli.shell.words import WrongLine, quoted, words  # noqa: E402

TIMEOUT = 60


def script(path, *lines, arguments=()):
    """(status, stdout, stderr) of a shell that is given these lines."""
    done = subprocess.run([sys.executable, "-m", "lsm.cli", "shell", str(path), *arguments],
                          input="".join(f"{line}\n" for line in lines).encode(), capture_output=True, timeout=TIMEOUT)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# ------------------------------------------------------------ a script

def test_a_script_of_every_command(tmp_path):
    status, out, err = script(
        tmp_path / "db", "# capitals", "", "put kenya:capital Nairobi", 'put "a b" "x y\\x00é"', "get kenya:capital", "scan",
        "batch begin", "put rwanda:capital Kigali", "delete kenya:capital", "get kenya:capital", "batch commit",
        "snapshot take", "put rwanda:capital Huye", "get rwanda:capital", "snapshot release", "get rwanda:capital",
        "batch begin", "delete rwanda:capital", "batch abandon", "sync", "flush", "compact", "scan rwanda --keys",
        "scan --start b --reverse --limit 1", "verify", "stats", f"checkpoint {tmp_path / 'copy'}", "help get", "quit", "nonsense")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:9] == ["Nairobi", "a b→x y\\x00é", "kenya:capital→Nairobi", "Nairobi", "2 writes", "Kigali", "Huye",
                         "1 writes dropped", "rwanda:capital"]
    assert lines[9] == "rwanda:capital→Huye" and lines[10].endswith("no damage") and lines[-2] == "get KEY"
    with lsm.open(tmp_path / "copy", read_only=True) as db:
        assert dict(db) == {b"a b": "x y\0é".encode(), b"rwanda:capital": b"Huye"}


def test_a_script_prints_json(tmp_path):
    status, out, err = script(tmp_path / "db", "put a 1", "put \\xff \\x00", "get a", "get \\xff", "scan", "scan --keys --limit 1",
                              "batch begin", "delete a", "batch commit", "stats", "verify", "get a", arguments=["--json"])
    told = [json.loads(line) for line in out.splitlines()]
    assert told[:6] == [{"key": "a", "value": "1"}, {"key_base64": "/w==", "value": "\0"}, {"key": "a", "value": "1"},
                        {"key_base64": "/w==", "value": "\0"}, {"key": "a"}, {"writes": 1}]
    assert told[6]["engine"] == "lsm" and told[7]["ok"] and told[8:] == [{"key": "a", "value": None}]
    assert status == 1 and err.startswith("lsm shell: line 12: there is no key a")


def test_a_script_stops_at_the_first_error(tmp_path):
    for line, status, says in (("get nothing", 1, "there is no key nothing"), ("put x", 2, "it is: put KEY VALUE")):
        found, out, err = script(tmp_path / "db", "put a 1", line, "put b 2")
        assert (found, out) == (status, "")
        assert err.startswith("lsm shell: line 2: ") and says in err and len(err.splitlines()) == 1
    with lsm.open(tmp_path / "db") as db:
        assert list(db) == [b"a"]


def test_a_batch_that_a_script_leaves_open_is_an_error(tmp_path):
    status, _, err = script(tmp_path / "db", "put a 1", "batch begin", "put b 2", "quit")
    assert status == 1 and "line 2 began was not committed" in err
    with lsm.open(tmp_path / "db") as db:
        assert list(db) == [b"a"]


def test_read_only_looks_at_what_another_process_has_open(tmp_path):
    with lsm.open(tmp_path / "db") as db:
        db.put(b"a", b"1")
        status, out, err = script(tmp_path / "db", "get a", "put a 2", arguments=["--read-only"])
        assert (status, out) == (1, "1\n") and err.startswith("lsm shell: line 2: ")


def test_a_script_whose_output_nobody_reads_is_done_to_its_end(tmp_path):
    shell = subprocess.Popen([sys.executable, "-m", "lsm.cli", "shell", str(tmp_path / "db")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shell.stdout.close()
    _, err = shell.communicate(b"put a 1\nget a\nput b 2\n", timeout=TIMEOUT)
    assert (shell.returncode, err) == (0, b"")
    with lsm.open(tmp_path / "db") as db:
        assert list(db) == [b"a", b"b"]


def test_ctrl_c_ends_a_script(tmp_path):
    shell = subprocess.Popen([sys.executable, "-m", "lsm.cli", "shell", str(tmp_path / "db")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shell.stdin.write(b"put a 1\nflush\nget a\n" + b"# fill the buffer\n" * 4000)
    shell.stdin.flush()
    os.read(shell.stdout.fileno(), 1)                       # a line came so far: it is in the middle of the script
    shell.send_signal(signal.SIGINT)
    _, err = shell.communicate(timeout=TIMEOUT)
    assert shell.returncode == 130 and b"interrupted" in err and b"Traceback" not in err
    with lsm.open(tmp_path / "db") as db:
        assert list(db) == [b"a"]


# ------------------------------------------------------------ at a terminal

@pytest.fixture
def path(tmp_path):
    with lsm.open(tmp_path / "db") as db:
        db.write_many((b"%06d" % number, b"v" * 100) for number in range(30_000))
        db.put(b"kenya:capital", b"Nairobi")
    return str(tmp_path / "db")


def at_a_terminal(path, *arguments, **environment):
    pytest.importorskip("readline", reason="this Python has no readline")
    return Terminal("shell", path, *arguments, **{"LSM_HISTORY": f"{path}.history", **environment})


def test_errors_and_ctrl_c_end_no_session_and_ctrl_d_does(path):
    with at_a_terminal(path) as shell:
        shell.expect("lsm> ")
        shell.type("swim\r")
        shell.expect("there is no command 'swim'")
        shell.expect("lsm> ")
        shell.type("put abandoned")
        shell.expect("put abandoned")
        shell.type(CTRL_C)
        shell.expect("lsm> ")
        shell.type("get abandoned\r")
        shell.expect("there is no key abandoned")
        shell.expect("lsm> ")
        shell.type("scan\r")
        shell.expect("000003")                      # of 3 MB, for which no terminal has room: it is not at its end
        shell.type(CTRL_C)
        shell.expect("lsm> ")
        assert "029999" not in shell.shown
        shell.type("batch begin\r")
        shell.expect("lsm (batch of 0)> ")
        shell.type("put left out\r")
        shell.expect("lsm (batch of 1)> ")
        shell.type(CTRL_D)
        shell.expect("the batch of 1 writes was not committed")
        assert shell.end() == 0
    with lsm.open(path) as db:
        assert len(db) == 30_001


def test_completion_by_tab(path):
    with at_a_terminal(path) as shell:
        shell.expect("lsm> ")
        shell.type("get ken\t")
        shell.expect("get kenya:capital")
        shell.type("\r")
        shell.expect("Nairobi")
        shell.expect("lsm> ")
        shell.type("snaps\ttak\t\r")
        shell.expect("lsm (as of ")
        shell.type("quit\r")
        assert shell.end() == 0


def test_history_goes_from_session_to_session(path):
    with at_a_terminal(path) as shell:
        shell.expect("lsm> ")
        shell.type("get 000007\r")
        shell.expect("v" * 100)
        shell.expect("lsm> ")
        shell.type(" get 000008\r")                 # begins with a blank: it is not kept
        shell.expect("v" * 100)
        shell.expect("lsm> ")
        shell.type(CTRL_D)
        assert shell.end() == 0
    assert open(f"{path}.history").read() == "get 000007\n"
    assert stat.S_IMODE(os.stat(f"{path}.history").st_mode) == 0o600
    with at_a_terminal(path) as shell:
        shell.expect("lsm> ")
        shell.type(CTRL_P)
        shell.expect("get 000007")
        shell.type("\r")
        shell.expect("v" * 100)
        shell.expect("lsm> ")
        shell.type(CTRL_D)
        assert shell.end() == 0
    with at_a_terminal(path, "--no-history") as shell:
        shell.expect("lsm> ")
        shell.type("get 000009\r")
        shell.expect("v" * 100)
        shell.expect("lsm> ")
        shell.type(CTRL_D)
        assert shell.end() == 0
    assert "000009" not in open(f"{path}.history").read()


# ------------------------------------------------------------ its parts

def test_a_ctrl_c_that_nobody_heard_comes_again():
    """When it came just before `readline` waited for a key, the prompt hung until the next key."""
    with Interrupts() as interrupts:
        for _ in range(3):
            interrupts.put_off()                # as if it had come where no code of Python's runs
            with pytest.raises(KeyboardInterrupt):
                time.sleep(TIMEOUT)
            time.sleep(3 * AGAIN)               # and not once more
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        time.sleep(3 * AGAIN)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_during_a_completion_is_not_lost(path, monkeypatch):
    """`readline` drops what a completion raises."""
    readline = pytest.importorskip("readline", reason="this Python has no readline")
    from lsm.cli.shell import interactive

    monkeypatch.setattr(interactive, "completions", lambda *_: signal.raise_signal(signal.SIGINT))
    completer = readline.get_completer(), readline.get_completer_delims()
    with lsm.open(path) as db, Session(db) as session, Interrupts() as interrupts:
        interactive._prepare(readline, session, History(None), interrupts)
        assert readline.get_completer()("", 0) is None
        with pytest.raises(KeyboardInterrupt):
            time.sleep(TIMEOUT)
    readline.set_completer(completer[0])
    readline.set_completer_delims(completer[1])


def test_words():
    def texts(line):
        return [word.text for word in words(line)]

    assert texts('  put  "a b"\tc"d e"f ') == ["put", "a b", "cd ef"]
    assert texts(r'a\ b "\"" "" \x00\n\\') == ["a b", '"', "", r"\x00\n\\"]
    assert texts("# a comment") == [] and texts("get #1") == ["get", "#1"]
    for wrong in ('"', 'a "b', "a\\", 'a"b" "'):
        with pytest.raises(WrongLine):
            words(wrong)
    for text in ("", "a", "a b", 'a"b', "--limit", "#", r"\x00"):
        assert [word.text for word in words(quoted(text))] == [text]
        assert [word.text for word in words(quoted(text, always=True))] == [text]
    assert words('"--limit"')[0].quoted


@pytest.fixture
def session(tmp_path):
    with lsm.open(tmp_path / "db") as db, Session(db) as session:
        db.write_many((key, b"") for key in (b"kenya:capital", b"kenya:currency", b"kigali", b"lake\xff", b"lake\xfe", b"with blank"))
        yield session


@pytest.mark.parametrize("line, wrong, says", [
    ("swim", WrongLine, "there is no command 'swim'"),
    ('put "x y', WrongLine, "a double quote is opened and not closed"),
    ("get", WrongLine, "it is: get KEY"),
    ("get x y", WrongLine, "it is: get KEY"),
    ("get x --sideways", WrongLine, "there is no --sideways here"),
    ("get \\q", WrongLine, "backslash"),
    ("scan --limit", WrongLine, "it is: scan"),
    ("scan --limit many", WrongLine, "'many' is no number of rows"),
    ("scan a --start b", WrongLine, "give a prefix, or --start and --stop"),
    ("batch swim", WrongLine, "it is: batch begin|commit|abandon"),
    ("snapshot swim", WrongLine, "it is: snapshot take|release"),
    ("help swim", WrongLine, "there is no command 'swim'"),
    ("get nothing", Failed, "there is no key nothing"),
    ("batch commit", Failed, "there is no batch"),
    ("snapshot release", Failed, "there is no snapshot"),
    ("checkpoint .", lsm.Error, "needs a new or empty directory"),
])
def test_what_cannot_be_done(session, tmp_path, monkeypatch, line, wrong, says):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(wrong) as raised:
        execute(session, line)
    assert says in str(raised.value)


def test_a_second_batch_is_refused_and_the_first_goes_on(session):
    execute(session, "batch begin")
    execute(session, "put new 1")
    with pytest.raises(Failed):
        execute(session, "batch begin")
    assert b"new" not in session.db
    execute(session, "batch commit")
    assert b"new" in session.db


@pytest.mark.parametrize("line, cut, found", [
    ("", 0, sorted(COMMANDS)),
    ("pu", 0, ["put "]),
    ("sn", 0, ["snapshot "]),
    ("get k", 4, ["kenya:capital", "kenya:currency", "kigali"]),
    ("get kenya:cu", 4, ["kenya:currency"]),
    ("get lake", 4, [r"lake\xfe", r"lake\xff"]),
    ("get lake\\xf", 4, [r"lake\xfe", r"lake\xff"]),
    ("get lake\\xff", 4, [r"lake\xff"]),
    ('get "with b', 4, ['"with blank"']),
    ('get "with b', 10, ['blank"']),                # where readline cuts words
    ("get z", 4, []),
    ("put k", 4, ["kenya:capital", "kenya:currency", "kigali"]),
    ("put kigali ", 11, []),
    ("scan --sta", 5, ["--start "]),
    ("scan --start kig", 13, ["kigali"]),
    ("scan --limit 3 kig", 15, ["kigali"]),
    ("batch ", 6, ["abandon", "begin", "commit"]),
    ("batch c", 6, ["commit "]),
    ("help qu", 5, ["quit "]),
    ("swim k", 5, []),
    ('"', 0, []),
])
def test_completion(session, line, cut, found):
    assert completions(session, line, cut) == found


def test_completion_of_a_blank_quotes_the_word(session):
    assert completions(session, "get w", 4) == ['"with blank"']


def test_completion_of_many_keys_is_a_short_scan_that_sees_the_last(session):
    session.db.write_many((b"many:a%06d" % number, b"") for number in range(5_000))
    session.db.put(b"many:z", b"")
    found = completions(session, "get many", 4)
    assert len(found) == KEYS + 1 and os.path.commonprefix(found) == "many:"


def test_completion_of_paths(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backup of").mkdir()
    assert completions(session, "checkpoint d", 11) == ["db/"]
    assert completions(session, 'checkpoint "b', 11) == ['"backup of/"']


def test_history_is_private_and_short(tmp_path):
    path = tmp_path / "new" / "history"
    history = History(path)
    assert history.add("one") and not history.add("one") and not history.add(" two") and not history.add("")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_text("".join(f"{number}\n" for number in range(3 * LINES)))
    path.chmod(0o644)
    assert len(History(path).lines) == LINES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [str(number) for number in range(2 * LINES, 3 * LINES)]
    assert [entry.name for entry in path.parent.iterdir()] == ["history"]


def test_where_the_history_is(tmp_path, monkeypatch):
    monkeypatch.delenv("LSM_HISTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place() == tmp_path / ".local" / "state" / "lsm" / "history"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert place() == tmp_path / "state" / "lsm" / "history"
    monkeypatch.setenv("LSM_HISTORY", str(tmp_path / "mine"))
    assert place() == tmp_path / "mine"
    monkeypatch.setenv("LSM_HISTORY", "")
    assert place() is None


def test_without_a_place_for_the_history_there_is_none(tmp_path):
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history")
    assert history.trouble is not None and history.add("one")

"""`lsm get`, `put`, `delete`, `scan`: how keys and values are given and printed, and what a script can tell by the status."""
import json
import os
import subprocess

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

from engines import DURABLE  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from program import COMMAND, TIMEOUT, run  # noqa: E402
from test_cli_tour import lsm_program  # noqa: E402

import lsm  # noqa: E402
from lsm.dump import text  # noqa: E402
from lsm.registry import ENGINES  # noqa: E402

OURS = [engine for engine in DURABLE if engine in ENGINES]


@pytest.fixture
def filled(path):
    with lsm.open(path) as db:
        db.update({b"kenya:capital": b"Nairobi", b"rwanda:capital": b"Kigali", b"a\xff\n": b"\x00\\"})
    return path


@pytest.mark.parametrize("engine", OURS)
def test_a_key_comes_and_goes(path, engine):
    assert run("put", path, "kenya:capital", "Nairobi", "--engine", engine) == run("put", path, "clé", "été")
    done = run("get", path, "kenya:capital")
    assert (done.status, done.out, done.err) == (0, "Nairobi\n", "")
    assert run("scan", path).out == "clé→été\nkenya:capital→Nairobi\n"
    assert run("delete", path, "clé").status == 0
    gone = run("get", path, "clé")
    assert (gone.status, gone.out, gone.err) == (1, "", f"lsm get: {path}: there is no key clé\n")
    assert lsm.engine_at(path) == {"pylsm": "lsm"}.get(engine, engine)


@pytest.mark.parametrize("engine", OURS)
def test_reading_beside_a_process_that_writes(path, engine):
    with lsm.open(path, engine=engine) as db:
        db.put(b"a", b"1", sync=True)
        assert lsm_program("get", str(path), "a").stdout == b"1\n"
        done = lsm_program("put", str(path), "a", "2")
        assert done.returncode == 1
        assert done.stderr.decode() == (f"lsm put: {path}: the database is open in process {os.getpid()}: end that, or wait for "
                                        "it with --wait SECONDS\n")
        assert db[b"a"] == b"1"


def test_waiting_for_the_other_process(path):
    with lsm.open(path):
        waiting = subprocess.Popen([*COMMAND, "put", path, "a", "1", "--wait", "100"], stderr=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
    assert (waiting.wait(TIMEOUT), waiting.stderr.read()) == (0, b"")
    waiting.stderr.close()
    assert run("get", path, "a").out == "1\n"


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_any_bytes_can_be_typed_with_escapes(key, value):
    shown = text.escape(key)
    assert "\n" not in shown and text.unescape(shown.encode()) == key
    assert text.decode(text.encode(key, value).rstrip(b"\n")) == (key, value)


def test_what_is_printed_can_be_typed(filled):
    keys = run("scan", filled, "--keys").out.splitlines()
    assert keys == ["a\\xff\\n", "kenya:capital", "rwanda:capital"]
    assert run("get", filled, "-e", keys[0]).out == "\\x00\\\\\n"
    assert run("put", filled, "-e", r"b\→\\", r"\†\n").status == 0
    assert run("get", filled, "--json", "b→\\").out == '{"key": "b→\\\\", "value": "†\\n"}\n'
    assert run("delete", filled, "-e", *keys, r"b\→\\").status == 0
    assert run("scan", filled, "--count").out == "0\n"


def test_arguments_are_taken_as_they_are_and_values_printed_so(filled):
    for value in ('{"a": "x\\n\\u00e9"}', "C:\\new", "two\nlines", "†", "→", ""):
        assert run("put", filled, "k\\n", value).status == 0
        assert run("get", filled, "k\\n").out == value + "\n"
        assert run("get", filled, "k\\n", "--raw").out == value
    assert run("put", filled, os.fsdecode(b"\xff\xfe"), os.fsdecode(b"\xc3(")).status == 0
    assert run("get", filled, os.fsdecode(b"\xff\xfe"), "--raw").raw == b"\xc3("
    assert run("put", filled, "--", "-key", "--value").status == 0
    assert run("get", filled, "--", "-key").out == "--value\n"


def test_a_value_from_stdin_is_all_its_bytes(path):
    value = bytes(range(256)) * 300 + b"\n"
    assert run("put", path, "photo", "-", stdin=value).status == 0
    assert run("get", path, "photo", "--raw").raw == value
    told = json.loads(run("get", path, "photo", "--json").out)
    assert set(told) == {"key", "value_base64"}


def test_a_missing_key_is_told_from_a_failure_by_json(filled):
    done = run("get", filled, "uganda:capital", "--json")
    assert (done.status, json.loads(done.out)) == (1, {"key": "uganda:capital", "value": None})
    done = run("get", f"{filled}2", "uganda:capital", "--json")
    assert (done.status, done.out) == (1, "")


def test_deleting_several_names_those_that_are_missing(filled):
    done = run("delete", filled, "kenya:capital", "x", "rwanda:capital", "y")
    assert (done.status, done.err) == (1, f"lsm delete: {filled}: there is no key x, y\n")
    done = run("delete", filled, "-e", "--json", r"x\xff")
    assert done.status == 1 and json.loads(done.out) == {"path": str(filled), "deleted": 0, "missing": [{"base64": "eP8="}]}
    assert run("scan", filled, "--keys").out == "a\\xff\\n\n"
    assert run("delete", filled, "-e", r"a\xff\n").status == 0


def test_ranges(path):
    with lsm.open(path) as db:
        db.update({b"%02d" % number: b"v%d" % number for number in range(20)})

    def keys(*arguments):
        return run("scan", path, "--keys", *arguments).out.split()

    assert keys("--prefix", "1") == [f"{number}" for number in range(10, 20)]
    assert keys("--start", "03", "--stop", "06") == ["03", "04", "05"]
    assert keys("--reverse", "-n", "2") == ["19", "18"]
    assert keys("--limit", "0") == []
    assert run("scan", path, "--values", "--prefix", "07").out == "v7\n"
    assert run("scan", path, "--count", "--prefix", "1").out == "10\n"
    assert run("scan", path, "--count", "--json").out == '{"count": 20}\n'
    assert run("scan", path, "--json", "-n", "1").out == '{"key": "00", "value": "v0"}\n'
    assert run("scan", path, "--json", "--keys", "-n", "1").out == '{"key": "00"}\n'


def test_what_is_scanned_can_be_loaded(filled, tmp_path):
    done = run("scan", filled)
    assert run("load", tmp_path / "copy", "-", stdin=done.raw).status == 0
    assert run("scan", tmp_path / "copy").out == done.out == run("dump", filled).out
    assert run("scan", filled, "--json").out == run("dump", filled, "--json").out


@pytest.mark.parametrize("arguments, told", [
    (["get", "DB"], "get: Missing argument 'KEY'"),
    (["get", "DB", "a", "--raw", "--json"], "get: Invalid value: of --raw and --json give one"),
    (["get", "DB", "-e", "a\\"], r"get: Invalid value: 'a\\': a backslash that escapes nothing"),
    (["scan", "DB", "--keys", "--count"], "scan: Invalid value: of --keys, --values and --count give one"),
    (["scan", "DB", "--limit", "-1"], "scan: Invalid value for '--limit'"),
    (["put", "DB", "a", "1", "--engine", "memory"], "put: --engine memory is not possible: give one that keeps what is written: lsm"),
    (["get", "DB", "a", "--engine", "lms"], "get: --engine lms is not possible: give lsm"),
    (["put", "DB", "a", "1", "--sinc"], "put: No such option: --sinc"),
    (["swim"], "No such command 'swim'"),
])
def test_a_wrong_command_line_is_one_line(arguments, told, filled):
    done = run(*(filled if argument == "DB" else argument for argument in arguments))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"lsm {told}" if told[0].islower() else f"lsm: {told}") and done.err.count("\n") == 1


def test_errors_name_options_of_the_command_line(filled, tmp_path):
    """Not `engine=`, `create=True` and the like, which are for Python."""
    for arguments, told in [
        (["get", tmp_path / "none", "a"], "there is no database here: give its directory; for an engine of another package, its "
                                          "--engine (convert: --source-engine) too"),
        (["delete", tmp_path / "none", "a"], "there is no database here: give its directory"),
        (["compact", tmp_path / "none"], "there is no database here: give its directory"),
        (["get", filled, "a", "--engine", "hashlog"], "it is a database of the engine lsm: leave out --engine hashlog"),
        (["put", filled, "a", "1", "--engine", "hashlog"], "it is a database of the engine lsm: leave out --engine hashlog"),
    ]:
        done = run(*arguments)
        assert (done.status, done.out) == (1, "")
        assert done.err == f"lsm {arguments[0]}: {arguments[1]}: {told}\n"
    assert not (tmp_path / "none").exists()


def test_a_key_over_the_limit_makes_no_database(path):
    done = run("put", path, "k" * 70_000, "1")
    assert (done.status, done.err) == (1, "lsm put: a key of 70,000 bytes is over the limit of 65,535 bytes\n")
    assert not path.exists()


def test_a_terminal_is_sent_no_control_characters(filled, monkeypatch):
    import lsm.cli.get

    monkeypatch.setattr(lsm.cli.get, "is_terminal", lambda: True)
    for value, shown in (("\x1b[31mred", "\\x1b[31mred"), ("two\nlines", "two\nlines"), ("back\\slash", "back\\slash")):
        assert run("put", filled, "k", value).status == 0
        assert run("get", filled, "k").out == shown + "\n"

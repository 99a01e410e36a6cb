"""`lsm stats`, `verify`, `compact`, `checkpoint`, `salvage`, how far they are, and what `load` refuses, on every engine."""
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

from engines import DURABLE  # noqa: E402
from program import run  # noqa: E402
from terminal import Terminal  # noqa: E402

import lsm  # noqa: E402
from lsm.registry import ENGINES  # noqa: E402

OURS = [engine for engine in DURABLE if engine in ENGINES]


@pytest.fixture(params=OURS)
def filled(request, path):
    with lsm.open(path, engine=request.param) as db:
        db.write_many((b"%04d" % number, b"v" * 100) for number in range(1000))
        db.flush()
        db.write([(b"%04d" % number, None) for number in range(900)])
    return path


def test_what_a_database_holds_and_is(filled):
    done = run("stats", filled)
    engine = lsm.engine_at(filled)
    assert (done.status, done.err) == (0, "") and done.out.startswith(f"{filled}: engine {engine}\n")
    told = json.loads(run("stats", filled, "--json").out)
    assert (told["path"], told["engine"]) == (str(filled), engine) and told["bytes"] > 10_000
    if engine == "lsm":
        assert told["levels"][0]["smallest"] == "0000" and told["space_amplification"] >= 1.0
    assert run("verify", filled).out.endswith("all of it is whole\n")
    told = json.loads(run("verify", filled, "--json").out)
    assert told["ok"] and told["damage"] == [] and told["files"] > 0
    assert run("verify", filled, "--quiet") == run("compact", filled, "--quiet")
    assert run("scan", filled, "--count").out == "100\n"


def test_compacting_gives_back_room(filled):
    done = run("compact", filled, "--json")
    told = json.loads(done.out)
    assert (done.status, done.err) == (0, "") and told["bytes_after"] < told["bytes_before"] and told["seconds"] >= 0
    done = run("compact", filled)
    assert (done.status, done.out) == (0, "") and done.err.startswith(f"lsm compact: {filled} takes ")
    assert run("scan", filled, "--count").out == "100\n"


def test_a_checkpoint_is_a_database(filled, tmp_path):
    done = run("checkpoint", filled, tmp_path / "copy")
    assert (done.status, done.out) == (0, "") and done.err.startswith(f"lsm checkpoint: {tmp_path / 'copy'} is a copy of {filled}, ")
    assert run("scan", tmp_path / "copy").out == run("scan", filled).out
    again = run("checkpoint", filled, tmp_path / "copy")
    assert again.status == 1 and "new or empty directory" in again.err and run("verify", tmp_path / "copy").status == 0
    told = json.loads(run("checkpoint", filled, tmp_path / "another", "--json").out)
    assert told["path"] == str(tmp_path / "another") and told["bytes"] > 10_000


def test_a_checkpoint_that_fails_leaves_nothing(tmp_path, monkeypatch):
    with lsm.open(tmp_path / "db") as db:
        db[b"a"] = b"1"

    def half(self, path):
        os.mkdir(path)
        (tmp_path / "copy" / "000001.table").write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(lsm.DB, "checkpoint", half)
    done = run("checkpoint", tmp_path / "db", tmp_path / "copy")
    assert (done.status, done.err) == (1, f"lsm checkpoint: {tmp_path / 'copy'}: No space left on device\n")
    assert not (tmp_path / "copy").exists()


def test_each_damage_is_named(path):
    with lsm.open(path, compression="none") as db:
        for number in range(2):
            db.write_many((b"%04d" % key, b"v" * 100) for key in range(1000))
            db.flush()
    tables = sorted(str(table) for table in path.glob("*.table"))
    for table in tables:
        with open(table, "r+b") as file:
            for at in (10, 50_000):
                file.seek(at)
                file.write(b"\xff")
    done = run("verify", path)
    lines = done.out.splitlines()
    assert done.status == 1 and lines[0].endswith(": 4 damaged")
    assert [line.split(": damaged at byte ")[0] for line in lines[1:]] == [tables[0]] * 2 + [tables[1]] * 2
    assert done.err == f"lsm verify: {path}: it is damaged: a checkpoint or backup restores it, `lsm salvage` rescues the rest\n"
    told = json.loads(run("verify", path, "--json").out)
    assert not told["ok"] and [one["path"] for one in told["damage"]] == [tables[0]] * 2 + [tables[1]] * 2
    assert all(isinstance(one["offset"], int) and one["detail"] for one in told["damage"])


def test_the_keys_that_a_damage_concerns_are_printed(path, monkeypatch):
    with lsm.open(path) as db:
        db[b"a"] = b"1"

    def verify(self, progress=None):
        return lsm.Report(files=1, damage=(lsm.CorruptionError("x.table", 7, "wrong", (b"a\xff", b"b")),))

    monkeypatch.setattr(lsm.DB, "verify", verify)
    assert "x.table: damaged at byte 7: wrong; keys a\\xff to b\n" in run("verify", path).out
    assert json.loads(run("verify", path, "--json").out)["damage"] == [
        {"path": "x.table", "offset": 7, "detail": "wrong", "keys": [{"base64": "Yf8="}, "b"]}]


def test_what_cannot_be_opened_is_damage_too(path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
    manifest, = path.glob("MANIFEST-*")
    manifest.write_bytes(b"x" * 100)
    done = run("verify", path)
    assert done.status == 1 and done.out.splitlines()[1].startswith(f"{manifest}: damaged at byte 0: ")
    assert json.loads(run("verify", path, "--json").out)["ok"] is False
    done = run("get", path, "a")
    assert (done.status, done.out) == (1, "") and "`lsm verify` lists all damage" in done.err


def test_loading_says_what_it_did_as_json(tmp_path):
    done = run("load", tmp_path / "db", "-", "--json", stdin="a→1\nb→†\n".encode())
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {"path": str(tmp_path / "db"), "puts": 1, "deletes": 1, "bytes": 3}
    done = run("convert", tmp_path / "db", tmp_path / "copy", "--engine", "hashlog", "--json")
    assert json.loads(done.out) == {"path": str(tmp_path / "copy"), "rows": 1, "bytes": 2}


def test_csv_is_told_by_its_name(tmp_path):
    (tmp_path / "in.csv").write_text("country,capital\nkenya,Nairobi\n")
    assert run("load", tmp_path / "db", tmp_path / "in.csv", "-q") == run("load", tmp_path / "db", "-", "-q", "-f", "csv",
                                                                         stdin=b"a,b\nrwanda,Kigali\n")
    assert run("scan", tmp_path / "db").out == "kenya→Nairobi\nrwanda→Kigali\n"
    done = run("load", tmp_path / "db", "-", "--key", "1", stdin="a→1".encode())
    assert (done.status, done.err) == (2, "lsm load: --key 1 is not possible: give it with csv: this is text\n")
    assert run("load", tmp_path / "db", "-", "-f", "csv", "--delimiter", "ab").status == 2


@pytest.mark.parametrize("data, arguments, told", [
    ("k" * 600 + "→1\n", ["--engine", "btree"], "a key of 600 bytes is over the limit of 510 bytes"),
    ("k" * 70_000 + "→1\n", [], "a key of 70,000 bytes is over the limit of 65,535 bytes"),
    ("a→1\n", ["--engine", "memory"], "--engine memory is not possible: give one that keeps what is written: lsm"),
    ("nonsense\n", [], "line 1: there is no → between key and value"),
    ("", ["--engine", "lms"], "--engine lms is not possible: give lsm"),
])
def test_what_cannot_be_loaded_makes_no_database(data, arguments, told, path):
    """Not even when the first entry makes sense, and only the engine does not take it; nor one that is gone at once."""
    done = run("load", path, "-", *arguments, stdin=data.encode())
    assert done.status in (1, 2) and done.out == "" and told in done.err and done.err.count("\n") == 1
    assert not path.exists()


@pytest.mark.parametrize("engine", OURS)
def test_an_entry_over_the_limits_is_named_and_all_before_it_kept(path, engine):
    done = run("load", path, "-", "--engine", engine, stdin=("a→1\nb→2\n" + "k" * 70_000 + "→3\nc→4\n").encode())
    limit = 510 if engine == "btree" else 65_535
    assert done.status == 1
    assert done.err.splitlines()[-1] == f"lsm load: entry 3: a key of 70,000 bytes is over the limit of {limit:,} bytes"
    assert run("scan", path).out == "a→1\nb→2\n"


# ------------------------------------------------------------ salvage

@pytest.fixture
def damaged(path):
    """Two tables of 1000 rows; of the newer one a block is damaged."""
    with lsm.open(path, compression="none") as db:
        for value in (b"old", b"new"):
            db.write_many((b"%04d" % key, value * 30) for key in range(1000))
            db.flush()
    with open(max(path.glob("*.table")), "r+b") as file:
        file.seek(10)
        file.write(b"\xff")
    return path


def test_what_is_whole_is_salvaged(damaged, tmp_path):
    done = run("salvage", damaged, tmp_path / "saved")
    assert (done.status, done.err) == (0, "") and done.out.startswith("1,000 rows of 94,000 bytes rescued\n"), done
    with lsm.open(tmp_path / "saved", create=False) as db:
        values = list(db.values())
    assert len(values) == 1000 and 0 < values.count(b"old" * 30) < 100
    told = json.loads(run("salvage", damaged, tmp_path / "certain", "--only-certain", "--engine", "hashlog", "--json").out)
    assert told["path"] == str(tmp_path / "certain") and told["rows"] == values.count(b"new" * 30)
    assert told["damage"][0]["path"].endswith(".table") and lsm.engine_at(tmp_path / "certain") == "hashlog"
    assert run("verify", tmp_path / "saved").status == 0 and run("verify", damaged).status == 1


def test_what_cannot_be_salvaged(damaged, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments, says in (([damaged, tmp_path / "full"], "full"), ([tmp_path / "nowhere", tmp_path / "saved"], "nowhere"),
                            ([tmp_path / "full", tmp_path / "saved"], "nothing here is of a database")):
        done = run("salvage", *arguments)
        assert done.status == 1 and done.out == "" and says in done.err and done.err.count("\n") == 1
    assert run("salvage", damaged, tmp_path / "saved", "--engine", "lms").status == 2
    assert not (tmp_path / "saved").exists()


# ------------------------------------------------------------ how far it is

def test_verifying_and_salvaging_tell_how_far_they_are(filled, tmp_path):
    read, steps, engine = [], [], lsm.engine_at(filled)
    with lsm.open(filled, engine=engine) as db:
        report = db.verify(progress=read.append)
    assert read == sorted(read) and (engine == "btree" or read[-1] == report.bytes)
    if engine != "btree":
        with lsm.open(filled, engine=engine) as db:
            db.write_many((b"%04d" % number, os.urandom(5000)) for number in range(1000))
        lsm.salvage(filled, tmp_path / "saved", progress=lambda *told: steps.append(told))
        assert {step for step, _, _ in steps} == {"read", "write"} and all(0 < done <= total for _, done, total in steps)


def test_a_terminal_is_shown_how_far_a_long_command_is(path, tmp_path):
    """Only that it went on was shown, of verify, compact and checkpoint; of salvage the rows, without an end."""
    with lsm.open(path) as db:
        db.update({b"a": b"1"})
    for command, doing in ("verify", "checking"), ("compact", "compacting"), ("checkpoint", "copying"), ("salvage", "reading"):
        with lsm.open(path) as db:
            if command == "salvage":
                db.write_many((b"%06d" % number, os.urandom(1000)) for number in range(3000))
        places = [str(path)] if command in ("verify", "compact") else [str(path), str(tmp_path / command)]
        with Terminal(command, *places, TERM="xterm", COLUMNS="200") as terminal:
            terminal.expect(f"{doing} {path}")
            terminal.expect("%")
            terminal.expect(" of ")
            assert terminal.end() == 0


def test_ctrl_c_while_the_package_is_imported_is_no_traceback():
    """The program began within the package, whose import nobody watched."""
    interrupted = ("import sys\nclass Interrupted:\n    def find_spec(self, name, path, target=None):\n"
                   "        if name == 'lsm.errors': raise KeyboardInterrupt\n"
                   "sys.meta_path.insert(0, Interrupted())\nimport lsm_program\nsys.exit(lsm_program.main())")
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "lsm: interrupted\n")

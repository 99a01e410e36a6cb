"""The tour as a user runs it: a program in a process of its own, its output in a pipe."""
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

TIMEOUT = 110


def lsm_program(*arguments, **environment):
    """Run `lsm ARGUMENTS` and answer the finished process."""
    hidden = ("FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING", "TTY_COMPATIBLE")
    surroundings = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-m", "lsm.cli", *arguments],
        env={**surroundings, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
    )


def test_quick_tour_keeps_every_promise(tmp_path):
    done = lsm_program("tour", "--quick", "--path", str(tmp_path / "tour"))
    text = done.stdout.decode()
    assert done.returncode == 0, text + done.stderr.decode()
    assert "Every promise was kept" in text
    assert all(title in text for title in ("1. Load.", "6. Crash.", "per second", "acknowledged", "L0"))
    assert b"\x1b" not in done.stdout and b"\r" not in done.stdout, "control codes in a pipe"
    assert max(len(line) for line in text.splitlines()) <= 80
    assert {entry.name for entry in (tmp_path / "tour").iterdir()} == {"tree", "crash", "checkpoint"}


def test_tour_leaves_nothing_without_path_and_speaks_ascii(tmp_path):
    done = lsm_program("tour", "--quick", TMPDIR=str(tmp_path), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    done.stdout.decode("ascii")
    assert list(tmp_path.iterdir()) == []


def test_tour_refuses_a_directory_that_holds_something(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    done = lsm_program("tour", "--quick", "--path", str(tmp_path))
    assert done.returncode == 2
    assert "is not empty" in done.stderr.decode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_tour_refuses_a_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    done = lsm_program("tour", "--path", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr.decode()


def test_a_broken_promise_is_told_and_counts(tmp_path):
    """A database that forgets a line: the tour must notice, name the step and end with status 1."""
    forgetful = (
        "import sys, lsm; from pathlib import Path; honest = lsm.DB.write_many;"
        "lsm.DB.write_many = lambda db, pairs, **more: honest(db, list(pairs)[:-1], **more) + 1;"
        "from lsm.cli.tour.itinerary import take; sys.exit(take(Path(sys.argv[1]), True))"
    )
    command = [sys.executable, "-c", forgetful, str(tmp_path / "tour")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == 1, done.stdout.decode() + done.stderr.decode()
    assert "a promise was broken: step 1" in done.stderr.decode()


def test_version():
    done = lsm_program("--version")
    assert done.returncode == 0
    assert done.stdout.startswith(b"lsm ")


def test_unknown_command_is_refused():
    done = lsm_program("swim")
    assert done.returncode == 2
    assert b"swim" in done.stderr


def test_missing_extra_says_what_to_install(tmp_path):
    hide = (
        "import sys, importlib.util as util; real = util.find_spec;"
        "util.find_spec = lambda name, *a: None if name == 'rich' else real(name, *a);"
        "from lsm.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, timeout=TIMEOUT)
    assert done.returncode == 2
    assert b"pip install 'lsmkv[cli]'" in done.stderr


def test_the_figures_of_the_tour_as_json(monkeypatch, capsysbinary):
    from lsm.cli.tour import itinerary

    def walk(guide, place, quick):
        guide.step("Load", "All of it.")
        with guide.timed("put", 3):
            guide.check(True, "it is there")

    monkeypatch.setattr(itinerary, "walk", walk)
    assert itinerary.take(None, quick=True, json=True) == 0
    sys.stdout.flush()
    told = json.loads(capsysbinary.readouterr().out)
    (figure,) = told["figures"]
    assert (told["checks"], told["steps"], figure["name"], figure["operations"]) == (1, 1, "put", 3) and figure["seconds"] >= 0

"""Ctrl-C ends a command within a moment also where the main thread cannot hear it; and what a shell is offered."""
import os
import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

from test_cli_data import interrupt  # noqa: E402
from test_cli_tour import lsm_program  # noqa: E402

import lsm  # noqa: E402

DEAF = """
import os, sys, time, lsm
from lsm.cli import main

def deaf(self, path):
    "A checkpoint half made, in a step that no exception ends."
    os.mkdir(path)
    open(os.path.join(path, "half"), "w").close()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

lsm.DB.checkpoint = deaf
sys.argv[0] = "lsm"
sys.exit(main())
"""


def test_ctrl_c_ends_what_does_not_hear_it(tmp_path):
    with lsm.open(tmp_path / "db") as db:
        db[b"a"] = b"1"
    copy = tmp_path / "copy"
    process = subprocess.Popen([sys.executable, "-c", DEAF, "checkpoint", str(tmp_path / "db"), str(copy)], stderr=subprocess.PIPE)
    assert interrupt(process, (copy / "half").exists) == "lsm checkpoint: interrupted\n"
    assert not copy.exists()
    with lsm.open(tmp_path / "db") as db:
        assert db[b"a"] == b"1"


def offered(*words):
    """What bash would be told for the last of these words, which are taken apart as bash does it."""
    done = lsm_program(_LSM_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))
    assert done.stderr == b""
    return done.stdout.decode().split()


def test_commands_engines_directories_and_keys_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with lsm.open("data") as db:
        db.update({b"kenya:capital": b"Nairobi", b"rwanda": b"Kigali", b"r\xff": b"", b"\n": b""})
    (tmp_path / "dump.txt").write_text("")
    assert offered("lsm", "ver") == ["verify"]
    assert offered("lsm", "get", "d") == ["data/"]
    assert offered("lsm", "load", "data", "d") == ["data/", "dump.txt"]
    assert offered("lsm", "get", "data", "") == ["kenya:capital", "rwanda"]
    assert offered("lsm", "scan", "data", "--prefix", "k") == ["kenya:capital"]
    assert offered("lsm", "get", "data", "kenya", ":", "ca") == ["capital"]
    assert offered("lsm", "get", "nowhere", "k") == []
    assert offered("lsm", "convert", "data", "copy", "--engine", "hash") == ["hashlog"]
    for shell in ("bash", "zsh", "fish"):
        assert b"_LSM_COMPLETE=complete_" + shell.encode() in lsm_program(_LSM_COMPLETE=f"source_{shell}").stdout

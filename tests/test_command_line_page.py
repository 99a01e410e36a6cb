"""docs/command-line.md is true: its console sessions and its Python run, from top to bottom in one directory."""
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("lmdb", reason="an example converts to the engine btree: pip install 'lsmkv[btree]'")

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "command-line.md").read_text()
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def steps(session):
    """(command, what it prints) of a console session; `> ` continues a command."""
    for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        shown = step.splitlines(keepends=True)
        count = 1 + next((n for n, line in enumerate(shown[1:]) if not line.startswith("> ")), len(shown) - 1)
        yield shown[0] + "".join(line[2:] for line in shown[1:count]), "".join(shown[count:])


@pytest.mark.timeout(900)           # a hundred starts of Python, each of which takes as long as the machine is busy
def test_the_sessions_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = f"lsm() {{ {shlex.quote(sys.executable)} -m lsm.cli \"$@\"; }}\n"
    commands = 0
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "docs/command-line.md", "exec"), {"__name__": "page"})
            assert all(line in block for line in capsys.readouterr().out.splitlines())
            continue
        for command, expected in steps(block):
            done = subprocess.run(["bash", "-c", program + command], capture_output=True, text=True, timeout=300,
                                  stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUTF8": "1",
                                                                   "PYTHONPATH": os.pathsep.join(sys.path)})
            assert done.stdout == expected, command + done.stderr
            assert done.returncode == 0, command + done.stderr
            commands += 1
    assert commands >= 12


def test_every_command_is_on_the_page():
    from lsm.cli.app import app

    for command in app.registered_commands:
        assert re.search(rf"^\| `lsm {command.name or command.callback.__name__}\b", PAGE, re.MULTILINE)

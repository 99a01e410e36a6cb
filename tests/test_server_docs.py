"""The sessions in README.md and docs/http.md, replayed with curl: each command, and exactly what it prints."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from service import process

pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")

ROOT = Path(__file__).resolve().parent.parent
COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)\n((?:(?![$>] ).*\n)*)", re.MULTILINE)


def sessions(page):
    """Each block that serves a database in the background: (the serving command, [(command, what it prints)])."""
    for block in re.findall(r"^```console\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL):
        first, *rest = [(command.replace("\n> ", "\n"), printed) for command, printed in COMMAND.findall(block)]
        if first[0].startswith("lsm serve") and first[0].endswith("&"):
            yield first, rest


@pytest.mark.parametrize("page", ["README.md", "docs/http.md"])
def test_sessions(page, tmp_path):
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("curl and bash are needed")
    found = list(sessions(page))
    assert found, f"{page} has no HTTP session"
    for (serving, told), commands in found:
        words = serving.rstrip(" &").split()[2:]
        if "--checkpoints" in words:
            backups = tmp_path / words[words.index("--checkpoints") + 1]
            backups.mkdir()
            words[words.index("--checkpoints") + 1] = str(backups)
        where = words.index("--port")
        assert told == f"serving {words[0]} (lsm) at http://127.0.0.1:{words[where + 1]}\n"
        given = words[1:where] + words[where + 2:]
        with process(tmp_path / words[0], *[word for word in given if word not in ("--engine", "lsm")]) as (_, url):
            script = ["curl() { command curl -s --noproxy '*' \"$@\"; }"]
            for command, _ in commands:
                script += [f"echo '--- '{len(script)}", command.replace(f"localhost:{words[where + 1]}", url.removeprefix("http://"))]
            done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
            printed = re.split(r"^--- \d+\n", done.stdout, flags=re.MULTILINE)[1:]
            assert len(printed) == len(commands), done.stdout + done.stderr
            for (command, expected), got in zip(commands, printed):
                assert got.replace("\r", "") == expected, f"{command}\n{done.stderr}"

"""Style and types are tests: ruff, mypy and cython-lint over the whole tree, as set in pyproject.toml."""
import importlib.util
import io
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


BIN = str(Path(sys.executable).parent)


TOLERATED = re.compile(r"'fault' shadows global import|Loop control variable")     # cython-lint cannot leave out a rule


def run(module, *arguments, program=None):
    """Run the tool that is installed beside this interpreter; the finished process."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed: pip install '.[lint]'")
    command = [f"{BIN}/{program}"] if program else [sys.executable, "-m", module]
    path = os.pathsep.join([BIN, os.environ.get("PATH", "")])
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )


def assert_clean(done):
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    assert_clean(run("ruff", "check", "--no-cache", "--quiet", "--output-format=concise", "."))


def test_mypy(tmp_path):
    assert_clean(run("mypy", "--no-error-summary", f"--cache-dir={tmp_path}"))


def test_stubs_match_the_compiled_core(tmp_path):
    """What `_core.pyi` says is there, with these parameters."""
    configuration = tmp_path / "mypy.ini"
    configuration.write_text(f"[mypy]\ncache_dir = {tmp_path}\n")
    done = run("mypy.stubtest", "--concise", "--ignore-missing-stub", "--ignore-disjoint-bases",
               f"--mypy-config-file={configuration}", "lsm._core")
    assert_clean(done)


def loops_in_brackets(source):
    """The lines where a `for` stands between brackets."""
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        elif depth and token.string == "for":
            yield f"{token.start[0]}: {token.line.strip()}"


def test_no_comprehension_is_compiled():
    """Cython 3.3.1 gives the item of a list comprehension back twice when the list cannot grow: memory that is somebody else's by
    then. (`sorted` and the like of a generator become one.) See test_regressions, and `run.py rig memory --round 2`."""
    assert list(loops_in_brackets("[a\n for a in b]\n")) == ["2: for a in b]"]
    found = [f"{path.relative_to(ROOT)}:{line}" for pattern in ("*.pyx", "*.pxd", "*.pxi")
             for path in sorted(ROOT.glob(f"src/lsm/**/{pattern}")) for line in loops_in_brackets(path.read_text())]
    assert not found, "\n".join(found)


def test_cython_lint():
    sources = [str(path) for pattern in ("*.pyx", "*.pxd", "*.pxi") for path in ROOT.glob(f"src/lsm/**/{pattern}")]
    done = run("cython_lint", *sorted(sources), program="cython-lint")
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if not TOLERATED.search(line)]
    assert not complaints, "\n".join(complaints)

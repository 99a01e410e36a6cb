"""Style and types are tests: ruff, mypy and cython-lint over the whole tree, as set in pyproject.toml."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


BIN = str(Path(sys.executable).parent)


def clean(module, *arguments, program=None):
    """The tool, installed beside this interpreter, finds nothing to complain about."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install '.[lint]'")
    command = [f"{BIN}/{program}"] if program else [sys.executable, "-m", module]
    path = os.pathsep.join([BIN, os.environ.get("PATH", "")])
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    clean("ruff", "check", "--no-cache", "--quiet", ".")


def test_mypy(tmp_path):
    clean("mypy", "--no-error-summary", f"--cache-dir={tmp_path}")


def test_cython_lint():
    sources = [str(path) for pattern in ("*.pyx", "*.pxd", "*.pxi") for path in ROOT.glob(f"src/lsm/**/{pattern}")]
    clean("cython_lint", *sorted(sources), program="cython-lint")

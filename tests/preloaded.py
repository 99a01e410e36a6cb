"""A library that is preloaded into a process of its own, to fail what the core asks for; and that process."""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from lsm import _core

HERE = Path(__file__).resolve().parent
LONG = os.environ.get("LSM_LONG") == "1"
SECONDS = 1800 if LONG else 120


def built(source, to):
    """The library made of tests/`source`, by the system's compiler."""
    if not hasattr(_core, "__file__") or _core.__file__.endswith(".py"):
        pytest.skip("the core is not compiled")
    if not sys.platform.startswith("linux") or "gnu" not in (sysconfig.get_config_var("MULTIARCH") or ""):
        pytest.skip("what is preloaded is for Linux with glibc")
    if "san" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer is preloaded")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"this needs a C compiler ({compiler[0]})")
    library = to / (Path(source).stem + ".so")
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / source, "-ldl", "-lpthread"], check=True)
    return library


@contextmanager
def place(otherwise):
    """Where a database goes: in memory, if there is such a place. Hundreds of them are synced."""
    if not os.access("/dev/shm", os.W_OK):
        yield os.path.join(otherwise, "db")
        return
    found = tempfile.mkdtemp(dir="/dev/shm", prefix="lsm-preloaded-")
    try:
        yield os.path.join(found, "db")
    finally:
        shutil.rmtree(found)


def run(library, program, *arguments):
    """What the program counted, the last line it printed."""
    ended = subprocess.run([sys.executable, HERE / program, *map(str, arguments)], capture_output=True, text=True,
                           env={**os.environ, "LD_PRELOAD": str(library),
                                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    assert ended.returncode == 0, (ended.stdout[-2000:], ended.stderr[-4000:])
    print(ended.stdout)
    return json.loads(ended.stdout.splitlines()[-1])

"""Every allocation of the core fails, one by one: tests/failed_allocations.py has the oracle, tests/allocations.c what fails them.

One in so many of them; LSM_LONG=1 tries each, once and with all that follow it.
"""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from lsm import _core

HERE = Path(__file__).resolve().parent
LONG = os.environ.get("LSM_LONG") == "1"
EVERY = 1 if LONG else 29


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """What fails them, built by the system's compiler."""
    if not hasattr(_core, "__file__") or _core.__file__.endswith(".py"):
        pytest.skip("the core is not compiled")
    if not sys.platform.startswith("linux") or "gnu" not in (sysconfig.get_config_var("MULTIARCH") or ""):
        pytest.skip("failing allocations needs Linux with glibc")
    if "san" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer has the allocations in hand")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"failing allocations needs a C compiler ({compiler[0]})")
    built = tmp_path_factory.mktemp("allocations") / "allocations.so"
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", built, HERE / "allocations.c", "-lpthread"], check=True)
    return built


@pytest.fixture
def place(tmp_path):
    """In memory, where there is such a place: hundreds of databases are synced."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path / "db"
        return
    found = tempfile.mkdtemp(dir="/dev/shm", prefix="lsm-allocations-")
    yield os.path.join(found, "db")
    shutil.rmtree(found)


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "and all that follow"])
@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_failed_allocations(library, place, engine, lasting):
    first = 1 + (7 if lasting else 0) % EVERY
    ended = subprocess.run([sys.executable, HERE / "failed_allocations.py", engine, place, str(first), str(EVERY),
                            str(int(lasting))], capture_output=True, text=True,
                           env={**os.environ, "LD_PRELOAD": str(library),
                                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    assert ended.returncode == 0, (ended.stdout[-2000:], ended.stderr[-4000:])
    counted = json.loads(ended.stdout.splitlines()[-1])
    assert counted["allocations"] > 300 and counted["refused"] >= counted["tried"] // 2, counted
    print(counted)

"""The engines that the suites of the contract run on: those of this package that can be opened here, and examples/engine as
one that somebody else wrote, found by its entry point as if it had been installed.
"""
import importlib.util
import sys
import tempfile
from pathlib import Path

import lsm

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "engine"


def _install_example():
    """What pip would leave of it on the path: its module, and the metadata with its entry point."""
    place = Path(tempfile.mkdtemp(prefix="lsm-example-"))
    (place / "sqlite_engine.py").write_text((EXAMPLE / "sqlite_engine.py").read_text())
    told = place / "lsm_sqlite_engine-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: lsm-sqlite-engine\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[lsm.engines]\nsqlite = sqlite_engine:SQLite\n")
    sys.path.append(str(place))


if importlib.util.find_spec("sqlite_engine") is None:
    _install_example()

NEEDS = {"btree": "lmdb"}               # engine: the package it stands on
ENGINES = [name for name in lsm.engine_names() if importlib.util.find_spec(NEEDS.get(name, "lsm"))]
DURABLE = [name for name in ENGINES if name != "memory"]
OPTIONS = {"btree": {"lazy_sync": True}}     # a test that pulls no plug need not wait for the disk at every write
OTHERS = {name: {"engine": name, **OPTIONS.get(name, {})} for name in ENGINES if name != "lsm"}

"""kill -9 of a writing process, at random moments, over hundreds of cycles on one database: kills.py tells what must hold.

LSM_KILLS raises the number of cycles; `python3 run.py rig kill` goes further.
"""
import os
import random

import lsm
import pytest
from engines import OTHERS
from kills import Lives, Nursery, one_life
from model import TINY

KILLS = int(os.environ.get("LSM_KILLS", "300"))
OPTION_SETS = {"default": {}, "tiny": TINY, "tiny tiered": {**TINY, "compaction": "tiered"}}
OPTION_SETS |= {name: options for name, options in OTHERS.items() if name != "memory"}


@pytest.fixture
def nursery(tmp_path):
    with Nursery(tmp_path / "stderr") as found:
        yield found


@pytest.mark.timeout(max(120, KILLS))
@pytest.mark.parametrize("name", OPTION_SETS)
def test_nothing_acknowledged_is_lost_by_a_killed_process(path, nursery, name):
    seed, cycles = f"kill {name}", KILLS // len(OPTION_SETS)
    print(f"seed: {seed!r}")
    lives = Lives(path, nursery, seed, OPTION_SETS[name])
    for _ in range(cycles):
        lives.live()
    assert lives.known > cycles, "the writers hardly wrote"


def test_the_files_of_killed_writers_do_not_pile_up(path, nursery):
    rng = random.Random("pile")
    for _ in range(20):
        one_life(nursery, {"path": str(path), "seed": "pile", "options": TINY}, rng)
    with lsm.open(path) as db:
        db.compact()
        tables = db.stats().tables
    names = sorted(file.name for file in path.iterdir())
    assert sum(name.endswith(".table") for name in names) == tables, names
    assert sum(name.startswith("MANIFEST") for name in names) == 1, names
    assert sum(name.endswith(".log") for name in names) <= 2, names

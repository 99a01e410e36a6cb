"""R1: kill -9 of writing processes, on the file system of the temporary directory; what is found after each death."""
import tempfile
from pathlib import Path

import kills
from engines import OTHERS
from model import TINY

ROW, ENGINES, ROUNDS = "R1", ("lsm", "pylsm", "hashlog", "btree"), 2
HELP = "a round: 50 writers killed one after another on one database, under an option set in turn"
LIVES = 50
OPTIONS = {"lsm": [{}, TINY, {**TINY, "compaction": "tiered"}, {**TINY, "block_cache_bytes": 0}, {"memtable_bytes": 4096}],
           "pylsm": [{"engine": "pylsm"}, {"engine": "pylsm", **TINY}],
           "hashlog": [{"engine": "hashlog"}, {"engine": "hashlog", "file_bytes": 16384}],
           "btree": [OTHERS.get("btree", {"engine": "btree"})]}


def play(engine, seed, number, tally):
    options = OPTIONS[engine][number % len(OPTIONS[engine])]
    with tempfile.TemporaryDirectory(prefix="lsm-rig-") as place:
        place = Path(place)
        with kills.Nursery(place / "stderr") as nursery:
            lives = kills.Lives(place / "db", nursery, f"kill {engine} {seed} {number}", options)
            for _ in range(LIVES):
                before = tally.wrong
                with tally.watching("killed", f"[options {options}]"):
                    lives.live()
                if tally.wrong > before:
                    break                   # what is there now is not what is expected from now on either
                tally.count("kills")
        tally.count("batches found again", lives.known)

"""LeakSanitizer: what the core asked for is given back. In the build for sanitizers alone (`python3 run.py sanitize-test`).

The interpreter keeps much until it exits, so only what was asked for by the core itself counts: the frame above the allocator's.
"""
import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, lsm
ctypes.CDLL(None).malloc(54321)                 # one leak that must be seen
for engine in ("lsm", "hashlog"):
    for turn in range(3):
        with lsm.open(f"{sys.argv[1]}-{engine}", engine=engine) as db:
            for number in range(2000):
                db[b"%05d" % number] = b"v" * 50
            with db.write_batch() as batch:
                for number in range(100):
                    batch.put(b"b%d" % number, b"x")
                    batch.delete(b"%05d" % number)
            snapshot, cursor, rows = db.snapshot(), db.cursor(), db.scan()
            cursor.seek(b"002"), cursor.next(), next(rows)
            list(db.scan(b"001", reverse=True)), db.multi_get([b"00001", b"none"]), list(db.scan_chunks())
            db.flush(), db.compact(), db.verify(), db.stats(), db.checkpoint(f"{sys.argv[1]}-{engine}-{turn}")
            snapshot.close()
            for wrong in (lambda: db.put("text", b""), lambda: db[b"none"], lambda: db.put(b"k" * 70000, b"")):
                try:
                    wrong()
                except (TypeError, KeyError, ValueError):
                    pass
    lsm.salvage(f"{sys.argv[1]}-{engine}", f"{sys.argv[1]}-{engine}-rescued")
"""


def test_the_core_gives_back_what_it_asked_for(path):
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("needs the build for sanitizers: python3 run.py sanitize-test tests/test_leaks.py")
    ended = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, timeout=600,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                                "ASAN_OPTIONS": "detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=10"})
    assert "leak of 54321 byte" in ended.stderr, ended.stderr[-2000:]
    leaks = [leak for leak in re.split(r"\n\n", ended.stderr) if re.search(r"^ +#1 .*_core\.", leak, re.M)]
    assert not leaks, "\n\n".join(leaks[:5])

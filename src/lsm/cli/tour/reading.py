"""Steps: point lookups, hits and misses; scans of one file and of everything."""
import random

import lsm
from lsm.cli.tour.guide import Guide
from lsm.cli.tour.loading import Loaded


def look_up(guide: Guide, db: "lsm.DB", loaded: Loaded, randomness: random.Random) -> None:
    guide.step("Look up", "A line is found by its key alone; a key that is not there is answered by the filters.")
    keys = [key for key, _ in loaded.sample]
    values = [value for _, value in loaded.sample]
    get = db.get
    with guide.timed("get, random", len(keys)):
        found = [get(key) for key in keys]
    guide.check(found == values, "every get returns exactly the line that was loaded")
    with guide.timed("multi_get, random", len(keys)):
        found = [value for at in range(0, len(keys), 1000) for value in db.multi_get(keys[at:at + 1000])]
    guide.check(found == values, "multi_get returns the same")
    misses(guide, db, keys)
    key, value = next(record for record in loaded.sample if len(record[1].strip()) > 30)
    guide.tell(f"For example {key.decode(errors='replace')} is {value.strip()[:40].decode(errors='replace')!r}")


def misses(guide: Guide, db: "lsm.DB", keys: list[bytes]) -> None:
    absent = [key + b"?" for key in keys]
    before = db.stats()
    with guide.timed("get of an absent key", len(absent)):
        found = [db.get(key) for key in absent]
    after = db.stats()
    guide.check(not any(value is not None for value in found), "a key never written is not found")
    probes = after.filter_probes - before.filter_probes
    negatives = after.filter_negatives - before.filter_negatives
    if probes:
        guide.tell(
            f"{len(keys):,} lookups of each kind. Of {probes:,} tables asked for an absent key,"
            f" {100 * negatives / probes:.1f} % said no without reading a block."
        )


def scan(guide: Guide, db: "lsm.DB", loaded: Loaded) -> None:
    source = loaded.source("asyncio/events.py")
    guide.step("Scan", f"{source.name}, put together again from a scan of its prefix, is the file, byte for byte.")
    content = source.path.read_bytes()
    guide.check(b"".join(db.scan(prefix=source.prefix, keys=False)) == content, f"the scan yields {source.name}")
    backward = list(db.scan(prefix=source.prefix, keys=False, reverse=True))
    guide.check(b"".join(reversed(backward)) == content, "a scan in reverse yields the same lines backwards")
    last = list(db.scan(prefix=source.prefix, values=False, reverse=True, limit=1))
    guide.check(last == [source.records()[-1][0]], "its last key is found from the end")
    with guide.timed("scan, all", loaded.count):
        rows = sum(1 for _ in db.scan())
    guide.check(rows == loaded.count, "a scan of everything yields every record")
    with guide.timed("scan, keys only", loaded.count):
        keys = list(db.scan(values=False))
    guide.check(all(a < b for a, b in zip(keys, keys[1:])), "keys come in strictly ascending order")
    guide.tell(f"{len(backward):,} lines of {source.name}; then all {rows:,} records in order.")

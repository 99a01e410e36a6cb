"""Steps: reopen, compact, verify, checkpoint."""
from pathlib import Path

import lsm
from lsm.cli.sizes import size
from lsm.cli.tour.guide import Guide
from lsm.cli.tour.loading import Loaded


def reopen(guide: Guide, place: Path, loaded: Loaded) -> "lsm.DB":
    guide.step("Reopen", "The database that was closed a moment ago is opened again and is as it was left.")
    with guide.timed("open", 1):
        db = lsm.open(place)
    guide.check(len(db) == loaded.count, f"after reopening there are {loaded.count:,} records")
    guide.tell(f"{loaded.count:,} records, opened in {1000 * guide.figures['open'].seconds:.1f} ms.")
    return db


def compact(guide: Guide, db: "lsm.DB", place: Path, loaded: Loaded) -> None:
    guide.step("Compact", "All versions of a line but the newest, and all that was deleted, leave the disk.")
    before = directory_bytes(place)
    with guide.timed("compact", loaded.count):
        db.compact()
    after = directory_bytes(place)
    stats = db.stats()
    guide.check(sum(level.entries for level in stats.levels) == loaded.count, "one entry is left for each record")
    guide.check(sum(level.tombstones for level in stats.levels) == 0, "no mark of a deletion is left")
    guide.check(len(db) == loaded.count, "and every record is still there")
    guide.tell(f"directory: {size(before)} before, {size(after)} after.")


def verify(guide: Guide, db: "lsm.DB") -> None:
    guide.step("Verify", "Every byte of every file is read and held against its checksum.")
    report = db.verify()
    guide.check(report.ok, f"no damage is found: {report.damage}")
    guide.tell(f"{report.files:,} files, {report.blocks:,} blocks, {size(report.bytes)}: no damage.")


def checkpoint(guide: Guide, db: "lsm.DB", place: Path, loaded: Loaded) -> None:
    guide.step("Checkpoint", "A second database, made by hard links in a moment, stays as it is when the first changes.")
    source = loaded.source("asyncio/events.py")
    with guide.timed("checkpoint", 1):
        db.checkpoint(place)
    db.put(source.prefix + b"000001", b"changed after the checkpoint")
    with lsm.open(place, read_only=True) as copy:
        guide.check(len(copy) == loaded.count, "the checkpoint holds every record")
        content = b"".join(copy.scan(prefix=source.prefix, keys=False))
        guide.check(content == source.path.read_bytes(), f"and {source.name} as it was then")
    db.write_many(source.records()[:1])
    guide.tell(f"opened at once, read-only: {loaded.count:,} records, {source.name} among them.")


def directory_bytes(place: Path) -> int:
    return sum(entry.stat().st_size for entry in place.iterdir())

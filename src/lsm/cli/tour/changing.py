"""Steps: deletes and overwrites under a snapshot that holds still; batches that are all or nothing."""
import lsm
from lsm.cli.tour.corpus import Source
from lsm.cli.tour.guide import Guide
from lsm.cli.tour.loading import Loaded


class ChangeOfMind(Exception):
    """Raised inside a batch, to see it rolled back."""


def change_under_snapshot(guide: Guide, db: "lsm.DB", loaded: Loaded) -> None:
    guide.step(
        "Change",
        "Lines are overwritten and deleted while a snapshot is held: the database changes, the snapshot does not.",
    )
    kept = loaded.source("asyncio/events.py")
    doomed = [source for source in loaded.sources if source is not kept][::10]
    with db.snapshot() as then:
        overwritten = shout(guide, db, kept)
        overwritten += rewrite_sample(guide, db, loaded, {source.prefix for source in doomed} | {kept.prefix})
        deleted = delete(guide, db, loaded, doomed)
        db.flush()
        guide.check(b"".join(then.scan(prefix=kept.prefix, keys=False)) == kept.path.read_bytes(),
                    f"the snapshot still holds {kept.name} as it was")
        for source in doomed:
            guide.check(list(then.scan(prefix=source.prefix)) == source.records(),
                        f"the snapshot still holds {source.name}, deleted since")
            guide.check(not any(db.scan(prefix=source.prefix)), f"{source.name} is gone from the database")
        now = b"".join(db.scan(prefix=kept.prefix, keys=False))
        guide.check(now == kept.path.read_bytes().upper(), f"the database has {kept.name} in capitals")
    guide.tell(f"{overwritten:,} lines overwritten, {deleted:,} deleted ({len(doomed):,} files), after a flush too.")
    shout_back(db, kept)


def shout(guide: Guide, db: "lsm.DB", source: Source) -> int:
    records = source.records()
    with guide.timed("overwrite (put)", len(records)):
        for key, value in records:
            db.put(key, value.upper())
    return len(records)


def shout_back(db: "lsm.DB", source: Source) -> None:
    """Leave the file as it was, for the steps that follow."""
    db.write_many(source.records())


def rewrite_sample(guide: Guide, db: "lsm.DB", loaded: Loaded, spared: set[bytes]) -> int:
    """Overwrite the sampled lines outside the spared files with themselves: new versions, the same content."""
    chosen = [record for record in loaded.sample if record[0].rpartition(b":")[0] + b":" not in spared]
    put = db.put
    with guide.timed("overwrite (put)", len(chosen)):
        for key, value in chosen:
            put(key, value)
    return len(chosen)


def delete(guide: Guide, db: "lsm.DB", loaded: Loaded, doomed: list[Source]) -> int:
    keys = [key for source in doomed for key, _ in source.records()]
    delete_one = db.delete
    with guide.timed("delete", len(keys)):
        for key in keys:
            delete_one(key)
    loaded.sources = [source for source in loaded.sources if source not in set(doomed)]
    loaded.count -= len(keys)
    return len(keys)


def batches(guide: Guide, db: "lsm.DB", loaded: Loaded) -> None:
    guide.step("Batches", "A batch is all or nothing: when its block raises, nothing in it has happened.")
    source = loaded.source("asyncio/events.py")
    before = list(db.scan(prefix=source.prefix))
    try:
        with db.write_batch() as batch:
            for key, _ in before:
                batch.delete(key)
            batch.put(source.prefix + b"999999", b"never")
            raise ChangeOfMind
    except ChangeOfMind:
        pass
    guide.check(list(db.scan(prefix=source.prefix)) == before, "a batch whose block raised left no trace")
    with db.write_batch(sync=True) as batch:
        batch.put(b"~1", b"first")
        batch.put(b"~2", b"second")
        batch.delete(b"~1")
    guide.check(list(db.scan(prefix=b"~")) == [(b"~2", b"second")], "a batch applies its operations in their order")
    db.delete(b"~2")
    guide.tell(f"A batch of {len(before) + 1:,} operations was dropped whole, one of 3 written whole and synced.")

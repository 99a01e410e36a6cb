"""Step: load every line, one `write_many` a file."""
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import lsm
from lsm.cli.tour import picture
from lsm.cli.tour.corpus import Source
from lsm.cli.sizes import size
from lsm.cli.tour.guide import Guide

SAMPLE = 50_000


@dataclass
class Loaded:
    """What the tour knows about the database's content, to hold its answers against."""

    sources: Sequence[Source]
    count: int = 0                  # records in the database now
    content_bytes: int = 0
    sample: list[tuple[bytes, bytes]] = field(default_factory=list)     # records as loaded, in random order

    def source(self, name: str) -> Source:
        """The file of that name, or the longest one when this Python has no such file."""
        named = [source for source in self.sources if source.name == name]
        return named[0] if named else max(self.sources, key=lambda source: source.path.stat().st_size)


def load(guide: Guide, db: "lsm.DB", sources: Sequence[Source], randomness: random.Random) -> Loaded:
    guide.step(
        "Load",
        "Every line of every file goes in, with one call for each file. (The memtable and the tables are"
        " kept small, so that the tree grows several levels on a modest load.)",
    )
    loaded = Loaded(sources)
    with guide.progress() as progress:
        task = progress.add_task("load", total=len(sources))
        for source in sources:
            records = source.records()
            with guide.timed("write (write_many)", len(records)):
                written = db.write_many(records)
            guide.check(written == len(records), f"write_many counts what it wrote of {source.name}")
            remember(loaded, records, randomness)
            progress.advance(task)
    randomness.shuffle(loaded.sample)
    with guide.timed("count (len)", loaded.count):
        counted = len(db)
    guide.check(counted == loaded.count, f"the database holds {loaded.count:,} records, not {counted:,}")
    guide.tell(f"{loaded.count:,} records of {len(sources):,} files, {size(loaded.content_bytes)}.")
    stats = db.stats()
    picture.draw_tree(guide.console, stats)
    picture.tell_effort(guide, stats)
    return loaded


def remember(loaded: Loaded, records: list[tuple[bytes, bytes]], randomness: random.Random) -> None:
    loaded.count += len(records)
    loaded.content_bytes += sum(len(key) + len(value) for key, value in records)
    loaded.sample += [record for record in records if randomness.random() < 0.1]
    if len(loaded.sample) > 2 * SAMPLE:
        loaded.sample = randomness.sample(loaded.sample, SAMPLE)

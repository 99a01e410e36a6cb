"""The steps of the tour in their order, and what surrounds them: the directory, the console, the exit status."""
import random
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import lsm
from lsm.cli.output import print_json
from lsm.cli.tour import changing, crash, loading, picture, reading, upkeep
from lsm.cli.tour.corpus import standard_library
from lsm.cli.tour.guide import BrokenPromise, Guide
from lsm.cli.watch import Watch

SEED = 2_026


def take(path: Path | None, quick: bool, json: bool = False) -> int:
    """Run the whole tour; 0 when every promise was kept."""
    console = Console(highlight=False, soft_wrap=False, quiet=json)
    try:
        place = prepare(path)
    except OSError as refused:
        print(f"lsm tour: {refused}", file=sys.stderr)
        return 2
    try:
        with Watch("tour") as watch:
            watch.leftovers += [place] * (path is None)
            guide = Guide(console)
            walk(guide, place, quick)
        if json:
            print_json(checks=guide.checks, steps=guide.steps, figures=list(guide.figures.values()))
        return 0
    except BrokenPromise as broken:
        print(f"lsm tour: a promise was broken: {broken}", file=sys.stderr)
        return 1
    finally:
        if path is None:
            shutil.rmtree(place, ignore_errors=True)


def prepare(path: Path | None) -> Path:
    """A new temporary directory, or the given one, which must hold nothing yet."""
    if path is None:
        return Path(tempfile.mkdtemp(prefix="lsm-tour-"))
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FileExistsError(f"{path} is not empty: give --path a new or an empty directory")
    return path


def walk(guide: Guide, place: Path, quick: bool) -> None:
    randomness = random.Random(SEED)
    guide.console.print(
        "[bold]lsm tour[/bold]: each line of Python's standard library becomes a record;"
        f" the key is file and line. Databases in {escape(str(place))}."
    )
    sources = standard_library(quick, randomness)
    budget = 1 << 18 if quick else 1 << 21
    with lsm.open(place / "tree", memtable_bytes=budget, table_bytes=budget) as db:
        loaded = loading.load(guide, db, sources, randomness)
        reading.look_up(guide, db, loaded, randomness)
        reading.scan(guide, db, loaded)
        changing.change_under_snapshot(guide, db, loaded)
        changing.batches(guide, db, loaded)
    crash.kill_a_writer(guide, place / "crash", rounds=2 if quick else 5)
    with upkeep.reopen(guide, place / "tree", loaded) as db:
        upkeep.compact(guide, db, place / "tree", loaded)
        upkeep.verify(guide, db)
        upkeep.checkpoint(guide, db, place / "checkpoint", loaded)
        guide.step("The tree", "What all this left on disk, level by level, and the figures of this run.")
        picture.draw_tree(guide.console, db.stats())
    picture.draw_figures(guide.console, guide.figures.values())
    guide.console.print(f"\nEvery promise was kept: {guide.checks} checks in {guide.steps} steps.")

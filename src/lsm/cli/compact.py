"""`lsm compact`: the room of what was overwritten and deleted, given back."""
import time

from lsm.cli.arguments import Database, Engine, Json, Quiet, Wait
from lsm.cli.opening import open_to_write
from lsm.cli.output import print_json
from lsm.cli.outcome import say
from lsm.cli.sizes import size
from lsm.cli.watch import Watch
from lsm.place import bytes_in, sizes_in


def compact(path: Database, json: Json = False, quiet: Quiet = False, engine: Engine = None, wait: Wait = 0.0) -> None:
    """Give back the room of what was overwritten and deleted. Needs as much free space as the data takes."""
    from lsm.cli.bar import looked_after

    begun = time.monotonic()
    with Watch("compact"), open_to_write(path, engine, create=False, wait=wait) as db:
        there = sizes_in(path)
        before = sum(there.values())

        def written() -> int:
            return sum(size for name, size in sizes_in(path).items() if name not in there)

        with looked_after(f"compacting {path}", before, written):
            db.compact()
    after, seconds = bytes_in(path), time.monotonic() - begun
    if json:
        print_json(path=str(path), bytes_before=before, bytes_after=after, seconds=round(seconds, 3))
    elif not quiet:
        say("compact", f"{path} takes {size(after)}, it took {size(before)}")

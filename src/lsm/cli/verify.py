"""`lsm verify`: is everything on disk what was written?"""
import os

import lsm
from lsm.cli.arguments import Database, Engine, Json, Quiet
from lsm.cli.opening import open_to_read
from lsm.cli.outcome import Failed
from lsm.cli.output import as_json, print_json, print_line
from lsm.cli.watch import Watch
from lsm.cli.wording import damage
from lsm.contract.report import Progress, Report
from lsm.errors import CorruptionError
from lsm.place import bytes_in


def verify(path: Database, json: Json = False, quiet: Quiet = False, engine: Engine = None) -> None:
    """Read and check every file of a database, and print each damage. Status 1 when there is any. Nothing is changed."""
    from lsm.cli.bar import bar_of_bytes

    with Watch("verify"), bar_of_bytes(f"checking {path}", bytes_in(path)) as tell:
        report = _checked(path, engine, tell)
    if json:
        print_json(path=str(path), **as_json(report))
    elif report.damage or not quiet:
        print_line(str(report).split("\n")[0])
        for error in report.damage:
            print_line(damage(error))
    if report.damage:
        raise Failed(f"{path}: it is damaged: a checkpoint or backup restores it, `lsm salvage` rescues the rest")


def _checked(path: str | os.PathLike[str], engine: str | None, tell: Progress | None) -> Report:
    """What cannot even be opened is damage too: then the files are looked at one by one, where that is known how."""
    try:
        with open_to_read(path, engine) as db:
            return db.verify(progress=tell)             # type: ignore[no-any-return]
    except CorruptionError as error:
        try:
            return lsm.verify(path, progress=tell)
        except lsm.NotOfferedError:
            return Report(files=1, damage=(error,))

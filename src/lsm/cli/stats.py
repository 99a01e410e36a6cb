"""`lsm stats`: what a database holds, and what it is made of."""
from lsm.cli.arguments import Database, Engine, Json
from lsm.cli.opening import open_to_read
from lsm.cli.output import as_json, print_json, print_line
from lsm.cli.watch import Watch


def stats(path: Database, json: Json = False, engine: Engine = None) -> None:
    """Print the figures of a database. It is only read: counters of what a process did are those of this command."""
    with Watch("stats"), open_to_read(path, engine) as db:
        told = db.stats()
        name = db.traits.engine
    if json:
        print_json(path=str(path), engine=name, **as_json(told))
    else:
        print_line(f"{path}: engine {name}\n{told}")

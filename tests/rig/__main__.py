"""The door: `python3 run.py rig ROW...` plays rows of the rig, prints what they find, keeps it as JSON, makes the scorecard of it.

    rig                         what rows there are
    rig power kill              these rows, on every engine they are for, with their usual number of rounds
    rig peers                   the rows that try LevelDB, RocksDB, LMDB and SQLite beside ours, by the same means
    rig all                     every row
    rig power --engine lsm --rounds 500         more of one
    rig power --minutes 10      as many rounds as fit
    rig power --engine lsm --seed S --round 17  one round again
    rig scorecard               docs/reliability.md, from what was kept

Exit status: 0 without violations, 1 with, 2 when asked for what is not there.
"""
import argparse
import importlib
import logging
import pathlib
import sys
import time

from rig.tally import ROOT, Enough, Skipped, Tally

PEERS = ("peer_kill", "peer_power", "peer_errors", "peer_syncs", "peer_damage")
ROWS = ("kill", "power", "sequences", "recovery", "faults", "cuts", "thin", "damage", "memory", "options", "histories",
        "clocks", "planted", *PEERS)
KEPT = ROOT / "docs" / "reliability"


def arguments(given):
    parser = argparse.ArgumentParser(prog="run.py rig", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--engine", action="append", help="only this one (may be given more than once)")
    parser.add_argument("--rounds", type=int, help="how many rounds of each row on each engine")
    parser.add_argument("--minutes", type=float, help="begin no round of a row on an engine after so long")
    parser.add_argument("--seed", default="0", help="other rounds than those of seed 0")
    parser.add_argument("--round", type=int, help="only this one")
    parser.add_argument("--first", action="store_true", help="end at the first violation")
    parser.add_argument("--keep", type=pathlib.Path, help=f"keep the results as JSON here (the scorecard's are in {KEPT})")
    return parser.parse_args(given)


def play(name, engine, asked):
    """All rounds of a row on an engine; its tally."""
    row = importlib.import_module(f"rig.{name}")
    tally = Tally(name, engine, asked.seed, first=asked.first)
    many = asked.rounds if asked.rounds is not None else 10 ** 9 if asked.minutes else row.ROUNDS
    if getattr(row, "EXHAUSTIVE", False):
        many = min(many, row.ROUNDS)
    wanted = [asked.round] if asked.round is not None else range(many)
    done, end = 0, time.monotonic() + 60 * (asked.minutes or 1e9)
    for number in wanted:
        if time.monotonic() > end or (asked.first and tally.wrong):
            break
        tally.round = number
        try:
            with tally.watching("the round itself"):
                row.play(engine, asked.seed, number, tally)
        except Skipped as skipped:
            tally.skip(str(skipped))
            break
        except Enough:
            pass
        done += 1
        if asked.keep:
            tally.keep(asked.keep, done)
    tally.say(f"{'DONE' if not tally.wrong else 'WRONG'}: {done} rounds, seed {asked.seed}: {tally.summary()}")
    if asked.keep:
        tally.say(f"kept in {tally.keep(asked.keep, done)}")
    return tally


def main(given):
    asked = arguments(given)
    logging.getLogger("lsm").setLevel(logging.CRITICAL)     # thousands of failures, all of them asked for
    if not asked.rows:
        print(__doc__)
        for name in ROWS:
            row = importlib.import_module(f"rig.{name}")
            print(f"  {name:12} {row.ROW:12} {row.__doc__.partition(': ')[2].splitlines()[0]}\n"
                  f"  {'':25} {row.HELP}; on {', '.join(row.ENGINES)}; {row.ROUNDS} unless told")
        return 0
    names = {("all",): ROWS, ("peers",): PEERS}.get(tuple(asked.rows), asked.rows)
    if list(names) == ["scorecard"]:
        return importlib.import_module("rig.scorecard").main()
    for name in names:
        if name not in ROWS:
            print(f"no row {name!r}: there are {', '.join(ROWS)}", file=sys.stderr)
            return 2
    wrong = 0
    for name in names:
        for engine in importlib.import_module(f"rig.{name}").ENGINES:
            if not asked.engine or engine in asked.engine:
                wrong += play(name, engine, asked).wrong
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which branches of the C parts the tests took: after `python3 run.py coverage`, or the suite on a build with LSM_COVERAGE=1.

    python tests/branches.py [BUILD [FILE...]]      # a line for each file of src/lsm/core; of FILEs each line that is not all taken
    python tests/branches.py --keep                 # the whole count kept for the scorecard (docs/reliability/branches.json)

What counts are the lines of src/lsm/core, which is C: one function there is one function here, and a branch is one of the ways out
of a condition. (What Cython makes of the interface to Python, src/lsm/binding, has a branch for each call that could raise.) A
branch that is there in several functions, for it stands in one that the compiler put into them, is taken when one of them took it.
A process that ends by a signal, or by os._exit, leaves no counts.
"""
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

from rig.tally import commit

ROOT = Path(__file__).resolve().parent.parent
CORE = "lsm/core/"                              # Cython names its files from src/ on, gcc from the root


def counted(build):
    """{file: {line: (times, [was this branch taken])}}, as gcov tells it of the object in `build`."""
    data = sorted(build.rglob("_core.gcda"))
    if not data:
        sys.exit(f"branches: no counts under {build}: run the tests on a build with LSM_COVERAGE=1")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([os.environ.get("GCOV", "gcov"), "--json-format", "--branch-probabilities", data[0]], cwd=place, check=True,
                       stdout=subprocess.DEVNULL)
        told = [json.loads(gzip.decompress(path.read_bytes())) for path in Path(place).glob("*.json.gz")]
    found = defaultdict(dict)
    for file in (file for one in told for file in one["files"]):
        if CORE not in file["file"]:
            continue
        lines = found[file["file"].rpartition(CORE)[2]]
        for line in file["lines"]:
            times, taken = lines.get(line["line_number"], (0, []))
            more = [branch["count"] > 0 for branch in line["branches"]]
            lines[line["line_number"]] = (times + line["count"], taken + more if len(taken) != len(more) else
                                          [a or b for a, b in zip(taken, more)])
    return found


def main(build="build/coverage", *shown, keep=False):
    found = counted(ROOT / build)
    whole = [0, 0, 0, 0]
    print(f"{'':34}{'lines':>8}{'run':>8}{'branches':>10}{'taken':>8}")
    for file, lines in sorted(found.items()):
        figures = [len(lines), sum(times > 0 for times, _ in lines.values()), sum(len(taken) for _, taken in lines.values()),
                   sum(sum(taken) for _, taken in lines.values())]
        whole = [a + b for a, b in zip(whole, figures)]
        row(file, figures)
    row("all", whole)
    if keep:
        kept = {"commit": commit(), "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
                **dict(zip(("lines", "run", "branches", "taken"), whole))}
        (ROOT / "docs" / "reliability" / "branches.json").write_text(json.dumps(kept, indent=1) + "\n")
    for file in shown:
        source = (ROOT / "src" / CORE / file).read_text().splitlines()
        for number, (times, taken) in sorted(found[file].items()):
            if not times or not all(taken):
                print(f"{file}:{number}: {sum(taken)}/{len(taken)} {source[number - 1].strip()}")


def row(name, figures):
    lines, run, branches, taken = figures
    print(f"{name:34}{lines:>8,}{run / max(lines, 1):>8.1%}{branches:>10,}{taken / max(branches, 1):>8.1%}")


if __name__ == "__main__":
    main(*(word for word in sys.argv[1:] if word != "--keep"), keep="--keep" in sys.argv)

"""The screens of the command line in the docs, made anew: `python3 run.py screens`, or this file with lsm[cli] installed.

Runs `lsm tour --quick`, then `lsm stats` and `lsm top` on a database that a process of its own is writing, and draws what they
printed as tour.svg, stats.svg and top.svg beside this file. The figures in them are those of the machine that ran it.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
WIDTH = 80
PLAIN_FONT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)      # nothing is fetched to show it
WRITER = """
import lsm, random
from lsm.tree.compaction import Leveled
number = random.Random(2026)
with lsm.open("data", memtable_bytes=4 << 20, table_bytes=4 << 20, compaction=Leveled(base_bytes=16 << 20)) as db:
    written = 0
    while True:
        key = b"user:%08d" % number.randrange(2_000_000)
        db.put(key, number.randbytes(60))
        db.get(key)
        written += 1
        if written == 1_500_000:
            print("ready", flush=True)
"""


def printed(*command: str) -> str:
    """What a command prints on a terminal of this width, colours included."""
    shown = {**os.environ, "FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color", "COLUMNS": str(WIDTH),
             "TTY_INTERACTIVE": "0", "PYTHONUTF8": "1"}
    shown.pop("NO_COLOR", None)
    text = subprocess.run([sys.executable, "-m", "lsm.cli", *command], env=shown, stdout=subprocess.PIPE, check=True,
                          text=True).stdout
    return re.sub(r"\x1b\[\?25[lh]\n?", "", text)         # where a bar would have been: the cursor, hidden and shown


def save(name: str, title: str, text: str) -> None:
    """As docs/figures/NAME.svg."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(text.strip("\n")))
    console.save_svg(str(HERE / f"{name}.svg"), title=title, unique_id=name, code_format=PLAIN_FONT)
    print(HERE / f"{name}.svg")


def main() -> None:
    """All three."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        save("tour", "lsm tour --quick", printed("tour", "--quick", "--path", "tour"))
        with subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True) as writer:
            try:
                assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
                frames = printed("top", "data", "--count", "5")
                save("stats", "lsm stats data", printed("stats", "data"))
            finally:
                writer.kill()
        save("top", "lsm top data", frames[frames.rindex("lsm top data") - 4:])
        os.chdir(HERE)


if __name__ == "__main__":
    main()

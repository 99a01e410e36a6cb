"""`lsm salvage`: what is still provably right of a damaged database, written into a new one."""
import sys
from pathlib import Path
from typing import Optional

import lsm


def salvage(source: Path, destination: Path, engine: Optional[str], only_certain: bool, quiet: bool) -> None:
    salvaged = lsm.salvage(source, destination, engine=engine, doubtful=not only_certain)
    if not quiet:
        print(f"lsm salvage: {salvaged}", file=sys.stderr)

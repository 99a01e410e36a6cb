"""`python -m lsm.cli`: the `lsm` program where its script is not on the path."""
import sys

from lsm.cli import main

sys.exit(main())

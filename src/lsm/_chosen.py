"""core: the compiled core where it was built, else its twin in plain Python, with one warning.

Who needs the one or the other by name imports `lsm._core` or `lsm._pycore`; who needs a core, takes this one.
"""
from __future__ import annotations

import warnings

try:
    import lsm._core as core
except ImportError as missing:
    import lsm._pycore as core  # type: ignore[no-redef]

    warnings.warn(f"the compiled core of lsm is not there ({missing.msg}): its twin in plain Python takes its place, which "
                  "keeps the same files and is many times slower; install a wheel, or a C compiler and install again",
                  RuntimeWarning, stacklevel=2)

__all__ = ["core"]

# cython: language_level=3
"""The one extension module of lsm: the Python doors (binding/*.pxi) over the C parts (core/*.pxd), in layer order."""
include "binding/faults.pxi"
include "binding/directory.pxi"
include "binding/simulated.pxi"

"""Build of the one extension module, lsm._core. Everything else is in pyproject.toml.

Environment switches (docs/building.md):
  LSM_DEBUG=1        checks on: bounds checks, C assertions, no optimisation
  LSM_SANITIZE=1     AddressSanitizer + UndefinedBehaviorSanitizer (implies LSM_DEBUG)
  LSM_WITHOUT=lz4,zstd   leave out a compression library that is present
"""
import glob
import os
import subprocess
import sysconfig
import tempfile

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("LSM_DEBUG") == "1" or os.environ.get("LSM_SANITIZE") == "1"
SANITIZE = os.environ.get("LSM_SANITIZE") == "1"
WITHOUT = os.environ.get("LSM_WITHOUT", "").split(",")


def links(header: str, library: str) -> bool:
    """True when a program that includes the header and links the library can be built here."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as place:
        source = os.path.join(place, "probe.c")
        with open(source, "w") as file:
            file.write(f"#include <{header}>\nint main(void) {{ return 0; }}\n")
        command = [*compiler, source, "-o", os.path.join(place, "probe"), f"-l{library}"]
        return subprocess.run(command, capture_output=True).returncode == 0


macros, libraries = [], []
for name in ("lz4", "zstd"):
    if name not in WITHOUT and links(f"{name}.h", name):
        macros.append((f"LSM_HAVE_{name.upper()}", "1"))
        libraries.append(name)

compile_args = ["-std=gnu11", "-fvisibility=hidden", "-Wno-unused-function", "-Wno-unreachable-code"]
link_args = []
if DEBUG:
    macros.append(("LSM_DEBUG", "1"))
    compile_args += ["-O1", "-g", "-UNDEBUG"]
else:
    compile_args += ["-O3", "-g1"]
if SANITIZE:
    compile_args += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    link_args += ["-fsanitize=address,undefined"]

core = Extension(
    "lsm._core",
    ["src/lsm/_core.pyx"],
    include_dirs=["src/lsm/core"],
    depends=sorted(glob.glob("src/lsm/core/*") + glob.glob("src/lsm/binding/*")),
    define_macros=macros,
    libraries=libraries,
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)

setup(
    ext_modules=cythonize(
        [core],
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": DEBUG,
            "cdivision": True,
            "embedsignature": True,
            "binding": False,
        },
    ),
)

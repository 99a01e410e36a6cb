"""Build of the one extension module, lsm._core. Everything else is in pyproject.toml.

Environment switches (docs/building.md):
  LSM_DEBUG=1            checks on: bounds checks, C assertions, little optimisation
  LSM_SANITIZE=1         AddressSanitizer + UndefinedBehaviorSanitizer (implies LSM_DEBUG)
  LSM_SANITIZE=thread    ThreadSanitizer (implies LSM_DEBUG)
  LSM_COVERAGE=1         counts which branches of the C parts are taken (gcov), without optimisation and assertions
  LSM_WITHOUT=lz4,zstd   leave out a compression library that is present; `core` leaves out the extension itself
  LSM_REQUIRE=lz4,zstd   fail when one of these is not there (release wheels)

Where no C program can be built and nothing is required, lsm is installed without its extension: then its twin in plain Python
takes the extension's place. An extension that does not compile is an error.

Invariant: the objects of two flavours (plain, debug, sanitize, thread, coverage) never meet. Each has its own directory under build/,
and `stamp` makes everything be built again when the flags change, as an in-place build shares src/lsm.
"""
import glob
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZERS = {"1": "address,undefined", "thread": "thread"}
SANITIZE = SANITIZERS.get(os.environ.get("LSM_SANITIZE", ""), "")
DEBUG = os.environ.get("LSM_DEBUG") == "1" or bool(SANITIZE)
COVERAGE = os.environ.get("LSM_COVERAGE") == "1"
FLAVOUR = ("coverage" if COVERAGE else "thread" if SANITIZE == "thread" else "sanitize" if SANITIZE else "debug" if DEBUG
           else "plain")
BUILD = os.path.join("build", FLAVOUR)


def names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def links(header: str, *libraries: str) -> bool:
    """True when a program that includes the header and links the libraries can be built here."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    flags = shlex.split(" ".join(os.environ.get(name, "") for name in ("CPPFLAGS", "CFLAGS", "LDFLAGS")))
    flags.append("-I" + sysconfig.get_path("include"))
    with tempfile.TemporaryDirectory() as place:
        source = os.path.join(place, "probe.c")
        with open(source, "w") as file:
            file.write(f"#include <{header}>\nint main(void) {{ return 0; }}\n")
        command = [*compiler, source, "-o", os.path.join(place, "probe"), *flags, *(f"-l{name}" for name in libraries)]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except OSError:
            return False                    # no such compiler


def extension_wanted() -> bool:
    if "core" in names("LSM_WITHOUT"):
        return False
    if names("LSM_REQUIRE") or DEBUG or links("Python.h"):
        return True
    print("lsm: no C program can be built here (a compiler and Python.h are needed): installing plain Python, which is many "
          "times slower", file=sys.stderr)
    return False


def compression_libraries() -> list[str]:
    """Which of lz4 and zstd this build gets; a build without them works and says what it lacks."""
    found = []
    for name in ("lz4", "zstd"):
        if name in names("LSM_WITHOUT"):
            continue
        if links(f"{name}.h", name):
            found.append(name)
        elif name in names("LSM_REQUIRE"):
            raise SystemExit(f"LSM_REQUIRE names {name}, but {name}.h and lib{name} were not found")
    return found


def stamp(*flags: object) -> tuple[str, bool]:
    """A file that changes exactly when the flags do, and whether it just did."""
    path, text = os.path.join("build", "flags"), repr((Cython.__version__, sys.version_info[:2], *flags)) + "\n"
    try:
        with open(path) as file:
            if file.read() == text:
                return path, False
    except FileNotFoundError:
        pass
    os.makedirs("build", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path, True


libraries = compression_libraries()
macros = [(f"LSM_HAVE_{name.upper()}", "1") for name in libraries]
compile_args = ["-std=gnu11", "-fvisibility=hidden", "-Wno-unused-function", "-Wno-unreachable-code"]
link_args = []
if DEBUG:
    macros.append(("LSM_DEBUG", "1"))
    compile_args += ["-O1", "-g", "-UNDEBUG"]
elif COVERAGE:
    compile_args += ["-O0", "-g1", "--coverage", "-fprofile-abs-path"]
    link_args += ["--coverage"]
else:
    compile_args += ["-O3", "-g1"]
if SANITIZE:
    compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    compile_args += ["-fno-sanitize-recover=undefined"] if SANITIZE != "thread" else []
    link_args += [f"-fsanitize={SANITIZE}"]
stamp_path, flags_changed = stamp(macros, compile_args, link_args)
print(f"lsm: {FLAVOUR} build, compression: {', '.join(libraries) or 'none found'}", file=sys.stderr)

core = Extension(
    "lsm._core",
    ["src/lsm/_core.pyx"],
    include_dirs=["src/lsm/core"],
    depends=[stamp_path, *sorted(glob.glob("src/lsm/core/*") + glob.glob("src/lsm/binding/*"))],
    define_macros=macros,
    libraries=libraries,
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)

setup(
    options={"build": {"build_base": BUILD}},
    ext_modules=cythonize(
        [core] if extension_wanted() else [],
        build_dir=BUILD,
        force=flags_changed,
        emit_linenums=COVERAGE,             # gcov then tells of the lines of .pxd and .pxi
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

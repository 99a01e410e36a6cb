#!/usr/bin/env python3
"""The one door of a clone: builds lsm into an environment of its own and runs something in it.

    python3 run.py tour [ARGUMENTS]         install with the command line, run `lsm tour`
    python3 run.py test [ARGUMENTS]         install with the test tools, run the whole suite (arguments go to pytest)
    python3 run.py debug-test [ARGUMENTS]   the same on a debug build: bounds checks, C assertions
    python3 run.py sanitize-test [ARGUMENTS]    the same under AddressSanitizer and UndefinedBehaviorSanitizer
    python3 run.py thread-test [ARGUMENTS]  the tests of threads under ThreadSanitizer (or those that ARGUMENTS name)
    python3 run.py coverage [ARGUMENTS]     the suite (or what ARGUMENTS name) on a build that counts the branches of the C parts
    python3 run.py rig [ROW...]             the long tests of crashes, faults and damage, beside the peers too (without a ROW: a list)
    python3 run.py lint                     ruff, mypy and cython-lint alone
    python3 run.py screens                  the pictures of the command line in docs/figures, drawn anew
    python3 run.py clean                    remove every environment and build directory made here

Needs Python 3.10 or newer with venv, and a C compiler; fetches only from the package index. Another interpreter:
`PYTHON=python3.13 python3 run.py test`, or run this file with it.

Invariant: a flavour of the build (plain, debug, sanitize, thread, coverage) has its own environment (.venv, .venv-debug, ...)
and its own build directory (build/plain, ...: setup.py), so that their objects never meet.

This file is kept to syntax that a much older Python can read, so that the complaint about its age can be printed.
"""
import ast
import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile

ROOT = os.path.dirname(os.path.abspath(__file__))
OLDEST = (3, 10)
FLAVOURS = {"plain": {}, "debug": {"LSM_DEBUG": "1"}, "sanitize": {"LSM_SANITIZE": "1"},
            "thread": {"LSM_SANITIZE": "thread"}, "coverage": {"LSM_COVERAGE": "1"}}
# what many threads, signal handlers and closing do at once; nothing that counts threads or waits for the clock
THREAD_TESTS = ["tests/test_%s.py" % name for name in
                ("threads", "close_threads", "fault_threads", "callbacks", "batch", "snapshot", "multi_get", "shaker",
                 "signals_engines", "engines", "hashlog", "hashlog_checkpoint", "hashlog_faults", "btree")]


def give_up(message):
    sys.stderr.write("run.py: %s\n" % message)
    raise SystemExit(2)


def use_chosen_interpreter():
    """Start again under $PYTHON when it names another interpreter."""
    chosen = os.environ.pop("PYTHON", "")
    if not chosen:
        return
    found = shutil.which(chosen)
    if found is None:
        give_up("PYTHON=%s: no such program" % chosen)
    if os.path.realpath(found) != os.path.realpath(sys.executable):
        os.execv(found, [found, os.path.abspath(__file__)] + sys.argv[1:])


def require_what_a_build_needs():
    """Say in one line what is missing, before pip says it in a hundred."""
    if sys.version_info < OLDEST:
        give_up("this is Python %d.%d; lsm needs %d.%d or newer (PYTHON=python3.12 python3 run.py ...)"
                % (sys.version_info[:2] + OLDEST))
    if os.name != "posix":
        give_up("lsm runs on Linux and macOS; %s is not supported yet" % sys.platform)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        give_up("this Python cannot make a virtual environment (%s); on Debian or Ubuntu: "
                "apt install python3-venv" % missing)
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        give_up("no C compiler (%s) found; on Debian or Ubuntu: apt install gcc libc6-dev; "
                "on macOS: xcode-select --install" % compiler)
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        give_up("the headers of this Python (Python.h) are not installed; on Debian or Ubuntu: apt install python3-dev")


def environment(flavour):
    """The interpreter of the flavour's virtual environment, made anew when missing, broken or of another Python."""
    place = os.path.join(ROOT, ".venv" if flavour == "plain" else ".venv-" + flavour)
    python = os.path.join(place, "bin", "python")
    asks = [python, "-c", "import sys, pip; print(sys.version)"]
    try:
        usable = subprocess.check_output(asks, stderr=subprocess.DEVNULL).decode().strip() == sys.version.strip()
    except (OSError, subprocess.CalledProcessError):
        usable = False
    if not usable:
        if subprocess.call([sys.executable, "-m", "venv", "--clear", place]) != 0:
            give_up("could not make the virtual environment %s (the message is above)" % place)
    return python


def build_requirements():
    """What pyproject.toml says a build needs; its reader, tomllib, is not in the oldest Python."""
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        line = next(line for line in file if line.startswith("requires = "))
    return ast.literal_eval(line.partition("=")[2].strip())


def install(flavour, extras):
    """Build this tree in the flavour and install it, with the extras, in the flavour's environment."""
    python = environment(flavour)
    # setuptools packs whatever an earlier build left there, a module deleted since included
    for old in glob.glob(os.path.join(ROOT, "build", flavour, "lib*", "lsm", "**", "*.py"), recursive=True):
        os.remove(old)
    again = os.path.isdir(os.path.join(ROOT, "build", flavour))
    sys.stderr.write("run.py: building and installing (%s)%s\n" % (flavour, "" if again else ", the first time a minute"))
    sys.stderr.flush()
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # pip's own build environment is new each time, and with it Cython's .pxd: everything would be compiled again
    for command in [pip + build_requirements(), pip + ["--no-build-isolation", ".[%s]" % extras]]:
        if subprocess.call(command, cwd=ROOT, env=dict(os.environ, **FLAVOURS[flavour])) != 0:
            give_up("the installation failed (the message is above; docs/building.md may help)")
    return python


def run(command, **more):
    sys.stdout.flush()
    return subprocess.call(command, cwd=more.pop("cwd", ROOT), env=dict(os.environ, **more))


def pytest(python, arguments, **more):
    return run([python, "-m", "pytest"] + arguments, **more)


def sanitizer_runtime(library, command):
    """The runtime must be in the process before the interpreter, which was not built with it: LD_PRELOAD."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    runtime = subprocess.check_output(compiler + ["-print-file-name=%s.so" % library]).decode().strip()
    if not sys.platform.startswith("linux") or not os.path.isabs(runtime):
        give_up("this build needs Linux and gcc with its %s (CC=gcc python3 run.py %s)" % (library, command))
    return os.path.realpath(runtime)


def tour(arguments):
    python = install("plain", "cli")
    # relative paths among the arguments mean the caller's directory
    return run([python, "-m", "lsm.cli", "tour"] + arguments, cwd=os.getcwd())


def test(arguments):
    """The whole suite in two processes at once, half of the files each, for it waits for disks and processes half of its time; the
    second one's output comes behind the first one's."""
    python = install("plain", "cli,server,test,lint")
    if arguments:
        return pytest(python, arguments)
    files = sorted(glob.glob(os.path.join(ROOT, "tests", "test_*.py")))
    with tempfile.TemporaryFile() as later:
        second = subprocess.Popen([python, "-m", "pytest"] + files[1::2], cwd=ROOT, stdout=later, stderr=subprocess.STDOUT)
        try:
            status = pytest(python, files[::2])
        except BaseException:
            second.kill()
            raise
        finally:
            other = second.wait()
            later.seek(0)
            sys.stdout.write(later.read().decode("utf-8", "replace"))
            sys.stdout.flush()
    return status or other


def debug_test(arguments):
    return pytest(install("debug", "cli,test"), arguments)


def sanitize_test(arguments):
    runtime = sanitizer_runtime("libasan", "sanitize-test")
    python = install("sanitize", "cli,test")
    # pytest's own fault handler would take the signal that the sanitizer explains
    return pytest(
        python, ["-p", "no:faulthandler", "--timeout=900"] + arguments, LD_PRELOAD=runtime, PYTHONMALLOC="malloc",
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=1", UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
    )


def thread_test(arguments):
    more = {"TSAN_OPTIONS": "exitcode=66:history_size=4:suppressions=" + os.path.join(ROOT, "tests", "tsan.supp")}
    if "--with-thread-sanitizer" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        more["LD_PRELOAD"] = sanitizer_runtime("libtsan", "thread-test")
    python = install("thread", "test")
    return pytest(python, ["-s", "-p", "no:faulthandler", "--timeout=900"] + (arguments or THREAD_TESTS), **more)


def coverage(arguments):
    python = install("coverage", "cli,server,test")
    for old in glob.glob(os.path.join(ROOT, "build", "coverage", "**", "*.gcda"), recursive=True):
        os.remove(old)
    answer = pytest(python, ["--timeout=900"] + arguments)
    return run([python, os.path.join("tests", "branches.py")]) or answer


def rig(arguments):
    python = install("plain", "test,peers")
    return run([python, "-m", "rig"] + arguments, PYTHONPATH=os.path.join(ROOT, "tests"))


def lint(arguments):
    return pytest(install("plain", "cli,server,test,lint"), ["tests/test_lint.py", "tests/test_layers.py"] + arguments)


def screens(arguments):
    return run([install("plain", "cli"), os.path.join("docs", "figures", "screens.py")])


def clean(arguments):
    for name in [".venv", ".venv-debug", ".venv-sanitize", ".venv-thread", ".venv-coverage", "build", "dist"]:
        shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)
    return 0


COMMANDS = {"tour": tour, "test": test, "debug-test": debug_test, "sanitize-test": sanitize_test,
            "thread-test": thread_test, "coverage": coverage, "rig": rig, "lint": lint, "screens": screens, "clean": clean}


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.stderr.write(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"], ["help"]) else 2
    use_chosen_interpreter()
    require_what_a_build_needs()
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    raise SystemExit(main())

"""The door: `python -m fuzz` in tests/, with the package importable (PYTHONPATH=../src, or installed).

    fuzz seeds                          tests/corpus/ begun: what the engines write, small
    fuzz build                          the parsers in C, with clang: libFuzzer, AddressSanitizer, UndefinedBehaviorSanitizer
                                        (what mutates for those in Python is built when it is first needed)
    fuzz run PARSER... --executions N   so many inputs each; counts are kept, and added to those of the runs before
    fuzz run ... --guided               those in Python guided by coverage (Atheris) and not by outcomes: fewer, and others
    fuzz keep                           the corpora made small: the fewest inputs that reach all that was reached
    fuzz counts                         the counts so far, kept for the scorecard (docs/reliability/fuzz.json)

Needs for the parsers in C: clang with its compiler-rt (Debian: clang-14 libfuzzer-14-dev), and the shared library of Python; for
--guided: Atheris (pip install atheris).
A violation ends a run with status 1, and its input stands under build/fuzz/found/.
"""
import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from datetime import datetime, timezone
from pathlib import Path

from fuzz import plain, seeds
from rig.tally import commit

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests" / "fuzz"
CORPUS = ROOT / "tests" / "corpus"
BUILD = ROOT / "build" / "fuzz"
PARSERS = {"log": 2048, "payload": 512, "data": 2048, "hint": 512, "block": 1024, "table": 2048}     # longest input, bytes
EACH = (*PARSERS, *plain.PARSERS)
LIMITS = ["-timeout=1", "-malloc_limit_mb=64", "-rss_limit_mb=2048"]
SANITIZERS = "address,undefined"
# What guides the fuzzer: the parsers, not the interface to Python that is compiled along.
GUIDE = "src:*\n" + "".join(f"fun:{name}\n" for name in (
    "*lsm_4core*", "fuzz_*", "fix_*", "*_replay_*", "*_next_record*", "*_hint_fits*", "*_framed_bytes*"))


def clang():
    found = next((path for path in map(shutil.which, ("clang", "clang-14", "clang-16", "clang-18")) if path), None)
    if found is None:
        sys.exit("fuzz: the parsers in C need clang: apt-get install clang-14 libfuzzer-14-dev")
    return found


def compiled(source, made, *directives):
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "cython", "-3", "-X", "boundscheck=False", "-X", "wraparound=False", "-X",
                    "cdivision=True", *directives, source, "-o", made], check=True, cwd=ROOT)


def build_mutator():
    """What the parsers in Python are fuzzed with."""
    made = BUILD / "mutator.c"
    compiled("tests/fuzz/mutator.pyx", made)
    subprocess.run([*os.environ.get("CC", "cc").split(), "-O2", "-shared", "-fPIC", "-I" + sysconfig.get_path("include"), made,
                    "-o", BUILD / "mutator.so"], check=True)


def build():
    """One object of all parsers, and a program for each."""
    made, guide, thing = BUILD / "parsers.c", BUILD / "guide", BUILD / "parsers.o"
    compiled("tests/fuzz/parsers.pyx", made, "-I", "src/lsm", "-I", "src", "-I", "tests/fuzz", "--module-name", "parsers")
    text = made.read_text()                 # a cast to an atomic type, which clang 14 refuses
    made.write_text(text.replace("(lsm_atomic_int) ", "(int) ").replace("(lsm_atomic_ulong) ", "(unsigned long) "))
    guide.write_text(GUIDE)
    common = [clang(), "-O1", "-g1", "-fno-omit-frame-pointer", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=undefined",
              "-Wno-everything", "-std=gnu11", "-DLSM_DEBUG=1", "-UNDEBUG", "-DLSM_HAVE_LZ4=1", "-DLSM_HAVE_ZSTD=1",
              "-I" + sysconfig.get_path("include"), "-Isrc/lsm/core", "-Itests/fuzz"]
    subprocess.run([*common, "-fsanitize=fuzzer-no-link", f"-fsanitize-coverage-allowlist={guide}", "-c", made, "-o", thing],
                   check=True, cwd=ROOT)
    place = sysconfig.get_config_var("LIBDIR")
    for parser in PARSERS:
        parts = ["-DPARTS"] if parser == "table" else []
        subprocess.run([*common, *parts, "-fsanitize=fuzzer", f"-DPARSER={parser}", HERE / "driver.c", thing, f"-L{place}",
                        f"-Wl,-rpath,{place}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", "-llz4", "-lzstd",
                        "-lpthread", "-o", BUILD / parser], check=True, cwd=ROOT)


def run(parser, executions, seed, guided=False):
    """So many inputs to one parser; was there a violation?"""
    work = BUILD / "corpus" / parser
    found = BUILD / "found"
    for place in (work, found):
        place.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    guided = guided or parser in PARSERS
    if guided:
        done, wrong = by_libfuzzer([
            *([BUILD / parser, f"-max_len={PARSERS[parser]}"] if parser in PARSERS else [sys.executable, "-m", "fuzz.guided", parser]),
            f"-runs={executions}", f"-seed={seed}", *LIMITS, f"-artifact_prefix={found}/{parser}-", "-print_final_stats=1",
            work, CORPUS / parser])
    else:
        if not (BUILD / "mutator.so").exists():
            build_mutator()
        sys.path.insert(0, str(BUILD))
        done, wrong = plain.run(parser, executions, seed, work, CORPUS / parser, found)
    note(parser, done, time.monotonic() - begun, seed, wrong, guided)
    return wrong


def by_libfuzzer(command):
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True,
                           env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"})
    if "No module named 'atheris'" in ended.stderr:
        sys.exit("fuzz: the parsers in Python are guided by Atheris: pip install atheris")
    counted = re.search(r"stat::number_of_executed_units: +(\d+)", ended.stderr)
    if ended.returncode != 0:
        print(ended.stderr[-6000:], file=sys.stderr)
    return int(counted[1]) if counted else 0, ended.returncode != 0


def note(parser, done, seconds, seed, wrong, guided):
    """Several may run beside each other."""
    with open(BUILD / "counts.json", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        counts = json.loads(file.read() or "{}")
        mine = counts.setdefault(parser, {"executions": 0, "guided": 0, "seconds": 0, "violations": 0, "seeds": []})
        mine["executions"] += done
        mine["guided"] += done * guided
        mine["seconds"] += round(seconds)
        mine["violations"] += bool(wrong)
        mine["seeds"].append(seed)
        file.truncate(0)
        file.write(json.dumps(counts, indent=1))
    print(f"fuzz {parser}: {done:,} inputs in {seconds:,.0f} s, seed {seed}; {mine['executions']:,} in all: "
          + ("VIOLATION, see build/fuzz/found" if wrong else "no violation"), flush=True)


def keep():
    """What libFuzzer thinks necessary, the small ones of it; of the parsers in Python plain.py keeps few anyhow."""
    for parser in EACH:
        work, kept = BUILD / "corpus" / parser, CORPUS / parser
        if parser in PARSERS and work.exists():
            merged = BUILD / "merged" / parser
            shutil.rmtree(merged, ignore_errors=True)
            merged.mkdir(parents=True)
            subprocess.run([BUILD / parser, "-merge=1", f"-max_len={PARSERS[parser]}", *LIMITS, merged, kept, work], check=True,
                           env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}, stderr=subprocess.DEVNULL)
            work = merged
        if work.exists():
            for path in sorted(work.iterdir(), key=lambda path: (path.stat().st_size, path.name))[:seeds.KEPT]:
                shutil.copy(path, kept / path.name)


def counts():
    """All parsers' executions and violations, with commit and date."""
    told = json.loads((BUILD / "counts.json").read_text())
    kept = {"commit": commit(), "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"), "counts": {
        parser: {name: told[parser][name] for name in ("executions", "guided", "violations")} for parser in EACH}}
    (ROOT / "docs" / "reliability" / "fuzz.json").write_text(json.dumps(kept, indent=1) + "\n")


def main(given=None):
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("seeds", "build", "run", "keep", "counts"))
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=f"of {', '.join(EACH)}; none: each")
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true")
    asked = parser.parse_args(given)
    if asked.command == "run":
        return int(any([run(name, asked.executions, asked.seed, asked.guided) for name in asked.parsers or EACH]))
    {"seeds": lambda: seeds.write(CORPUS), "build": build, "keep": keep, "counts": counts}[asked.command]()
    return 0


if __name__ == "__main__":
    sys.exit(main())

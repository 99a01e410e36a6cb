"""What holds for every test, reproducible randomness above all; and what every engine test starts from: a path nobody
has used, and a database opened on it.

Hypothesis runs the same examples each time (profile "repeat"). `HYPOTHESIS_PROFILE=explore pytest` looks for new ones,
many more of them; it prints what repeats a failure. `HYPOTHESIS_PROFILE=few` is for slow builds. Timeouts are in
pyproject.toml: 300 seconds a test.
"""
import os
import random
import signal

import pytest
from hypothesis import HealthCheck, settings

COMMON = {
    "deadline": None,       # no test judges by the wall clock
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("repeat", derandomize=True, database=None, **COMMON)
settings.register_profile("few", derandomize=True, database=None, max_examples=10, **COMMON)
settings.register_profile("explore", max_examples=2000, **COMMON)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "repeat")
settings.load_profile(PROFILE)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:       # begun in the background of a shell: the programs that the tests
    signal.signal(signal.SIGINT, signal.default_int_handler)        # interrupt would inherit that, and never hear it


def pytest_report_header() -> str:
    seed = "the examples are the same in every run" if PROFILE != "explore" else "random examples"
    return f"hypothesis profile: {PROFILE} ({seed})"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@pytest.fixture
def engine():
    """In modules that say EVERY_ENGINE, each engine there is, in turn."""
    return "lsm"


def pytest_generate_tests(metafunc):
    chosen = [mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "engine"]
    if getattr(metafunc.module, "EVERY_ENGINE", False) and "engine" in metafunc.fixturenames and not chosen:
        from engines import ENGINES

        metafunc.parametrize("engine", ENGINES)


@pytest.fixture
def db(path, engine):
    import lsm

    store = lsm.open(path, engine=engine)
    yield store
    store.close()


@pytest.fixture
def rng(request):
    """Random numbers of a fixed seed, one per test; the seed is printed when the test fails."""
    seed = request.node.name
    print(f"seed: {seed!r}")
    return random.Random(seed)

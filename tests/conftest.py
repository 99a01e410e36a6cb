"""What holds for every test: reproducible randomness, and a traceback of all threads when the process dies or hangs.

Hypothesis runs the same examples each time (profile "repeat"). `HYPOTHESIS_PROFILE=explore pytest` looks for new ones,
many more of them; it prints what repeats a failure. `HYPOTHESIS_PROFILE=few` is for slow builds. Timeouts are in
pyproject.toml: 120 seconds a test.
"""
import os

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


def pytest_report_header() -> str:
    seed = "the examples are the same in every run" if PROFILE != "explore" else "random examples"
    return f"hypothesis profile: {PROFILE} ({seed})"

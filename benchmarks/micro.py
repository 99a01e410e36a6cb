"""Micro benchmarks of the parts of the core (parts.py), to show where a regression is:

    pytest benchmarks/micro.py --benchmark-enable

A measured call is a loop in C over many operations; `operations` in the extra information says how many, and the table
is to be read as ratios: merge-16 against merge-8, block-search-directory against block-search-restarts. A part this
build has no door to is skipped by its name. To compare two commits: compare.py, which takes turns; to compare runs:
--benchmark-autosave, then --benchmark-compare.
"""

import parts
import pytest

core = pytest.importorskip("lsm._core", reason="lsm is not built: pip install . in the checkout")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    work = parts.Workshop(core, str(tmp_path_factory.mktemp("parts")))
    yield work
    work.close()


@pytest.mark.parametrize("name", parts.PARTS)
def test(benchmark, workshop, name):
    made = parts.make(workshop, name)
    if made is None:
        pytest.skip(f"this build of lsm._core has no door to {name}")
    loop, operations = made
    benchmark.group = name.split("-")[0]
    benchmark.extra_info["operations"] = operations
    benchmark.pedantic(loop, rounds=20)
    if benchmark.stats:
        benchmark.extra_info["nanoseconds"] = benchmark.stats.stats.median / operations * 1e9

"""The example of docs/policies.md: run as it stands there, in the simulator."""

from __future__ import annotations

import pathlib
import re
import sys
import types

import pytest
from simulate import ENTRY_BYTES, Simulation, drive
from versions import table, version

from lsm.options import Options
from lsm.tree.compaction import NOTHING, Leveled, Merge, Policy, policy_of

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "policies.md"


@pytest.fixture()
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    module = types.ModuleType("policy_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    exec(compile(example, str(PAGE), "exec"), vars(module))
    made = vars(module)["SingleRun"]()
    assert isinstance(made, Policy)
    return made


def test_what_it_chooses(policy: Policy) -> None:
    options = Options(compaction=policy)
    assert policy_of(options) is policy
    flushes = [table(number, "a", "z") for number in (1, 2, 3, 4)]
    assert policy.choose(version(flushes[:3]), options) == NOTHING
    assert policy.choose(version(flushes, [table(9, "c", "d")]), options) == Merge((4, 3, 2, 1, 9), 1, True)


def test_it_keeps_a_database_right(policy: Policy) -> None:
    run = drive(Simulation.of(policy, table_bytes=16 * ENTRY_BYTES), 300, 10, 500, deletes=0.3)
    run.check_against_model()
    assert not any(run.version.levels[2:]) and run.most_level_0 <= 4


def test_it_takes_over_from_another(policy: Policy) -> None:
    run = drive(Simulation.of(Leveled(base_bytes=8 * ENTRY_BYTES), table_bytes=4 * ENTRY_BYTES), 60, 10, 5000)
    assert any(run.version.levels[2:])
    run.policy = policy
    drive(run, 20, 10, 5000, seed=2)
    run.check_against_model()

"""A failing disk under the background thread: typed errors, no hang, nothing acknowledged lost."""
import errno
import random

import pytest

from crash import process_bounds
from crash_engine import SMALL, sampled
from fault_engine import FaultyRun, told, workload


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_faults_under_the_shaker(error, sticky):
    """Which operation fails depends on the threads; what must hold does not."""
    for at in sampled(range(0, 500, 3), 8, f"{error} {sticky}"):
        plan = {"error": error, "after": at, "sticky": sticky}
        run = None
        try:
            run = FaultyRun(SMALL, plan=plan, background=True)
            workload(run, random.Random("threads"), batches=24)
            run.directory.heal()
            if run.db is not None:
                run.read_all()
                run.db.close()
            run.check_files(run.directory.crashed_process(), process_bounds(run.journal))
        except BaseException:
            if run is not None:
                print("WRONG:", told(plan, run))
            raise

"""What one process measures: one store through the workloads of one stage. Started by turns.py.

It prints one line of JSON when it is done: a measure of each workload, peak memory, bytes on disk.
"""

import argparse
import json
from dataclasses import asdict

from stores import Budget, store_type
from workloads import WORKLOADS
from workloads.session import Session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", help="JSON: what to do")
    job = json.loads(parser.parse_args().job)
    kind = store_type(job["store"])
    session = Session(
        kind, Budget(**job["budget"]), job["directory"], job["state"], job["records"], job["value_bytes"], job["seed"]
    )
    session.begin()
    session.prepare()
    measures = {}
    for name in job["workloads"]:
        lacks = session.store.lacks if session.store else kind.lacks
        measures[name] = None if name in lacks else asdict(WORKLOADS[name](session))
    said = session.sizes() | {"records": session.records, "cache_bytes": session.budget.cache_bytes}
    if session.store is not None:
        said["write_amplification"] = session.store.write_amplification()
    session.close()
    print(json.dumps({"measures": measures, **said}))


if __name__ == "__main__":
    main()

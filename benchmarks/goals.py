"""The goal as data, and the judgement of it: how many times as good as a rival lsm has to be.

A ratio is the rival's cost divided by lsm's in the same round: 2 is twice as quick, half as many bytes. The
rival "trees" is the better of plyvel and rocksdict in that round. What costs at most twice a dict's has a
ratio of at least 0.5. They hold for 1,000,000 records, 16-byte random keys, 100-byte values, default options. pylsm is the
same engine in plain Python; that goal is judged where both have as many records (bench.py --engines).
"""

from dataclasses import dataclass

TREES, LMDB, DICT, PYLSM = "trees", "lmdb", "dict", "pylsm"
MEMBERS = {TREES: ("plyvel", "rocksdict"), LMDB: ("lmdb",), DICT: ("dict",), PYLSM: ("pylsm",)}


@dataclass(frozen=True)
class Goal:
    workload: str
    stage: str
    factors: dict[str, float]
    measure: str = "seconds"  # the cost that is compared: seconds, cpu_seconds, directory_bytes, memory_bytes


def goals(workloads: str, stages: str, measure: str = "seconds", **factors: float) -> list[Goal]:
    return [Goal(name, stage, factors, measure) for name in workloads.split() for stage in stages.split()]


GOALS = (
    *goals("fillrandom fillseq overwrite deleterandom", "write", trees=5, lmdb=3, dict=0.5, pylsm=20),
    *goals("fillbatch writemany", "write", trees=4, lmdb=5, pylsm=20),
    *goals("readrandom readhot", "memtable cached", trees=4, lmdb=2, dict=0.5, pylsm=20),
    *goals("readmissing", "uncompacted", trees=4, lmdb=4),
    *goals("readmissing", "compacted", trees=1.5, lmdb=4),
    *goals("multiget", "memtable cached", trees=6, lmdb=2, pylsm=20),
    *goals("readseq readreverse", "memtable cached", trees=2, lmdb=1.5, pylsm=20),
    *goals("readchunks", "memtable cached", trees=10, lmdb=8),
    *goals("seekrandom", "memtable cached", trees=4, lmdb=2),
    *goals("fillsync", "sync", trees=1, lmdb=1),
    *goals("fillsync-8threads", "sync", trees=1.5, lmdb=3),
    *goals("readwhilewriting readrandom-2threads", "threads", trees=2, lmdb=1),
    *goals("compact flush", "whole", measure="cpu_seconds", trees=1.2),
    *goals("readrandom", "disk cold", trees=1.5, lmdb=1),
    *goals("reopen", "whole", trees=1),
    Goal("bytes on disk", "compacted", {TREES: 1}, "directory_bytes"),
    Goal("peak memory", "write", {TREES: 1}, "memory_bytes"),
    Goal("peak memory", "compacted", {TREES: 1}, "memory_bytes"),
)


def cost(result: dict, workload: str, measure: str) -> float | None:
    """What one store spent in one stage of one round; None when it was not measured."""
    if measure in ("directory_bytes", "memory_bytes"):
        return result[measure]
    found = result["measures"].get(workload)
    if not found:
        return None
    if measure == "cpu_seconds":  # of a byte: stores that are slow get fewer records
        return found[measure] / found["payload_bytes"] if found["payload_bytes"] else None
    return found[measure] / found["operations"]


def ratios(rounds: list, stage: str, workload: str, rival: str, measure: str = "seconds") -> list[float]:
    """One ratio for each round in which lsm and a rival were measured."""
    found = []
    for stages in rounds:
        results = stages.get(stage, {})
        costs = {name: cost(result, workload, measure) for name, result in results.items()}
        rivals = [costs[name] for name in MEMBERS[rival] if costs.get(name) is not None]
        if rival == PYLSM and _operations(results.get(PYLSM), workload) != _operations(results.get("lsm"), workload):
            continue
        if rivals and costs.get("lsm"):
            found.append(min(rivals) / costs["lsm"])
    return found


def _operations(result: dict | None, workload: str) -> int | None:
    found = result["measures"].get(workload) if result else None
    return found and found["operations"]

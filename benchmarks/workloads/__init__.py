"""The named workloads, and the stages they run in: a stage is one process for each store and round.

The order within a stage matters: each workload finds what those before it left (deleterandom deletes what
overwrite wrote), and what changes the data comes after what reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from workloads import read, recovery, scan, sustained, sync, threads, write, ycsb
from workloads.session import Measure, Session

READS = ("readrandom", "readhot", "readmissing", "multiget")
SCANS = ("readseq", "readreverse", "readkeys", "readchunks", "seekrandom", "prefixscan")

WORKLOADS: dict[str, Callable[[Session], Measure]] = {
    "fillseq": write.fillseq,
    "fillrandom": write.fillrandom,
    "overwrite": write.overwrite,
    "deleterandom": write.deleterandom,
    "fillbatch": write.fillbatch,
    "writemany": write.write_many,
    "fillsync": sync.fillsync,
    "fillsync-8threads": sync.fillsync_8threads,
    "readrandom": read.readrandom,
    "readhot": read.readhot,
    "readmissing": read.readmissing,
    "multiget": read.multiget,
    "readseq": scan.readseq,
    "readreverse": scan.readreverse,
    "readkeys": scan.readkeys,
    "readchunks": scan.readchunks,
    "seekrandom": scan.seekrandom,
    "prefixscan": scan.prefixscan,
    "readrandom-2threads": threads.readrandom_2threads,
    "readwhilewriting": threads.readwhilewriting,
    "readwhilewriting-flatout": threads.readwhilewriting_flatout,
    **{f"ycsb-{letter}": partial(ycsb.run, letter=letter) for letter in ycsb.MIXES},
    "fillsustained": sustained.fillsustained,
    "fillsustained-flatout": sustained.fillsustained_flatout,
    "flush": recovery.flush,
    "compact": recovery.compact,
    "reopen": recovery.reopen,
    "recover": recovery.recover,
}


@dataclass(frozen=True)
class Stage:
    name: str
    state: str
    workloads: tuple[str, ...]


STAGES = (
    Stage("write", "new", ("fillseq", "fillrandom", "overwrite", "deleterandom", "fillbatch", "writemany")),
    Stage("sync", "new", ("fillsync", "fillsync-8threads")),
    Stage("whole", "new", ("flush", "compact", "reopen", "recover")),
    Stage("memtable", "memtable", (*READS, *SCANS)),
    Stage("uncompacted", "uncompacted", (*READS, *SCANS)),
    Stage("compacted", "compacted", (*READS, *SCANS)),
    Stage("cached", "cached", (*READS, *SCANS)),
    Stage("disk", "disk", ("readrandom", "readmissing", "multiget", "readseq", "seekrandom")),
    Stage("cold", "cold", ("readrandom", "readmissing", "multiget", "readseq", "seekrandom")),
    Stage("sustained", "new", ("fillsustained", "fillsustained-flatout")),
    Stage("ycsb", "uncompacted", tuple(f"ycsb-{letter}" for letter in ycsb.MIXES)),
    Stage("threads", "compacted", ("readrandom-2threads", "readwhilewriting", "readwhilewriting-flatout")),
)

ENGINE_STAGES = {  # the standard workloads on which the engines of this project are compared
    "write": ("fillseq", "fillrandom", "overwrite", "deleterandom", "fillbatch", "writemany"),
    "sync": ("fillsync",),
    "whole": ("compact", "reopen", "recover"),
    "cached": ("readrandom", "readmissing", "multiget", "readseq", "readreverse", "seekrandom"),
    "ycsb": ("ycsb-a",),
}


def stages_of(workloads: list[str], states: list[str]) -> list[Stage]:
    """The stages that hold any of these workloads in any of these states, with those workloads only."""
    chosen = []
    for stage in STAGES:
        wanted = tuple(name for name in stage.workloads if name in workloads)
        if wanted and stage.state in states:
            chosen.append(Stage(stage.name, stage.state, wanted))
    return chosen

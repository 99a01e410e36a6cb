"""What a run took besides time: memory, disk, bytes to and from the device, pauses of a put. Medians over the rounds.

Every row is data ({"measure", "stage", "workload", "stores": {name: median}}) before it is printed, and goes into the
JSON as it is; the figures of each round stand there too, under "rounds".
"""

import statistics
from collections.abc import Callable, Iterator

from turns import Plan

MIB = 1 << 20
WRITES = ("write", "sustained", "ycsb")  # stages whose write amplification is shown
READS = ("cold",)  # elsewhere the page cache answers
FORMATS = {"MiB": "{:,.1f}", "times": "{:.2f}", "µs": "{:,.1f}", "MB/s": "{:,.1f}", "1/s": "{:,.0f}"}
PAUSES = (("p50_us", "p50 of a put"), ("p99_us", "p99"), ("p99.9_us", "p99.9"), ("longest_us", "longest put"))


def size_rows(plan: Plan, rounds: list) -> list[dict]:
    return [row for row in _rows(plan, rounds) if row["stores"]]


def _rows(plan: Plan, rounds: list) -> Iterator[dict]:
    for stage in plan.stages:
        for label, field in (("peak memory", "memory_bytes"), ("bytes on disk", "directory_bytes")):
            yield row(plan, rounds, stage.name, "", label, "MiB", mebibytes(field))
    for stage in plan.stages:
        for workload in stage.workloads:
            yield from workload_rows(plan, rounds, stage.name, workload)


def workload_rows(plan: Plan, rounds: list, stage: str, workload: str) -> Iterator[dict]:
    def of(call: Callable[[dict], float | None]) -> Callable[[dict], float | None]:
        return lambda result: call(result["measures"][workload]) if result["measures"].get(workload) else None

    def on_disk(call: Callable[[dict], float | None]) -> Callable[[dict], float | None]:
        return lambda result: None if result["directory_bytes"] is None else of(call)(result)

    if stage in WRITES:
        yield row(plan, rounds, stage, workload, "write amplification", "times", on_disk(ratio_of("written_bytes")))
    if stage in READS:
        yield row(plan, rounds, stage, workload, "read amplification", "times", on_disk(ratio_of("read_bytes")))
    if workload in ("flush", "compact"):
        yield row(plan, rounds, stage, workload, "MB/s of a core", "MB/s", of(megabytes_per_core_second))
    if workload.startswith("fillsustained"):
        for field, label in PAUSES:
            yield row(plan, rounds, stage, workload, label, "µs", of(extra(field)))
        yield row(plan, rounds, stage, workload, "throughput", "MB/s", of(extra("mb_per_second")))
    if workload.startswith("readwhilewriting"):
        yield row(plan, rounds, stage, workload, "writes meanwhile", "1/s", of(extra("writes_per_second")))


def row(plan: Plan, rounds: list, stage: str, workload: str, measure: str, unit: str,
        value_of: Callable[[dict], float | None]) -> dict:  # fmt: skip
    medians = {}
    for name in plan.stores:
        found = [value_of(stages[stage][name]) for stages in rounds if name in stages[stage]]
        found = [value for value in found if value is not None]
        if found:
            medians[name] = statistics.median(found)
    return {"measure": measure, "unit": unit, "stage": stage, "workload": workload, "stores": medians}


def scaled(value: float | None, unit: int) -> float | None:
    return None if value is None else value / unit


def mebibytes(field: str) -> Callable[[dict], float | None]:
    return lambda result: scaled(result[field], MIB)


def ratio_of(field: str) -> Callable[[dict], float | None]:
    """Bytes to or from the device for each byte of a key or value that went through."""
    return lambda measure: scaled(measure[field], measure["payload_bytes"]) if measure["payload_bytes"] else None


def megabytes_per_core_second(measure: dict) -> float | None:
    known = measure["payload_bytes"] and measure["cpu_seconds"]
    return measure["payload_bytes"] / measure["cpu_seconds"] / 1e6 if known else None


def extra(field: str) -> Callable[[dict], float | None]:
    return lambda measure: (measure["extra"] or {}).get(field)


def print_sizes(rows: list[dict], stores: list[str]) -> None:
    print("\nmedians; amplification is bytes to or from the device for each byte of a key or value")
    print(f"{'':<22}{'':<6}{'stage':<13}{'workload':<25}" + "".join(f"{name:>11}" for name in stores))
    for row in sorted(rows, key=lambda row: (bool(row["workload"]), row["measure"] if not row["workload"] else "")):
        cells = "".join(
            f"{FORMATS[row['unit']].format(row['stores'][name]) if name in row['stores'] else '-':>11}" for name in stores
        )
        print(f"{row['measure']:<22}{row['unit']:<6}{row['stage']:<13}{row['workload']:<25}{cells}")

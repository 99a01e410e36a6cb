"""The report of large.py: every measure beside its target. Nothing is left out; what failed says so."""

DELETED_LIMIT = 100_000  # bytes that still are "a directory of kilobytes"
REOPEN_LIMIT = 0.5
STALL_LIMIT = 1.0
GROWTH_LIMIT = 1.1
MEGA = 1e6
Row = tuple[str, str, str, bool | None]  # measure, value, target, met (None: not judged)


def print_report(said: dict[str, dict], records: int, deletes: int, memory_limit: int) -> list[Row]:
    parts = {
        "load": lambda: loading(said["load"], records, memory_limit),
        "read": lambda: reading(said["read"], said["load"], records, memory_limit),
        "die": list,
        "recover": lambda: recovering(said["recover"], said["die"]),
        "purge": lambda: purging(said["purge"], deletes),
    }
    rows: list[Row] = []
    for phase, part in parts.items():
        if "failed" in said[phase]:
            rows.append((phase, said[phase]["failed"], "ends well", False))
            continue
        try:
            rows += part()
        except KeyError as missing:  # a phase before it failed
            rows.append((phase, f"cannot be judged without {missing}", "", False))
    if said["load"].get("stats"):
        print(f"\n{said['load']['stats']}")
    print()
    for measure, value, target, met in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[met]
        print(f"{measure:<40} {value:>22}   {target:<40} {verdict}")
    return rows


def loading(load: dict, records: int, memory_limit: int) -> list[Row]:
    slow = ", ".join(f"{count} > {limit}" for limit, count in load["slow"].items())
    return [
        (f"put {records:,} records, the calls alone", f"{load['put_seconds']:.1f} s", "", None),
        ("  a call", f"{load['put_seconds'] / records * 1e6:.2f} µs", "", None),
        ("  with making the records", f"{load['wall_seconds']:.1f} s", "", None),
        (
            "longest single put",
            f"{load['longest_seconds']:.3f} s",
            f"under {STALL_LIMIT} s",
            load["longest_seconds"] < STALL_LIMIT,
        ),
        ("  slow puts", "", slow, None),
        memory("peak memory, loading", load["memory_loading"], memory_limit),
        ("compact()", f"{load['compact_seconds']:.1f} s", "", None),
        memory("peak memory, loading and compacting", load["memory_compacting"], memory_limit),
        ("close()", f"{load['close_seconds']:.2f} s", "", None),
    ]


def reading(read: dict, load: dict, records: int, memory_limit: int) -> list[Row]:
    right = read["rows"] == records and not read["wrong"] and not read["unordered"]
    data = "unknown" if read["data_bytes"] is None else f"{read['data_bytes'] / MEGA:,.1f} MB"
    rows = [
        (
            "reopen after a clean close",
            f"{read['open_seconds']:.3f} s",
            f"under {REOPEN_LIMIT} s",
            read["open_seconds"] < REOPEN_LIMIT,
        ),
        (
            "records read back in order",
            f"{read['rows']:,}",
            f"{records:,}; {read['wrong']} wrong, {read['unordered']} out of order",
            right,
        ),
        ("  seconds, with checking each", f"{read['scan_seconds']:.1f} s", "", None),
        (
            "records got in random order",
            f"{read['gets']:,}",
            f"{read['gets_wrong']} wrong",
            not read["gets_wrong"],
        ),
        memory("peak memory, reading", read["memory_reading"], memory_limit),
        ("compressed data", data, read["data_note"], None),
    ]
    for when in ("open", "closed"):
        length, allocated = load[f"directory_{when}"]
        ratio = length / read["data_bytes"] if read["data_bytes"] else float("nan")
        rows.append(
            (
                f"directory after compact(), {when}",
                f"{length / MEGA:,.1f} MB = {ratio:.3f}x",
                f"at most {GROWTH_LIMIT}x ({allocated / MEGA:,.1f} MB allocated)",
                ratio <= GROWTH_LIMIT,
            )
        )
    return rows


def recovering(recover: dict, die: dict) -> list[Row]:
    wrote = die["put_seconds"]
    return [
        (
            "reopen after kill -9",
            f"{recover['open_seconds']:.3f} s",
            f"at most what writing it took: {wrote:.3f} s",
            recover["open_seconds"] <= wrote,
        ),
        (
            "  records of the log that are there",
            f"{recover['written'] - recover['lost']:,}",
            f"{recover['written']:,}",
            not recover["lost"],
        ),
    ]


def purging(purge: dict, deletes: int) -> list[Row]:
    rows: list[Row] = [
        (f"delete {deletes:,} records", f"{purge['delete_seconds']:.1f} s", "(with making their keys)", None)
    ]
    for when in ("open", "closed"):
        length, allocated = purge[f"directory_{when}"]
        rows.append(
            (
                f"directory after deletes, compact(), {when}",
                f"{length / 1e3:,.1f} KB",
                f"under {DELETED_LIMIT / 1e3:.0f} KB ({allocated / 1e3:,.1f} KB allocated)",
                max(length, allocated) < DELETED_LIMIT,
            )
        )
        files = ", ".join(f"{name} {size:,}" for name, size in purge[f"files_{when}"].items())
        rows.append(("  its files", "", files, None))
    return rows


def memory(measure: str, used: int, limit: int) -> Row:
    return (
        measure,
        f"{used / MEGA:,.0f} MB",
        f"under {limit / MEGA:,.0f} MB (memtables + cache + 150 MB)",
        used < limit,
    )

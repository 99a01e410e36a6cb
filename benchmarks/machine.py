"""The machine a figure was taken on, and what a process used of it. A figure without these says nothing.

Linux tells memory and file systems in /proc; elsewhere the field is None or "unknown", never a guess.
"""

import os
import platform
import re
import resource
import subprocess
import sys
import time


def describe_machine(directory: str) -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes() / (1 << 30), 1),
        "system": platform.platform(),
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "directory": directory,
        "file_system": file_system(directory),
        "commit": commit(),
    }


def processor_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            fields = dict(
                line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line
            )
        return {key.strip(): value.strip() for key, value in fields.items()}["model name"]
    except (OSError, KeyError):
        return platform.processor() or "unknown"


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def file_system(directory: str) -> str:
    """Type and mount point of the file system a directory is on."""
    place = os.path.realpath(directory)
    try:
        with open("/proc/mounts") as file:
            mounts = [line.split()[1:3] for line in file]
    except OSError:
        return "unknown"
    holders = [mount for mount in mounts if place == mount[0] or place.startswith(mount[0].rstrip("/") + "/")]
    return " on ".join(reversed(max(holders, key=lambda mount: len(mount[0])))) if holders else "unknown"


def commit() -> str:
    command = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def rss_bytes() -> int:
    """The memory this process holds now; its peak where the system does not tell."""
    return process_memory("VmRSS") or getrusage_peak()


def peak_rss_bytes() -> int:
    """The most memory this process ever held.

    VmHWM where there is one: getrusage's ru_maxrss survives exec, so a child starts with its parent's peak.
    """
    return process_memory("VmHWM") or getrusage_peak()


def reset_peak_rss() -> None:
    """Let the peak begin anew, where the system can; elsewhere it stays that of the whole process."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def process_memory(field: str) -> int:
    try:
        with open("/proc/self/status") as file:
            found = re.search(rf"{field}:\s+(\d+) kB", file.read())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def io_bytes() -> tuple[int | None, int | None]:
    """(read from, written to) the device by this process so far. Pages written to a mapped file count when they
    become dirty, so a mapped log is in it; a file system in memory counts nothing."""
    try:
        with open("/proc/self/io") as file:
            counts = dict(line.split(": ") for line in file.read().splitlines())
        return int(counts["read_bytes"]), int(counts["write_bytes"])
    except (OSError, KeyError):
        return None, None


def getrusage_peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def drop_from_page_cache(path: str) -> None:
    """Write the files under `path` to the device and let the page cache forget them; they must not be mapped.

    Where the system has no posix_fadvise, or ignores it (tmpfs), they stay: nothing can be said about the device.
    """
    files = [path] if os.path.isfile(path) else []
    files += [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for name in files:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def directory_bytes(path: str) -> tuple[int, int]:
    """(sum of file lengths, sum of allocated blocks). A preallocated log is in both: that space is taken."""
    lengths = allocated = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                status = os.stat(os.path.join(folder, name))
            except FileNotFoundError:  # a compaction removed it meanwhile
                continue
            lengths += status.st_size
            allocated += status.st_blocks * 512
    return lengths, allocated

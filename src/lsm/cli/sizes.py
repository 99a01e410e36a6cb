"""Sizes: of directories, and as people read them."""
import os


def size(count: float) -> str:
    """Bytes as a person reads them: 999 B, 12.3 kB, 4.56 MB (powers of 1000, three digits)."""
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    if unit == "B" or count >= 100:
        return f"{count:.0f} {unit}"
    return f"{count:.1f} {unit}" if count >= 10 else f"{count:.2f} {unit}"


def bytes_in(directory: str | os.PathLike[str]) -> int:
    """Of the files in it. One that goes meanwhile does not count."""
    return sum(sizes_in(directory).values())


def sizes_in(directory: str | os.PathLike[str]) -> dict[str, int]:
    """The same, each by its name; nothing where there is no such directory."""
    found = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    found[entry.name] = entry.stat().st_size
                except FileNotFoundError:
                    pass
    except FileNotFoundError:
        pass
    return found

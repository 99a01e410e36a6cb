"""Sizes: as people read them."""


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

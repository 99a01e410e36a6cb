"""Fork: which process a thing was made in.

In the child of a fork everything that was opened before belongs to the parent: files are not removed, tables not
written on. Each such thing keeps the generation it was made in, and does nothing once another has begun.
"""
from __future__ import annotations

_generation = 0


def generation() -> int:
    return _generation


def forked() -> None:
    """In the child of a fork: what was opened before is the parent's, and nothing of it is removed from here."""
    global _generation
    _generation += 1

"""Completion: what the word that is being typed may become: commands, their words, keys of the database, paths.

Keys are found by a scan with a limit, however many there are: the first ones with that prefix, and the last one. What all keys
with the prefix have in common is what the first and the last have.
"""
from __future__ import annotations

from collections.abc import Iterable

from lsm.cli.completion import complete_path
from lsm.cli.output import shown
from lsm.cli.shell.commands import COMMANDS, KEY, PATH, Command, bytes_of
from lsm.cli.shell.session import Session
from lsm.cli.shell.words import Word, bare, begun, quoted

KEYS = 50                   # shown at once


def completions(session: Session, line: str, cut: int) -> list[str]:
    """What may stand in a line from `cut` on, which lies in the word that the line ends with."""
    try:
        before, start = begun(line)
        found = sorted(_words(session, before, line[start:]))
    except ValueError:
        return []
    return [one[cut - start:] for one in found if one.startswith(line[start:cut])]


def _words(session: Session, before: list[Word], typed: str) -> Iterable[str]:
    if not before:
        return _among(COMMANDS, typed)
    command = COMMANDS.get(before[0].text)
    if command is None:
        return []
    if typed.startswith("-"):
        return _among([name for name, _ in command.options], typed)
    kind = _kind(command, before[1:])
    if kind in (KEY, "[PREFIX]"):
        return keys(session, typed)
    if kind == PATH:
        return [quoted(path) for path in complete_path(bare(typed))]
    if kind == "[COMMAND]":
        return _among(COMMANDS, typed)
    return _among(kind.split("|"), typed) if "|" in kind else []


def _kind(command: Command, words: list[Word]) -> str:
    """Of the argument that follows these words."""
    options, place = dict(command.options), 0
    wanted = ""
    for word in words:
        if wanted:
            wanted = ""
        elif not word.quoted and word.text in options:
            wanted = options[word.text]
        else:
            place += 1
    return wanted or (command.arguments[place] if place < len(command.arguments) else "")


def _among(names: Iterable[str], typed: str) -> list[str]:
    found = [name for name in names if name.startswith(typed)]
    return [f"{found[0]} "] if len(found) == 1 else found


def keys(session: Session, typed: str) -> list[str]:
    """Keys that begin so, as words that can be typed."""
    prefix = bytes_of(Word(bare(typed), False))
    found = list(session.reads.scan(prefix=prefix, values=False, limit=KEYS))
    if len(found) == KEYS:
        found += [key for key in session.reads.scan(prefix=prefix, values=False, limit=1, reverse=True) if key != found[-1]]
    always = typed.startswith('"') or any(quoted(shown(key)).startswith('"') for key in found)
    return [word for word in (quoted(shown(key), always) for key in found)
            if word.startswith(typed) or (always and not typed.startswith('"') and word.startswith(f'"{typed}'))]

"""Commands: what a line of the shell can say. One entry in COMMANDS has its name, its arguments, its help, and what it does.

Output is data on stdout: values as they are spelt on the command line, rows as in a text dump.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsm.cli.outcome import Failed
from lsm.cli.output import as_json, json_line, shown
from lsm.cli.shell.session import Session
from lsm.cli.shell.words import Word, WrongLine, words
from lsm.cli.wording import damage
from lsm.dump import text

KEY, PATH = "KEY", "PATH"       # an argument that is completed from the database, from the file system


@dataclass(frozen=True)
class Command:
    """`arguments`: KEY, PATH, or the words it may be, each; those in brackets may be left out. `options`: name: its argument,
    "" when it has none."""

    name: str
    arguments: tuple[str, ...]
    help: str
    work: Callable[..., None]
    options: tuple[tuple[str, str], ...] = ()

    @property
    def usage(self) -> str:
        """As the help has it."""
        options = [f"[{name}{' ' + value if value else ''}]" for name, value in self.options]
        return " ".join([self.name, *self.arguments, *options])

    def run(self, session: Session, given: Sequence[Word]) -> None:
        """Check the words against the arguments, and do the work."""
        plain: list[Word] = []
        options: dict[str, Word | bool] = {}
        left = iter(given)
        for word in left:
            if word.quoted or not word.text.startswith("--"):
                plain.append(word)
                continue
            known = dict(self.options)
            if word.text not in known:
                raise WrongLine(f"there is no {word.text} here: {self.usage}")
            options[word.text.removeprefix("--")] = next(left, self._missing) if known[word.text] else True
        least = sum(not argument.startswith("[") for argument in self.arguments)
        if not least <= len(plain) <= len(self.arguments) or self._missing in options.values():
            raise WrongLine(f"it is: {self.usage}")
        self.work(session, *plain, **options)

    _missing = Word("", False)


def bytes_of(word: Word) -> bytes:
    """The key or value that is meant."""
    try:
        return text.unescape(word.text.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise WrongLine(str(error)) from None


def get(session: Session, key: Word) -> None:
    value = session.reads.get(bytes_of(key))
    if session.json:
        print(json_line(key=bytes_of(key), value=value))
    if value is None:
        raise Failed(f"there is no key {key.text}")
    if not session.json:
        print(shown(value))


def put(session: Session, key: Word, value: Word) -> None:
    session.put(bytes_of(key), bytes_of(value))


def delete(session: Session, key: Word) -> None:
    session.delete(bytes_of(key))


def scan(session: Session, prefix: Word | None = None, reverse: bool = False, keys: bool = False, **bounds: Word) -> None:
    limit = _number(bounds["limit"]) if "limit" in bounds else None
    among: dict[str, bytes] = {name: bytes_of(bounds[name]) for name in ("start", "stop") if name in bounds}
    if prefix is not None:
        if among:
            raise WrongLine("give a prefix, or --start and --stop")
        among["prefix"] = bytes_of(prefix)
    for row in session.reads.scan(**among, reverse=reverse, limit=limit, values=not keys):
        if session.json:
            print(json_line(key=row) if keys else json_line(key=row[0], value=row[1]))
        elif keys:
            print(shown(row))
        else:
            sys.stdout.write(text.encode(*row).decode())


def _number(word: Word) -> int:
    if not word.text.isdecimal():
        raise WrongLine(f"{word.text!r} is no number of rows")
    return int(word.text)


def stats(session: Session) -> None:
    told = session.db.stats()
    print(json_line(path=str(session.db.path), engine=session.db.traits.engine, **as_json(told)) if session.json else told)


def verify(session: Session) -> None:
    report = session.db.verify()
    if session.json:
        print(json_line(path=str(session.db.path), **as_json(report)))
    for error in () if session.json else report.damage:
        print(damage(error))
    if not report.ok:
        raise Failed(f"{len(report.damage):,} places are damaged")
    if not session.json:
        print(f"{report.files:,} files, {report.blocks:,} blocks, {report.bytes:,} bytes: no damage")


def checkpoint(session: Session, path: Word) -> None:
    session.db.checkpoint(path.text)


def batch(session: Session, step: Word) -> None:
    if step.text == "begin":
        session.begin()
    elif step.text == "commit":
        writes = session.commit()
        print(json_line(writes=writes) if session.json else f"{writes:,} writes")
    elif step.text == "abandon":
        dropped = session.abandon()
        print(json_line(dropped=dropped) if session.json else f"{dropped:,} writes dropped")
    else:
        raise WrongLine(f"it is: {COMMANDS['batch'].usage}")


def snapshot(session: Session, step: Word) -> None:
    if step.text == "take":
        session.take()
    elif step.text != "release":
        raise WrongLine(f"it is: {COMMANDS['snapshot'].usage}")
    elif not session.release():
        raise Failed("there is no snapshot: `snapshot take` takes one")


def help(session: Session, about: Word | None = None) -> None:
    if about is not None and about.text not in COMMANDS:
        raise WrongLine(f"there is no command {about.text!r}: `help` lists them")
    for command in COMMANDS.values() if about is None else [COMMANDS[about.text]]:
        print(f"{command.usage}\n    {command.help}")


def quit(session: Session) -> None:
    session.ended = True


COMMANDS = {command.name: command for command in (
    Command("get", (KEY,), "print the value of a key", get),
    Command("put", (KEY, "VALUE"), "set a key to a value", put),
    Command("delete", (KEY,), "remove a key", delete),
    Command("scan", ("[PREFIX]",), "print rows in the order of their keys", scan,
            (("--start", KEY), ("--stop", KEY), ("--limit", "N"), ("--reverse", ""), ("--keys", ""))),
    Command("batch", ("begin|commit|abandon",), "gather writes, and write all or none of them", batch),
    Command("snapshot", ("take|release",), "read as of now, whatever is written, until it is released", snapshot),
    Command("sync", (), "make all writes so far survive a loss of power", lambda session: session.db.sync()),
    Command("flush", (), "write what is in memory into files made for keeping", lambda session: session.db.flush()),
    Command("compact", (), "give back the room of what was overwritten and deleted", lambda session: session.db.compact()),
    Command("checkpoint", (PATH,), "make a copy that can be opened, at a new path", checkpoint),
    Command("stats", (), "print what the database tells of itself", stats),
    Command("verify", (), "read and check everything", verify),
    Command("help", ("[COMMAND]",), "print this", help),
    Command("quit", (), "end; so does Ctrl-D", quit),
)}


def execute(session: Session, line: str) -> None:
    """Do what a line says. Raises WrongLine, Failed, and what the database raises."""
    found = words(line)
    if not found:
        return
    name, *arguments = found
    if name.text not in COMMANDS:
        raise WrongLine(f"there is no command {name.text!r}: `help` lists them")
    COMMANDS[name.text].run(session, arguments)

"""The program: its commands by name, and how one run of it goes.

A command is a function in the file (or the folder) of its name, `lsm.cli.NAME.NAME`, with its arguments as Typer reads them
(those that several share are in arguments.py); to add one, add its name to COMMANDS. It does its work, and answers None,
or the exit status; what it raises becomes the exit status and one line on stderr (outcome.py). Every file is imported at
each start, so what is heavy (rich, a server) is imported in the function.
"""
from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from lsm.cli.completion import complete
from lsm.cli.outcome import outcome_of

COMMANDS = ["get", "put", "delete", "scan", "load", "dump", "stats", "verify", "salvage", "compact", "checkpoint", "convert", "serve",
            "shell", "top", "tour"]                                                 # in the order in which the help has them

app = typer.Typer(no_args_is_help=True, help="lsm: an embedded, ordered, durable key-value store.")
for name in COMMANDS:
    app.command(name)(getattr(import_module(f"lsm.cli.{name}"), name))


def installed_version() -> str:
    try:
        return version("lsmkv")
    except PackageNotFoundError:
        return "unknown (running from a source tree that is not installed)"


def show_version(asked: bool) -> None:
    if asked:
        print(f"lsm {installed_version()}")
        raise typer.Exit()


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """One run of the program with these arguments; its exit status. Not by calling `app`, which makes a status, and several
    lines, of its own of everything that goes wrong."""
    if "_LSM_COMPLETE" in os.environ:               # a shell asks: Typer answers and exits
        complete(lambda: app(arguments, prog_name="lsm"))
    def work() -> int | None:
        command = typer.main.get_command(app)
        with command.make_context("lsm", list(arguments) or ["--help"]) as context:
            return command.invoke(context)          # type: ignore[no-any-return]

    return outcome_of(arguments[0] if arguments and arguments[0] in COMMANDS else "", work)

"""Staging: a database that is made whole beside its place, and only then given its name.

So there is never anything at the destination that looks whole and is not: what fails is removed by who made it; what is killed
leaves a directory with the other name, and the next attempt says so. One thread.
"""
from __future__ import annotations

import errno
import os
import shutil

from lsm._chosen import core
from lsm.errors import NotADatabaseError, StorageError


def check_free(source: str, place: str) -> None:
    """A destination that is new or empty, and not in the source."""
    if os.path.lexists(place) and (not os.path.isdir(place) or os.path.islink(place) or os.listdir(place)):
        raise NotADatabaseError(place, "there is something here: give a new or empty directory for the copy")
    around = os.path.realpath(source)
    if os.path.commonpath([around, os.path.realpath(place)]) == around:
        raise NotADatabaseError(place, "this is within the source: give a directory elsewhere for the copy")


def make_staging(place: str, suffix: str) -> str:
    staging = place + suffix
    try:
        os.mkdir(staging, 0o700)            # as every directory of a database: nobody else reads it
    except FileExistsError:
        raise StorageError(errno.EEXIST, "a copy to here was killed, or is under way: when it is not, remove this",
                           staging) from None
    except OSError as error:
        raise StorageError(error.errno, error.strerror, staging) from error
    return staging


def give_name(staging: str, place: str) -> None:
    """One step: before it there is nothing at the destination, after it all of the copy."""
    try:
        os.rename(staging, place)           # not by Directory, whose names are short: this is the user's own
    except OSError as error:
        raise StorageError(error.errno, error.strerror, place) from error
    try:
        with core.Directory(os.path.dirname(place)) as parent:
            parent.sync()
    except BaseException:
        _take_name(staging, place)
        raise


def _take_name(staging: str, place: str) -> None:
    """Its name may not be durable: then it must not have it."""
    try:
        os.rename(place, staging)           # what is removed bit by bit must not have the name
    except OSError:
        shutil.rmtree(place, ignore_errors=True)

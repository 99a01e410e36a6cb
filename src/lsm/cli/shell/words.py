r"""Words: a line of the shell, cut into words. Pure functions.

Words stand between blanks; one in double quotes may hold blanks. Keys and values are spelt as everywhere on the command line;
beside that `\"` is a double quote and a backslash before a blank is that blank.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

WORD = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+')
BEGUN = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")*(?:"(?:[^"\\]|\\.)*)?\\?')       # the last word may lack its end
PIECE = re.compile(r'\\.|"|[^\\"]+')


class WrongLine(ValueError):
    """A line that makes no sense."""


@dataclass(frozen=True)
class Word:
    """As it was written, but for quotes; an escape of bytes is still one."""

    text: str
    quoted: bool                # then it is no option, however it begins


def words(line: str) -> list[Word]:
    """The words of a line; none of an empty one, or of a comment. Raises WrongLine."""
    found: list[Word] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        if line[at] == "#" and not found:
            break
        match = WORD.match(line, at)
        if match is None or (match.end() < len(line) and not line[match.end()].isspace()):
            raise WrongLine(r"a double quote is opened and not closed (write \" for the character itself)"
                            if '"' in line[at:] else "the line ends in a backslash")
        found.append(Word(_bare(match[0]), '"' in match[0]))
        at = match.end()
    return found


def begun(line: str) -> tuple[list[Word], int]:
    """(the whole words, where the word begins that is being typed) of a line up to the cursor."""
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        match = BEGUN.match(line, at)
        end = match.end() if match else at
        if end >= len(line):
            return words(line[:at]), at
        if end == at:
            raise WrongLine("this cannot be completed")
        at = end


def bare(begun: str) -> str:
    """A word that is being typed, without its quotes and without an escape that is cut off."""
    return re.sub(r"\\(x[0-9a-fA-F]?)?$", "", _bare(begun))


def _bare(raw: str) -> str:
    pieces = []
    for piece in PIECE.findall(raw):
        if piece == '\\"' or (piece[0] == "\\" and piece[1:].isspace()):
            pieces.append(piece[1:])
        elif piece != '"':
            pieces.append(piece)
    return "".join(pieces)


def quoted(text: str, always: bool = False) -> str:
    """A word that `words` reads as this text."""
    inside = text.replace('"', '\\"')
    return f'"{inside}"' if always or not text or text[0] in "#-" or any(c.isspace() for c in text) else inside

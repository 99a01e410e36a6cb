"""Spelling: interim; keys and values as the command line has them."""
from lsm.dump.text import _escaped, _plain


def spelt(data: bytes) -> str:
    return _escaped(data)


def meant(word: str) -> bytes:
    return _plain(word.encode("utf-8", "surrogateescape"))

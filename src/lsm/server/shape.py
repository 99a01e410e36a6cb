r"""Shape: how many parts a JSON text has, counted without reading it as JSON.

Reading JSON holds the event loop, also in a thread (it holds the GIL): a megabyte of text takes milliseconds, a megabyte of `{},{},`
half a second, and telling what is wrong with it seconds. So what has more parts than its route could ever use is refused before.
What is counted is never less than what is there. Pure function; linear, in a few calls of C.

>>> has_more_parts(b'{"operations": [{"op": "put", "key": "a,b", "value": "\\","}]}', 5)
False
>>> has_more_parts(b"[[[[[[", 5), has_more_parts(b'"a""b""c"', 2)
(True, True)
"""
from __future__ import annotations

STRINGS = 2                 # of a part, name and value; two quotes each


def has_more_parts(body: bytes, most: int) -> bool:
    """Are there more than `most` members of objects and arrays, brackets counted too, or more strings than so many can have?"""
    bare = body
    if b"\\" in body:
        bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 2 * STRINGS * most:
        return True
    outside = b"".join(bare.split(b'"')[::2])
    return outside.count(b",") + outside.count(b"{") + outside.count(b"[") > most

"""A parser in Python under Atheris: libFuzzer's mutations, guided by the branches that the parser takes.

plain.py tries more inputs in the time, guided by outcomes; what this finds new joins the same corpus, which both begin with. The
door runs it as a process of its own, which libFuzzer ends:

    python -m fuzz.guided PARSER [OPTION OF LIBFUZZER...] [CORPUS...]
"""
import sys

import atheris

INSTRUMENTED = ["lsm.dump", "lsm.tree.manifest", "lsm.tree.framed", "lsm.engines.hashlog.manifest", "lsm.server", "csv", "json",
                "uvicorn"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from fuzz import plain
    if sys.argv[1] == "http":
        plain.try_http(b"GET / HTTP/1.1\r\n\r\n")       # the service is imported when it is first asked


def main(name, *options):
    parser, right, longest = plain.PARSERS[name]

    def tried(data):
        plain.outcome(parser, right(data) if len(data) & 7 else data)

    atheris.Setup(["fuzz", f"-max_len={longest}", *options], tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Fuzzing of every parser: those in C by libFuzzer (parsers.pyx, driver.c), those in Python by a mutator of ours (plain.py).

`python -m fuzz` in tests/ is the door. What every change runs is in tests/test_corpus.py: the corpora that are kept in
tests/corpus/, through the engines' own doors.
"""

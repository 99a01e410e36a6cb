"""The long versions of the tests of crashes, faults and damage: `python3 run.py rig`, or `python -m rig` in tests/.

Each row of docs/reliability.md is a module here, which plays rounds: one round is what a seed makes, the same each time. What
every change runs is in tests/test_*.py, on the same machinery, only less of it.
"""

"""The contract: what every storage engine is to its users, and the plain forms of what an engine need not write itself.

arguments, span      what callers give, checked: keys, values, bounds
batch, cursor        a WriteBatch over any `write`, a Cursor over any `scan`
report, traits       what `verify` answers; what an engine can and cannot do well
reading, engine      Reading: what databases and snapshots share; Engine: the contract itself
moment               Moment, Snapshot, Rows: frozen views
simple               SimpleEngine: an engine out of `_find`, `_moment` and `write`
"""

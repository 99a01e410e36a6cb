"""The contract: what every storage engine is to its users, and the plain forms of what an engine need not write itself.

arguments, span      what callers give, checked: keys, values, bounds
batch, cursor        a WriteBatch over whatever writes many in one step, a Cursor over any `scan`
report, traits       what `verify` answers; what an engine can and cannot do well
reading, engine      Reading: what databases and snapshots share; Engine: the contract itself
moment               Moment, Snapshot, Rows: frozen views
simple               SimpleEngine: an engine out of its traits, `_find`, `_moment` and `_apply`
"""

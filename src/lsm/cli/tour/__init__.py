"""`lsm tour`: the store's promises, shown and checked on data that every machine with Python has.

In order of reading: itinerary (the steps), guide (how a step is told, checked and timed), corpus (the data), then one
file a step: loading, reading, changing, crash (with writer, the process that is killed), upkeep; and picture.
"""

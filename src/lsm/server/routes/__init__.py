"""The routes: each parses a request, asks the store, tells the answer. One file a group."""

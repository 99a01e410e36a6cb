"""The HTTP service: a door. It uses the public contract of `lsm`, over any engine; nothing but the command line imports it.

FastAPI, uvicorn and httptools are an extra (`server`). The parts, lowest first; the API parses requests, the Store
delegates, the Engine does:

tokens, settings             who may; every limit
problems, text               errors as answers; bytes as text
budget, attempts, metrics    bytes in flight; wrong tokens; counting
conditions, gathered, store  ETags; calls handed to threads many at a time; what an API needs of an engine
moments, scanning, jobs      snapshots with a lifetime; rows as JSON lines; long work
service                      all of these while a server runs
call, shape, bodies, door    a request as the routes see it; JSON, and how much of it; what every request passes through
routes/                      one file a group of routes
entrance                     connections counted, from before TLS
page, connection, app, serve the API for people to read; HTTP/1.1 on the wire with its limits; assembling; running
"""

"""Settings: what a server is told, and every limit it keeps. Immutable, checked when made.

Sizes are bytes, times seconds. docs/http.md has the table.
"""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from lsm.server.tokens import Tokens

KIB, MIB = 1 << 10, 1 << 20


class SettingsError(ValueError):
    """The server cannot be run so; the message says what to give instead."""


@dataclass(frozen=True)
class Settings:
    """Everything but the database itself."""

    host: str = "127.0.0.1"
    port: int = 8080
    tokens: Tokens = field(default_factory=Tokens)
    host_names: tuple[str, ...] = ()        # beside loopback names; asked only when there is no token
    sync: bool = False                      # every write as with ?sync=true
    checkpoints: Path | None = None         # where checkpoints may be made; None: nowhere
    certificate: Path | None = None         # TLS
    certificate_key: Path | None = None

    key_bytes: int = 1 * KIB
    value_bytes: int = 1 * MIB
    body_bytes: int = 2 * MIB               # of a batch
    batch_operations: int = 1000
    request_line_bytes: int = 8 * KIB
    header_bytes: int = 16 * KIB
    header_count: int = 100
    connections: int = 1024
    connections_per_peer: int = 64
    pipelined: int = 64                     # requests of one connection that wait for its first one
    in_flight_bytes: int = 64 * MIB         # of bodies and of large answers, all together
    in_flight_bytes_per_peer: int = 32 * MIB
    waiting: int = 4096                     # reads, or writes, that wait for a thread

    head_seconds: float = 5.0               # from its first byte to the end of a request's head
    body_grace_seconds: float = 5.0         # a body may take this long, and then
    body_bytes_per_second: int = 1 * KIB    # must come at least this fast
    idle_seconds: float = 30.0              # a connection without a request
    write_seconds: float = 30.0             # a client that does not read its answer
    answer_seconds: float = 30.0            # a read or write in the store
    stop_seconds: float = 30.0              # what was accepted is finished within

    scan_rows: int = 100_000                # of one answer; then a resume token
    scan_seconds: float = 60.0
    scans: int = 128                        # at once
    chunk_bytes: int = 256 * KIB            # of rows taken at a time
    snapshots: int = 64                     # at once
    snapshot_seconds: float = 3600.0        # the longest lifetime
    jobs_waiting: int = 8
    jobs_kept: int = 100
    wrong_tokens: int = 20                  # of one peer in a minute, then 429

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and value <= 0 and name not in ("port", "sync"):
                raise SettingsError(f"{name} must be more than {value}")
        if 4 * self.key_bytes > self.request_line_bytes:
            raise SettingsError(f"keys of {self.key_bytes:,} bytes, percent-encoded or in a resume token, do not fit in a request "
                                f"line of {self.request_line_bytes:,} bytes: give four times as many")
        largest = max(self.value_bytes, self.body_bytes, self.chunk_bytes)
        if largest > min(self.in_flight_bytes, self.in_flight_bytes_per_peer):
            raise SettingsError(f"no body or chunk of {largest:,} bytes would ever have room: give in_flight_bytes and "
                                "in_flight_bytes_per_peer as many at least")
        if (self.certificate is None) != (self.certificate_key is None):
            raise SettingsError("TLS needs a certificate and its key: give both or none")
        if not self.is_loopback and not self.tokens:
            raise SettingsError(f"{self.host} can be reached by other machines: give a token file (--token-file) or LSM_TOKEN, "
                                "or listen on 127.0.0.1")

    @property
    def is_loopback(self) -> bool:
        """Can only this machine reach it?"""
        return is_loopback(self.host)

    def knows_host(self, header: str) -> bool:
        """Is this the Host of a request that was meant for us? Without tokens it guards against web pages whose name was
        made to lead here (DNS rebinding)."""
        name = host_name(header)
        return is_loopback(name) or name in self.host_names


def is_loopback(host: str) -> bool:
    """A name or address by which only this machine is reached."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """A Host header without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]

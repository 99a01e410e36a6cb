"""Traits: what an engine is good for, as data: `db.traits`. Immutable."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lsm.contract.arguments import KEY_BYTES_MAX, VALUE_BYTES_MAX

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Traits:
    """What an engine can, what it does at a cost one may not expect, and what it refuses.

    engine              its name, as `lsm.open(..., engine=...)` takes it
    durable             what is written is still there after close, kill -9 and, once synced, power loss
    ordered             a scan goes through the keys as they lie, without sorting them first
    keys_in_memory      all keys must fit in memory
    values_in_memory    all values must fit in memory
    key_bytes_max       the longest key; a longer one is a ValueError
    value_bytes_max     the longest value
    weak                operation: what it costs more than elsewhere
    refused             operation: why there is none; it raises NotOfferedError, which names engines that have it

    >>> db.traits.ordered, db.traits.durable
    (True, True)
    """

    engine: str
    durable: bool = True
    ordered: bool = True
    keys_in_memory: bool = False
    values_in_memory: bool = False
    key_bytes_max: int = KEY_BYTES_MAX
    value_bytes_max: int = VALUE_BYTES_MAX
    weak: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    refused: Mapping[str, str] = field(default_factory=lambda: NOTHING)

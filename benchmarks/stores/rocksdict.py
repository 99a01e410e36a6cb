"""RocksDB by rocksdict, in raw mode (bytes are bytes).

Reopening drops the table options, unless they are also given as `column_families`: a cache of 8 MiB and no
filter in use (https://github.com/quixio/quix-streams/issues/1136). So they are, and the size is checked.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from stores.contract import Pair, Store


class Rocksdict(Store):
    name = package = "rocksdict"
    install = "pip install '.[bench]' in the checkout (rocksdict 0.3.29)"

    def open(self) -> None:
        budget, rocksdict = self.budget, self.module
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(budget.memtable_bytes)
        self.compression = "none" if budget.compression == "none" else "lz4"
        options.set_compression_type(getattr(rocksdict.DBCompressionType, self.compression)())
        table = rocksdict.BlockBasedOptions()
        table.set_block_size(budget.block_bytes)
        table.set_block_cache(rocksdict.Cache(budget.cache_bytes))
        table.set_bloom_filter(budget.bloom_bits, False)
        options.set_block_based_table_factory(table)
        self.db = rocksdict.Rdict(self.path, options, column_families={"default": options})
        given = self.db.property_value("rocksdb.block-cache-capacity")
        assert given == str(budget.cache_bytes), f"rocksdict opened with a block cache of {given} bytes"
        if budget.sync:
            durable = rocksdict.WriteOptions()
            durable.sync = True
            self.db.set_write_options(durable)
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete
        self.multi_get = self.db.get  # given a list, it answers a list
        self.flush = self.db.flush

    def describe(self) -> str:
        return f"compression {self.compression}, raw_mode, multiget by get(list)"

    def close(self) -> None:
        self.db.close()

    def compact(self) -> None:
        self.db.flush()
        self.db.compact_range(None, None)

    def batch(self, pairs: Iterable[Pair]) -> None:
        batch = self.module.WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in pairs:
            put(key, value)
        self.db.write(batch)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        return self.db.items(backwards=reverse)

    def keys(self) -> Iterator[bytes]:
        return self.db.keys()

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        row, items = None, self.db.items
        for key in keys:
            for row in islice(items(from_key=key), rows):
                pass
        return row

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        count, items = 0, self.db.items
        for prefix in prefixes:
            for key, value in items(from_key=prefix):
                if not key.startswith(prefix):
                    break
                count += 1
        return count

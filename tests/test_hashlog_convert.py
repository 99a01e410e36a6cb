"""A copy into a hashlog whose name cannot be made durable."""
import errno
import os

import lsm
import pytest
from lsm import conversion, staging


def test_nothing_is_at_the_destination_when_its_name_cannot_be_made_durable(tmp_path, monkeypatch):
    with lsm.open(tmp_path / "source") as db:
        db.put(b"a", b"1")

    class Unsynced(staging.core.Directory):
        def sync(self):
            raise lsm.StorageError(errno.EIO, os.strerror(errno.EIO), self.path)

    give = conversion.give_name

    def failing(*how):
        with monkeypatch.context() as patch:
            patch.setattr(staging.core, "Directory", Unsynced)
            give(*how)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "give_name", failing)
        with pytest.raises(lsm.StorageError):
            lsm.convert(tmp_path / "source", tmp_path / "copy", engine="hashlog")
    assert os.listdir(tmp_path) == ["source"]
    lsm.convert(tmp_path / "source", tmp_path / "copy", engine="hashlog")

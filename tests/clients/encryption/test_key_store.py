import json
import re

import pytest
from omemo.storage import StorageException

from lab.clients.encryption.key_store import FILE, KeyStore
from lab.errors import UserError

ACCOUNT = "alice@a.test"


async def test_values_are_there_for_the_next_process_once_committed(tmp_path):
    folder = tmp_path / "people" / "alice"
    store = KeyStore(ACCOUNT, folder, {})
    await store.store("/a", {"x": [1, None]})
    await store.store_bytes("/b", b"\x00\xff")
    assert not folder.exists()
    store.commit()
    again = KeyStore(ACCOUNT, folder, {})
    assert (await again.load("/a")).from_just() == {"x": [1, None]}
    assert (await again.load_bytes("/b")).from_just() == b"\x00\xff"


async def test_only_the_owner_may_read(tmp_path):
    store = KeyStore(ACCOUNT, tmp_path / "new", {})
    await store.store("/a", 1)
    store.commit()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / FILE).stat().st_mode & 0o777 == 0o600


async def test_deleting_is_kept_too_and_deleting_nothing_writes_nothing(tmp_path):
    store = KeyStore(ACCOUNT, tmp_path, {})
    await store.store("/a", 1)
    store.commit()
    before = (tmp_path / FILE).stat().st_mtime_ns
    await store.delete("/never")
    store.commit()
    assert (tmp_path / FILE).stat().st_mtime_ns == before
    await store.delete("/a")
    store.commit()
    assert (await KeyStore(ACCOUNT, tmp_path, {}).load("/a")).is_nothing


async def test_a_failed_write_leaves_the_file_before_it(tmp_path, monkeypatch):
    store = KeyStore(ACCOUNT, tmp_path, {})
    await store.store("/a", 1)
    store.commit()
    await store.store("/a", 2)

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(OSError, match="no space"):
        store.commit()
    assert (await KeyStore(ACCOUNT, tmp_path, {}).load("/a")).from_just() == 1


async def test_without_a_folder_the_callers_memory_is_used():
    memory = {}
    store = KeyStore(ACCOUNT, None, memory)
    await store.store("/a", 1)
    store.commit()
    assert (await KeyStore(ACCOUNT, None, memory).load("/a")).from_just() == 1


async def test_another_accounts_keys_and_rubbish_are_refused_with_the_path(tmp_path):
    store = KeyStore(ACCOUNT, tmp_path, {})
    await store.store("/a", 1)
    store.commit()
    with pytest.raises(UserError, match=r"does not hold keys of bob@b.test"):
        KeyStore("bob@b.test", tmp_path, {})
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UserError, match=re.escape(FILE)):
        KeyStore(ACCOUNT, tmp_path, {})
    assert not issubclass(UserError, StorageException)

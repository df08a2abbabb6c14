"""Chunks of datasets in a folder or a bucket: what `fsspec` can open, beside or instead of Postgres.

Rule 1: a chunk's name is its SHA-256, so it is written once, and what is read is compared with its name.
Rule 2: a chunk appears whole: on a disk it is written beside and renamed; a bucket's put is whole by itself.
Rule 3: what is not in the store is asked of the one behind it: a store can be moved to while older datasets stay.
"""

from __future__ import annotations

import uuid
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec

from kronos.errors import CorruptHistory, InvalidInput, NotFound, Unavailable
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import BlobHash
from kronos.ports import Blobs

__all__ = ["FolderBlobs"]

_LOCAL: Final = frozenset({"", "file", "local"})


class FolderBlobs:
    """`ports.Blobs` over a folder (`/data/chunks`) or a bucket (`s3://bucket/chunks`, with the driver installed)."""

    def __init__(self, url: str, behind: Blobs | None = None, **options: Any) -> None:
        """Open `url`; raise `InvalidInput` for an unknown kind of store, naming the driver that it needs."""
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise InvalidInput(f"chunks: {url!r} cannot be opened: {error}", field="chunks", value=url) from error
        self._behind, self._url = behind, url
        self._renames = urlsplit(url).scheme in _LOCAL

    def put(self, data: bytes) -> BlobHash:
        """Store `data` and return its hash; raise `Unavailable` when the store refuses."""
        blob = BlobHash(content_hash(data))
        path = self._path(blob)
        try:
            if self._files.exists(path):
                return blob
            self._files.makedirs(self._files._parent(path), exist_ok=True)  # noqa: SLF001 - fsspec's own name for it
            if self._renames:
                beside = f"{path}.{uuid.uuid4().hex}.part"
                self._files.pipe_file(beside, data)
                self._files.mv(beside, path)
            else:
                self._files.pipe_file(path, data)
        except OSError as error:
            raise Unavailable(f"chunk store {self._url} cannot be written: {error}", url=self._url) from error
        return blob

    def get(self, blob: BlobHash) -> bytes:
        """Return the bytes of `blob`; raise `NotFound`, or `CorruptHistory` when they have another hash."""
        try:
            data: bytes = self._files.cat_file(self._path(blob))
        except FileNotFoundError:
            if self._behind is None:
                raise NotFound(f"chunk {blob} is not in {self._url}", blob=blob) from None
            return self._behind.get(blob)
        except OSError as error:
            raise Unavailable(f"chunk store {self._url} cannot be read: {error}", url=self._url) from error
        if content_hash(data) != blob:
            raise CorruptHistory(f"chunk {blob} in {self._url} is damaged: its bytes have another hash", blob=blob)
        return data

    def holds(self, blob: BlobHash) -> bool:
        """Return whether this store itself, not the one behind it, has `blob` undamaged."""
        try:
            return content_hash(self._files.cat_file(self._path(blob))) == blob
        except FileNotFoundError:
            return False

    def _path(self, blob: BlobHash) -> str:
        return f"{self._root.rstrip('/')}/{blob[:2]}/{blob}.parquet"

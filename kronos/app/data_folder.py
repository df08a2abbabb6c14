"""What Kronos keeps in its data folder beside the embedded database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from kronos.settings import Settings

__all__ = ["checkpoint_key", "dataset_cache"]


def dataset_cache(settings: Settings) -> Path:
    """Return the folder of mapped dataset files; it may be deleted at any time."""
    return settings.data_dir / "cache" / "datasets"


def checkpoint_key(settings: Settings) -> bytes:
    """Return the secret that authenticates checkpoints made in this data folder; made on first use, mode 0600."""
    path = settings.data_dir / "checkpoint.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    key = secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key

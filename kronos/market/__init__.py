"""Market data: files become immutable datasets named by content hash; datasets open as mapped columns.

Rule: importing this package costs nothing: each name is fetched from its home when it is first used.  Who asks for one
      room of it, as a store of chunks, imports neither numpy and pyarrow nor the trading runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kronos.market.bringing import BringOptions, Importer
    from kronos.market.catalog import Catalog
    from kronos.market.dataset import Dataset, Manifest
    from kronos.market.importing import ImportOptions
    from kronos.market.sample import SYMBOLS, import_sample
    from kronos.market.strategies import find_strategy, load_strategy

__all__ = [
    "SYMBOLS", "BringOptions", "Catalog", "Dataset", "ImportOptions", "Importer", "Manifest",
    "find_strategy", "import_sample", "load_strategy",
]  # fmt: skip

_HOMES = {
    "SYMBOLS": "sample",
    "BringOptions": "bringing",
    "Catalog": "catalog",
    "Dataset": "dataset",
    "ImportOptions": "importing",
    "Importer": "bringing",
    "Manifest": "dataset",
    "find_strategy": "strategies",
    "import_sample": "sample",
    "load_strategy": "strategies",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kronos.market' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"kronos.market.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)

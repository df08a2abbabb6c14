"""Market data: files become immutable datasets named by content hash; datasets open as mapped columns."""

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

"""Judges a database by code that did not write it."""

from kronos.app.fsck.check import Fsck, reading_connection
from kronos.app.fsck.finding import MEANINGS, Finding

__all__ = ["MEANINGS", "Finding", "Fsck", "reading_connection"]

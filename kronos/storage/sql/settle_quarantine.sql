-- A file that was held back became a dataset.
UPDATE kronos.quarantine SET settled_at = kronos.now() WHERE sha256 = %(sha256)s AND settled_at IS NULL

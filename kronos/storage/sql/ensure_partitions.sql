-- Make the weekly partitions ahead of time; any worker may, at any time.
SELECT kronos.ensure_partitions()

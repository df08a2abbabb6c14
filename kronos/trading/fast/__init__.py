"""Compiled search and folding over long streams: int64 in, int64 out, no floats.

Rule 1: nothing here decides: each function finds the row that could matter or sums up the rows that cannot.
Rule 2: each equals a plain Python oracle in property tests; a wake may be early, never late.
Rule 3: imported only when a stream is met that needs it: the compiler takes half a second to load; what it made is kept
        in the project's own cache folders.
"""

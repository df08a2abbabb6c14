"""Where steps execute: threads, one event loop, and child processes, behind one facade."""

"""The bottom of the house: canonical encoding, hashes, ids.  Pure: no clock, no random, no I/O."""

"""`python -m kronos`: the same as `kronos`."""

import sys

from kronos.cli import main

main(sys.argv[1:])

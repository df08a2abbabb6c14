"""The command line: the same services as everywhere, from a terminal.

Rule 1: data goes to standard output, everything else to standard error; `--json` prints one JSON document.
Rule 2: a mistake of the user's is one clear line, never a traceback, and so is a file that cannot be read or written.
        Exit codes: 0 done, 1 failed, 2 usage.
Rule 3: nothing heavy is imported before a command needs it: `kronos --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    from kronos.cli.commands import app
    from kronos.cli.output import exit_code_of, print_error
    from kronos.errors import KronosError

    if "" not in sys.path:
        sys.path.insert(0, "")  # the user's workflows are named as modules of the folder that they stand in
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="kronos")
    except KronosError as error:
        print_error(error.message)
        sys.exit(exit_code_of(error))
    except OSError as error:
        if error.filename is None:
            raise
        print_error(f"{error.filename}: {error.strerror}; name another file or folder")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)

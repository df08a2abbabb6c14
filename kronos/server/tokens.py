"""The one token of local mode: who can read the data folder may use the server.

Rule 1: the file is readable by its owner alone, from the moment it exists.
Rule 2: two processes that start at once agree on one token: the first to link its file wins.
Rule 3: tokens are compared in constant time; a browser holds a word derived from the token, never the token itself.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from kronos.errors import Unavailable

__all__ = ["TOKEN_FILE", "Secrets", "read_or_create"]

TOKEN_FILE: Final = "token"  # noqa: S105 - a name, not a secret
TOKEN_LENGTH_MIN: Final = 16


def read_or_create(data_dir: Path) -> str:
    """Return the token of `data_dir`, making it on first use; raise `Unavailable` where that cannot be."""
    path = data_dir / TOKEN_FILE
    try:
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path)
        token = path.read_text().strip()
    except OSError as error:
        raise Unavailable(
            f"the token {path} cannot be read ({error.strerror}): check KRONOS_DATA_DIR and its owner", file=str(path)
        ) from None
    if len(token) < TOKEN_LENGTH_MIN:
        raise Unavailable(f"the token {path} is damaged: remove the file, and a new one is made", file=str(path))
    return token


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"kr_{secrets.token_urlsafe(32)}\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first; its token holds
    finally:
        draft.unlink()


class Secrets:
    """What the token is good for: the bearer itself, a browser's login, and its CSRF word."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.login = _derive(token, "login")
        self.csrf = _derive(token, "csrf")
        # Cookies are shared by all ports of a host: two servers on one machine must not log each other out.
        self.cookie = f"kronos_{_derive(token, 'cookie')[:8]}"

    def is_token(self, given: str) -> bool:
        return _equal(given, self._token)

    def is_bearer(self, authorization: str) -> bool:
        """Whether a header or metadata value is `Bearer TOKEN`."""
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.is_token(given.strip())

    def is_login(self, given: str) -> bool:
        return _equal(given, self.login)

    def is_csrf(self, given: str) -> bool:
        return _equal(given, self.csrf)


def _derive(token: str, purpose: str) -> str:
    return hmac.new(token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())

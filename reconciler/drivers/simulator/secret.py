"""Digests of passwords: enough to tell whether another one is the same."""

from __future__ import annotations

import hashlib

_ROUNDS = 1_000


def digest(password: str, *opens: str) -> str:
    """The digest of a password; ``opens`` says what it is for, so that equal passwords have different digests."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), "/".join(opens).encode(), _ROUNDS).hex()

"""What is kept of a password: enough to tell whether another one is the same."""

from __future__ import annotations

import hashlib

_ROUNDS = 1_000


def digest(password: str, *opens: str) -> str:
    """The trace of a password; ``opens`` says of what, so that equal passwords leave different traces."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), "/".join(opens).encode(), _ROUNDS).hex()

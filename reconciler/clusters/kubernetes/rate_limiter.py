"""How fast requests may be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable


class RateLimiter:
    """A bucket of ``burst`` tokens that fills at ``rate`` a second; ``wait`` says how long to wait when it is empty."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate, self._burst, self._monotonic = rate, float(burst), monotonic
        self._tokens, self._at = float(burst), monotonic()
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Take a token; the seconds to wait before it may be used."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)

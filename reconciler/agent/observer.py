"""What an agent reports of its work to the process it runs in, for metrics."""

from __future__ import annotations


class Observer:
    """Called as things happen; does nothing unless a subclass does. Parameters are never passed: they may be secret.

    ``operation`` is the lifecycle key, or ``unknown`` for one that is not in the catalogue.
    """

    def claimed(self, kind: str, operation: str) -> None:
        """An operation was claimed and is about to run."""

    def ended(self, kind: str, operation: str, outcome: str, seconds: float) -> None:
        """``outcome``: ``done``, ``failed``, or ``unknown`` when it could not be written back."""

    def recovered(self, kind: str, operation: str) -> None:
        """The claim of an agent that died was found and reported."""

    def restarted(self) -> None:
        """The watch was started again."""

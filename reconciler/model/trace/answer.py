"""What is answered: whether a flow passes, why, and what each rule on its way did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.trace.flow import Flow
from reconciler.model.trace.topology import Port, Rule


class Verdict(StrEnum):
    """Whether packets pass. Unknown: what is described or shown does not say."""

    ALLOWED = "allowed"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules of a port do with a packet. ``rule`` is the one that decides; None where none matches."""

    port: Port
    direction: str  # ``from`` its machine, or ``to`` it
    verdict: Verdict
    rule: Rule | None = None
    reason: str = ""  # why it is not known
    is_reply: bool = False  # the packet comes back from the host that was asked


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a flow passes, and why: a sentence without its full stop.

    ``decider`` is the decision that makes it so, if one does; ``assumed`` is what holds outside of what is described.
    """

    flow: Flow
    verdict: Verdict
    reason: str
    decisions: tuple[Decision, ...] = ()
    decider: Decision | None = None
    assumed: str = ""

    @property
    def rule(self) -> Rule | None:
        """The rule that decides, if one does."""
        return self.decider.rule if self.decider is not None else None

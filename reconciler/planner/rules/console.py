"""The console of a machine, and an account inside its guest."""

from __future__ import annotations

from reconciler.model.kinds import MACHINE
from reconciler.planner.phase import Phase
from reconciler.planner.rules.rule import CONFIG, ChangeKind, Make, Rule, RuleContext, guest_runs, key, live, text


def _redefines_console(case: RuleContext) -> bool:
    """Whether the whole console is defined once more: another type, or a password that only the definition can hold."""
    desired, seen = case.desired["graphics"], case.seen.get("graphics", {})
    return bool(desired["type"] != seen.get("type") or desired["type"] == "spice")


def _asks(case: RuleContext) -> bool:
    """Whether the running console asks for a password. Only one that does takes another one while it runs."""
    return "passwordFrom" in case.live.get("graphics", {})


def _starts_or_stops_asking(case: RuleContext) -> bool:
    return case.running and ("passwordFrom" in case.desired["graphics"]) != _asks(case)


_GUEST: dict[str, Make] = {
    "os_type": lambda case: str(case.desired["guest"].get("osType", "linux")),
    "user": lambda case: str(case.desired["guest"]["user"]),
}

CHANGE: tuple[Rule, ...] = (
    Rule(
        kind=MACHINE,
        fields=("graphics.type", "graphics.passwordFrom"),
        operation="UpdateGraphic",
        phase=Phase.CONSOLE,
        parameters={
            "type": text("graphics", "type"),
            "password": lambda case: case.desired["graphics"].get("passwordFrom"),
            "no_password": lambda case: None if "passwordFrom" in case.desired["graphics"] else True,
        },
        when=_redefines_console,
        next_start=guest_runs,
    ),
    Rule(
        kind=MACHINE,
        fields=("graphics.passwordFrom",),
        operation="SetVncPassword",
        phase=Phase.CONSOLE,
        parameters={
            "password": lambda case: case.desired["graphics"]["passwordFrom"],
            "live": lambda case: None if _starts_or_stops_asking(case) else live(case),
            **CONFIG,
        },
        when=lambda case: not _redefines_console(case) and "passwordFrom" in case.desired["graphics"],
        next_start=_starts_or_stops_asking,
    ),
    Rule(
        kind=MACHINE,
        fields=("graphics.passwordFrom",),
        operation="UnsetVncPassword",
        phase=Phase.CONSOLE,
        parameters={**CONFIG},
        when=lambda case: not _redefines_console(case) and "passwordFrom" not in case.desired["graphics"],
        next_start=guest_runs,
    ),
    Rule(
        kind=MACHINE,
        fields=("guest.passwordFrom",),
        operation="SetGuestPassword",
        phase=Phase.GUEST_ACCOUNT,
        parameters={**_GUEST, "password": lambda case: case.desired["guest"]["passwordFrom"]},
    ),
    Rule(
        kind=MACHINE,
        fields=("guest.sshKeys.*",),
        operation="InjectSshKey",
        phase=Phase.GUEST_ACCOUNT,
        parameters={**_GUEST, "ssh_key": key},
        on=frozenset({ChangeKind.ADDED}),
    ),
)

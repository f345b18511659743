"""The console of a machine."""

from __future__ import annotations

from reconciler.catalogue.common import (
    CONFIG,
    CURRENT,
    FORCE,
    LIVE,
    PERSISTENT,
    UNKNOWN_KEY,
    choice,
    flag,
    password,
)
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Operation, Parameter, Verb
from reconciler.model.kinds import MACHINE

_CONSOLE_PASSWORD = password("Password of the console.")

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "SetVncPassword", "1.31", Verb.UPDATE,
        "Set the password of the VNC console; a running one takes another, and cannot begin to ask for one.",
        (CURRENT, PERSISTENT, LIVE, CONFIG, FORCE, _CONSOLE_PASSWORD),
        needs=(EXISTS, "the console is vnc"),
        leaves="the console asks for the password",
        fields=("graphics.passwordFrom",),
        running=Impact.LIVE,
        deprecated=True,
    ),
    Operation(
        MACHINE, "UnsetVncPassword", "1.32", Verb.UPDATE,
        "Drop the password of the VNC console; a running one that asks for it cannot stop.",
        (CURRENT, PERSISTENT, LIVE, CONFIG, FORCE),
        needs=(EXISTS, "the console is vnc"),
        leaves="the console asks for no password",
        fields=("graphics.passwordFrom",),
        running=Impact.LIVE,
        deprecated=True,
    ),
    Operation(
        MACHINE, "UpdateGraphic", "1.54", Verb.UPDATE,
        "Change the console of a VM; takes effect at the next start.",
        (
            Parameter(
                "password",
                "New password of the console.",
                pattern=_CONSOLE_PASSWORD.pattern,
                form=_CONSOLE_PASSWORD.form,
                excludes=("no_password",),
                secret=True,
                example="horse-12",
                limits=_CONSOLE_PASSWORD.limits,
            ),
            flag("no_password", "Drop the password.", excludes=("password",)),
            choice("type", "New console.", ("vnc", "spice")),
        ),
        needs=(EXISTS,),
        leaves="the definition has the console",
        fields=("graphics.type", "graphics.passwordFrom"),
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on

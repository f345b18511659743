"""An account inside the guest of a machine."""

from __future__ import annotations

from reconciler.catalogue.common import SHORT_USER, UNKNOWN_KEY, USER, choice, password, text
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

_OS_TYPE = choice("os_type", "Family of the guest system.", ("linux", "windows"))
_USER = text("user", "Account inside the guest.", USER, "root", limits=(SHORT_USER,))

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "SetGuestPassword", "1.33", Verb.UPDATE,
        "Set the password of an account inside the guest.",
        (_OS_TYPE, _USER, password("New password of the account.")),
        needs=(EXISTS, "the guest has the account"),
        leaves="the account has the password",
        fields=("guest.passwordFrom",),
        running=Impact.LIVE,
        univirt="always fails",
    ),
    Operation(
        MACHINE, "InjectSshKey", "1.34", Verb.UPDATE,
        "Let the owner of an SSH key log in to the guest.",
        (
            _OS_TYPE,
            _USER,
            text(
                "ssh_key",
                "Public key, as in an authorized_keys file.",
                r"[0-9A-Za-z][0-9A-Za-z +/@=._-]*",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKsEbH3dXN0x root@node22",
            ),
        ),
        needs=(EXISTS, "the guest has the account"),
        leaves="the account accepts the key",
        fields=("guest.sshKeys",),
        running=Impact.LIVE,
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on

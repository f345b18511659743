"""Power: start, stop, pause, reset; what a machine boots from and whether it is kept up."""

from __future__ import annotations

from reconciler.catalogue.common import TARGET, UNKNOWN_KEY, document_form, flag, text
from reconciler.catalogue.machine.state import EXISTS, RUNNING, STOPPED
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "SuspendVM", "1.3", Verb.UPDATE,
        "Pause a running VM; its memory is kept.",
        needs=(RUNNING,),
        leaves="the VM is paused",
        fields=("powerState",),
        running=Impact.INTERRUPT,
    ),
    Operation(
        MACHINE, "StopVMForce", "1.4", Verb.UPDATE,
        "Cut the power of a VM. Taken even while another operation runs.",
        needs=(EXISTS,),
        leaves=STOPPED,
        fields=("powerState",),
        running=Impact.RESTART,
        forces=True,
    ),
    Operation(
        MACHINE, "ResumeVM", "1.10", Verb.UPDATE,
        "Let a paused VM go on.",
        needs=("the VM is paused",),
        leaves=RUNNING,
        fields=("powerState",),
        running=Impact.LIVE,
    ),
    Operation(
        MACHINE, "ResetVM", "1.13", Verb.UPDATE,
        "Press the reset button. Taken even while another operation runs.",
        needs=(RUNNING,),
        leaves=RUNNING,
        running=Impact.RESTART,
        forces=True,
    ),
    Operation(
        MACHINE, "StopVM", "1.15", Verb.UPDATE,
        "Ask the guest to shut down; a broken guest may never do so.",
        needs=(RUNNING,),
        leaves=STOPPED,
        fields=("powerState",),
        running=Impact.RESTART,
    ),
    Operation(
        MACHINE, "StartVM", "1.16", Verb.UPDATE, "Start a VM.", needs=(STOPPED,), leaves=RUNNING, fields=("powerState",)
    ),
    Operation(
        MACHINE, "RebootVM", "1.18", Verb.UPDATE,
        "Ask the guest to reboot.",
        needs=(RUNNING,),
        leaves=RUNNING,
        running=Impact.RESTART,
    ),
    Operation(
        MACHINE, "SetBootOrder", "1.30", Verb.UPDATE,
        "Set what a VM boots from; takes effect at the next start.",
        (
            text(
                "order",
                "Devices, separated by commas.",
                rf"{TARGET}(?:,{TARGET})*",
                "vda,sda",
                limits=(document_form(r"[vhs]d[a-z](?:,[vhs]d[a-z])*", "names with one letter: vda, hda, sda"),),
            ),
        ),
        needs=(EXISTS, "the VM has the devices"),
        leaves="the definition has the boot order",
        fields=("bootOrder",),
    ),
    Operation(
        MACHINE, "AutoStartVM", "1.55", Verb.UPDATE,
        "Keep a VM up: start it again when its node comes back.",
        (flag("disable", "No longer do so."),),
        needs=(EXISTS,),
        leaves="the VM is kept up, or no longer",
        fields=("autostart",),
        univirt=f"{UNKNOWN_KEY}; the label ha does it",
    ),
)
# fmt: on

"""What a switch does for the NIC of a machine: floating IPs, access rules and limits."""

from __future__ import annotations

from reconciler.catalogue.common import (
    ALTERNATIVES,
    FASTEST_LINE,
    HIGHEST_PRIORITY,
    IPV4,
    PLAIN_SETS,
    SWITCH,
    UNKNOWN_KEY,
    UNSEEN,
    VM_MAC,
    choice,
    client,
    client_form,
    direction,
    document,
    match,
    name,
    number,
    text,
)
from reconciler.catalogue.operation import Impact, Limit, Operation, Parameter, Unit, Verb
from reconciler.model.kinds import MACHINE

_ON_SWITCH = "the VM's NIC is on the switch"
_ACTION = choice("operator", "What happens to a packet that matches.", ("allow", "drop"))
_ACL_PRIORITY = number(
    "priority", "Higher ones are tried first.", 0, HIGHEST_PRIORITY, "100", required=False, limits=(document(1, 999),)
)


def _acl_rule(*limits: Limit, required: bool = True) -> Parameter:
    doc = "Match, in single quotes; one space on each side of '=='."
    return match(doc, "'ip4.src == $dmz && tcp.dst == 3306'", *limits, required=required)


def _qos_rule(*limits: Limit) -> Parameter:
    return match("Traffic that counts, in single quotes: 'ip', 'ip4', 'icmp' and the like.", "'ip4'", *limits)


def _qos_priority(*, required: bool = False) -> Parameter:
    limits = (client(0, 29_999),)
    return number(
        "priority", "Higher ones are tried first.", 0, HIGHEST_PRIORITY, "100", required=required, limits=limits
    )


_ACL = (SWITCH, VM_MAC, direction(), _acl_rule(ALTERNATIVES, PLAIN_SETS), _ACTION, _ACL_PRIORITY)

_QOS = (
    SWITCH,
    direction(),
    _qos_rule(PLAIN_SETS),
    number(
        "rate",
        "Rate that is held.",
        0,
        FASTEST_LINE,
        "10000",
        Unit.KBPS,
        limits=(document(0, 1_000_000), client(0, 999_999)),
    ),
    number(
        "burst",
        "What may pass on top for a moment.",
        0,
        FASTEST_LINE,
        "100",
        Unit.KBPS,
        limits=(document(0, 100_000), client(0, 99_999)),
    ),
    _qos_priority(),
)

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "BindFloatingIP", "1.36", Verb.UPDATE,
        "Make a VM reachable under an outside address.",
        (
            SWITCH,
            name("outSwName", "Switch to the outside.", "ext-net"),
            text(
                "fip",
                "Outside address and prefix length, 1 to 32.",
                rf"{IPV4}/(?:[1-9]|[12][0-9]|3[0-2])",
                "10.10.0.9/24",
                limits=(client_form(rf"{IPV4}/(?:[1-9]|[12][0-9]|30)", "a prefix length from 1 to 30"),),
            ),
        ),
        needs=(_ON_SWITCH, "the outside switch exists", "the address is free"),
        leaves="the outside address leads to the VM",
        fields=("nics.floatingIP",),
        running=Impact.LIVE,
        univirt="wants vmmac too: fails without it",
    ),
    Operation(
        MACHINE, "UnbindFloatingIP", "1.37", Verb.UPDATE,
        "Take the outside address away from a VM.",
        (
            SWITCH,
            VM_MAC,
            text("fip", "Outside address, without prefix length.", IPV4, "10.10.0.9"),
            text("vmip", "The VM's own address.", IPV4, "192.168.5.9"),
        ),
        needs=("the address is bound to the VM",),
        leaves="the outside address is free",
        fields=("nics.floatingIP",),
        running=Impact.INTERRUPT,
        univirt=UNSEEN,
    ),
    Operation(
        MACHINE, "AddACL", "1.38", Verb.UPDATE,
        "Allow or drop packets of a VM.",
        _ACL,
        needs=(_ON_SWITCH,),
        leaves="the switch has the rule",
        fields=("nics.acls",),
        running=Impact.INTERRUPT,
        univirt=UNSEEN,
    ),
    Operation(
        MACHINE, "ModifyACL", "1.39", Verb.UPDATE,
        "Change what happens to packets that a rule matches.",
        _ACL,
        needs=(_ON_SWITCH, "the rule exists"),
        leaves="the switch has the rule",
        fields=("nics.acls",),
        running=Impact.INTERRUPT,
        univirt=f"{UNSEEN}; only the action can change: it deletes the rule by its new match and priority",
    ),
    Operation(
        MACHINE, "DeprecatedACL", "1.40", Verb.UPDATE,
        "Delete a rule. Without type, rule and priority all rules of the NIC may go.",
        (SWITCH, VM_MAC, direction(required=False), _acl_rule(required=False), _ACL_PRIORITY),
        needs=(_ON_SWITCH, "the rule exists"),
        leaves="the switch no longer has the rule",
        fields=("nics.acls",),
        running=Impact.INTERRUPT,
        univirt=f"{UNSEEN}; it fails without type and rule",
    ),
    Operation(
        MACHINE, "BatchDeprecatedACL", "1.41", Verb.UPDATE,
        "Delete several rules. It carries nothing itself: DeprecatedACL is sent once for each rule.",
        needs=(_ON_SWITCH,),
        leaves="the switch no longer has the rules",
        fields=("nics.acls",),
        running=Impact.INTERRUPT,
        univirt=f"{UNKNOWN_KEY}; DeprecatedACL does it",
    ),
    Operation(
        MACHINE, "SetQoS", "1.42", Verb.UPDATE,
        "Limit the traffic of a switch that matches a rule.",
        _QOS,
        needs=("the switch exists",),
        leaves="the switch has the limit",
        fields=("nics.qosRules",),
        running=Impact.INTERRUPT,
        univirt=UNSEEN,
    ),
    Operation(
        MACHINE, "ModifyQoS", "1.43", Verb.UPDATE,
        "Change a limit of a switch.",
        _QOS,
        needs=("the switch has the limit",),
        leaves="the switch has the new limit",
        fields=("nics.qosRules",),
        running=Impact.INTERRUPT,
        univirt=f"{UNSEEN}; only rate and burst can change",
    ),
    Operation(
        MACHINE, "UnsetQoS", "1.44", Verb.UPDATE,
        "Delete a limit of a switch.",
        (SWITCH, direction(), _qos_rule(), _qos_priority(required=True), VM_MAC),
        needs=("the switch has the limit",),
        leaves="the switch no longer has the limit",
        fields=("nics.qosRules",),
        running=Impact.LIVE,
        univirt=UNSEEN,
    ),
)
# fmt: on

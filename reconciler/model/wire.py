"""The names on the wire: what clients, agents and this program read and write on ``doslab.io/v1`` resources.

The names without ``gitops.doslab.io/`` are those of the existing back end (wire format, section by section below);
the others are this program's own. Every module takes a name from here, so that reader and writer agree.
"""

from __future__ import annotations

import re

WIRE_API_VERSION = "doslab.io/v1"
"""The API version of the resources (wire format 1.1)."""

OWN_AGENT, UNIVIRT = AGENTS = "reconcile", "uni-virt"
"""The agents that may serve a node: that of this program, and the existing back end."""

LABEL_HOST = "host"
LABEL_EVENT = "eventId"
LABEL_HOST_SDK = "kubestack.label.host"
LABEL_EVENT_SDK = "kubestack.label.event.id"
"""Labels of the back end (wire format 2.2): the node that serves a resource, and the id of the operation that was
submitted last, which its Events repeat. The ``_SDK`` ones are what an older generation of clients writes."""

LABEL_HA = "ha"
"""Label of the back end (wire format 3.7): whatever its value, the back end starts the machine again when it stops."""

LABEL_STACK = "gitops.doslab.io/stack"
LABEL_PROTECT = "gitops.doslab.io/protect"
LABEL_JOURNAL = "gitops.doslab.io/journal"
"""Labels of this program: the stack that owns a resource; ``"true"`` on what is never deleted, whatever manifests
say; and, on a ConfigMap, the stack whose journal it holds."""

PRIVATE_LABEL = re.compile(
    rf"({LABEL_HOST}|{LABEL_EVENT})\Z|kubestack\.label\.|gitops\.doslab\.io/(?!{LABEL_PROTECT.partition('/')[2]}\Z)"
)
"""Labels that route, report or own, whatever manifests say; what else there is, somebody wants there."""

ANNOTATION_APPLIED = "gitops.doslab.io/last-applied"
ANNOTATION_PENDING = "gitops.doslab.io/pending-restart"
"""Annotations of this program, JSON objects: what was last applied of the fields that the API never shows (wire format
5.9), and what was written for the guest's next start."""

ANNOTATION_ANNOUNCEMENT = "gitops.doslab.io/announcement"
"""Annotation on the lease of a node: what the driver of its agent carries out (``observe.capabilities``)."""

LIFECYCLE = "lifecycle"
CLAIM = "claimed"
NEXT_START = "nextStart"
MISSING = "missing"
PAUSED_BY = "pausedBy"
SETTINGS = "settings"
"""Keys of ``spec`` beside what is observed. ``lifecycle`` (wire format 2.1) holds the operation that waits to be picked
up; ``claimed`` the operation that our agent is carrying out, gone when it writes the result; ``nextStart`` the elements
of the persistent configuration of a running guest that differ from its live one; ``missing``, true where our agent has
seen that the node no longer has what it had, though no operation deleted it; ``pausedBy`` why a guest is paused that
nobody paused, as a text: an I/O error; ``settings`` what our agent sees of fields that the API never shows, in the
declared shape (``{"switch": {"mtu": 1400}}``), null for one that it sees is not set. Of those that it does not name,
what was applied last is all that is known."""

AGENT_CHANNEL = "org.qemu.guest_agent.0"
"""The name of the channel to the QEMU guest agent, among ``domain.devices.channel`` (wire format 5.1). While the guest
runs, its target has a state: ``connected`` as long as the agent has the channel open in the guest."""

EVENT_NORMAL = "Normal"
EVENT_WARNING = "Warning"
"""Types of Events (wire format 4.1): the operation succeeded, or it failed."""

EVENT_DOING = "Doing"
EVENT_DONE = "Done"
EVENT_IGNORED = "Ignored"
EVENT_LOST = "Lost"
EVENT_EXISTED = "Existed"
"""What the note of an Event says of its operation (wire format 4.1): begun, ended, or one of several at once that is
not carried out. Two are our agent's own words: ``Lost``, the agent that carried it out died, and how far it came is not
known; ``Existed``, the node had what was to be created, though the cluster did not show it."""

STATUS_READY = "Ready"
"""The reason in the status of a resource of which nothing is wrong, unless it is a machine (wire format 4.2)."""

"""A row of the table of fields: all facts about one field of the manifests of a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FieldType(StrEnum):
    """The type of the value of a field, in manifests and in the declared shape."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    SIZE = "size"  # a Kubernetes quantity in manifests, bytes in shapes
    RATE = "rate"  # the same a second
    NAME = "name"  # of another resource
    SECRET = "secret"  # where a secret is; its value is never in a manifest
    MAPPING = "mapping"
    LIST = "list"


class Visibility(StrEnum):
    """How the API shows the value that a resource has."""

    EXACTLY = "exactly"
    ROUNDED = "rounded"  # as a text of two digits and a unit (wire format 5.2)
    NEVER = "never"  # it is compared with what was last applied, if that is known (wire format 5.9)


class Removal(StrEnum):
    """What follows when a field that was applied is no longer declared."""

    REFUSED = "refused"  # the manifest is not valid without it, or only with another one in its place
    DEFAULT = "default"  # its default holds again, and is kept
    RESET = "reset"  # it is given the value of ``reset``, by the operation that changes it
    UNDONE = "undone"  # a rule of its own takes it away
    BELOW = "below"  # of a mapping: what each field in it says
    STAYS = "stays"  # nothing takes it away: plans say so, and what people can do (``to_remove``)
    CREATION = "creation"  # it said how to create the resource, and nothing follows from it afterwards
    INSTRUCTION = "instruction"  # it tells the planner how to act, which follows the default or nothing from then on


Implied = Callable[[Any, dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """One field that manifests of a kind may declare.

    What holds for a field that is never shown or not compared holds for all below it. The schemas say besides which
    values are allowed, and describe the field to people; the rules of the planner say which operation changes it.
    """

    name: str  # dotted; ``*`` stands for every element of a list: ``disks.*.cache``
    type: FieldType

    default: Any = None  # the value that leaving it out means
    default_in_shape: bool = False  # the shape has the default where nothing is declared: it is applied and kept
    default_at_creation: bool = False  # the default is what creation gives; what is observed later is left as it is
    unmanaged: Any = None  # the value that means: left as it is once it was created. The shape does not have it
    aliases: tuple[tuple[str, str], ...] = ()  # other words that manifests may use for a value, and the value
    refers_to: str = ""  # the kind of the resource that a name is of
    names_sets: bool = False  # it is the match of a rule, in which ``$dmz`` is the address set ``dmz``
    # Of a list: the fields that tell its elements apart. Empty if elements are texts, None if they have no identity.
    identity: tuple[str, ...] | None = None

    shown: Visibility = Visibility.EXACTLY
    always: bool = False
    """Of one that is never shown: each resource has a value, so where none is known its note is lost."""
    remembered: bool = False  # noted in the last-applied annotation although the API shows it, or nobody could
    label: str = ""  # of a boolean right below spec: the label whose presence says it; a run writes it, no operation
    wire_name: str = ""  # what the element of the observed resource, and the parameter of the operation, is called

    compared: bool = True  # false: it tells the planner how to act, and nothing on the cluster answers to it
    removed: Removal = Removal.REFUSED  # what follows when it is no longer declared
    reset: Any = None  # the value that it is given then
    to_remove: str = ""  # what people do to be rid of a value that stays
    replaces: bool = False  # a part cannot be given another value in place: it is removed, and added with the new one
    lost_with: str = ""  # the list whose parts it names: one that is replaced does not bring it along
    at_start: bool = False  # a running guest has another value only after its next start; a part that replaces, too
    live_up_to: str = ""  # the field that limits what a running guest can be given; more takes its next start

    # Whether a value, in the mapping it is in, is what the platform gives where nothing is declared.
    implied: Implied | None = None
    recovered: bool = False  # import can tell it from other things that the API shows
    required_by_import: bool = False  # import does not leave it out where the schema does not accept what is observed
    unknown_because: str = ""  # why import cannot tell it; ``{path}`` is the file of the part it is in

    advice: str = ""  # what to say to people where no operation can make a change

    path: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple(self.name.split(".")))

    @property
    def taken_back(self) -> bool:
        """Whether a rule undoes what it asked for when it is no longer declared: nobody else sets it."""
        return self.removed is Removal.UNDONE

    @property
    def recorded(self) -> bool:
        """Whether its value is noted when it is applied, so that a later plan knows that it was declared."""
        return self.removed in (Removal.RESET, Removal.STAYS)

    @property
    def is_quantity(self) -> bool:
        """Whether it is a number of bytes that people write as a quantity: ``20Gi``."""
        return self.type in (FieldType.SIZE, FieldType.RATE)


def equal(value: Any) -> Implied:
    """A predicate: the field has this value."""
    return lambda found, _: bool(found == value)


def deletion_policy_row(default: str) -> Field:
    """The row of ``deletionPolicy``: remembered, as a resource is deleted when its manifest is gone."""
    return Field(
        "deletionPolicy",
        FieldType.TEXT,
        default=default,
        compared=False,
        remembered=True,
        removed=Removal.INSTRUCTION,
    )

"""What rows of the catalogue share: patterns, and parameters that many operations take.

Values end up on a command line of the node, so the patterns are closed: they list what may be there.
All are matched whole with ``re.ASCII`` and take linear time in Python's ``re``, whatever the text: no
repetition here can match the same text in two ways. Constructors make a required parameter unless told
otherwise; flags are optional, as nearly all of them are.
"""

from __future__ import annotations

import re

from reconciler.catalogue.operation import Limit, LimitSource, Parameter, Unit

# A label of a resource name cannot start or end with a dash, or be empty: Kubernetes refuses those.
NAME = r"(?=.{4,100}\Z)[a-z0-9]+(?:(?:-+|\.)[a-z0-9]+)*"
NAMES = r"[a-z0-9]+(?:[.-]+[a-z0-9]+)*(?:,[a-z0-9]+(?:[.-]+[a-z0-9]+)*)*"
BRIDGE = NIC = r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}"  # no interface of Linux has a longer name
PASSWORD = r"[A-Za-z0-9._@%+=:/-]{1,128}"
PASSWORD_FORM = "1 to 128 letters, digits and . _ @ % + = : / -"
USER = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
TARGET = r"[vhs]d[a-z]{1,2}"
OS_VARIANT = r"[a-z0-9][a-z0-9.-]*"

MOST_CPUS = 4096  # of QEMU
MOST_MEMORY = 2**46  # bytes that a guest can address unless its processor says otherwise
LARGEST_DISK = 2**50  # bytes; more than any format of a disk's file has room for
FASTEST_DISK = 10**15  # a second, bytes or operations: what QEMU counts up to
FASTEST_LINE = 2**32 - 1  # a second, KiB or kilobits: what the kernel and OVN count up to
HIGHEST_PRIORITY = 32_767  # of a rule of OVN

# Capitals and underscores are in real file names. '.' and '..' are refused by check().
ANY_PATH = r"(?:/[A-Za-z0-9._-]+)+"
ROOTED_PATH = r"/(?:var/lib/libvirt|mnt/(?:localfs|usb))" + ANY_PATH
ROOTS = ("/var/lib/libvirt", "/mnt/localfs", "/mnt/usb")  # as in the pattern above
# Directories that are the node's own, with all that is in them.
SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr")
ROOTS_FORM = "below /var/lib/libvirt, /mnt/localfs or /mnt/usb"
PATH = r"(?=.{18,1024}\Z)" + ROOTED_PATH
PATH_FORM = f"a file {ROOTS_FORM}, 18 to 1024 characters"
DEVICE_PATH = r"/dev(?:/[A-Za-z0-9._:+-]+)+"
DEVICE_PLACES = ("/dev/disk/by-id", "/dev/disk/by-path", "/dev/mapper")  # where names of devices last
DISK_PATH = rf"(?:{PATH}|{DEVICE_PATH})"
DISK_PATH_FORM = f"{PATH_FORM}, or a device in /dev"

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HEX = r"[0-9A-Fa-f]{1,4}"
IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
IPV6 = "|".join(
    (
        rf"(?:{_HEX}:){{7}}{_HEX}",
        *(rf"(?:{_HEX}:){{1,{7 - after}}}(?::{_HEX}){{1,{after}}}" for after in range(1, 7)),
        rf"(?:{_HEX}:){{1,7}}:",
        rf":(?::{_HEX}){{1,7}}",
        "::",
    )
)
IP = rf"(?:{IPV4}|{IPV6})"
# In lists only the shape: exact IPv6 repeated would backtrack. check() reads every address of them.
IP_SHAPE = r"[0-9A-Fa-f:]+(?:\.[0-9]+){0,3}"
MAC = r"(?!fe)[0-9a-f]{2}(?::[0-9a-f]{2}){5}"

# Travels in single quotes. ' --' would end the value and begin another option.
RULE = r"(?!.* --)'[A-Za-z0-9.,:/{}()\[\]$&=<>|!@_ -]{2,1024}'"

FILE_POOLS = ("localfs", "vdiskfs", "nfs", "glusterfs")
POOLS = (*FILE_POOLS, "uus")
TEXT_BOOLEANS = ("true", "false", "True", "False")

# How uni-virt treats what it cannot do. A clause that starts with "works, but" leaves the operation usable.
UNKNOWN_KEY = "unknown key: the node stops watching the whole kind"
DOES_NOTHING = "reports success and does nothing"
UNSEEN = "works, but the resource does not show it"


def document(minimum: int, maximum: int) -> Limit:
    """The range that the API's document gives where more makes sense."""
    return Limit(LimitSource.DOCUMENT, minimum, maximum)


def document_form(pattern: str, said: str) -> Limit:
    """What the API's document says that a text looks like, where more makes sense."""
    return Limit(LimitSource.DOCUMENT, pattern=pattern, said=said)


def client(minimum: int, maximum: int) -> Limit:
    """The range that the pattern of the Java client lets through."""
    return Limit(LimitSource.CLIENT, minimum, maximum)


def client_form(pattern: str, said: str) -> Limit:
    """What the pattern of the Java client lets through."""
    return Limit(LimitSource.CLIENT, pattern=pattern, said=said)


def back_end(*enum: str) -> Limit:
    """The choices that the existing back end carries out."""
    return Limit(LimitSource.BACK_END, enum=enum)


def back_end_form(pattern: str, said: str) -> Limit:
    """What a text must look like for the existing back end to carry out what it means."""
    return Limit(LimitSource.BACK_END, pattern=pattern, said=said)


ONE_LETTER = document_form(r"[vhs]d[a-z]", "a name with one letter: vda to vdz, hda, sda")
SHORT_PASSWORD = document_form(r"[a-z0-9.-]{4,16}", "4 to 16 lower-case letters, digits, '-' and '.'")
SHORT_USER = document_form(r"[a-z0-9.-]{4,100}", "4 to 100 lower-case letters, digits, '-' and '.'")
SHORT_BRIDGE = document_form(r"[a-z0-9][a-z0-9-]{2,11}", "3 to 12 lower-case letters, digits and '-'")
SHORT_NIC = document_form(r"[a-z0-9][a-z0-9.-]{2,11}", "3 to 12 lower-case letters, digits, '-' and '.'")
# It writes && before the match of an access rule, and names of sets as they are. OVN cannot read what comes of others,
# and leaves the rule out without a word.
ALTERNATIVES = back_end_form(
    r"'(?:[^|()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*'", "a match with each || in parentheses"
)
PLAIN_SETS = back_end_form(
    r"(?:[^$]|\$[A-Za-z_.][A-Za-z0-9_.]*(?![A-Za-z0-9_.-]))*",
    "a match with no '-', and no digit first, in names of sets",
)
PLAIN_RULE = client_form(r"(?!.* --)'[a-z0-9.,/{}()$&=<>| -]{2,200}'", "2 to 200 characters without '!' and capitals")


def flag(name: str, doc: str, *, required: bool = False, excludes: tuple[str, ...] = ()) -> Parameter:
    """A switch: a JSON boolean, optional unless told otherwise."""
    return Parameter(name, doc, "boolean", required, excludes=excludes)


def text(
    name: str,
    doc: str,
    pattern: str,
    example: str,
    *,
    required: bool = True,
    form: str = "",
    limits: tuple[Limit, ...] = (),
) -> Parameter:
    """A text that a pattern describes whole, and ``form`` in words."""
    return Parameter(name, doc, required=required, pattern=pattern, form=form, example=example, limits=limits)


def target(name: str, doc: str, example: str) -> Parameter:
    """A disk or drive by its device name inside the guest."""
    return text(name, doc, TARGET, example, limits=(ONE_LETTER,))


def name(name: str, doc: str, example: str, *, required: bool = True) -> Parameter:
    """The name of a resource."""
    return Parameter(name, doc, required=required, pattern=NAME, example=example)


def is_rooted(file: str) -> bool:
    """Whether a file is below one of the folders that operations may use."""
    return re.fullmatch(ROOTED_PATH, file, re.ASCII) is not None


def system_directory(file: str) -> str:
    """The directory of the node's own system that a path is in; empty for none, as far as the path itself tells."""
    return next((each for each in SYSTEM if file == each or file.startswith(f"{each}/")), "")


def is_out_of_reach(directory: str) -> bool:
    """Whether operations may use no file in a directory of the node; what is no directory of it is not."""
    return directory.startswith("/") and not is_rooted(f"{directory.rstrip('/')}/file")


def path(name: str, doc: str, example: str, *, required: bool = True) -> Parameter:
    """A file on the node, below one of the folders that operations may use."""
    return Parameter(name, doc, required=required, pattern=PATH, form=PATH_FORM, example=example)


def ip(name: str, doc: str, example: str, *, required: bool = True) -> Parameter:
    """An IPv4 or IPv6 address."""
    return Parameter(name, doc, required=required, pattern=IP, example=example)


def mac(name: str, doc: str, *, required: bool = True) -> Parameter:
    """A MAC address in lower case."""
    return Parameter(name, doc, required=required, pattern=MAC, example="52:54:00:0a:00:01")


def choice(
    name: str,
    doc: str,
    enum: tuple[str, ...],
    example: str = "",
    *,
    required: bool = True,
    limits: tuple[Limit, ...] = (),
) -> Parameter:
    """One of several texts; the example is the first unless given."""
    return Parameter(name, doc, required=required, enum=enum, example=example or enum[0], limits=limits)


def number(
    name: str,
    doc: str,
    minimum: int,
    maximum: int,
    example: str,
    unit: Unit | None = None,
    *,
    required: bool = True,
    excludes: tuple[str, ...] = (),
    limits: tuple[Limit, ...] = (),
) -> Parameter:
    """A whole number as text, from ``minimum`` to ``maximum``, both included, in ``unit``."""
    return Parameter(
        name,
        doc,
        required=required,
        unit=unit,
        minimum=minimum,
        maximum=maximum,
        excludes=excludes,
        example=example,
        limits=limits,
    )


# Where a change of a VM goes.
CURRENT = flag("current", "Change the VM as it is now: its running state, or its definition when it is off.")
PERSISTENT = flag("persistent", "Keep the change: running state and definition together.")
CONFIG = flag("config", "Write the change to the definition; without it the next start forgets it.")
LIVE = flag("live", "Change the running VM at once.")
FORCE = flag("force", "Go ahead where the hypervisor would rather not.")


def disk_type(types: tuple[str, ...] = FILE_POOLS, *, required: bool = True) -> Parameter:
    """The type of the pool that a disk is in."""
    return choice("type", "Kind of storage behind the pool.", types, required=required)


DISK_POOL = name("pool", "Pool the disk is in.", "vmd-pool")
TARGET_POOL = name("targetPool", "Pool that receives the result.", "image-pool")
DISK_FORMAT = choice("format", "Format of the disk's file; qcow2 is the only one.", ("qcow2",))


def _disk_limit(name: str, doc: str, documented: int, unit: Unit, *excludes: str) -> Parameter:
    example = "104857600" if unit is Unit.BYTES_PER_SECOND else "40000"
    limits = (document(0, documented),)
    return number(name, doc, 0, FASTEST_DISK, example, unit, required=False, excludes=excludes, limits=limits)


# A total and its parts are two ways to say it: the hypervisor takes one of them.
DISK_LIMITS = (
    _disk_limit(
        "total_bytes_sec",
        "Most bytes a second, read and written together.",
        9_999_999_999,
        Unit.BYTES_PER_SECOND,
        "read_bytes_sec",
        "write_bytes_sec",
    ),
    _disk_limit("read_bytes_sec", "Most bytes read a second.", 9_999_999_999, Unit.BYTES_PER_SECOND, "total_bytes_sec"),
    _disk_limit(
        "write_bytes_sec", "Most bytes written a second.", 9_999_999_999, Unit.BYTES_PER_SECOND, "total_bytes_sec"
    ),
    _disk_limit(
        "total_iops_sec",
        "Most operations a second, reads and writes together.",
        9_999_999_999,
        Unit.IOPS,
        "read_iops_sec",
        "write_iops_sec",
    ),
    _disk_limit("read_iops_sec", "Most reads a second.", 99_999, Unit.IOPS, "total_iops_sec"),
    _disk_limit("write_iops_sec", "Most writes a second.", 99_999, Unit.IOPS, "total_iops_sec"),
)


def _line_limit(name: str, doc: str) -> Parameter:
    limits = (document(0, 99_999_999),)
    return number(name, doc, 0, FASTEST_LINE, "102400", Unit.KIB_PER_SECOND, required=False, limits=limits)


INBOUND = _line_limit("inbound", "Most that reaches the VM.")
OUTBOUND = _line_limit("outbound", "Most that leaves the VM.")


def password(doc: str) -> Parameter:
    """A secret text."""
    return Parameter(
        "password",
        doc,
        required=True,
        pattern=PASSWORD,
        form=PASSWORD_FORM,
        secret=True,
        example="horse-12",
        limits=(SHORT_PASSWORD,),
    )


BACKUP_POOL = name("pool", "Pool that holds the backup.", "backup-pool")
BACKUP_VERSION = name("version", "Name of the backup record.", "v20261123")
BACKUP_VERSIONS = text(
    "version", "Backup records to drop, separated by commas.", NAMES, "v20261122,v20261123", required=False
)
BACKUP_ALL = flag("all", "All disks of the VM, not just the system disk.")
CLEAN_ALL = flag("all", "Every record, instead of those named in version.")
BACKUP_FULL = flag("full", "A full backup, not an increment.")
RESTORE_ALL = flag("all", "All disks of the record; each must still be attached to the VM.")
RESTORE_NAME = name("newname", "Restore into a new VM of this name.", "web-2", required=False)
RESTORE_TARGET = name("target", "Pool for the disks of the new VM.", "vmd-pool", required=False)


def one_disk(doc: str, *, required: bool = False) -> Parameter:
    """A disk by its name, where an operation may be about one disk only."""
    return name("vol", doc, "web-1-data", required=required)


def remote(*, required: bool) -> tuple[Parameter, ...]:
    """The FTP host of remote backups. Where it is optional, all four are given or none."""
    rows = (
        ("remote", "Address of the FTP host.", IP, "172.16.1.214"),
        ("port", "Port of the FTP host.", "", "21"),
        ("username", "User on the FTP host.", USER, "ftpuser"),
        ("password", "Password on the FTP host.", PASSWORD, "horse-12"),
    )
    names = tuple(row[0] for row in rows)
    return tuple(
        Parameter(
            name,
            doc,
            required=required,
            pattern=pattern,
            minimum=1 if name == "port" else None,
            maximum=65_535 if name == "port" else None,
            needs=() if required else tuple(other for other in names if other != name),
            secret=name == "password",
            form=PASSWORD_FORM if name == "password" else "",
            example=example,
        )
        for name, doc, pattern, example in rows
    )


# Access rules and limits of a switch.
SWITCH = name("swName", "Switch the VM is on.", "web-net")
VM_MAC = mac("vmmac", "MAC address of the VM's NIC.")


def direction(*, required: bool = True) -> Parameter:
    """The direction of the packets that a rule of a switch is about."""
    return choice("type", "Packets from the VM, or to it.", ("from", "to"), required=required)


def match(doc: str, example: str, *limits: Limit, required: bool = True) -> Parameter:
    """The packets that a rule of a switch is about, in the single quotes that the API expects."""
    return text("rule", doc, RULE, example, required=required, limits=(PLAIN_RULE, *limits))


def vlan(name: str = "vlan", doc: str = "VLAN id.", *, required: bool = True) -> Parameter:
    """A VLAN id."""
    return number(name, doc, 0, 4094, "100", required=required)

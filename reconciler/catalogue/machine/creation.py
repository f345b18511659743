"""How a machine comes, is copied, becomes an image, and goes."""

from __future__ import annotations

from reconciler.catalogue.common import (
    ANY_PATH,
    IP,
    MAC,
    OS_VARIANT,
    PASSWORD,
    PASSWORD_FORM,
    ROOTED_PATH,
    TARGET_POOL,
    TEXT_BOOLEANS,
    UNKNOWN_KEY,
    choice,
    client_form,
    document_form,
    flag,
    mac,
    name,
    path,
    text,
)
from reconciler.catalogue.machine.nic import BRIDGE_NAME, MODEL, ON_A_BRIDGE, OTHER_MODEL
from reconciler.catalogue.machine.state import EXISTS, STOPPED
from reconciler.catalogue.operation import Impact, Limit, LimitSource, Operation, Parameter, Unit, Verb
from reconciler.model.kinds import MACHINE

_SOURCE = r"(?:/[A-Za-z0-9._:+-]+)+"  # a file, or a device: links to these are named by addresses, too
_OPTIONS = r"(?:,[a-z_]+=[A-Za-z0-9._:/+@-]+)*"

_NETWORK = (
    rf"type=(?:(?:(?:l2)?bridge|network),source={BRIDGE_NAME}"
    rf"|l3bridge,source={BRIDGE_NAME}(?:,ip={IP})?(?:,switch={BRIDGE_NAME})?)"
    rf"(?:,model={MODEL})?(?:,inbound=[0-9]{{1,10}})?(?:,outbound=[0-9]{{1,10}})?(?:,mac={MAC})?"
)


def _vcpus(number: str) -> str:
    """The pattern of ``vcpus`` whose numbers look like this."""
    return (
        rf"{number}(?:,cpuset=[0-9]{{1,4}}(?:[,-][0-9]{{1,4}})*)?"
        rf",maxvcpus={number},cores={number},sockets={number},threads={number}"
    )


def _memory(number: str) -> str:
    return rf"{number}(?:,maxmemory={number})?"


# It is required by the document only, and there is no word for none.
_REQUIRED = Limit(LimitSource.DOCUMENT, required=True)

_CREATE = (
    text(
        "metadata",
        "Mark for the VM: its UUID.",
        r"uuid=[0-9a-z][0-9a-z.-]{11,35}",
        "uuid=950646e8-c17a-49d0-b83c-1c797811e001",
        required=False,
    ),
    choice("livecd", "Whether the installation medium is a live CD.", TEXT_BOOLEANS, required=False),
    Parameter(
        "graphics",
        "Console and its password: vnc or spice.",
        required=True,
        pattern=rf"(?:vnc|spice),listen={IP}(?:,password={PASSWORD})?",
        form=f"vnc or spice, listen= with an address, and a password of {PASSWORD_FORM}",
        secret=True,
        example="vnc,listen=0.0.0.0,password=horse-12",
        limits=(
            document_form(
                r"(?:vnc|spice),listen=0\.0\.0\.0(?:,password=[a-z0-9.-]{4,16})?",
                "a console that listens on 0.0.0.0, its password 4 to 16 lower-case letters, digits, '-' and '.'",
            ),
        ),
    ),
    text(
        "disk",
        "Disks and CD-ROMs: a path and its options each, joined by ' --disk '. Rates are bytes a second.",
        rf"{_SOURCE}{_OPTIONS}(?: --disk {_SOURCE}{_OPTIONS})*",
        "/var/lib/libvirt/vmd/web-1,target=vda --disk /var/lib/libvirt/iso/d12.iso,device=cdrom,perms=ro",
        required=False,
        limits=(
            _REQUIRED,
            document_form(r"(?!.*,target=[a-z]{4}).*", "disks with names of one letter: vda, hda, sda"),
            document_form(
                r"(?!.*,(?:read|write)_iops_sec=[0-9]{6})(?!.*_sec=[0-9]{11}).*",
                "disks with limits up to 9999999999, of reads and writes up to 99999",
            ),
        ),
    ),
    Parameter(
        "memory",
        "Memory. ',maxmemory=' and the maximum may follow; uni-virt is not sent it.",
        required=True,
        pattern=_memory("[1-9][0-9]{0,7}"),
        unit=Unit.MIB,
        example="2048",
        limits=(document_form(_memory("[1-9][0-9]{2,4}"), "100 to 99999 MiB"),),
    ),
    text(
        "network",
        "The NIC, in this order: type, source, ip, switch, model, inbound, outbound, mac. "
        "ip and switch are for l3bridge; limits are KiB/s.",
        _NETWORK,
        "type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,inbound=102400,mac=52:54:00:0a:00:01",
        required=False,
        limits=(_REQUIRED, ON_A_BRIDGE),
    ),
    choice(
        "virt_type",
        "Hypervisor; qemu emulates the processor.",
        ("kvm", "qemu", "xen"),
        required=False,
        limits=(Limit(LimitSource.DOCUMENT, enum=("kvm", "xen")),),
    ),
    choice(
        "boot",
        "What to boot from.",
        ("hd", "cdrom", "hd,cdrom", "network"),
        required=False,
        limits=(Limit(LimitSource.DOCUMENT, enum=("hd", "cdrom", "hd,cdrom")),),
    ),
    text(
        "redirdev",
        "A USB device served over the network.",
        r"[a-z0-9]+,type=[a-z0-9]+,server=[A-Za-z0-9.-]+:[0-9]{1,5}",
        "usb,type=tcp,server=192.168.1.1:4000",
        required=False,
    ),
    text("os_variant", "Guest system, by its osinfo id.", OS_VARIANT, "debian12"),
    text(
        "vcpus",
        "CPUs: count, physical CPUs they are bound to, and maximum, which is cores x sockets x threads.",
        _vcpus("[1-9][0-9]{0,3}"),
        "2,cpuset=1-4,maxvcpus=4,cores=4,sockets=1,threads=1",
        limits=(client_form(_vcpus("[1-9][0-9]?"), "1 to 99 of each"),),
    ),
    path(
        "cdrom",
        "Image in the CD-ROM drive until the next restart.",
        "/var/lib/libvirt/iso/debian12.iso",
        required=False,
    ),
    text(
        "cputune",
        "CPU tuning, in virt-install's words.",
        r"[a-z0-9_.]+=[A-Za-z0-9_.^-]+(?:,[a-z0-9_.]+=[A-Za-z0-9_.^-]+)*",
        "vcpupin0.vcpu=0",
        required=False,
    ),
    Parameter("noautoconsole", "Do not wait for a console; always true.", "boolean", True, enum=(True,)),
)

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "CreateAndStartVMFromISO", "1.1", Verb.CREATE,
        "Create a VM, boot it from an ISO image or its disks, and let it run.",
        _CREATE,
        needs=("its disks and ISO images exist", "its network exists"),
        leaves="the VM is running",
        fields=("metadata",),
        univirt_ignores=(("network", OTHER_MODEL),),
    ),
    Operation(
        MACHINE, "CreateAndStartVMFromImage", "1.2", Verb.CREATE,
        "Create a VM from a VM image and let it run; disk names the image's disk.",
        _CREATE,
        needs=("the VM image exists", "its disks exist", "its network exists"),
        leaves="the VM is running",
        fields=("metadata", "from"),
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "DeleteVM", "1.17", Verb.UPDATE,
        "Remove a VM. Its disks stay unless named.",
        (
            flag("snapshots_metadata", "Forget its snapshots too; with snapshots left it fails."),
            flag("remove_all_storage", "Delete the storage of its snapshots too."),
            text(
                "storage",
                "Disks to delete along with it: targets or paths, separated by commas.",
                r"[A-Za-z0-9._/-]+(?:,[A-Za-z0-9._/-]+)*",
                "vda,/var/lib/libvirt/vmd/web-1",
                required=False,
            ),
            flag("nvram", "Delete its NVRAM too; needed on ARM."),
        ),
        needs=(STOPPED,),
        leaves="the VM is gone",
        fields=("metadata",),
        running=Impact.RECREATE,
        stopped=Impact.RECREATE,
    ),
    Operation(
        MACHINE, "UpdateOS", "1.21", Verb.UPDATE,
        "Replace the system disk of a VM with a template; what was on it is lost.",
        (
            path("source", "The disk file that is replaced.", "/var/lib/libvirt/vmd/web-1/web-1"),
            path("target", "The template it becomes a copy of.", "/var/lib/libvirt/image/debian12.qcow2"),
        ),
        needs=(STOPPED, "the template exists"),
        leaves="the disk is a copy of the template",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt="always fails",
    ),
    Operation(
        MACHINE, "ConvertVMToImage", "1.22", Verb.UPDATE,
        "Turn a VM into a VM image.",
        (TARGET_POOL,),
        needs=(EXISTS, "the pool is active"),
        leaves="the VM image exists",
        running=Impact.RECREATE,
        stopped=Impact.RECREATE,
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        MACHINE, "CloneVM", "1.26", Verb.UPDATE,
        "Copy a VM.",
        (
            name("name", "Name of the copy.", "web-2"),
            text(
                "file",
                "Files for the disks of the copy, joined by ' --file '.",
                rf"{ROOTED_PATH}(?: --file {ROOTED_PATH})*",
                "/var/lib/libvirt/vmd/web-2 --file /var/lib/libvirt/vmd/web-2-data",
                required=False,
            ),
            flag("preserve_data", "Use the files as they are, copy nothing."),
            mac("mac", "MAC address of the copy.", required=False),
            flag("nonsparse", "Write the copies out in full."),
            flag("auto_clone", "Make up name and files from the original's."),
        ),
        needs=(EXISTS,),
        leaves="a VM of the new name exists",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "ExportVM", "1.45", Verb.UPDATE,
        "Write a VM to files.",
        (text("path", "Directory on the node for the files.", ANY_PATH, "/root/export"),),
        needs=(EXISTS,),
        leaves="the files are in the directory",
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on

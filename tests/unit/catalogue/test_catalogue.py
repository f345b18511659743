"""The catalogue is complete and consistent, and its check lets nothing through that it should not."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import replace

import pytest

from reconciler.catalogue import OPERATIONS, Impact, Operation, Parameter, Verb, by_key, check, find, nearest
from reconciler.catalogue.common import IP, IP_SHAPE

MACHINE = "VirtualMachine"
POOL = "VirtualMachinePool"
NETWORK = "VirtualMachineNetwork"

# kind: (operations, parameters), as the API counts them
COUNTS = {
    "VirtualMachine": (55, 260),
    "VirtualMachineImage": (3, 3),
    "VirtualMachineDisk": (12, 38),
    "VirtualMachineDiskImage": (3, 5),
    "VirtualMachineDiskSnapshot": (3, 14),
    "VirtualMachineSnapshot": (5, 12),
    "VirtualMachinePool": (17, 76),
    "VirtualMachineNetwork": (12, 34),
}

FIELDS = {
    "VirtualMachine": {
        "powerState", "nodeName", "cpu.count", "cpu.max", "memory.size", "memory.max", "disks", "disks.qos",
        "cdroms", "nics", "nics.qos", "nics.acls", "nics.floatingIP", "nics.qosRules", "graphics.type",
        "graphics.passwordFrom", "bootOrder", "autostart", "guest.sshKeys", "guest.passwordFrom", "devices",
        "passthrough", "usbRedirection", "from",
        "VirtualMachineDisk.capacity", "metadata",
    },
    "VirtualMachineImage": {"metadata"},
    "VirtualMachineDisk": {"capacity", "pool", "from", "snapshots", "cloudInit", "metadata"},
    "VirtualMachineDiskImage": {"from", "metadata"},
    "VirtualMachineDiskSnapshot": {"metadata"},
    "VirtualMachineSnapshot": {"metadata"},
    "VirtualMachinePool": {"state", "autostart", "metadata"},
    "VirtualMachineNetwork": {"switch", "bridge.vlan", "VirtualMachine.nics.vlan", "addresses", "metadata"},
}  # fmt: skip

ON_REQUEST = {
    "RebootVM", "ResetVM", "ConvertVMToImage", "CloneVM", "ExportVM", "BackupVM", "RestoreVM",
    "DeleteRemoteBackup", "PullRemoteBackup", "PushRemoteBackup", "DeleteVMBackup", "ConvertImageToVM",
    "RevertDiskInternalSnapshot", "BackupDisk", "RevertDiskExternalSnapshot", "RevertVirtualMachine",
    "CopySnapshot", "MergeSnapshot", "ShowPool", "RestoreVMBackup", "CleanVMBackup", "CleanVMRemoteBackup",
    "ScanVMBackup", "RestoreDisk", "DeleteVMDiskBackup", "DeleteRemoteBackupServer",
    "UpdateOS", "MigrateVMDisk",
}  # fmt: skip

PARAMETERS = [(operation, parameter) for operation in OPERATIONS for parameter in operation.parameters]

# What a call needs beyond its required parameters and their examples.
EXTRA: dict[str, dict[str, object]] = {
    "ManageISO": {"eject": False, "insert": True, "update": False},
    "CleanVMBackup": {"all": True},
    "CleanVMRemoteBackup": {"version": "v20261122,v20261123"},
}

every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda operation: f"{operation.section}-{operation.name}"
)


def valid(operation: Operation, **more: object) -> dict[str, object]:
    """The smallest call of an operation that may be sent."""
    required: dict[str, object] = {row.name: sample(row) for row in operation.parameters if row.required}
    return required | EXTRA.get(operation.name, {}) | more


def sample(row: Parameter) -> object:
    return True if row.type == "boolean" else row.example


def alone(row: Parameter) -> Operation:
    """An operation with one parameter: what check() says is about the parameter alone."""
    return Operation("Some", "Thing", "0.1", Verb.UPDATE, "", (replace(row, required=False, needs=(), excludes=()),))


def test_the_catalogue_has_all_operations_of_every_kind() -> None:
    operations = Counter(operation.kind for operation in OPERATIONS)
    parameters = Counter(operation.kind for operation, _ in PARAMETERS)
    assert {kind: (operations[kind], parameters[kind]) for kind in operations} == COUNTS
    assert (len(OPERATIONS), len(PARAMETERS)) == (110, 442)


def test_names_keys_and_sections_are_unique_within_a_kind() -> None:
    for attribute in ("name", "key"):
        keys = [(operation.kind, getattr(operation, attribute)) for operation in OPERATIONS]
        assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[A-Z][A-Za-z]+", operation.name) for operation in OPERATIONS)


def test_sections_are_in_order_and_without_gaps() -> None:
    sections = [tuple(map(int, operation.section.split("."))) for operation in OPERATIONS]
    chapters = enumerate(COUNTS.values(), 1)
    assert sections == [(chapter, number) for chapter, (count, _) in chapters for number in range(1, count + 1)]


@every_operation
def test_a_row_says_what_it_does_and_leaves(operation: Operation) -> None:
    assert operation.doc.endswith(".")
    assert operation.leaves
    assert not operation.leaves.endswith(".")
    assert all(clause and not clause.endswith(".") for clause in operation.needs)
    assert not operation.univirt.endswith(".")
    names = [row.name for row in operation.parameters]
    assert len(set(names)) == len(names)


# Where an operation works on uni-virt with a caveat that no column of its row enforces: why nothing goes wrong there.
HARMLESS = {
    "UnplugDisk": "a failure that the resource does not show is none: the next plan is empty",
    "DeletePool": "it is deleted with the impact data all the same, and what stays is a directory",
    "ModifyACL": "direction, match and priority are the identity of a rule: only its action changes",
    "DeprecatedACL": "all of its parameters are always sent",
    "ModifyQoS": "direction, match and priority are the identity of a limit: only rate and burst change",
    "ResizeDisk": "a disk is only told to grow",
    **dict.fromkeys(("UnbindFloatingIP", "AddACL", "SetQoS", "UnsetQoS"), "no agent shows the fields that move them"),
}


@every_operation
def test_what_uni_virt_does_not_do_as_documented_is_enforced_or_known_to_be_harmless(operation: Operation) -> None:
    caveat = operation.univirt.startswith("works, but")
    columns = [name for name in Operation.__slots__ if name.startswith("univirt_") and name != "univirt_names"]
    enforced = [name for name in columns if getattr(operation, name)]
    if not enforced:
        assert caveat == (operation.name in HARMLESS), operation.univirt
    else:
        assert operation.name not in HARMLESS


@every_operation
def test_a_row_is_moved_by_fields_or_runs_on_request(operation: Operation) -> None:
    assert set(operation.fields) <= FIELDS[operation.kind]
    assert (not operation.fields) == (operation.name in ON_REQUEST)


def test_every_field_moves_some_operation() -> None:
    moved = {(operation.kind, field) for operation in OPERATIONS for field in operation.fields}
    assert moved == {(kind, field) for kind, fields in FIELDS.items() for field in fields}


@every_operation
def test_creating_is_harmless_and_destroying_is_not(operation: Operation) -> None:
    if operation.verb is Verb.CREATE:
        # A snapshot of a running machine is of its memory, too: it pauses.
        allowed = {Impact.NONE, Impact.LIVE} | ({Impact.INTERRUPT} if operation.name == "CreateSnapshot" else set())
        assert operation.running in allowed
        assert operation.stopped is Impact.NONE
    destroys = ("Revert", "Restore", "Clean", "UpdateOS", "DeleteDisk", "DeleteSnapshot", "DeleteVMDisk")
    if operation.name.startswith(destroys) or ("Backup" in operation.name and "Delete" in operation.name):
        assert operation.running is operation.stopped is Impact.DATA


@pytest.mark.parametrize(("operation", "row"), PARAMETERS, ids=[f"{of.section}-{row.name}" for of, row in PARAMETERS])
def test_a_parameter_is_documented_and_closed(operation: Operation, row: Parameter) -> None:
    assert row.doc.endswith(".")
    assert row.type in ("string", "boolean")
    others = {other.name for other in operation.parameters} - {row.name}
    assert set(row.excludes) <= others
    assert set(row.needs) <= others
    for other in operation.parameters:
        if other.name in row.excludes:
            assert row.name in other.excludes
    if row.type == "boolean":
        assert (row.pattern, row.example, row.minimum) == ("", "", None)
        return
    # Exactly one thing says what the text may be, so nothing is open.
    assert [bool(row.enum), bool(row.pattern), row.minimum is not None].count(True) == 1
    assert (row.minimum is None) == (row.maximum is None)
    re.compile(row.pattern, re.ASCII)
    assert check(alone(row), {row.name: row.example}) == []
    assert ("password" in row.name.lower()) <= row.secret


# What a parameter is documented to carry.
DOCUMENTED = {
    "rule": "$|&<>() !",
    "migratedisks": ";",
    "ssh_key": " ",
    "userData": "`$;|&<>\n'\"\\*?() #~!\u202d",
}


@pytest.mark.parametrize(
    ("row", "character"),
    [
        (row, character)
        for row in {(row.name, row.pattern): row for _, row in PARAMETERS if row.type == "string"}.values()
        for character in "`$;|&<>\n'\"\\\x00\x1b\x7f\x85\u202d*?() #~!"
        if character not in DOCUMENTED.get(row.name, "")
    ],
    ids=lambda value: value.name if isinstance(value, Parameter) else ascii(value),
)
def test_no_character_of_a_shell_gets_through(row: Parameter, character: str) -> None:
    middle = len(row.example) // 2
    for value in (
        row.example + character,
        character + row.example,
        f"{row.example[:middle]}{character}{row.example[middle:]}",
    ):
        assert check(alone(row), {row.name: value}), value


@every_operation
def test_a_valid_call_passes_and_an_unknown_parameter_does_not(operation: Operation) -> None:
    call = valid(operation, **({} if operation.name != "CreatePool" else {"type": "localfs"}))
    assert check(operation, call) == []
    assert any("surprise is not a parameter" in problem for problem in check(operation, call | {"surprise": "1"}))
    for row in operation.parameters:
        if row.required:
            without = {name: value for name, value in call.items() if name != row.name}
            assert any(f"{row.name} is missing" in problem for problem in check(operation, without))


def test_no_pattern_backtracks_without_end() -> None:
    """Nested quantifiers would take longer than anyone lives on these; a linear pattern does not notice."""
    pumps = ("a", "0", "/a", "a.", "a-", "1.", "1:", ":", "a,", "a=a,", "1.1.1.1,", "::1 ", "vda,", "'", " --disk /a",
             "/.", "a:", "1::1,", "1..1 ", "ip ")  # fmt: skip
    for pattern, example in {row.pattern: row.example for _, row in PARAMETERS if row.pattern}.items():
        compiled = re.compile(pattern, re.ASCII)
        for pump in pumps:
            for start in ("", example, example + ","):
                matched = compiled.fullmatch(start + pump * 2000 + "\x00")
                assert matched is None or "#cloud-config" in pattern  # free text goes on as it likes


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "255.255.255.255", "256.1.1.1", "01.1.1.1", "1.1.1", "::", "::1", "fe80::1", "1::",
     "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2::7:8", "1::2::3", "1:2:3", "g::1",
     "12345::", ":1", "1:2:3:4:5:6:7:8:9"],
)  # fmt: skip
def test_an_address_is_what_the_standard_library_takes_for_one(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        assert not re.fullmatch(IP, address, re.ASCII)
    else:
        assert re.fullmatch(IP, address, re.ASCII)
        assert re.fullmatch(IP_SHAPE, address, re.ASCII)


def test_find_and_by_key_know_the_nearest_names() -> None:
    assert find(MACHINE, "StartVM") is by_key(MACHINE, "startVM")
    assert find(MACHINE, "DeleteVMBackup") is not find(POOL, "DeleteVMBackup")
    assert nearest(MACHINE, "startvm")[0] == "StartVM"
    with pytest.raises(KeyError, match="no operation StratVM; nearest: StartVM"):
        find(MACHINE, "StratVM")
    with pytest.raises(KeyError, match="VirtualMachineGPU has no operation startVM"):
        by_key("VirtualMachineGPU", "startVM")
    with pytest.raises(KeyError):
        by_key(MACHINE, "StartVM")


QOS = "TuneDiskQoS"


@pytest.mark.parametrize(
    ("kind", "name", "more", "message"),
    [
        (MACHINE, "SuspendVM", {"force": True}, "force is not a parameter"),
        (MACHINE, "StopVM", {"mode": None}, "mode is not a parameter"),
        (MACHINE, "UnplugDisk", {"traget": "vda"}, "traget is not a parameter; did you mean target?"),
        (MACHINE, "UnplugDisk", {"live": "true"}, "live must be true or false"),
        (MACHINE, "UnplugDisk", {"live": 1}, "live must be true or false"),
        (MACHINE, "UnplugDisk", {"target": None}, "target must be text"),
        (MACHINE, "ResizeRAM", {"size": 2097152}, "size must be text, not 2097152; numbers are sent as text"),
        (MACHINE, "ResizeRAM", {"size": "2Gi"}, "whole number from 1024 to 68719476736 KiB"),
        (MACHINE, "ResizeRAM", {"size": "02097152"}, "whole number"),
        (MACHINE, "ResizeRAM", {"size": "٢٠٩٧١٥٢"}, "whole number"),
        (MACHINE, "ResizeRAM", {"size": "1023"}, "whole number from 1024"),
        (MACHINE, "ResizeVM", {"size": "1099511627777"}, "to 1099511627776 KiB"),
        (MACHINE, "CreateAndStartVMFromISO", {"noautoconsole": False}, "noautoconsole must be true"),
        (MACHINE, "CreateAndStartVMFromISO", {"livecd": True}, "livecd must be text"),
        (MACHINE, "CreateAndStartVMFromISO", {"vcpus": "2,maxvcpus=4,cores=2,sockets=1,threads=1"}, "maxvcpus must be"),
        (MACHINE, "CreateAndStartVMFromISO", {"vcpus": "5,maxvcpus=4,cores=4,sockets=1,threads=1"}, "5 is more than"),
        (MACHINE, "CreateAndStartVMFromISO",
         {"vcpus": "2,maxvcpus=5000,cores=5000,sockets=1,threads=1"}, "5000 is more than 4096"),
        (MACHINE, "CreateAndStartVMFromISO", {"vcpus": "2"}, "vcpus does not have the right form"),
        (MACHINE, "CreateAndStartVMFromISO", {"disk": "/var/lib/libvirt/../../etc/passwd"}, "as part of a path"),
        (MACHINE, "CreateAndStartVMFromISO", {"disk": "/a/b --import"}, "disk does not have the right form"),
        (MACHINE, "ChangeNumberOfCPU", {"maximum": True}, "maximum needs cores, sockets, threads as well"),
        (MACHINE, "ChangeNumberOfCPU",
         {"maximum": True, "count": "8", "cores": "2", "sockets": "2", "threads": "1"}, "count must be cores x"),
        (MACHINE, "PlugDisk", {"source": "/etc/passwd"}, "source does not have the right form"),
        (MACHINE, "PlugDisk", {"source": "/dev/../etc/passwd"}, "as part of a path"),
        (MACHINE, "PlugDisk", {"source": "/var/lib/libvirt/./vmd/x"}, "as part of a path"),
        (MACHINE, "PlugDisk", {"source": "/var/lib/libvirt/a" + "a" * 1024}, "source does not have the right form"),
        (MACHINE, "PlugDisk", {"source": "/var/lib/libvirt/a" + "a" * 5000}, "source is longer than 4096"),
        (MACHINE, "PlugDisk", {"source": "/var/lib/libvirt/a`id`"}, "source must not contain '`'"),
        (MACHINE, "PlugDisk", {"target": "vdb\n"}, r"target must not contain '\n'"),
        (MACHINE, QOS, {"total_bytes_sec": "1", "read_bytes_sec": "1"}, "exclude each other"),
        (MACHINE, QOS, {"total_iops_sec": "1", "write_iops_sec": "1"}, "exclude each other"),
        (MACHINE, QOS, {"read_iops_sec": "1000000000000001"}, "to 1000000000000000 operations/s"),
        (MACHINE, "TuneNICQoS", {"_interface": "52:54:00:0A:00:01"}, "_interface does not have the right form"),
        (MACHINE, "TuneNICQoS", {"_interface": "zz:54:00:0a:00:01"}, "_interface does not have the right form"),
        (MACHINE, "TuneNICQoS", {"_interface": "fe:54:00:0a:00:01"}, "_interface does not have the right form"),
        (MACHINE, "TuneNICQoS", {"interface": "52:54:00:0a:00:01"}, "did you mean _interface?"),
        (MACHINE, "PlugNIC", {"type": "bridge"}, "go with type l3bridge only"),
        (MACHINE, "PlugNIC", {"source": "br-int"}, "source does not have the right form"),
        (MACHINE, "ManageISO", {"eject": True, "insert": True}, "eject and insert exclude each other"),
        (MACHINE, "ManageISO", {"eject": False, "insert": False}, "exactly one of eject, insert and update"),
        (MACHINE, "ManageISO", {"update": True}, "exactly one of eject, insert and update"),
        (MACHINE, "UpdateGraphic", {"password": "abcd", "no_password": True}, "no_password and password exclude"),
        (MACHINE, "AddACL", {"rule": "ip4.src == $dmz"}, "rule does not have the right form"),
        (MACHINE, "AddACL", {"rule": "'ip' --operator 'allow'"}, "rule does not have the right form"),
        (MACHINE, "AddACL", {"rule": "'ip --operator allow'"}, "rule does not have the right form"),
        (MACHINE, "AddACL", {"rule": "'ip; reboot'"}, "rule must not contain ';'"),
        (MACHINE, "AddACL", {"rule": "'ip`id`'"}, "rule must not contain '`'"),
        (MACHINE, "AddACL", {"rule": "'ip' && reboot #'"}, "rule does not have the right form"),
        (MACHINE, "AddACL", {"rule": "'tcp.dst = 80'"}, "rule is no match of OVN: column 9"),
        (MACHINE, "ModifyACL", {"rule": "'!ip4'"}, "not that it is not. Write what it is instead"),
        (MACHINE, "SetQoS", {"rule": "'tcp && ip4 || udp'"}, "&& and || need parentheses"),
        (MACHINE, "ModifyQoS", {"rule": "'tpc'"}, "Did you mean tcp?"),
        (MACHINE, "AddACL", {"priority": "32768"}, "whole number from 0 to 32767"),
        (MACHINE, "BindFloatingIP", {"vmmac": "52:54:00:0a:00:01"}, "vmmac is not a parameter"),
        (MACHINE, "BindFloatingIP", {"fip": "10.10.0.9/33"}, "fip does not have the right form"),
        (MACHINE, "UnbindFloatingIP", {"fip": "10.10.0.9/24"}, "fip does not have the right form"),
        (MACHINE, "MigrateVMDisk", {"migratedisks": "disk=/a/b,pool=pool1"}, "migratedisks does not have"),
        (MACHINE, "MigrateVMDisk", {"migratedisks": "vol=a,pool=pool1;reboot"}, "migratedisks does not have"),
        (MACHINE, "BackupVM", {"remote": "10.0.0.1"}, "remote needs port, username, password as well"),
        (MACHINE, "BatchDeprecatedACL", {"deprecatedACLs": "x"}, "deprecatedACLs is not a parameter"),
        (MACHINE, "CloneVM", {"name": "-rf"}, "name does not have the right form"),
        (MACHINE, "CloneVM", {"name": "a..b"}, "name does not have the right form"),
        (MACHINE, "SetGuestPassword", {"password": ""}, "password does not have the right form"),
        ("VirtualMachineDisk", "CreateDisk", {"capacity": "1125899906842625"}, "to 1125899906842624 bytes"),
        ("VirtualMachineDisk", "CreateDisk", {"format": "raw"}, "format must be one of qcow2"),
        ("VirtualMachineDisk", "CreateCloudInitUserDataImage", {"userData": "hostname: x"}, "userData does not have"),
        ("VirtualMachineDisk", "CreateCloudInitUserDataImage", {"userData": "#cloud-config\n\x00"}, "must not contain"),
        (POOL, "CreatePool", {"type": "nfs"}, "opt is missing"),
        (POOL, "CreatePool", {"opt": "nolock"}, "opt is not for a pool of type localfs"),
        (POOL, "CreatePool", {"force": True}, "force must be text"),
        (POOL, "CreatePool", {"uuid": "07098ca5-fd17-4fcc-afed-76b0d7fccde4-"}, "uuid does not have"),
        (POOL, "CreatePool", {"url": "10.0.0.1:/a/../b"}, "as part of a path"),
        (POOL, "CleanVMBackup", {"all": False}, "version or all must be given"),
        (POOL, "CleanVMBackup", {"version": "v1"}, "v1 is not the name of a backup record"),
        (NETWORK, "CreateSwitch", {"subnet": "192.168.5.0/31"}, "subnet does not have the right form"),
        (NETWORK, "CreateSwitch", {"subnet": "fd00::/64"}, "ipv6 does not fit subnet"),
        (NETWORK, "CreateSwitch", {"excludeIPs": "192.168.5.300"}, "192.168.5.300 is not an IP address"),
        (NETWORK, "CreateSwitch", {"dnsServer": "1.1.1.1,8.8.8.8"}, "dnsServer does not have the right form"),
        (NETWORK, "CreateSwitch", {"dnsServer": '"{1.1.1.1,8.8.8}"'}, "8.8.8 is not an IP address"),
        (NETWORK, "ModifySwitch", {"dnsServer": "1.1.1"}, "1.1.1 is not an IP address"),
        (NETWORK, "CreateSwitch", {"ipv6": False}, "ipv6 must be text"),
        (NETWORK, "CreateSwitch", {"vlanId": "4095"}, "whole number from 0 to 4094"),
        (NETWORK, "CreateAddress", {"address": "192.168.1.1，192.168.1.2"}, "address does not have the right form"),
        (NETWORK, "CreateAddress", {"address": "192.168.1.1,1.2.3"}, "1.2.3 is not an IP address"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_refused(kind: str, name: str, more: dict[str, object], message: str) -> None:
    operation = find(kind, name)
    problems = check(operation, valid(operation) | more)
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        (MACHINE, "ManageISO", {"eject": False, "insert": False, "update": True}),
        (MACHINE, "UpdateGraphic", {"password": "abcd", "no_password": False}),
        (MACHINE, "ChangeNumberOfCPU", {"maximum": False}),
        (MACHINE, "ChangeNumberOfCPU",
         {"maximum": True, "count": "8", "cores": "2", "sockets": "2", "threads": "2"}),
        (MACHINE, "PlugDisk", {"source": "/dev/disk/by-id/scsi-36000c29", "sourcetype": "block"}),
        (MACHINE, "PlugDisk", {"source": "/mnt/usb/ISO/CentOS-7-x86_64.iso", "cache": "none"}),
        (MACHINE, "PlugNIC", {"type": "bridge", "source": "source=virbr0"}),
        (MACHINE, "InjectSshKey", {"ssh_key": "ssh-rsa AAAAB3Nza+/Zx== me.too_2@node-22"}),
        (MACHINE, "BackupVM",
         {"remote": "fd00::1", "port": "21", "username": "ftpuser", "password": "abcd"}),
        (MACHINE, QOS, {"total_iops_sec": "1", "read_iops_sec": "0", "write_iops_sec": "0"}),
        (MACHINE, QOS, {"total_iops_sec": "0", "read_iops_sec": "1"}),
        (MACHINE, "AddACL", {"rule": "'ip4.src == $dmz && (tcp.dst == 80 || tcp.dst >= 8000)'"}),
        (MACHINE, "DeprecatedACL", {"rule": "'tcp.dst = 80'"}),  # what is there already can be deleted
        (MACHINE, "UnsetQoS", {"rule": "'tcp.dst = 80'"}),
        ("VirtualMachineDisk", "CreateCloudInitUserDataImage",
         {"userData": "#cloud-config\nruncmd:\n  - echo \"$HOME\" > /etc/motd; ls ../..\n# grüße\n" + "#" * 9000}),
        (POOL, "CreatePool", {"type": "nfs", "url": "10.0.0.1:/export/vm_1", "opt": "nolock,vers=4.1"}),
        (POOL, "CreatePool", {"type": "glusterfs", "url": "gluster-1.lan:vol0", "opt": "acl"}),
        (POOL, "CreatePool",
         {"type": "uus", "url": "uus-iscsi-independent://admin:admin@192.168.3.10:7000/p1/4/2/0", "opt": "a=b"}),
        (NETWORK, "CreateSwitch",
         {"excludeIPs": "192.168.5.2 192.168.5.10..192.168.5.100", "dnsServer": '"{1.1.1.1,8.8.8.8}"'}),
        (NETWORK, "CreateSwitch", {"subnet": "fd00::/64", "gateway": "fd00::1", "ipv6": "true"}),
    ],
)  # fmt: skip
def test_a_right_call_passes(kind: str, name: str, more: dict[str, object]) -> None:
    operation = find(kind, name)
    assert check(operation, valid(operation) | more) == []


def test_all_problems_are_reported_at_once() -> None:
    problems = check(find(MACHINE, "PlugDisk"), {"target": "xda", "live": "yes", "bus": "ide"})
    assert [problem.split()[0] for problem in problems] == ["live", "source", "target", "bus"]


def test_a_pair_that_excludes_each_other_is_reported_once() -> None:
    call = valid(find(MACHINE, QOS), total_bytes_sec="1", read_bytes_sec="1", write_bytes_sec="1")
    assert len(check(find(MACHINE, QOS), call)) == 2


def test_a_secret_is_never_in_a_message() -> None:
    for operation, row in PARAMETERS:
        if row.secret:
            call = valid(operation) | {row.name: "Tr0ub4dor&3\x00"}
            assert not any("Tr0ub4dor" in problem for problem in check(operation, call))
            call = valid(operation) | {row.name: ["Tr0ub4dor"]}
            assert not any("Tr0ub4dor" in problem for problem in check(operation, call))
    url = valid(find(POOL, "CreatePool"), url="uus://admin:Tr0ub4dor@10.0.0.1/ /")
    assert "Tr0ub4dor" not in str(check(find(POOL, "CreatePool"), url))

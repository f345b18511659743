"""What the libvirt driver carries out, a row for each operation. To be read without the binding.

A row that says yes, or has a caveat, has a function entered with ``@operation`` in a module of this package.
"""

from __future__ import annotations

from reconciler.drivers.capability import YES, Capabilities, Only, caveat, no
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT

_NICS = ("bridge", "l2bridge", "network")
_NO_SWITCHES = "NICs of type l3bridge are ports of OVN, which this driver alone does not serve"
_FIRST_NIC = caveat(_NO_SWITCHES, Only("network", _NICS, option="type"))
_UNUSED = caveat("of a disk that no running machine has")
_ONE_MACHINE = caveat("of a qcow2 disk that at most one machine has, without snapshots inside its file")
_BACKUP = no("backups are not implemented")
_GUEST = no("the agent inside the guest is not asked yet")
_NETWORK = no("networks need OVN: start the agent with --ovn-nb")
_OVN = no("rules and addresses of OVN are not implemented")
_ONE_HOST = no("migration is not implemented")
_PASSTHROUGH = no("not implemented; PlugDevice takes any device that an XML file describes")
_VM_IMAGES = no("images of machines are not implemented")

_ROWS = {
    MACHINE: {
        "CreateAndStartVMFromISO": _FIRST_NIC,
        "CreateAndStartVMFromImage": _FIRST_NIC,
        "SuspendVM": YES,
        "StopVMForce": YES,
        "UnplugDevice": YES,
        "UnplugNIC": YES,
        "MigrateVM": _ONE_HOST,
        "MigrateVMDisk": _ONE_HOST,
        "ChangeNumberOfCPU": YES,
        "ResumeVM": YES,
        "PlugDisk": YES,
        "PlugDevice": YES,
        "ResetVM": YES,
        "UnplugDisk": YES,
        "StopVM": YES,
        "StartVM": YES,
        "DeleteVM": YES,
        "RebootVM": YES,
        "PlugNIC": caveat(_NO_SWITCHES, Only("type", _NICS)),
        "ManageISO": YES,
        "UpdateOS": _VM_IMAGES,
        "ConvertVMToImage": _VM_IMAGES,
        "InsertISO": YES,
        "EjectISO": YES,
        "ResizeVM": YES,
        "CloneVM": YES,
        "TuneDiskQoS": YES,
        "TuneNICQoS": caveat("on a Linux bridge only where the kernel of the host has the sfq queue"),
        "ResizeMaxRAM": YES,
        "SetBootOrder": YES,
        "SetVncPassword": YES,
        "UnsetVncPassword": YES,
        "SetGuestPassword": _GUEST,
        "InjectSshKey": _GUEST,
        "ResizeRAM": YES,
        "BindFloatingIP": _OVN,
        "UnbindFloatingIP": _OVN,
        "AddACL": _OVN,
        "ModifyACL": _OVN,
        "DeprecatedACL": _OVN,
        "BatchDeprecatedACL": _OVN,
        "SetQoS": _OVN,
        "ModifyQoS": _OVN,
        "UnsetQoS": _OVN,
        "ExportVM": YES,
        "BackupVM": _BACKUP,
        "RestoreVM": _BACKUP,
        "DeleteRemoteBackup": _BACKUP,
        "PullRemoteBackup": _BACKUP,
        "PushRemoteBackup": _BACKUP,
        "DeleteVMBackup": _BACKUP,
        "PassthroughDevice": _PASSTHROUGH,
        "RedirectUsb": _PASSTHROUGH,
        "UpdateGraphic": YES,
        "AutoStartVM": YES,
    },
    IMAGE: {
        "CreateImage": _VM_IMAGES,
        "DeleteImage": _VM_IMAGES,
        "ConvertImageToVM": _VM_IMAGES,
    },
    DISK: {
        "DeleteDisk": YES,
        "ResizeDisk": YES,
        "CreateDisk": YES,
        "CreateDiskFromDiskImage": YES,
        "CloneDisk": caveat("into a pool of the same host"),
        "MigrateDisk": _ONE_HOST,
        "CreateDiskInternalSnapshot": _UNUSED,
        "RevertDiskInternalSnapshot": _UNUSED,
        "DeleteDiskInternalSnapshot": _UNUSED,
        "BackupDisk": _BACKUP,
        "CreateCloudInitUserDataImage": YES,
        "DeleteCloudInitUserDataImage": YES,
    },
    DISK_IMAGE: {
        "CreateDiskImageFromDisk": YES,
        "CreateDiskImage": YES,
        "DeleteDiskImage": YES,
    },
    DISK_SNAPSHOT: {
        "CreateDiskExternalSnapshot": _ONE_MACHINE,
        "RevertDiskExternalSnapshot": _UNUSED,
        "DeleteDiskExternalSnapshot": YES,
    },
    SNAPSHOT: {
        "DeleteSnapshot": YES,
        "CreateSnapshot": caveat("all disks inside their files, or all in files of their own"),
        "RevertVirtualMachine": YES,
        "CopySnapshot": no("deprecated by the API, which has no parameter that says which snapshot"),
        "MergeSnapshot": YES,
    },
    POOL: {
        "AutoStartPool": YES,
        "CreatePool": caveat("of the types localfs and nfs only", Only("type", ("localfs", "nfs"))),
        "StartPool": YES,
        "StopPool": YES,
        "DeletePool": YES,
        "ShowPool": YES,
        "RestoreVMBackup": _BACKUP,
        "DeleteRemoteBackup": _BACKUP,
        "PullRemoteBackup": _BACKUP,
        "PushRemoteBackup": _BACKUP,
        "DeleteVMBackup": _BACKUP,
        "CleanVMBackup": _BACKUP,
        "CleanVMRemoteBackup": _BACKUP,
        "ScanVMBackup": _BACKUP,
        "RestoreDisk": _BACKUP,
        "DeleteVMDiskBackup": _BACKUP,
        "DeleteRemoteBackupServer": _BACKUP,
    },
    NETWORK: {
        "CreateBridge": _NETWORK,
        "DeleteBridge": _NETWORK,
        "SetBridgeVlan": _NETWORK,
        "DelBridgeVlan": _NETWORK,
        "BindPortVlan": _NETWORK,
        "UnbindPortVlan": _NETWORK,
        "CreateSwitch": _NETWORK,
        "DeleteSwitch": _NETWORK,
        "ModifySwitch": _NETWORK,
        "CreateAddress": _NETWORK,
        "DeleteAddress": _NETWORK,
        "ModifyAddress": _NETWORK,
    },
}

CAPABILITIES = Capabilities(
    "libvirt", {(kind, name): support for kind, rows in _ROWS.items() for name, support in rows.items()}
)

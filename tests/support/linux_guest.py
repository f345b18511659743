"""A Linux guest: Debian's kernel and busybox on a disk that boots, and the words it says about what it sees.

Nobody logs in. A few times a second it writes its view as text to the beginning of its report disk, which it knows by
the size; a test reads the file of that disk. It shuts down when the power button is pressed, and says so first. It asks
for addresses only if it was made so, and so it is with a guest agent: in place of one it has its channel open, and
answers nothing.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

REPORT_SIZE = 3 * 1024**3  # of the report disk, and of no other
PATIENCE = 120.0  # seconds for the guest to come to see a thing; booting took 60 emulated on two busy CPUs
OWN_ADDRESS = "10.77.0.9"
_BLOCK = 4096
_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "virtio_console"),
    *("ata_piix", "sr_mod", "button", "evdev"),
)
_IMAGE_SIZE = 64 * 1024**2

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for each in $(cat /modules/order); do insmod /modules/$each; done
acpid
for each in /sys/class/virtio-ports/*; do
  [ "$(cat $each/name)" = org.qemu.guest_agent.0 ] && exec 9<>/dev/${each##*/}
done
[ -e /etc/agent ] && agent <&9 >&9 &
[ -e /etc/dhcp ] && for each in /sys/class/net/eth*; do
  ip link set ${each##*/} up
  udhcpc -b -t 100 -T 1 -i ${each##*/} -s /bin/leased >/dev/null 2>&1 &
done
[ -e /etc/networked ] && networked &
until [ -e /pressed ]; do
  for each in /sys/devices/system/cpu/cpu*/online; do
    [ "$(cat $each)" = 1 ] || echo 1 >$each
  done
  report running
  usleep 200000
done
report off
poweroff -f
"""

# A guest on networks: each NIC asks for an address when it comes, also while the guest runs. A page is served on all,
# and what is sent to the next port is taken in.
PORT = 8080
PAGE_SIZE = 3 * 1024**2
_NETWORKED = f"""#!/bin/busybox sh
mkdir /www /asked
dd if=/dev/zero of=/www/page bs={PAGE_SIZE} count=1 2>/dev/null
httpd -p {PORT} -h /www
mkfifo /silence
exec 8<>/silence
while :; do nc -l -p {PORT + 1} <&8 >/dev/null; done &
while :; do
  for each in /asked/*; do [ -e /sys/class/net/${{each##*/}} ] || rm -f $each; done
  for each in /sys/class/net/eth*; do
    name=${{each##*/}}
    if [ -e $each ] && [ ! -e /asked/$name ]; then
      >/asked/$name
      ip link set $name up
      udhcpc -b -t 100 -T 1 -O mtu -i $name -s /bin/networked-leased >/dev/null 2>&1 &
    fi
  done
  usleep 200000
done
"""
_NETWORKED_LEASED = """#!/bin/busybox sh
[ $1 = bound ] || exit 0
ip address add $ip/$mask dev $interface
ip link set $interface mtu ${mtu:-1500}
"""

# What udhcpc runs. Beside its lease, a NIC has an address that nobody but the guest knows.
_LEASED = f"""#!/bin/busybox sh
[ $1 = bound ] || exit 0
ip address add $ip/$mask dev $interface
ip address add {OWN_ADDRESS}/24 dev $interface
"""

# As much of the guest agent's protocol as shows addresses (qga/qapi-schema.json in QEMU), a line a request.
_AGENT = r"""#!/bin/busybox sh
ADDRESS='{"ip-address": "\1", "ip-address-type": "ipv4", "prefix": \2}'
addresses() {
  ip -4 -o address show dev $1 | sed "s|.*inet \([0-9.]*\)/\([0-9]*\).*|$ADDRESS|" | tr '\n' ',' | sed 's/,$//'
}
interfaces() {
  for each in /sys/class/net/*; do
    printf '%s{"name": "%s", "hardware-address": "%s", ' "$comma" ${each##*/} $(cat $each/address)
    printf '"ip-addresses": [%s]}' "$(addresses ${each##*/})"
    comma=,
  done
}
while read -r line; do
  case $line in
    *guest-sync-delimited*) id=${line##*\"id\":}; printf '\377{"return": %s}\n' ${id%%[!0-9]*} ;;
    *guest-sync*) id=${line##*\"id\":}; printf '{"return": %s}\n' ${id%%[!0-9]*} ;;
    *guest-network-get-interfaces*) comma=; printf '{"return": [%s]}\n' "$(interfaces)" ;;
    *execute*) printf '{"error": {"class": "CommandNotFound", "desc": "not here"}}\n' ;;
  esac
done
"""

# What acpid runs when the power button is pressed.
_BUTTON = "#!/bin/busybox sh\ntouch /pressed\n"

_REPORT = f"""#!/bin/busybox sh
draft=/report.$1
{{
  echo state $1
  echo boot $(cat /proc/sys/kernel/random/boot_id)
  echo uptime $(cut -d ' ' -f 1 /proc/uptime)
  echo cpus $(grep -c ^processor /proc/cpuinfo)
  echo memory $(awk '$1 == "MemTotal:" {{ print $2 }}' /proc/meminfo)
  for each in /sys/block/vd*; do echo disk.${{each##*/}} $(cat $each/size); done
  for each in /sys/class/net/*/address; do
    name=${{each#/sys/class/net/}} name=${{name%/address}}
    said=$(ip -4 -o address show dev $name 2>/dev/null | sed 's|.*inet \\([^ ]*\\).*|\\1|' | tr '\\n' ' ')
    echo nic.$(cat $each) $said$(cat /sys/class/net/$name/mtu)
  done
  echo medium $(dd if=/dev/sr0 bs=2048 count=1 2>/dev/null | head -c 16 | hexdump -ve '1/1 "%02x"')
  echo end
}} >$draft
for each in /sys/block/vd*; do
  if [ $(cat $each/size) = {REPORT_SIZE // 512} ]; then
    dd if=$draft of=/dev/${{each##*/}} bs={_BLOCK} count=1 conv=sync,fsync,notrunc 2>/dev/null
  fi
done
"""

_SYSLINUX = "default linux\nlabel linux\n  linux vmlinuz\n  initrd initrd\n  append quiet panic=-1\n"


def _packages() -> Path:
    """Where tools/libvirt/guest puts what the guest is made of."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "reconcile" / "guest"


def missing() -> str:
    """What the guest cannot be made for lack of; empty if nothing."""
    for tool in ("mformat", "mcopy", "syslinux"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed: make libvirt"
    return "" if _packages().is_dir() else f"there is no kernel in {_packages()}: make libvirt"


def install(path: str, *, dhcp: bool = False, agent: bool = False, networked: bool = False) -> None:
    """Make the image of a disk that boots the guest: one that asks for addresses, or answers as a guest agent.

    One that is networked asks for them as NICs come, and serves a page of ``PAGE_SIZE`` zeros at ``PORT``.
    """
    packages = _packages()
    (kernel,) = packages.glob("boot/vmlinuz-*")
    with TemporaryDirectory() as folder:
        disk, initrd, config = (Path(folder, name) for name in ("disk", "initrd", "syslinux.cfg"))
        initrd.write_bytes(gzip.compress(_archive(packages, {"dhcp": dhcp, "agent": agent, "networked": networked}), 1))
        config.write_text(_SYSLINUX)
        _run("mformat", "-C", "-i", str(disk), "-T", str(_IMAGE_SIZE // 512), "-h", "16", "-s", "63", "::")
        _run("mcopy", "-i", str(disk), str(initrd), str(config), "::")
        _run("mcopy", "-i", str(disk), str(kernel), "::vmlinuz")
        _run("syslinux", "--install", str(disk))
        _run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(disk), path)


def _run(*words: str) -> None:
    given = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}  # the disk is not one of the sizes of floppies
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=given)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


# The first file system


def _archive(packages: Path, abilities: dict[str, bool]) -> bytes:
    modules = {each.stem.replace("-", "_"): each.read_bytes() for each in packages.glob("**/lib/modules/**/*.ko")}
    order = list(dict.fromkeys(needed for name in _MODULES for needed in _closure(name, modules)))
    files = {
        "init": _INIT.encode(),
        "bin/busybox": next(packages.glob("**/bin/busybox")).read_bytes(),
        "bin/report": _REPORT.encode(),
        "bin/leased": _LEASED.encode(),
        "bin/agent": _AGENT.encode(),
        "bin/networked": _NETWORKED.encode(),
        "bin/networked-leased": _NETWORKED_LEASED.encode(),
        **{f"etc/{name}": b"" for name, there in abilities.items() if there},
        "etc/acpi/PWRF/00000080": _BUTTON.encode(),
        "modules/order": "\n".join(order).encode(),
        "var/log/acpid.log": b"",
        "var/run/acpid.pid": b"",
        **{f"modules/{name}": modules[name] for name in order},
    }
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."} | {"proc", "sys", "dev"}
    entries = [(name, 0o040755, b"") for name in sorted(folders)]
    entries += [(name, 0o100755, data) for name, data in files.items()]
    return b"".join(_entry(number, *each) for number, each in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1))


def _closure(name: str, modules: dict[str, bytes]) -> Iterator[str]:
    """A module after those that it needs."""
    needs = re.search(rb"\0depends=([^\0]*)\0", modules[name])
    assert needs, f"module {name} does not say what it needs"
    for each in filter(None, needs[1].decode().replace("-", "_").split(",")):
        yield from _closure(each, modules)
    yield name


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    """A file or folder as the kernel unpacks it (its buffer-format.rst, "newc")."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % each for each in fields) + name.encode() + b"\0"
    return head.ljust(-len(head) % 4 + len(head), b"\0") + data.ljust(-len(data) % 4 + len(data), b"\0")


# What the guest says


class View:
    """What a guest last said about itself."""

    def __init__(self, text: str) -> None:
        self._said = dict(line.partition(" ")[::2] for line in text.splitlines())

    def __getitem__(self, what: str) -> str:
        return self._said.get(what, "")

    def named(self, group: str) -> dict[str, str]:
        """The disks or NICs by their names in the guest."""
        prefix = f"{group}."
        return {name.removeprefix(prefix): said for name, said in self._said.items() if name.startswith(prefix)}

    @property
    def complete(self) -> bool:
        return "end" in self._said

    def __repr__(self) -> str:
        return f"View({self._said})"


def view(report: str) -> View:
    """The view that is on the report disk now; not complete before the guest has written one."""
    with NamedTemporaryFile() as block:
        part = (f"bs={_BLOCK}", "count=1", f"if={report}", f"of={block.name}")
        _run("qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", *part)
        return View(Path(block.name).read_bytes().rstrip(b"\0").decode())


def seen(report: str, what: Callable[[View], bool]) -> View:
    """The first view of a guest that is so; it must come in time."""
    deadline = time.monotonic() + PATIENCE
    while not ((found := view(report)).complete and what(found)):
        assert time.monotonic() < deadline, f"the guest does not see it in {PATIENCE:g} s: {found}"
        time.sleep(0.1)
    return found

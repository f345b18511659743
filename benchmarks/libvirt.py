"""python -m benchmarks.libvirt [--others]: a run on a host whose machines are as declared, beside asking libvirt alone.

Needs ``make libvirt`` and root, and a host that has no machines and pools: it starts libvirt where none runs, makes
20 machines with a disk and a NIC each, has them run, and leaves the host as it was. Then, in turn and several times,
whole commands from start to exit: ``reconcile --driver libvirt``, which looks at the whole host and must find nothing
to do, ``reconcile --plan`` of what that stored, and the same 20 definitions read with ``virsh dumpxml``, by 20
processes and by one. With ``--others`` come kcli and pyinfra, each in an environment of its own in a cache folder.
Last, a look at the host by itself, at the 20 machines and at 100, of which the other 80 are off.

Printed are medians, as they are and as a ratio to the 20 processes, and the processor time of the command itself,
which another load of this host moves less; that of libvirt is not in it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.plan import COMMAND

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import guest
from support.libvirtd import BRIDGE, PLACES, URI, Bridge, Libvirtd, clean, missing, virsh

MACHINES, MORE = 20, 100
RUNS = 7
REST = 0.3  # of a processor, for all machines
PATIENCE = 180.0  # seconds
NODE = "node22"
POOL = PLACES[0]
OTHERS = {"kcli": "99.0.202610251748", "pyinfra": "3.10.0"}

STORAGE = f"""apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {{name: vmd-pool}}
spec: {{nodeName: {NODE}, type: localfs, url: {POOL}, autostart: true}}
"""
DISK = """---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {{name: {name}-root}}
spec: {{nodeName: {node}, pool: vmd-pool, capacity: 1Gi}}
"""
MACHINE = """---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  powerState: Running
  osVariant: debian12
  cpu: {{count: 1}}
  memory: {{size: 100Mi}}
  disks: [{{target: vda, disk: {name}-root, boot: true}}]
  nics: [{{mac: "52:54:00:0b:00:{number:02x}", type: bridge, source: {bridge}}}]
  graphics: {{type: vnc}}
"""
OFF = """<domain type="qemu"><name>{name}</name><memory unit="MiB">100</memory><os><type machine="pc">hvm</type></os>
<devices><disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="{path}"/>
<target dev="vda" bus="virtio"/></disk>
<interface type="bridge"><source bridge="{bridge}"/></interface><graphics type="vnc"/></devices></domain>"""

KCLI_CONFIG = f"""default: {{client: local, pool: vmd-pool}}
local: {{type: kvm, url: "{URI}"}}
"""
KCLI_MACHINE = """{name}:
  memory: 100
  numcpus: 1
  disks: [1]
  nets: [{bridge}]
"""
PYINFRA = """from pyinfra import host
from pyinfra.api import operation
from pyinfra.facts.server import Command

@operation()
def running(machine):
    "libvirt is none of its operations: this is one that asks virsh, and starts what does not run."
    if "running" in host.get_fact(Command, f"virsh -c {uri} dominfo {{machine}}"):
        host.noop(f"{{machine}} runs")
    else:
        yield f"virsh -c {uri} start {{machine}}"

for name in {names!r}:
    running(name)
"""


class Row(NamedTuple):
    """A command, what it looks at, and what it says, and how often, when there is nothing to do.

    With ``each`` it is run for one machine after another, whose name is its last word.
    """

    name: str
    looks: str
    command: tuple[str, ...]
    says: str
    times: int = 1
    each: bool = False


def names(begin: int = 0, end: int = MACHINES) -> list[str]:
    return [f"vm-{number:03}" for number in range(begin, end)]


def ran(command: tuple[str, ...], folder: Path) -> str:
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def made(folder: Path) -> None:
    """Have the machines run, as the manifests in ``machines`` say."""
    file = folder / "machines" / "machines.yaml"
    file.parent.mkdir()
    storage = STORAGE + "".join(DISK.format(name=name, node=NODE) for name in names())
    file.write_text(storage)
    ran(applying(), folder)
    for name in names():
        guest.install(f"{POOL}/{name}-root/{name}-root")
    machines = (
        MACHINE.format(name=name, node=NODE, number=number, bridge=BRIDGE) for number, name in enumerate(names())
    )
    file.write_text(storage + "".join(machines))
    ran(applying(), folder)
    if sorted(virsh("list", "--name").split()) != names():
        raise SystemExit(f"not all of the machines run:\n{virsh('list', '--all')}")


def at_rest() -> float:
    """Wait until the machines have started, as far as they ever rest; returns how much of a processor they use."""
    ends = time.monotonic() + PATIENCE
    while True:
        before, since = used(), time.monotonic()
        time.sleep(5)
        share = (used() - before) / (time.monotonic() - since)
        if share < REST or time.monotonic() > ends:
            return share


def used() -> float:
    """Seconds of processor time that all machines have used."""
    lines = virsh("domstats", "--cpu-total").splitlines()
    return sum(int(line.split("=")[1]) for line in lines if "cpu.time=" in line) / 1e9


def applying() -> tuple[str, ...]:
    return (*COMMAND, "--driver", "libvirt", "--node", NODE, "machines", "-y")


def ours() -> list[Row]:
    virsh = ("virsh", "-q", "-c", URI)
    return [
        Row(f"virsh dumpxml, {MACHINES} processes", "definitions", (*virsh, "dumpxml"), "</domain>", each=True),
        Row(
            f"virsh, one process, {MACHINES} dumpxml",
            "definitions",
            (*virsh, "; ".join(f"dumpxml {name}" for name in names())),
            "</domain>",
            MACHINES,
        ),
        Row("reconcile --driver libvirt -y", "pools, files, definitions, states; plans", applying(), "No changes."),
        Row("reconcile --plan", "what was stored; plans", (*COMMAND, "--plan", "machines"), "No changes."),
    ]


def others(folder: Path) -> list[Row]:
    """What comparable tools have to say of the same machines, as near as they come."""
    (folder / ".kcli").mkdir()
    (folder / ".kcli" / "config.yml").write_text(KCLI_CONFIG)
    machines = (KCLI_MACHINE.format(name=name, bridge=BRIDGE) for name in names())
    (folder / "plan.yml").write_text("".join(machines))
    (folder / "deploy.py").write_text(PYINFRA.format(uri=URI, names=names()))
    kcli, pyinfra = installed("kcli"), installed("pyinfra")
    plan = ("plan", "-f", "plan.yml", "bench")
    return [
        Row("kcli list vm", "states; compares nothing", (kcli, "list", "vm"), names()[-1]),
        Row("kcli create plan, again", "whether names exist", (kcli, "create", *plan), "skipped", MACHINES),
        Row("kcli update plan", "memory, CPUs, how many disks and NICs", (kcli, "update", *plan), "skipped", MACHINES),
        Row("pyinfra, our operation", "states", (pyinfra, "@local", "deploy.py", "-y"), "No changes", MACHINES),
    ]


def installed(tool: str) -> str:
    """The command of a tool, in an environment of its own that is made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reconcile" / "benchmarks"
    place = cache / f"{tool}-{OTHERS[tool]}"
    if not (place / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "-q", f"{tool}=={OTHERS[tool]}"], check=True)
        (place / "ready").touch()
    return str(place / "bin" / tool)


def seconds(row: Row, folder: Path) -> tuple[float, float]:
    """How long one run of a row took, and its processor time; one that finds something to do ends the benchmark."""
    commands = [(*row.command, name) for name in names()] if row.each else [row.command]
    started, before = time.perf_counter(), worked()
    said = [ran(command, folder) for command in commands]
    took = time.perf_counter() - started, worked() - before
    if wrong := next((each for each in said if each.count(row.says) != row.times), None):
        raise SystemExit(f"{row.name} does not say {row.says!r} {row.times} times:\n{wrong[:2000]}")
    return took


def worked() -> float:
    """Processor time of what has been run from here, and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def look() -> Callable[[], int]:
    """A function that looks at the whole host, as an agent does once a minute, and says how many things there are."""
    from reconciler.drivers.libvirt.driver import Libvirt
    from reconciler.drivers.libvirt.host import Host

    driver = Libvirt(Host(URI, NODE))

    def looked() -> int:
        sight = driver.scan()
        return len([sight.observe(id) for id in sight.inventory()])

    return looked


def more(folder: Path) -> None:
    """Define machines that are off beside those that run."""
    for name in names(MACHINES, MORE):
        file = folder / f"{name}.xml"
        path = Path(POOL, f"{name}-root", f"{name}-root")
        path.parent.mkdir()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G"], check=True)
        config = f'{{"name": "{name}-root", "current": "{path}", "pool": "vmd-pool", "volume": {{}}}}'
        (path.parent / "config.json").write_text(config)
        file.write_text(OFF.format(name=name, path=path, bridge=BRIDGE))
        virsh("define", str(file))


def measured(rows: list[Row], folder: Path) -> None:
    found: dict[str, list[tuple[float, float]]] = {row.name: [] for row in rows}
    for _ in range(RUNS):
        for row in rows:
            found[row.name].append(seconds(row, folder))
    medians = {name: [median(each) for each in zip(*runs, strict=True)] for name, runs in found.items()}
    floor, effort = medians[rows[0].name]
    print(f"{'command':<34} {'median':>9} {'ratio':>6} {'CPU':>9} {'ratio':>6}  looks at")
    for row in rows:
        took, worked = medians[row.name]
        figures = f"{took:>7.2f} s {took / floor:>6.2f} {worked:>7.2f} s {worked / effort:>6.2f}"
        print(f"{row.name:<34} {figures}  {row.looks}", flush=True)


def looked(things: int) -> None:
    looking, found = look(), list[float]()
    for _ in range(RUNS):
        started = time.perf_counter()
        if looking() != things:
            raise SystemExit(f"a look found {looking()} things, not {things}")
        found.append(time.perf_counter() - started)
    print(f"a look at {things // 2} machines with their disks: {median(found):.3f} s", flush=True)


def host() -> str:
    """What this was measured on."""
    kvm = "type='kvm'" in virsh("dumpxml", names()[0])
    version = virsh("version").splitlines()
    using = ", ".join(line.split(": ")[1] for line in version if line.startswith(("Using library", "Running hyper")))
    return f"{os.cpu_count()} CPUs, {'KVM' if kvm else 'emulated by QEMU'}, {using}, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    if why := missing():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory() as name, Libvirtd():
        folder = Path(name)
        taken = [place for place in PLACES if Path(place).exists()]
        if virsh("list", "--all", "--name") or virsh("pool-list", "--all", "--name") or taken:
            raise SystemExit(f"there are machines, pools or their folders {taken} on this host: not ours to measure on")
        rows = [*ours(), *(others(folder) if "--others" in sys.argv[1:] else [])]
        with Bridge(BRIDGE):
            try:
                made(folder)
                share = at_rest()
                print(f"{host()}; the machines use {share:.2f} of a CPU", flush=True)
                measured(rows, folder)
                looked(2 * MACHINES + 1)
                more(folder)
                looked(2 * MORE + 1)
            finally:
                clean()


if __name__ == "__main__":
    main()

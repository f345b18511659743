"""OVN's own answer about packets: ``ovn-trace`` on databases in which northd alone works; no host is there.

It needs no root and no namespace, and starts in a tenth of a second.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from support.own_host import with_sbin

PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovn-northd", "ovn-nbctl", "ovn-sbctl", "ovn-trace")
SCHEMAS = Path("/usr/share/ovn")
REQUIRED = "RECONCILE_REQUIRE_OVN"


def missing() -> str:
    """Why OVN cannot be asked here; empty if it can. It must be where ``RECONCILE_REQUIRE_OVN`` is set."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=with_sbin()["PATH"]) is None]
    why = f"{', '.join(absent)} not installed: make ovn" if absent else ""
    assert not (why and os.environ.get(REQUIRED)), why
    return why


class OvnTracer:
    """A northbound and a southbound database in a directory of its own, and what fills one from the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("nb", "sb"):
            database = str(directory / f"{name}.db")
            self._run("ovsdb-tool", "create", database, str(SCHEMAS / f"ovn-{name}.ovsschema"))
            self._daemon("ovsdb-server", name, database, f"--remote=punix:{directory}/{name}.sock")
        self._daemon("ovn-northd", "northd", f"--ovnnb-db={self._at('nb')}", f"--ovnsb-db={self._at('sb')}")
        self._run("ovn-nbctl", f"--db={self._at('nb')}", "init")
        self._run("ovn-sbctl", f"--db={self._at('sb')}", "init")

    def close(self) -> None:
        """End what was started."""
        for name in ("northd", "nb", "sb"):
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int((self.directory / f"{name}.pid").read_text()), signal.SIGTERM)

    def change(self, *commands: Sequence[str]) -> None:
        """Carry out commands of ``ovn-nbctl`` as one, and wait until the flows are there."""
        words = [word for command in commands for word in (*command, "--")]
        self._run("ovn-nbctl", f"--db={self._at('nb')}", "--wait=sb", "--timeout=20", *words[:-1])

    def delivers(self, switch: str, packet: str, port: str, *states: str) -> bool:
        """Whether a packet comes out at a port; ``states``: those of its connection, at each place that asks for it."""
        tracked = [f"--ct={each}" for each in states]
        options = [f"--db={self._at('sb')}", "--minimal", "-vconsole:warn", "-vsyslog:off", "--unixctl=none"]
        return f'output("{port}")' in self._run("ovn-trace", *options, *tracked, switch, packet)

    def _at(self, name: str) -> str:
        return f"unix:{self.directory}/{name}.sock"

    def _daemon(self, program: str, name: str, *words: str) -> None:
        files = {"pidfile": "pid", "unixctl": "ctl", "log-file": "log"}
        options = [f"--{option}={self.directory}/{name}.{end}" for option, end in files.items()]
        self._run(program, *words, *options, "--detach", "--no-chdir", "-vconsole:off", "-vsyslog:off")

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60, env=with_sbin()
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

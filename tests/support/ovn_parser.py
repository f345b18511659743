"""OVN's own parser of matches, asked about many at once: they are put into a southbound database of flows.

``ovn-trace`` reads all flows of the database and says which it cannot parse. Nothing else of OVN runs.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovn-trace")
SCHEMA = Path("/usr/share/ovn/ovn-sb.ovsschema")
SETS = {"dmz": ["10.0.0.1", "10.0.0.2"], "six": ["fe80::1"]}
GROUPS = {"web": ["web-1", "web-2"]}
_SWITCH = "11111111-1111-1111-1111-111111111111"


def missing() -> str:
    """Why there is no OVN to ask; empty if there is one. It must be there where ``RECONCILE_REQUIRE_OVN`` is set."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    why = f"no {', '.join(absent)} here: make ovn" if absent else "" if SCHEMA.exists() else f"no {SCHEMA}: make ovn"
    assert not (why and os.environ.get("RECONCILE_REQUIRE_OVN")), why
    return why


class OvnParser:
    """A southbound database in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "sb.sock"
        self._pid = directory / "sb.pid"
        database = str(directory / "sb.db")
        subprocess.run(["ovsdb-tool", "create", database, str(SCHEMA)], check=True)
        files = [f"--pidfile={self._pid}", f"--unixctl={directory / 'sb.ctl'}", f"--log-file={directory / 'sb.log'}"]
        command = ["ovsdb-server", database, f"--remote=punix:{self._socket}", *files, "--detach", "--no-chdir"]
        subprocess.run([*command, "-vconsole:off", "-vsyslog:off"], check=True, stderr=subprocess.DEVNULL)
        sets = ({"name": name, "addresses": ["set", values]} for name, values in SETS.items())
        groups = ({"name": name, "ports": ["set", values]} for name, values in GROUPS.items())
        self._transact(
            [
                {"op": "insert", "table": "SB_Global", "row": {}},
                *({"op": "insert", "table": "Address_Set", "row": row} for row in sets),
                *({"op": "insert", "table": "Port_Group", "row": row} for row in groups),
            ]
        )

    def close(self) -> None:
        """End the database server."""
        os.kill(int(self._pid.read_text()), 15)

    def refused(self, matches: Sequence[str]) -> dict[str, str]:
        """The matches that OVN does not parse, each with what it says."""
        switch = ["map", [["name", "switch"], ["logical-switch", _SWITCH]]]
        datapath = {"tunnel_key": 1, "external_ids": switch}
        flow = {"logical_datapath": ["named-uuid", "switch"], "pipeline": "ingress", "table_id": 0, "actions": "next;"}
        self._transact(
            [
                *({"op": "delete", "table": table, "where": []} for table in ("Logical_Flow", "Datapath_Binding")),
                {"op": "insert", "table": "Datapath_Binding", "row": datapath, "uuid-name": "switch"},
                *(
                    {"op": "insert", "table": "Logical_Flow", "row": {**flow, "priority": number, "match": match}}
                    for number, match in enumerate(matches)
                ),
            ]
        )
        # It reads all flows before it finds that nothing is to be traced.
        options = [f"--db=unix:{self._socket}", "-vconsole:warn", "-vsyslog:off", "-vfile:off", "--unixctl=none"]
        command = ["ovn-trace", *options, "none", "eth.type == 0x800"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "unknown datapath" in said.stdout, said.stderr[-500:]
        found = (line.partition("|WARN|")[2] for line in said.stderr.split("\n"))
        split = (line.rpartition(": parsing expression failed ") for line in found)
        return {match: why for match, between, why in split if between}

    def _transact(self, operations: list[dict[str, Any]]) -> None:
        request = {"method": "transact", "params": ["OVN_Southbound", *operations], "id": 0}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._socket))
            connection.sendall(json.dumps(request).encode())
            answer = b""
            while not answer or answer.count(b"{") != answer.count(b"}"):
                answer += connection.recv(1 << 16)
        results = json.loads(answer)["result"]
        assert not any("error" in each for each in results if each), results

"""Asks the process of ``support.forked_command`` for a command, and ends as it does.

``python -S -E forked_client.py SOCKET WORD ...``, with little to import: it stands in for ``reconcile`` in sessions.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence

LONGEST = 120.0  # seconds that a command may take


def ask(server: str, words: Sequence[str], folder: str, environment: Mapping[str, str], files: Sequence[int]) -> int:
    """The exit code of a command that has the three files as its input, output and errors; negative for a signal."""
    request = json.dumps({"words": list(words), "folder": folder, "environment": dict(environment)})
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(LONGEST)
        connection.connect(server)
        socket.send_fds(connection, [request.encode()], list(files))
        return int(connection.recv(100))


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:], os.getcwd(), os.environ, (0, 1, 2)) % 256)

"""UDP between guests: what arrives, and when. Python's own sockets, so that nothing but it must be installed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from support.ovn_hosts import Guest, until

# Writes when each datagram came, and how long it was, until it is ended.
_RECEIVE = """
import socket, sys, time
found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
found.bind(("", int(sys.argv[1])))
out = open(sys.argv[2], "w", buffering=1)
out.write("0 0\\n")
while True:
    size = len(found.recv(65536))
    out.write(f"{time.monotonic()} {size}\\n")
"""
# Sends so many datagrams of a size, evenly over so many seconds.
_SEND = """
import socket, sys, time
address, port, count, size, seconds = sys.argv[1], *map(float, sys.argv[2:])
way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
began = time.monotonic()
for number in range(int(count)):
    late = began + seconds * number / count - time.monotonic()
    if late > 0.002:
        time.sleep(late)
    way.sendto(b"x" * int(size), (address, int(port)))
"""


class Receiver:
    """Takes datagrams on a port of a guest, for as long as the block runs and until it has been asked."""

    def __init__(self, guest: Guest, port: int, file: Path) -> None:
        self._guest, self._port, self._file = guest, port, file

    def __enter__(self) -> Receiver:
        words = (sys.executable, "-c", _RECEIVE, str(self._port), str(self._file))
        self._process = self._guest.namespace.start(*words)
        until(lambda: self._file.exists() and self._file.read_text(), "a receiver")
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def arrived(self) -> list[tuple[float, int]]:
        """When each datagram arrived, in seconds of the monotonic clock, and its bytes."""
        lines = self._file.read_text().splitlines()[1:]
        pairs = (line.split() for line in lines if line.count(" ") == 1)
        return [(float(when), int(size)) for when, size in pairs]

    def rate(self, after: float = 1.0) -> float:
        """Megabits a second that arrived, headers of UDP and IP included, without the first so many seconds."""
        arrived = self.arrived
        late = [(when, size) for when, size in arrived if when >= arrived[0][0] + after]
        return sum(size + 28 for _, size in late[1:]) * 8 / (late[-1][0] - late[0][0]) / 1e6


def send(
    guest: Guest, address: str, port: int, *, count: int, size: int = 20, seconds: float
) -> subprocess.Popen[bytes]:
    """Have a guest send datagrams, from now on."""
    words = (address, str(port), str(count), str(size), str(seconds))
    return guest.namespace.start(sys.executable, "-c", _SEND, *words)


def settled(receiver: Receiver, quiet: float = 0.5) -> int:
    """How many datagrams arrived, once none has for so many seconds."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < quiet:
        if (now := len(receiver.arrived)) != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)
    return seen

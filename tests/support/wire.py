"""The wire of a card: the far end of a pair of devices, on which is seen what leaves the host."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support.ovn_hosts import Namespace, until


class Wire:
    """A card in a namespace, and the neighbour that its wire leads to."""

    def __init__(self, host: Namespace, card: str) -> None:
        self.host, self.card, self.far = host, card, Namespace()
        host.run("ip", "link", "add", card, "type", "veth", "peer", "name", "far0", "netns", self.far.pid)
        for space, device in ((host, card), (self.far, "far0")):
            space.run("ethtool", "-K", device, "tx", "off")
            space.run("ip", "link", "set", device, "up")

    def frames(self, during: Callable[[], object]) -> str:
        """What ``tcpdump`` says of the frames that come while something is done, and in the half second after it."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            listener = self.far.start("tcpdump", "-i", "far0", "-e", "-n", "-l", "-U", log=log)
            until(lambda: "listening on" in log.read_text(), "tcpdump listens")
            during()
            self._settle(log)
            listener.terminate()
            listener.wait()
            return log.read_text()

    @staticmethod
    def _settle(log: Path) -> None:
        """Wait until nothing more is written."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 0.5:
            if log.stat().st_size != size:
                size, since = log.stat().st_size, time.monotonic()
            time.sleep(0.02)

    def close(self) -> None:
        subprocess.run(self.host.words("ip", "link", "delete", self.card), capture_output=True, check=False)
        self.far.close()

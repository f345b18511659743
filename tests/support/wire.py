"""What is on a wire: listening to a device, and the wire of a card to a neighbour."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ovn_hosts import Namespace, until


@contextmanager
def listening(space: Namespace, device: str, *words: str) -> Iterator[Callable[[], list[str]]]:
    """Listen to a device while the block runs; what is given says which frames have come so far, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        log, said = Path(folder, "frames"), Path(folder, "said")
        command = ["sh", "-c", f'exec tcpdump "$@" 2>{said}', "tcpdump", "-i", device, "-e", "-n", "-l", "-U", *words]
        listener = space.start(*command, log=log)
        until(lambda: said.exists() and "listening on" in said.read_text(), f"tcpdump listens on {device}")
        yield lambda: log.read_text().splitlines()
        listener.terminate()
        listener.wait()


class Wire:
    """A card in a namespace, and the neighbour that its wire leads to."""

    def __init__(self, host: Namespace, card: str) -> None:
        self.host, self.card, self.far = host, card, Namespace()
        host.run("ip", "link", "add", card, "type", "veth", "peer", "name", "far0", "netns", self.far.pid)
        for space, device in ((host, card), (self.far, "far0")):
            space.run("ethtool", "-K", device, "tx", "off")
            space.run("ip", "link", "set", device, "up")

    def close(self) -> None:
        subprocess.run(self.host.words("ip", "link", "delete", self.card), capture_output=True, check=False)
        self.far.close()

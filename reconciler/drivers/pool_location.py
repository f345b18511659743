"""Where a pool is: what its url says, by its type (API section 7.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.drivers.operation import STORAGE, OperationContext, refuse

MOUNTS = "/var/lib/libvirt/cstor"

_DIRECTORY = "a directory of this host", re.compile(r"/.*")
# Pool type -> what its url is, in words and as a pattern whose groups are the host and what is there.
_FORMS = {
    "localfs": _DIRECTORY,
    "vdiskfs": _DIRECTORY,
    "nfs": ("HOST:/DIRECTORY", re.compile(r"([^/:]+):(/.*)")),
    "glusterfs": ("HOST:VOLUME or HOST:/DIRECTORY", re.compile(r"([^/:]+):(.+)")),
    "uus": ("a uus URL", re.compile(r"uus[a-z-]*://.*")),
}


@dataclass(frozen=True)
class PoolLocation:
    """``directory`` is on this host; ``host`` and ``path`` are where what is mounted there comes from."""

    directory: str
    host: str = ""
    path: str = ""

    @property
    def share(self) -> str:
        """What is mounted on the directory, as HOST:PATH; empty if nothing is."""
        return f"{self.host}:{self.path}" if self.host else ""


def pool_location(context: OperationContext) -> PoolLocation:
    """Where the pool that an operation creates will be. Refuses a url that does not fit its type."""
    name, type, url = context.target.name, context.text("type"), context.text("url")
    if type not in _FORMS:
        refuse(STORAGE, f"pool {name} is of type {type}; there are {', '.join(_FORMS)}")
    words, form = _FORMS[type]
    found = form.fullmatch(url)
    if found is None:
        refuse(STORAGE, f"pool {name} of type {type} needs {words} as its url, not {url!r}")
    if url.startswith("/"):
        return PoolLocation(url)
    return PoolLocation(f"{MOUNTS}/{context.text('uuid')}/{name}", *found.groups())

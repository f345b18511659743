"""Which secrets of this machine may be sent to guests.

Who may change a manifest is often not who may read the machine that applies it: a pull request must not be able to send
any variable or file to a guest of its author. So only the command line allows, never a manifest or the Stack.
"""

from __future__ import annotations

import os
from typing import NamedTuple

ENV_PREFIX = "RECONCILE_SECRET_"  # nobody calls anything so that is not meant for this


class SecretAccess(NamedTuple):
    """Variables that begin with ``ENV_PREFIX`` or one of ``prefixes``, files in ``directories``, and those ``named``
    one by one, as source and name. For secrets of the cluster, its permissions decide.
    """

    prefixes: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    named: frozenset[tuple[str, str]] = frozenset()

    def refusal(self, source: str, name: str, *, resolved: bool = False) -> tuple[str, str] | None:
        """Why a secret may not be read, and what to do about it; None if it may be.

        ``resolved``: links are followed, as they are now; otherwise the file system is not asked.
        """
        if (source, name) in self.named:
            return None
        if source == "env" and not name.startswith((ENV_PREFIX, *self.prefixes)):
            remedy = f"If it is meant for guests, call it {ENV_PREFIX}{name}, or allow it with --secret-env {name}."
            return f"the environment variable {name} may not be read for a secret", remedy
        if source == "file":
            return self._refused_file(name, resolved)
        return None

    def _refused_file(self, name: str, resolved: bool) -> tuple[str, str] | None:
        path = os.path.abspath(name)
        places = {each: os.path.realpath(each) for each in map(os.path.abspath, self.directories)}
        if not any(_is_below(path, place) for both in places.items() for place in both):
            remedy = f"If it is meant for guests, allow its directory with --secret-dir {os.path.dirname(path)}."
            return f"the file {name} may not be read for a secret", remedy
        if resolved and not any(_is_below(os.path.realpath(path), place) for place in places.values()):
            message = f"the file {name} may not be read for a secret: it leads out of the directories of --secret-dir"
            return message, "Put the file itself there."
        return None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)

"""Finding out who runs the command, and which commit the manifests are of."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence

from reconciler.model.provenance import Provenance

ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # who started a pipeline, which itself runs as another user
GIT_TIMEOUT = 5.0  # seconds for one call of git; after it the commit is unknown
REPOSITORY_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
)  # set in a hook


def provenance(
    verb: str, paths: Sequence[str] = (), *, plan: str = "", environment: Mapping[str, str] | None = None
) -> Provenance:
    """Who runs ``verb`` on the manifests in ``paths``, or on the saved ``plan``, and of which commit these are.

    Without git and outside a repository there is no commit. ``environment``: variables, by default of this process.
    """
    commit, dirty = commit_of(paths)
    return Provenance(actor(os.environ if environment is None else environment), verb, plan, commit, dirty)


def actor(environment: Mapping[str, str]) -> str:
    """``alice on laptop``; in a pipeline the person it runs for."""
    from reconciler.reconcile import user

    name = next((environment[name] for name in ACTORS if environment.get(name)), "") or user()
    return "".join(letter for letter in f"{name} on {socket.gethostname()}" if letter.isprintable())[:100]


def commit_of(paths: Sequence[str]) -> tuple[str, bool]:
    """The short commit of the first path, and whether manifests under any path have changes that are not committed."""
    found = [os.path.realpath(path) for path in paths if path != "-"]
    if not found:
        return "", False
    folder = found[0] if os.path.isdir(found[0]) else os.path.dirname(found[0])
    commit = _git(folder, "rev-parse", "--short", "HEAD").strip()
    if not commit:
        return "", False
    top = os.path.realpath(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    inside = [path for path in found if path == top or path.startswith(top + os.sep)]
    listed = _git(folder, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *inside)
    return commit, any(_loadable(os.path.join(top, entry[3:]), inside) for entry in listed.split("\0") if entry)


def _loadable(file: str, paths: Sequence[str]) -> bool:
    """Whether a file would be read as a manifest: a change of the embedded cluster beside them does not count."""
    from reconciler.manifests.tree import SUFFIXES

    if not file.endswith(SUFFIXES):
        return False
    parts = [os.path.relpath(file, path).split(os.sep) for path in paths if file.startswith(path + os.sep)]
    return file in paths or any(not any(name.startswith(".") for name in names) for names in parts)


def _git(folder: str, *words: str) -> str:
    """What git prints; nothing where there is no git, no repository, or no answer in time."""
    # Not the hook that a repository may name for looking at its own files, and no lock that others wait for.
    command = ["git", "--no-optional-locks", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-C", folder, *words]
    environment = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=GIT_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""

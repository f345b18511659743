"""The address of a repository: the URL for git, the URL that is shown, and the credentials, which are in neither."""

from __future__ import annotations

import os
import re
from typing import NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from reconciler.model.problem import InvalidInput, Origin, Problem

PROTOCOLS = ("file", "ssh", "https")
SCP = re.compile(r"(?:[^@/:]+@)?(?:\[[^]/]+\]|[^@/:]+):(?P<path>.+)", re.DOTALL)
# As git check-ref-format has it.
INVALID_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(/|$)|^[-/.]|[/.]$|/\.")


class Address(NamedTuple):
    """``url`` and ``shown`` hold no password, and over https no user either: it may be a token."""

    url: str
    shown: str
    name: str  # of the repository, as a folder name
    protocol: str
    user: str = ""
    password: str = ""


def address(url: str) -> Address:
    """Parse a URL, ``user@host:path`` or a local path. Raises ``InvalidInput``, whose message holds no password."""
    if not url or url.startswith("-") or not url.isprintable():
        _refuse("this is not the address of a repository")
    if re.match(r"[\w+.-]+::", url):
        _refuse("git remote helpers are not supported")
    if "://" in url:
        return _from_url(url)
    if scp := SCP.fullmatch(url):
        if "@" in scp["path"].partition("/")[0] or url.partition("@")[2].startswith("-"):
            _refuse("this is not user@host:path; a password cannot be given for ssh")
        return Address(url, url, _name(scp["path"]), "ssh")
    path = os.path.abspath(url)
    return Address(path, path, _name(path), "file")


def _from_url(url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        _refuse("this is not a URL")
    if parts.scheme not in PROTOCOLS:
        _refuse(f"the protocol {parts.scheme} is not supported")
    if host.startswith("-") or (not host and parts.scheme != "file"):
        _refuse("the URL has no host")
    host_part = (f"[{host}]" if ":" in host else host) + port
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "ssh":
        host_part, user, password = (f"{parts.username}@{host_part}" if user else host_part), "", ""
    plain = urlunsplit((parts.scheme, host_part, parts.path, parts.query, ""))
    shown = urlunsplit((parts.scheme, host_part, parts.path, "", ""))
    return Address(plain, shown, _name(parts.path), parts.scheme, user, password)


def check_ref(ref: str) -> str:
    """``ref`` if it can be a branch, a tag, a full ref name or a commit. Raises ``InvalidInput`` otherwise."""
    if not ref or INVALID_REF.search(ref):
        raise InvalidInput(
            [Problem(Origin("--ref"), f"{ref!r} is not the name of a branch, tag or commit", "Give one.")]
        )
    return ref


def check_path(path: str) -> str:
    """``path`` inside the repository, normalised; empty for all of it. Raises ``InvalidInput`` for one outside it."""
    if os.path.isabs(path) or ".." in path.split("/") or path.startswith("-") or "\0" in path:
        remedy = "Give a path from the top of the repository, such as --path manifests."
        raise InvalidInput([Problem(Origin("--path"), f"{path!r} is not a path inside the repository", remedy)])
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _name(path: str) -> str:
    """The name of the repository, which is the default name of its stack."""
    last = path.rstrip("/").removesuffix("/.git").rpartition("/")[2].removesuffix(".git")
    return last if re.fullmatch(r"[\w][\w.-]*", last) else "repository"


def _refuse(reason: str) -> NoReturn:
    remedy = "Give a local path, file://, https://, ssh:// or user@host:path."
    raise InvalidInput([Problem(Origin("--git"), reason, remedy)])

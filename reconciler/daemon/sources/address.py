"""Where a repository is: what git is given, what people are shown, and the credentials, which are neither."""

from __future__ import annotations

import os
import re
from typing import NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from reconciler.model.problem import InvalidInput, Origin, Problem

PROTOCOLS = ("file", "ssh", "https")
SCP = re.compile(r"(?:[^@/:]+@)?(?:\[[^]/]+\]|[^@/:]+):(?P<path>.+)", re.DOTALL)
UNFIT = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(/|$)|^[-/.]|[/.]$|/\.")  # as git check-ref-format


class Address(NamedTuple):
    """``url`` and ``shown`` hold no password, and over https no user either: a token may stand there."""

    url: str
    shown: str
    name: str  # of the repository
    protocol: str
    user: str = ""
    password: str = ""


def address(url: str) -> Address:
    """Read a URL, an ``user@host:path`` or a local path. Raises ``InvalidInput``, which shows no password."""
    if not url or url.startswith("-") or not url.isprintable():
        _refuse("not the address of a repository")
    if re.match(r"[\w+.-]+::", url):
        _refuse("remote helpers are not used")
    if "://" in url:
        return _of_url(url)
    if scp := SCP.fullmatch(url):
        if "@" in scp["path"].partition("/")[0] or url.partition("@")[2].startswith("-"):
            _refuse("not user@host:path, or with a password, which ssh does not take")
        return Address(url, url, _name(scp["path"]), "ssh")
    path = os.path.abspath(url)
    return Address(path, path, _name(path), "file")


def _of_url(url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        _refuse("not a URL")
    if parts.scheme not in PROTOCOLS:
        _refuse(f"{parts.scheme} is not used")
    if host.startswith("-") or (not host and parts.scheme != "file"):
        _refuse("a URL without a host")
    place = (f"[{host}]" if ":" in host else host) + port
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "ssh":
        place, user, password = (f"{parts.username}@{place}" if user else place), "", ""
    plain = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    shown = urlunsplit((parts.scheme, place, parts.path, "", ""))
    return Address(plain, shown, _name(parts.path), parts.scheme, user, password)


def check_ref(ref: str) -> str:
    """A branch, a tag, a full name or a commit. Raises ``InvalidInput`` for what cannot be one."""
    if not ref or UNFIT.search(ref):
        raise InvalidInput(
            [Problem(Origin("--ref"), f"{ref!r} is no name of a branch, a tag or a commit", "Name one.")]
        )
    return ref


def check_path(path: str) -> str:
    """A path inside the repository, empty for all of it. Raises ``InvalidInput`` for one that leads out."""
    if os.path.isabs(path) or ".." in path.split("/") or path.startswith("-") or "\0" in path:
        remedy = "Give one from the top of the repository, such as --path manifests."
        raise InvalidInput([Problem(Origin("--path"), f"{path!r} is no path inside a repository", remedy)])
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _name(path: str) -> str:
    """Of the repository: its stack is called so unless something else is said."""
    last = path.rstrip("/").removesuffix("/.git").rpartition("/")[2].removesuffix(".git")
    return last if re.fullmatch(r"[\w][\w.-]*", last) else "repository"


def _refuse(why: str) -> NoReturn:
    remedy = "Give a local path, file://, https://, ssh:// or user@host:path."
    raise InvalidInput([Problem(Origin("--git"), why, remedy)])

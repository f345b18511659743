"""Files that a user names: manifests, saved plans, files of secrets. The one place where such a file is opened.

A named pipe, a device or a socket would keep the reader waiting, and opening one may do something by itself. So only
regular files are read, and no more of them than a limit.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping

MIB = 1024**2
_CHUNK = MIB
INPUTS = {"/dev/stdin": 0}  # the names of descriptors beside their numbers
OUTPUTS = {"/dev/stdout": 1, "/dev/stderr": 2}
_OWN_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")
_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a directory"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a named pipe, not a regular file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a regular file"),
    (stat.S_ISCHR, errno.EINVAL, "it is a device, not a regular file"),
    (stat.S_ISBLK, errno.EINVAL, "it is a device, not a regular file"),
)


class TooLarge(OSError):
    """A file is larger than what is read of its sort."""


def own_descriptor(path: str, named: Mapping[str, int] = INPUTS) -> int | None:
    """The descriptor of this process that a path is: ``/dev/stdin``, or the ``/dev/fd/63`` of ``<(command)``."""
    found = _OWN_DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else named.get(path)


def read_user_file(path: str, limit: int, *, descriptors: bool = False) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Never waits for another process.

    ``descriptors``: the path is from the command line, where ``/dev/stdin`` and ``<(command)`` are read to their end,
    whatever they are. Raises ``OSError``, whose ``strerror`` says why it is not read; ``TooLarge`` beyond the limit.
    """
    own = descriptors and own_descriptor(path) is not None
    if "\0" in path:
        raise OSError(errno.EINVAL, "it is not a path")
    if not own:
        refuse_irregular(os.stat(path))  # before it is opened: that alone may start something
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (0 if own else os.O_NONBLOCK))
    try:
        if not own:
            refuse_irregular(os.fstat(descriptor))
        content = _content(descriptor, limit)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise TooLarge(errno.EFBIG, f"it is larger than {shown_limit(limit)}")
    return content


def reason_of(error: OSError) -> str:
    """Why a file cannot be read, to stand after a colon."""
    reason = error.strerror or str(error)
    return reason[:1].lower() + reason[1:]


def shown_limit(limit: int) -> str:
    """A limit in bytes as people read it."""
    return f"{limit // MIB} MiB" if limit >= MIB else f"{limit // 1024} KiB"


def refuse_irregular(found: os.stat_result) -> None:
    """Raise ``OSError`` for what is no regular file."""
    for is_kind, number, reason in _KINDS:
        if is_kind(found.st_mode):
            raise OSError(number, reason)


def _content(descriptor: int, limit: int) -> bytes:
    """What is read up to the end, or one byte beyond the limit."""
    chunks: list[bytes] = []
    left = limit + 1
    while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK))):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)

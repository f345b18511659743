"""Files that are written whole or not at all: under another name, and then put in their place.

What is put in the place of a device or a named pipe would end it, for every program of the host if root does it. So
only regular files, and names that are free, are replaced.
"""

from __future__ import annotations

import os

from reconciler.model.user_file import OUTPUTS, own_descriptor, refuse_irregular


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise ``OSError``, which says why, where something is that is no file: it would be replaced by one.

    A link counts as a file, whatever it leads to: the link alone would be replaced.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        refuse_irregular(found)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None


def put_in_place(new: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Let the file ``new`` take the place of ``path`` at once. Raises ``OSError`` as ``require_place`` does."""
    require_place(path)
    os.replace(new, path)


def linked_place(path: str) -> str:
    """The place that a path which a user names means: where its links lead.

    Raises ``OSError`` as ``require_place`` does.
    """
    place = os.path.realpath(path)
    require_place(place)
    return place


def output_descriptor(path: str) -> int | None:
    """The descriptor of this process that a path names: ``/dev/stdout``, or the ``/dev/fd/63`` of ``>(command)``."""
    return own_descriptor(path, OUTPUTS)


def write_to_descriptor(number: int, text: str) -> None:
    """Write to a descriptor of this process, without opening it again: what is there stays. Raises ``OSError``."""
    with open(os.dup(number), "w", encoding="utf-8") as stream:
        stream.write(text)

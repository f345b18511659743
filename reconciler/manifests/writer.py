"""Documents -> YAML text -> files, which ``read`` turns into the same documents again.

Files appear whole and all together, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import yaml

from reconciler.manifests.reader import plain
from reconciler.model.file_place import put_in_place, require_place
from reconciler.model.invisible import hides


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Lines as lines; quoted where either YAML 1.1, which others read, or 1.2 would take a text for something else."""
    text = text.encode("utf-8", "replace").decode()  # half a character, which a file cannot hold, becomes a "?"
    style = "|" if "\n" in text else None if isinstance(plain(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(str, _text)  # names of nodes


def yaml_text(documents: Iterable[Mapping[str, Any]]) -> str:
    """The documents, one after the other, keys in their order."""
    return "---\n".join(map(_document_text, documents))


def _document_text(document: Mapping[str, Any]) -> str:
    """One document; of one with characters that hide or reorder a text, all that is not ASCII as escapes."""

    def text(unicode: bool) -> str:
        return str(yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=unicode, width=100_000))

    readable = text(True)
    return text(False) if hides(readable) else readable


def write_files(folder: str, texts: Mapping[str, str]) -> None:
    """Write texts by their paths under ``folder``. Raises ``OSError``; then nothing was written."""
    made: list[str] = []
    ready: list[tuple[str, str]] = []
    try:
        for name, text in texts.items():
            path = os.path.join(folder, name)
            require_place(path)
            _make_folders(os.path.dirname(path), made)
            # Hidden, so that whoever reads the folder meanwhile does not take it for a manifest.
            new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
            with open(new, "x", encoding="utf-8") as stream:
                ready.append((new, path))
                stream.write(text)
        for new, path in ready:
            put_in_place(new, path)
    except BaseException:
        for new, _ in ready:
            with suppress(OSError):
                os.unlink(new)
        for each in reversed(made):
            with suppress(OSError):
                os.rmdir(each)
        raise


def _make_folders(path: str, made: list[str]) -> None:
    if path and not os.path.isdir(path):
        if os.path.lexists(path):
            raise NotADirectoryError(20, "not a directory", path)
        _make_folders(os.path.dirname(path), made)
        os.mkdir(path)
        made.append(path)

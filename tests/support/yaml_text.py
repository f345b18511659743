"""YAML texts and their documents, by the parser in C: in Python, tests would mostly wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml


def documents_in(text: str) -> list[Any]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def text_of(documents: Iterable[Any], width: int = 80) -> str:
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, width=width)

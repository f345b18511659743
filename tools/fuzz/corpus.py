"""The texts that inputs are made from: every manifest of the examples and tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reconciler import LocalCluster, make_plan
from reconciler.manifests.json_reader import read_json
from reconciler.manifests.reader import MalformedDocument, SourceText, read_yaml
from reconciler.observe.observed import observe
from reconciler.output.plan_json import to_json
from support.full_stack import documents
from support.paths import ROOT
from support.scenario import desired_of
from tools.fuzz.clusters import resources

FOLDERS = ("examples", "tests/plans", "tests/promises", "tests/unit", "tests/findings", "tests/slow")
SUFFIXES = (".yaml", ".yml", ".json")
MOST = 200_000  # bytes of a text; a larger one would only be slower


@dataclass(frozen=True)
class Corpus:
    """The texts, the documents in them, and every value that stands under a name somewhere."""

    texts: tuple[str, ...]
    documents: tuple[dict[str, Any], ...]
    values: dict[str, list[Any]] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # of resources
    populated: tuple[dict[str, Any], ...] = ()  # those that the populated cluster was made from
    plans: tuple[dict[str, Any], ...] = ()  # as they are saved
    shown: tuple[dict[str, Any], ...] = ()  # the resources of the populated cluster, as its API shows them


@cache
def corpus() -> Corpus:
    """The corpus, always in the same order."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*")) if file.suffix in SUFFIXES]
    texts = tuple(file.read_text(encoding="utf-8", errors="replace") for file in files if file.stat().st_size < MOST)
    populated = documents()
    found = [each for text in texts for each in documents_of(text)] + populated
    values: dict[str, list[Any]] = {}
    for document in found:
        _collect(document, values)
    names = [each["metadata"]["name"] for each in found if _is_named(each)]
    once = tuple(dict.fromkeys(names))
    return Corpus(texts, tuple(found), values, once, tuple(populated), (_saved_plan(),), resources())


def _saved_plan() -> dict[str, Any]:
    """A plan that makes everything of every kind, as it is saved."""
    with LocalCluster(":memory:") as cluster:
        made = make_plan(desired_of(documents()), observe(cluster))
    saved: dict[str, Any] = json.loads(json.dumps(to_json(made)))
    return saved


def documents_of(text: str) -> list[dict[str, Any]]:
    """The mappings in a text, as far as it can be read."""
    source, found = SourceText("corpus", text), list[dict[str, Any]]()
    try:
        for document in read_json(source) if text.lstrip()[:1] == "{" else read_yaml(source):
            if isinstance(document, dict):
                found.append(document)
    except MalformedDocument:
        pass
    return found


def _is_named(document: dict[str, Any]) -> bool:
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str)


def _collect(value: Any, values: dict[str, list[Any]]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            known = values.setdefault(str(key), [])
            if each not in known[-50:]:
                known.append(each)
            _collect(each, values)
    elif isinstance(value, list):
        for each in value:
            _collect(each, values)

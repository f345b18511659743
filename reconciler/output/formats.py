"""The output formats: one row each, with the verbs that have it and what writes their documents. Pure.

The choices and the help of ``--output`` are made from this table, and the tests walk through it. A new format is
a module that turns a document into text, and a row.

A verb makes a document: a value such as a ``Plan``. A writer is named ``module:function``, below
``reconciler.output``, and imported on use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from reconciler.output.escaping import json_text

if TYPE_CHECKING:
    from reconciler.output.text import Paint

Writer = Callable[..., Any]


@dataclass(frozen=True)
class Format:
    """A row: the word ``--output`` takes, what it is for, and the writer of each verb that has it.

    ``encode`` makes text of what a writer returns. The writers of ``coloured`` verbs also take a ``Paint``.
    """

    name: str
    description: str
    writers: Mapping[str, str]
    encode: Callable[[Any], str] = str
    coloured: frozenset[str] = frozenset()


def _json(value: Any) -> str:
    return json_text(value, indent=2) + "\n"


def _yaml(documents: Any) -> str:
    from reconciler.manifests.writer import yaml_text

    return yaml_text(documents)


PLAN, REHEARSAL, GRAPH = "plan", "plan --rehearse", "graph"
RUNS = ("apply", "delete", "run", "release")  # show their plan and their progress as text while they run

FORMATS = (
    Format(
        "text",
        "for people",
        {
            PLAN: "text:plan_text",
            REHEARSAL: "rehearsal:rehearsed_plan_text",
            **dict.fromkeys(RUNS, "report:execution_text"),
            "stack": "stack_rename:rename_text",
            "validate": "validation:validation_text",
            "get": "describe:listing",
            "describe": "describe:description_text",
            "trace": "trace:trace_text",
            "history": "run_list:run_list_text",
            "doctor": "examination:examination_text",
            "operations": "operations:operations_text",
            "explain": "explain:explanation_text",
        },
        coloured=frozenset({PLAN, REHEARSAL, "trace"}),
    ),
    Format("wide", "with addresses and consoles", {"get": "describe:wide_listing"}),
    Format("name", "KIND/NAME, one a line", {"get": "describe:names"}),
    Format(
        "yaml",
        "documents as files hold them",
        {
            "get": "describe:listing_json",
            "crds": "documents:definition_documents",
            "import": "documents:imported_documents",
        },
        encode=_yaml,
    ),
    Format(
        "json",
        "one document for programs, also where there are errors",
        {
            PLAN: "plan_json:to_json",
            REHEARSAL: "rehearsal:rehearsed_plan_json",
            **dict.fromkeys(RUNS, "report:execution_json"),
            "stack": "stack_rename:rename_json",
            "validate": "validation:validation_json",
            "get": "describe:listing_json",
            "describe": "describe:description_json",
            "trace": "trace:trace_json",
            "history": "run_list:run_list_json",
            "doctor": "examination:examination_json",
            "operations": "operations:operations_json",
            "explain": "explain:explanation_json",
            "crds": "documents:definitions_json",
            "import": "documents:imported_json",
        },
        encode=_json,
    ),
    Format("markdown", "the comment of a pull request", {PLAN: "markdown:plan_markdown"}),
    Format("html", "a page by itself", {PLAN: "html:plan_html"}),
    Format("dot", "for Graphviz", {GRAPH: "dot:chart_dot"}),
    Format("mermaid", "for GitHub and other viewers", {GRAPH: "mermaid:chart_mermaid"}),
)


def formats_of(verb: str) -> list[Format]:
    """The formats that a verb has, its default first. Raises ``LookupError`` for a verb that has none."""
    found = [row for row in FORMATS if verb in row.writers]
    if not found:
        raise LookupError(f"{verb} has no output format")
    return found


def verbs() -> list[str]:
    """Every verb that has a format, in the order of the table."""
    return list(dict.fromkeys(verb for row in FORMATS for verb in row.writers))


def render(format: str, verb: str, document: Any, paint: Paint | None = None) -> str:
    """The document of a verb as text in a format that the verb has."""
    (row,) = (row for row in FORMATS if row.name == format)
    module, _, function = row.writers[verb].partition(":")
    writer: Writer = getattr(import_module(f"reconciler.output.{module}"), function)
    return row.encode(writer(document, paint) if paint and verb in row.coloured else writer(document))

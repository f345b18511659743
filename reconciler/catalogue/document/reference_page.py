"""The reference page: every operation, grouped by kind, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from reconciler.catalogue.document.example import request, yaml
from reconciler.catalogue.document.phrases import allowed_values, field_paths, parameter_relations, univirt_support
from reconciler.catalogue.operation import IMPACT_MEANING, Operation, Parameter, Verb

GENERATED = "<!-- Made from the catalogue by 'make generate'; changes belong into reconciler/catalogue. -->"


def anchor(operation: Operation) -> str:
    """A place on the page; a few names exist on two kinds."""
    return f"{operation.kind}-{operation.name}".lower()


def reference(operations: Iterable[Operation]) -> str:
    """The page of all operations, grouped by kind."""
    kinds = [(kind, list(rows)) for kind, rows in groupby(operations, lambda operation: operation.kind)]
    lines = [
        GENERATED,
        "# Operations",
        "",
        f"All {sum(len(rows) for _, rows in kinds)} operations of the API. Numbers travel as text, switches as JSON "
        "booleans; a switch that is false counts as not given. `reconcile operations NAME` prints the same. "
        "How each is reached and which back end has it: [coverage](coverage.md).",
        "",
        "- **Moved by**: the manifest fields whose change leads to it, as `reconcile explain` takes them; `metadata` "
        "stands for the manifest as a whole, which comes or goes. What no field moves is asked for with an "
        "`Operation` document or `reconcile run`.",
        f"- **Impact**: {'; '.join(f'`{impact}`, {said}' for impact, said in IMPACT_MEANING.items())}.",
        "- **uni-virt**: how the existing back end treats the operation as it is documented.",
        "",
    ]
    for kind, rows in kinds:
        links = ", ".join(f"[{each.name}](#{anchor(each)})" for each in rows)
        lines += [f"- [{kind}](#{kind.lower()}) ({len(rows)}): {links}"]
    for kind, rows in kinds:
        lines += ["", f"## {kind}"]
        for each in rows:
            lines += ["", *_entry(each)]
    return "\n".join(lines) + "\n"


def _entry(operation: Operation) -> Iterator[str]:
    state, reason = univirt_support(operation)
    way = ", ".join(f"`{field}`" for field in field_paths(operation)) or "nothing; runs on request with an `Operation`"
    yield f'<a id="{anchor(operation)}"></a>'
    yield f"### {operation.name}"
    yield ""
    yield operation.doc + (" Deprecated by the API." if operation.deprecated else "")
    yield ""
    yield f"- Moved by: {way}"
    if operation.needs:
        yield f"- Needs: {'; '.join(operation.needs)}"
    yield f"- Leaves: {operation.leaves}"
    yield f"- Impact: {operation.running} when the guest runs, {operation.stopped} when it is stopped"
    yield f"- uni-virt: {state}{f' ({reason})' if reason else ''}"
    yield (
        f"- API: section {operation.section}, {_VERBS[operation.verb]}, key `{operation.key}`, "
        f"[schema](../schemas/operations/{operation.kind}/{operation.name}.schema.json)"
    )
    yield ""
    if operation.parameters:
        yield from _parameter_table(operation)
    else:
        yield "It takes no parameters."
    if said := parameter_relations(operation):
        yield ""
        yield from (f"- {each}" for each in said)
    if document := request(operation):
        yield ""
        yield "```yaml"
        yield from yaml(document)
        yield "```"


def _parameter_table(operation: Operation) -> Iterator[str]:
    yield "| Parameter | Type | Unit | Required | Allowed | What it is |"
    yield "|---|---|---|---|---|---|"
    for row in operation.parameters:
        cells = (
            f"`{row.name}`",
            "secret text" if row.secret else {"string": "text", "boolean": "switch"}[row.type],
            str(row.unit or ""),
            "yes" if row.required else "",
            _allowed_cell(row),
            cell(row.doc),
        )
        yield f"| {' | '.join(cells)} |"


_VERBS = {
    Verb.CREATE: "carried by a new resource",
    Verb.UPDATE: "put on the resource",
    Verb.DELETE: "put on the resource, which goes",
}


def _allowed_cell(row: Parameter) -> str:
    said = allowed_values(row)
    if not row.pattern or row.secret:
        return cell(said)
    return f"{said + ', ' if said else ''}like `{cell(row.example).replace(chr(10), ' ')}`"


def cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return text.replace("|", "\\|")

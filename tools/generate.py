"""python -m tools.generate [--check]: the files that are made from tables of the code.

Written are ``schemas/operations``, the limits of numbers in the schemas of manifests, the pages ``operations``,
``coverage``, ``impact``, ``fields`` and ``command-line`` of ``docs/reference``, and ``deploy/crds.yaml``; the same
tables give the same bytes. With ``--check`` nothing is written: files that differ are named, and the exit code is
1.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.catalogue import OPERATIONS, Operation
from reconciler.catalogue import document as made
from reconciler.catalogue.limits import NUMBERS
from reconciler.catalogue.operation import IMPACT_MEANING, Impact
from reconciler.clusters.crds import definitions
from reconciler.drivers.capabilities import CAPABILITIES
from reconciler.drivers.capability import Level
from reconciler.manifests.writer import yaml_text
from reconciler.model.wire import UNIVIRT
from reconciler.planner.impact import rows
from reconciler.planner.rules import CHANGE, CREATE, DELETE
from tools import reference

ROOT = Path(__file__).parent.parent
SCHEMAS = Path("schemas/operations")
PAGES = Path("docs/reference")
CRDS_HEAD = "# What 'reconcile crds' prints, written by 'make generate'; do not edit.\n"

BACK_ENDS = (*CAPABILITIES, UNIVIRT)  # the columns of the coverage page

# Operations that another one stands in for, though fields would lead to them.
STAND_INS = {"InsertISO": "ManageISO", "EjectISO": "ManageISO", "BatchDeprecatedACL": "DeprecatedACL"}


# What each rule table sends. By name: a row may be about another kind, whose field it moves.
_SENT = {
    "create": {row.operation for row in CREATE},
    "change": {row.operation for row in CHANGE},
    "delete": {row.operation for row in DELETE},
}


def rule_operations() -> set[str]:
    """The operations that some row of the rule tables sends."""
    return set().union(*_SENT.values())


def rules_of(operation: Operation) -> list[str]:
    """The rule tables that send an operation."""
    return [table for table, names in _SENT.items() if operation.name in names]


def files() -> dict[Path, str]:
    """Every generated file, by its path below the root."""
    found = {
        SCHEMAS / operation.kind / f"{operation.name}.schema.json": json.dumps(
            made.schema(operation), indent=2, ensure_ascii=False
        )
        + "\n"
        for operation in OPERATIONS
    }
    found[PAGES / "operations.md"] = made.reference(OPERATIONS).replace("](../schemas/", "](../../schemas/")
    found[PAGES / "coverage.md"] = coverage()
    found[PAGES / "impact.md"] = impacts()
    found[PAGES / "fields.md"] = reference.fields()
    found[PAGES / "command-line.md"] = reference.command_line()
    found |= {Path(f"schemas/{kind}.schema.json"): manifest_schema(kind) for kind in {each.kind for each in NUMBERS}}
    found[Path("deploy/crds.yaml")] = CRDS_HEAD + yaml_text(definitions())
    return found


def manifest_schema(kind: str) -> str:
    """The schema of a kind of manifest, in which no number has wider limits than the parameter it becomes."""
    document = json.loads((ROOT / f"schemas/{kind}.schema.json").read_text(encoding="utf-8"))
    for limit in NUMBERS:
        if limit.kind == kind:
            low, high = limit.range
            fragment = _field(document["properties"]["spec"], limit.field)
            if "$ref" not in fragment:  # what kinds share is as it is
                fragment["minimum"] = max(low, fragment.get("minimum", low))
                fragment["maximum"] = min(high, fragment.get("maximum", high))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _field(spec: dict[str, Any], field: str) -> dict[str, Any]:
    """The schema of a field in the schema of a spec."""
    for name in field.split("."):
        spec = spec["items"] if name == "*" else spec["properties"][name]
    return spec


def coverage() -> str:
    """The page that says of every operation how it is reached, and which back ends carry it out."""
    rows = [_row(operation) for operation in OPERATIONS]
    reach = Counter("on request" if not each.fields else "fields" for each in OPERATIONS)
    lines = [
        "<!-- Made from the catalogue and the capabilities of the drivers by 'make generate'; do not edit. -->",
        "# Coverage",
        "",
        f"{len(OPERATIONS)} operations. A manifest field leads to {reach['fields']}, of which another operation stands "
        f"in for {len(STAND_INS)}; {reach['on request']} run on request with an `Operation` document. "
        f"{sum(bool(rules_of(each)) for each in OPERATIONS)} are sent by a rule of the planner.",
        "",
        "| Back end | Has | With a caveat | Has not |",
        "|---|---|---|---|",
        *(_count(name, [_support(name, each)[0] for each in OPERATIONS]) for name in BACK_ENDS),
        "",
        "Rule names the tables of `reconciler/planner/rules` that send it. Impact is on a running guest / on a stopped "
        "one. simulator and libvirt are drivers of `reconcile agent`, libvirt+ovn is libvirt with `--ovn-nb`; uni-virt "
        "is the agent of kube-stack. The reasons for a caveat or a no of uni-virt are on the page of "
        "[operations](operations.md), those of the drivers below.",
        "",
        f"| Kind | Operation | Reached by | Rule | Impact | {' | '.join(BACK_ENDS)} |",
        f"|---|---|---|---|---|{'---|' * len(BACK_ENDS)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
    for driver in CAPABILITIES:
        lines += ["", f"## Caveats of {driver}", "", *_caveats(driver)]
    return "\n".join(lines) + "\n"


def impacts() -> str:
    """The page that says for every field what changing it does to a guest."""
    lines = [
        made.GENERATED,
        "# Impact",
        "",
        "What changing a field of a manifest does to the guest, running or stopped. "
        f"{'; '.join(f'`{impact}`: {said}' for impact, said in IMPACT_MEANING.items())}. "
        f"Steps with the impact {', '.join(f'`{each}`' for each in Impact if each.needs_permission)} are held until "
        "`--allow`, or the policy of the Stack, permits them.",
        "",
        "On what machines share, a network, pool or image, it is what the running machines that use it notice; `none` "
        "where no running machine does. Of an operation that does less in some cases, the cases follow the impact.",
        "",
        "A field that may *wait* is written for the next start of a running guest where it cannot be changed live: the "
        "guest keeps running, and `plan`, `get` and `describe` show the field as pending restart.",
        "",
        "| Kind | Field | What happens to it | Operation | Running | Stopped | May wait |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.kind} | {f'`{row.field}`' if row.field else 'the resource'} | {row.what} | {row.operation} "
        f"| {'; '.join((str(row.running), *(f'{impact} {words}' for words, impact in row.milder)))} "
        f"| {row.stopped} | {'yes' if row.waits else ''} |"
        for row in dict.fromkeys(rows())
    ]
    return "\n".join(lines) + "\n"


def _row(operation: Operation) -> tuple[str, ...]:
    way = ", ".join(f"`{field}`" for field in made.field_paths(operation)) or "on request"
    if operation.name in STAND_INS:
        way += f", as {STAND_INS[operation.name]}"
    return (
        operation.kind,
        f"[{operation.name}](operations.md#{made.anchor(operation)})",
        way,
        ", ".join(rules_of(operation)) or "no",
        f"{operation.running} / {operation.stopped}",
        *(_support(name, operation)[0] for name in BACK_ENDS),
    )


def _support(back_end: str, operation: Operation) -> tuple[str, str]:
    """Whether a back end carries an operation out (yes, caveat or no), and what is missing."""
    if back_end == UNIVIRT:
        return made.univirt_support(operation)
    support = CAPABILITIES[back_end].of(operation.kind, operation.name)
    return str(support.level), support.reason


def _count(back_end: str, levels: Sequence[str]) -> str:
    counted = Counter(levels)
    return f"| {back_end} | {' | '.join(str(counted[level]) for level in Level)} |"


def _caveats(driver: str) -> list[str]:
    """What a driver does not carry out, or not in full: a row for each reason."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for operation in OPERATIONS:
        level, reason = _support(driver, operation)
        if level != Level.YES:
            by_reason.setdefault((level, reason), []).append(
                f"[{operation.name}](operations.md#{made.anchor(operation)})"
            )
    rows = [f"| {level} | {reason} | {', '.join(names)} |" for (level, reason), names in by_reason.items()]
    return ["| | Reason | Operations |", "|---|---|---|", *sorted(rows)]


def differing(root: Path) -> list[str]:
    """The generated files that are missing, not up to date, or no longer made; in order."""
    wanted = files()
    found = [path for path, text in wanted.items() if _read(root / path) != text]
    return sorted(str(path) for path in (*found, *_left_over(root, wanted)))


def write(root: Path) -> list[str]:
    """Bring the generated files up to date; returns those that were not."""
    changed = differing(root)
    wanted = files()
    for path, text in wanted.items():
        if str(path) in changed:
            _replace(root / path, text)
    for path in _left_over(root, wanted):
        (root / path).unlink()
    for folder in sorted((root / SCHEMAS).rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return changed


def _left_over(root: Path, wanted: dict[Path, str]) -> list[Path]:
    """Files in the folder that is wholly generated, which nothing makes."""
    there = (path.relative_to(root) for path in (root / SCHEMAS).rglob("*") if not path.is_dir())
    return [path for path in there if path not in wanted]


def _read(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else None


def _replace(path: Path, text: str) -> None:
    """All of the file or nothing: a reader never finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(text.encode())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """The command; returns its exit code."""
    if list(arguments) == ["--check"]:
        stale = differing(root)
        if stale:
            shown = "".join(f"\n  {name}" for name in stale[:10])
            more = f"\n  and {len(stale) - 10} more" if len(stale) > 10 else ""
            print(f"Not up to date with the code; run 'make generate':{shown}{more}", file=sys.stderr)
        return 1 if stale else 0
    if arguments:
        print("usage: python -m tools.generate [--check]", file=sys.stderr)
        return 2
    for name in write(root):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

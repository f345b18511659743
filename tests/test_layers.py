"""The order of the layers, and who may touch what: checked, so that it stays true."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reconciler"

# A module may import from lines above its own, never from its own line or below.
LAYERS = [
    {"version", "log", "glyph", "provenance", "backoff"},
    {"problem", "resource", "quantity"},
    {"secret", "eventid"},
    {"kinds", "catalogue", "read"},
    {"load", "schema", "shape", "crds", "write"},
    {"clusters.base", "drivers.base", "drivers.asked", "request", "ledger"},
    {"drivers.domain", "drivers.place"},
    {"drivers.creation"},
    {"graph", "waiver"},
    {"validate", "observe"},
    {"diff", "mend"},
    {"plan"},
    {"rules"},
    {"reason", "estimate", "impact"},
    {"reliance"},
    {"planner", "clusters.database"},
    {
        "clusters.local",
        "clusters.kubernetes",
        "drivers.simulator",
        "drivers.libvirt",
        "agent",
        "apply",
        "planfile",
        "draft",
    },
    {"aftermath"},
    {"rehearsal", "server"},
    {"connect", "embedded", "node", "probe", "reconcile", "render", "review"},
    {"history"},
    {"present", "progress", "chart", "markdown"},
    {"dot", "drawing", "mermaid"},
    {"page"},
    {"daemon"},
    {"cli"},
]
PURE = {
    "problem", "resource", "quantity", "kinds", "shape", "validate", "diff", "graph", "plan", "rules", "reason",
    "planner", "planfile", "render", "present", "request", "ledger", "eventid", "mend", "catalogue",
    "glyph", "review", "chart", "dot", "mermaid", "drawing", "markdown", "page",
    "crds", "draft", "reliance", "impact", "provenance", "history", "estimate", "backoff",
    "agent.wire", "apply.flight", "apply.options", "apply.order", "apply.report",
    "rehearsal.script", "rehearsal.duration", "rehearsal.fault",
    "daemon.baseline", "daemon.difference", "daemon.withholding",
}  # fmt: skip
IMPURE = {"os", "io", "socket", "sqlite3", "subprocess", "threading", "time", "random", "uuid", "datetime", "logging"}
ONLY = {
    "sqlite3": {"clusters.database", "clusters.local"},
    "yaml": {"read", "write"},
    "jsonschema": {"schema"},
    "fastjsonschema": {"schema"},
    "click": {"cli"},
    "rich": {"progress"},
    "kubernetes": {"clusters.kubernetes.api"},
    "prometheus_client": {"probe", "daemon.metrics"},
    "libvirt": {"drivers.libvirt"},
    "pycdlib": {"drivers.libvirt.seed"},
    "watchdog": {"daemon.survey", "daemon.watches"},
}


@cache
def modules() -> dict[str, set[str]]:
    """Every module of the package, by dotted name without the package, and what it imports at run time."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            found[name] = set(imports(ast.parse(file.read_text())))
    return found


def imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module in ("reconciler", "reconciler.clusters", "reconciler.drivers"):
                names += [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names.append(node.module)
        names += imports(node)
    return names


def layer(name: str) -> int:
    for number, members in enumerate(LAYERS):
        if any(name == member or name.startswith(f"{member}.") for member in members):
            return number
    raise AssertionError(f"{name} has no layer: add it to LAYERS")


def part(name: str) -> str:
    """The member of LAYERS a module belongs to; the modules of one package may know each other."""
    return next(each for members in LAYERS for each in members if name == each or name.startswith(f"{each}."))


@pytest.mark.parametrize("name", [name for name in modules() if name not in ("clusters", "drivers")])
def test_a_module_imports_only_from_layers_above(name: str) -> None:
    for imported in modules()[name]:
        if not imported.startswith("reconciler."):
            continue
        other = imported.removeprefix("reconciler.")
        if part(other) != part(name):
            assert layer(other) < layer(name), f"{name} imports {other}"


def test_clusters_and_drivers_do_not_know_each_other_nor_the_planner() -> None:
    for name, imported in modules().items():
        if name.startswith(("clusters.", "drivers.")):
            mine = name.partition(".")[0]
            theirs = {"clusters": "drivers", "drivers": "clusters"}[mine]
            forbidden = (f"reconciler.{theirs}", "reconciler.plan", "reconciler.rules", "reconciler.apply")
            assert not [each for each in imported if each.startswith(forbidden)], name


@pytest.mark.parametrize(
    "name", sorted(name for name in modules() if any(f"{name}.".startswith(f"{each}.") for each in PURE))
)
def test_a_pure_module_imports_nothing_that_acts(name: str) -> None:
    assert not {each.partition(".")[0] for each in modules()[name]} & IMPURE


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    users = {name for name, imported in modules().items() if library in {each.partition(".")[0] for each in imported}}
    places = tuple(f"{each}." for each in ONLY[library])
    assert not [name for name in users if not f"{name}.".startswith(places)]

"""Who may touch what. The order of packages and modules is checked by import-linter (``pyproject.toml``)."""

import ast
from functools import cache

import pytest

from support.paths import ROOT

PACKAGE = ROOT / "reconciler"

# No I/O, clock, threads or randomness between load and apply, nor where a plan or a result is shown.
PURE = {
    "model", "catalogue", "manifests", "planner", "importer",
    "clusters.crds", "observe.ledger",
    "agent.wire_resource",
    "apply.annotations", "apply.estimate", "apply.failure", "apply.options", "apply.order", "apply.references",
    "apply.report", "apply.running_step", "clusters.kubernetes.errors", "clusters.local.selector",
    "output",
    "rehearsal.sanitiser", "rehearsal.duration", "rehearsal.fault",
    "daemon.drift.baseline", "daemon.drift.difference", "daemon.drift.selection",
}  # fmt: skip
ACTS = {  # what in them meets the outside: secrets' sources and the digests' key, files, listening, progress, metrics
    "model.secret", "model.secret_access", "model.user_file", "model.file_place", "manifests.loader",
    "manifests.reader", "manifests.tree", "manifests.writer",
    "manifests.drift_policy", "output.log", "output.metrics", "output.progress", "output.server",
}  # fmt: skip
IMPURE = {"os", "io", "socket", "sqlite3", "subprocess", "threading", "time", "random", "uuid", "datetime", "logging"}
ONLY = {
    "sqlite3": {"clusters.local.database", "clusters.local.integrity", "clusters.local.resources"},
    "yaml": {"manifests.reader", "manifests.writer"},
    "jsonschema": {"manifests.schema"},
    "fastjsonschema": {"manifests.schema"},
    "click": {"cli"},
    "deepdiff": {"output.difference"},
    "rich": {"output.progress"},
    "kubernetes": {"clusters.kubernetes.api", "clusters.kubernetes.kubeconfig"},
    "prometheus_client": {"output.metrics", "daemon.status.metrics"},
    "libvirt": {"drivers.libvirt"},
    "pycdlib": {"drivers.libvirt.seed"},
    "watchdog": {"daemon.sources.folders", "daemon.sources.file_watcher"},
}


@cache
def modules() -> dict[str, set[str]]:
    """The libraries each module imports at run time, by its dotted name without the package's."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = {each.partition(".")[0] for each in imports(ast.parse(file.read_text()))}
    return found


def imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        names += imports(node)
    return names


def inside(name: str, places: set[str]) -> bool:
    return any(f"{name}.".startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("name", sorted(name for name in modules() if inside(name, PURE) and not inside(name, ACTS)))
def test_a_pure_module_imports_nothing_that_acts(name: str) -> None:
    assert not modules()[name] & IMPURE


def test_the_names_in_these_tables_are_of_modules_that_exist() -> None:
    named = PURE | ACTS | {place for places in ONLY.values() for place in places}
    assert sorted(named - modules().keys()) == []


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    users = {name for name, libraries in modules().items() if library in libraries}
    assert users, f"nothing uses {library}"
    assert not [name for name in users if not inside(name, ONLY[library])]


def test_the_root_holds_sixteen_entries_at_most() -> None:
    entries = [each.name for each in PACKAGE.iterdir() if each.name not in ("py.typed", "__pycache__", "schemas")]
    assert len(entries) <= 16, entries

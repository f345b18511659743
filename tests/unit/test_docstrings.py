"""Every public function says what it does, once: where its class only fulfils a protocol, the protocol says it."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from support.paths import ROOT

PACKAGE = ROOT / "reconciler"
# What several classes implement is described where it is declared.
PROTOCOLS = (
    "agent/observer.py", "clusters/base.py", "daemon/sources/trigger.py", "drivers/base.py", "model/secret.py",
)  # fmt: skip


class Function(NamedTuple):
    """A public function, or a method of a public class."""

    file: str
    owner: str
    name: str
    described: bool
    is_operation: bool  # its row in the catalogue describes it

    def __str__(self) -> str:
        return f"{self.file}: {self.owner + '.' if self.owner else ''}{self.name}"


def functions() -> Iterator[Function]:
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield from _inside(tree, str(file.relative_to(PACKAGE)), "")


def _inside(node: ast.Module | ast.ClassDef, file: str, owner: str) -> Iterator[Function]:
    for each in node.body:
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield from _inside(each, file, each.name)
        elif isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            is_operation = any("operation" in ast.unparse(decorator) for decorator in each.decorator_list)
            yield Function(file, owner, each.name, bool(ast.get_docstring(each)), is_operation)


def test_every_public_function_has_a_docstring_or_fulfils_a_protocol_that_has():
    found = list(functions())
    declared = {each.name for each in found if each.file in PROTOCOLS and each.owner and each.described}
    assert len(declared) > 20, "the protocols have moved"
    bare = [
        str(each)
        for each in found
        if not (each.described or each.is_operation or (each.owner and each.name in declared))
    ]
    assert not bare, "\n".join(["these say nothing of what they do:", *bare])

"""The table of output formats: a format is a module and a row, and nothing else."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from reconciler.cli.options import output_option
from reconciler.output import formats
from reconciler.output.formats import FORMATS, Format, formats_of, render, verbs


def test_formats_have_different_names() -> None:
    assert len({row.name for row in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_writer_takes_a_document_and_where_it_may_be_coloured_a_paint(row: Format) -> None:
    for verb, writer in row.writers.items():
        module, _, function = writer.partition(":")
        parameters = list(
            signature(getattr(import_module(f"reconciler.output.{module}"), function)).parameters.values()
        )
        required = [each for each in parameters if each.default is each.empty]
        assert len(required) == 1, writer
        assert ("paint" in [each.name for each in parameters]) is (verb in row.coloured), writer


def test_the_default_of_a_verb_is_its_first_format() -> None:
    defaults = {verb: formats_of(verb)[0].name for verb in verbs()}
    assert {verb: name for verb, name in defaults.items() if name != "text"} == {
        "crds": "yaml",
        "import": "yaml",
        "graph": "dot",
    }
    with pytest.raises(LookupError, match="agent has no output format"):
        formats_of("agent")


def test_a_new_format_is_a_module_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("reconciler.output.shout")
    module.operations_shout = lambda document: f"{document}!".upper()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reconciler.output.shout", module)
    row = Format("shout", "for people far away", {"operations": "shout:operations_shout"})
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, row))

    @click.command()
    @output_option("operations")
    def verb(output: str) -> None:
        click.echo(render(output, "operations", "plug"), nl=False)

    assert CliRunner().invoke(verb, ["-o", "shout"]).output == "PLUG!"
    assert "shout: for people far away." in " ".join(CliRunner().invoke(verb, ["--help"]).output.split())

"""What stands between values of others and a terminal."""

from __future__ import annotations

import io
import json
import logging
import re

import click
import pytest

from reconciler.manifests.writer import yaml_text
from reconciler.output import log
from reconciler.output.escaping import Painted, guarded, json_text, page
from support.paths import ROOT

HOSTILE = [
    "\x1b[2J",
    "\x9b2J",
    "\r",
    "\x00",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200e",
    "\u061c",
    "\u200b",
    "\u2028",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_such_character_is_printed(text: str) -> None:
    escape = json.dumps(text[0])[1:-1] if text != "\x7f" else "\\u007f"
    assert page([f"a{text}b"]) == guarded(f"a{text}b\n") == f"a{escape}{text[1:]}b\n"
    assert text not in json_text({text: text})
    assert json.loads(json_text({text: text})) == {text: text}
    assert text not in yaml_text([{"a": f"{text}b\nc"}])


def test_a_line_stays_one_and_has_no_colours_but_ours() -> None:
    red = click.style("a", fg="red")
    assert page([Painted(red), f"b\n{red}"]) == f"{red}\nb\\n\\u001b[31ma\\u001b[0m\n"
    assert guarded(f"{red}\x1b[8m\n") == f"{red}\\u001b[8m\n"


def test_a_message_in_the_log_of_a_terminal_begins_no_entry() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure(stream)
    try:
        logging.getLogger("reconciler.test").info("a\n10:00:00 INFO    forged\x1b[2J")
    finally:
        logging.getLogger("reconciler").handlers.clear()
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    a\n  10:00:00 INFO    forged\\u001b\[2J\n", stream.getvalue())


def test_nothing_of_the_command_line_prints_past_the_guard() -> None:
    for path in sorted((ROOT / "reconciler" / "cli").glob("*.py")):
        if path.name != "terminal.py":
            assert not re.search(
                r"click\.(s?echo|confirm|prompt)\(|\bprint\(|sys\.std(out|err)\.write", path.read_text()
            ), path

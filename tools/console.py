"""python -m tools.console PAGE...: run the commands that pages show, and write what they print below them.

A block that begins with ```` ```console ```` has commands (lines that begin with ``$``) and what they print; a comment
that begins with ``<!-- console`` has commands that readers do not see. All of them run in turn, in one new directory
that has ``examples``. A test compares the pages with what this makes of them. Other commands that a page shows, such
as those that install something or need a host, belong in ```` ```sh ````: nothing runs unless every command of the
page may.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
COMMANDS = re.compile(
    r"^(?P<head>```console\n|<!-- console\n)(?P<commands>.*?)(?=^(?:```|-->)$)", re.MULTILINE | re.DOTALL
)
SHELL = frozenset({"cat", "cp", "mkdir", "rm", "sed"})
REFUSED = frozenset({"agent", "watch", "--watch", "--driver", "--cluster", "--context", "--kubeconfig"})
OUTCOME = re.compile(r"(created|changed|deleted|ran|marked|failed|skipped|held) +\w+ \w+/")


def played(page: str) -> str:
    """The page with the output of its commands as it is now.

    Raises ``ValueError`` if a command may not run, before any has; ``CalledProcessError`` if one of the shell fails.
    """
    for found in COMMANDS.finditer(page):
        for command in _commands(found["commands"]):
            _check(command)
    with TemporaryDirectory() as folder, chdir(folder):
        shutil.copytree(ROOT / "examples", "examples")
        return COMMANDS.sub(_played, page)


def _played(found: re.Match[str]) -> str:
    """What stands in place of some commands: they with their output, or only they where nobody sees them."""
    output = "".join(_run(found["commands"]))
    return found["head"] + (output if found["head"].startswith("`") else found["commands"])


def comparable(page: str) -> str:
    """The page without what differs from run to run: durations, ids of runs, which of several steps ended first."""
    page = re.sub(r"\(\d+(\.\d+)? s\)", "(0.0 s)", page)
    page = re.sub(r"\brun-[0-9a-f]{12}\b", "run-000000000000", page)
    return COMMANDS.sub(lambda found: found["head"] + "\n".join(_in_order(found["commands"].splitlines())) + "\n", page)


def _in_order(lines: list[str]) -> Iterator[str]:
    """The lines, with outcomes of steps that follow each other sorted."""
    waiting: list[str] = []
    for line in lines:
        if OUTCOME.match(line):
            waiting.append(line)
            continue
        yield from sorted(waiting)
        waiting.clear()
        yield line
    yield from sorted(waiting)


def _check(command: str) -> None:
    """Refuse what could reach anything but the directory in which the commands run."""
    first, *rest = shlex.split(command)
    outside = [word for word in rest if word.startswith(("/", "~")) or ".." in word.split("/")]
    ours, shell = not REFUSED & set(rest), first in SHELL and not set(command) & set(";&|<>`(")
    allowed_values = ours if first == "reconcile" else shell
    if outside or not allowed_values:
        raise ValueError(f"not a command that a page may have run: {command}")


def _commands(block: str) -> Iterator[str]:
    return (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))


def _run(block: str) -> Iterator[str]:
    for command in _commands(block):
        yield f"$ {command}\n"
        yield _output(command)


def _output(command: str) -> str:
    words = shlex.split(command)
    if words[0] != "reconcile":
        done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return done.stdout.decode()
    from reconciler.cli import main as reconcile

    arguments, variable, output = sys.argv, os.environ.pop("RECONCILE_CLUSTER", None), StringIO()
    sys.argv = words
    try:
        with redirect_stdout(output), redirect_stderr(output), suppress(SystemExit):
            reconcile()
    finally:
        sys.argv = arguments
        if variable is not None:
            os.environ["RECONCILE_CLUSTER"] = variable
    return output.getvalue()


def main(names: list[str]) -> None:
    """Bring the pages up to date."""
    for name in names:
        page = Path(name).resolve()
        text = page.read_text(encoding="utf-8")
        new = played(text)
        if comparable(new) != comparable(text):
            page.write_text(new, encoding="utf-8")
            print(os.path.relpath(page))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The command line: it reads arguments, calls the stages and prints; it decides nothing.

One module a verb, named in ``VERBS`` and imported on use, so that --version and --help stay quick. Exit codes: 0
fine, 1 error, 2 (with --detailed-exitcode) the plan has changes or an apply left some held; ``trace`` has its own.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from reconciler import __version__

EXAMPLES = """
\b
Examples:
  reconcile --plan examples/manifests/quickstart   show what would happen
  reconcile examples/manifests/quickstart          show the plan, ask, apply
  reconcile --yes --allow restart manifests        apply in CI, restarts allowed
  reconcile --plan --rehearse manifests            try the plan on a simulated copy of the cluster
  reconcile --plan --inject PlugDisk=silent m      and show what is left when a step fails
  reconcile --watch manifests                      apply, and keep the cluster in sync
  kustomize build overlay | reconcile --plan -     read standard input
  reconcile trace vm/web-1 vm/db-1 tcp/3306 m      say whether a flow passes then, and by which rule
  reconcile get vm                                 list what is on the cluster
  reconcile import --out manifests                 write it as manifests, whose plan is empty
  reconcile explain VirtualMachine.memory          explain a field, and which operations change it
"""

# Verb -> its module below this package, and the name of its command there.
VERBS = {
    "plan": ("plan", "plan"),
    "graph": ("graph", "graph"),
    "apply": ("apply", "apply"),
    "delete": ("delete", "delete"),
    "run": ("run", "run"),
    "release": ("release", "release"),
    "stack": ("stack", "stack"),
    "watch": ("watch", "watch"),
    "agent": ("agent", "agent"),
    "validate": ("validate", "validate"),
    "get": ("get", "get"),
    "describe": ("describe", "describe"),
    "history": ("history", "history"),
    "doctor": ("doctor", "doctor"),
    "import": ("import_", "import_"),
    "trace": ("trace", "trace"),
    "explain": ("explain", "explain"),
    "operations": ("operations", "operations"),
    "crds": ("crds", "crds"),
}


class Commands(MutableMapping[str, click.Command]):
    """The verbs by name; the module of a verb is imported when the verb is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, verb: str) -> click.Command:
        if verb not in self._loaded:
            module, name = VERBS[verb]
            self._loaded[verb] = getattr(import_module(f"reconciler.cli.{module}"), name)
        return self._loaded[verb]

    def __setitem__(self, verb: str, command: click.Command) -> None:
        self._loaded[verb] = command

    def __delitem__(self, verb: str) -> None:
        del self._loaded[verb]

    def __contains__(self, verb: object) -> bool:
        return verb in VERBS

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class VerbGroup(click.Group):
    """``reconcile PATH`` means ``reconcile apply PATH``; with ``--plan`` anywhere it means ``reconcile plan``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments with the verb they mean in front."""
        if args and args[0] in ("--help", "-h", "--version"):
            return super().parse_args(ctx, args)
        if any(arg.partition("=")[0] == "--inject" for arg in args) and "--plan" not in args and args[0] != "plan":
            args = ["--plan", *args]  # who asks for faults asks for nothing to be applied
        if "--plan" in args and args[0] not in self.commands.keys() - {"apply", "plan"}:
            index = args.index("--plan")
            rest = [*args[:index], *args[index + 1 :]]
            args = ["plan", *(rest[1:] if rest[:1] in (["apply"], ["plan"]) else rest)]
        elif "--watch" in args and args[0] not in self.commands:
            args = ["watch", *(arg for arg in args if arg != "--watch")]
        elif not args or args[0] not in self.commands:
            verb = self._verb_among(args)
            args = [*verb, *args]
        return super().parse_args(ctx, args)

    def _verb_among(self, args: list[str]) -> list[str]:
        """Take the verb out of arguments that begin with an option; a path of its name is still a path."""
        if args and args[0].startswith("-"):
            for word in args:
                if word in self.commands and not os.path.exists(word):
                    args.remove(word)
                    return [word]
        return ["apply"]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for both ways to call it."""
        formatter.write_usage("reconcile", "[--plan] [PATH...] | VERB ...")


@click.group(
    cls=VerbGroup,
    commands=Commands(),
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="reconcile", message="%(prog)s %(version)s")
def cli() -> None:
    """GitOps for virtual machines: YAML in, an ordered plan out, applied and verified.

    Without a verb: show the plan for PATHs, ask, apply. With --plan: only show it.
    """


def main() -> None:
    """The console script: every expected failure becomes one message, with -o json one document, and exit code 1."""
    arguments = sys.argv[1:]
    try:
        cli.main(arguments, prog_name="reconcile", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        from reconciler.cli.errors import asks_for_json, failure_of
        from reconciler.cli.terminal import show_failure, show_traceback

        failure = failure_of(error)
        show_failure(failure, as_json=asks_for_json(arguments))
        if failure.kind == "InternalError":
            show_traceback("".join(traceback.format_exception(error)))
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)

"""The command line. Verbs only: it reads arguments, calls the stages and prints; it decides nothing.

Exit codes: 0 fine, 1 error, 2 (with --detailed-exitcode) the plan has changes or an apply left some held.
Imports of the stages happen inside the verbs, so that --version and --help stay quick. A verb is a function in
one of these modules and a word in ``VERBS``.
"""

from __future__ import annotations

import os
import sys

import click

from reconciler import __version__
from reconciler.cli import agent, apply, graph, history, imports, look, plan, reference, watch
from reconciler.cli.terminal import count, show_problems

EXAMPLES = """
\b
Examples:
  reconcile --plan examples/manifests/quickstart   what would happen
  reconcile examples/manifests/quickstart          show the plan, ask, apply
  reconcile --yes --allow restart manifests        apply in CI, restarts allowed
  reconcile --plan --rehearse manifests            try the plan out on a simulated copy of the cluster
  reconcile --plan --inject PlugDisk=silent m      and what a step that fails would leave
  reconcile --watch manifests                      keep it so
  kustomize build overlay | reconcile --plan -     from standard input
  reconcile get vm                                 what is on the cluster
  reconcile import --out manifests                 describe it: files whose plan is empty
  reconcile explain VirtualMachine.memory          what a field means, what moves it
"""

VERBS = (
    plan.plan,
    graph.graph,
    apply.apply,
    apply.delete,
    apply.run,
    watch.watch,
    agent.agent,
    look.validate,
    look.get,
    look.describe,
    history.history,
    imports.import_,
    reference.explain,
    reference.operations,
    reference.crds,
)


class Verbs(click.Group):
    """``reconcile PATH`` means ``reconcile apply PATH``; with ``--plan`` anywhere it means ``reconcile plan``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
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
            verb = self._verb(args)
            args = [*verb, *args]
        return super().parse_args(ctx, args)

    def _verb(self, args: list[str]) -> list[str]:
        """Take the verb out of arguments that begin with an option; a path of its name is still a path."""
        if args and args[0].startswith("-"):
            for word in args:
                if word in self.commands and not os.path.exists(word):
                    args.remove(word)
                    return [word]
        return ["apply"]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("reconcile", "[--plan] [PATH...] | VERB ...")


@click.group(cls=Verbs, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconcile", message="%(prog)s %(version)s")
def cli() -> None:
    """GitOps for virtual machines: YAML in, an ordered plan out, applied and verified.

    Without a verb: show the plan for PATHs, ask, apply. With --plan: only show it.
    """


for verb in VERBS:
    cli.add_command(verb)


def main() -> None:
    """The console script: every expected failure becomes one message and exit code 1."""
    from reconciler.model.problem import InvalidInput, ReconcilerError

    try:
        cli.main(prog_name="reconcile", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted.", err=True)
        sys.exit(1)
    except click.UsageError as error:
        hint = f"\nSee '{error.ctx.command_path} --help'." if error.ctx else ""
        click.echo(f"error: {error.format_message()}{hint}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(1)
    except InvalidInput as invalid:
        show_problems(invalid.problems)
        click.echo(f"{count(len(invalid.problems), 'problem')}; nothing was changed.", err=True)
        sys.exit(1)
    except ReconcilerError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted.", err=True)
        sys.exit(130)

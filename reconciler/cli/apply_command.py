"""Running a plan, for ``apply``, ``delete`` and ``run``: show it, rehearse it, ask, apply it with progress, report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.cli.errors import Failure, failure_json
from reconciler.cli.inputs import KEEP_GOING, connected, policy_of, read_manifests
from reconciler.cli.local_agent import serve_locally
from reconciler.cli.named import refuse_unknown_names
from reconciler.cli.options import ExecutionOptions, HostOptions, PolicyOptions
from reconciler.cli.provenance import provenance
from reconciler.cli.signals import Interrupts
from reconciler.cli.terminal import ask, painter, say, show, show_failure, show_problems, write
from reconciler.clusters.connection import ClusterReference
from reconciler.model.secret_access import SecretAccess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.apply import Report
    from reconciler.clusters.base import Cluster
    from reconciler.model.provenance import Provenance
    from reconciler.observe.observed import Observation
    from reconciler.output.progress import Progress
    from reconciler.planner.plan import Plan
    from reconciler.rehearsal import Rehearsal

    Run = Callable[..., tuple[Plan, Report | None]]  # takes the members of ``reconcile.RunOptions`` by name
    Rehearse = Callable[[Plan, Observation], Rehearsal]

ENTRIES = 500  # of the journal's end, read to estimate durations: on Kubernetes a hundred are a request


class ApplyCommand:
    """One run of a verb that changes the cluster, from the plan to the exit code."""

    def __init__(
        self,
        cluster: Cluster,
        verb: str,
        output: str,
        execution: ExecutionOptions,
        *,
        keep_going: bool | None = None,
        rehearse: Rehearse | None = None,
        secrets: SecretAccess | None = None,
    ) -> None:
        """``keep_going``: with what is left of a plan that has errors; None where the verb cannot.

        ``rehearse``: tries a plan before it is applied; without it none is tried. ``secrets``: those of this machine
        that steps may send, by default those that need no option.
        """
        from reconciler.output.progress import Progress

        self.cluster, self.verb, self.output = cluster, verb, output
        self.options, self.rehearse, self.keep_going = execution, rehearse, keep_going
        self.secrets = secrets or SecretAccess()
        self.progress: Progress = Progress(quiet=output == "json")
        self.interrupts = Interrupts()
        self.rehearsal: Rehearsal | None = None
        self._plan_shown = False

    def run(self, act: Run, origin: Provenance, host: HostOptions, addresses: Mapping[str, str] | None = None) -> None:
        """Have ``act`` make and apply the plan, show what came of it, and exit unless all went well.

        ``addresses``: where simulated nodes are, by name.
        """
        from reconciler.apply import Options

        given = self.options
        options = Options(
            given.parallel, given.timeout, lease=given.lock_timeout, provenance=origin, secrets=self.secrets
        )
        agent = serve_locally(self.cluster, host, workers=given.parallel, addresses=addresses)
        with agent, self.interrupts:
            try:
                plan, report = act(
                    keep_going=bool(self.keep_going),
                    options=options,
                    approve=self._approve,
                    on_start=self.progress.started,
                    on_outcome=self.progress.ended,
                    interrupts=self.interrupts.count,
                )
            finally:
                self.progress.finish()
        self._show_report(plan, report)
        self._exit(plan, report)

    def _approve(self, plan: Plan, observed: Observation) -> bool:
        """Show the plan, rehearse it, ask; whether it is to be applied."""
        self._show_plan(plan)
        if not plan.runnable or not self._converges(plan, observed):
            return False
        if not self.options.yes:
            from reconciler.output.text import count

            ask(f"Run {count(len(plan.runnable), 'step')}?")
        self.progress.begin(plan.runnable, self._durations(plan), self.options.parallel)
        self.interrupts.begin()
        return True

    def _show_plan(self, plan: Plan) -> None:
        self._plan_shown = True
        if self.output == "text":
            show("text", "plan", plan)
            show_problems(plan.problems)

    def _converges(self, plan: Plan, observed: Observation) -> bool:
        """Whether the plan may go ahead: it was not to be rehearsed, or the rehearsal converges."""
        if self.rehearse is None:
            return True
        from reconciler.output.rehearsal import rehearsal_text

        self.rehearsal = self.rehearse(plan, observed)
        if self.output == "text":
            bars = sys.stdout.isatty()
            write(rehearsal_text(self.rehearsal, painter(sys.stdout), bars=bars))
        return self.rehearsal.converges

    def _durations(self, plan: Plan) -> Mapping[str, float]:
        """Seconds that operations took before, by name; nothing where nobody sees the estimate."""
        from reconciler.apply.estimate import typical
        from reconciler.model.journal import read_journal

        if not self.progress.seen:
            return {}
        return typical(read_journal(self.cluster.records(plan.stack, newest=ENTRIES)))

    def _show_report(self, plan: Plan, report: Report | None) -> None:
        from reconciler.output.formats import render
        from reconciler.output.report import ApplyResult

        if not self._plan_shown:
            self._show_plan(plan)  # one that cannot be applied at all, so that nobody was asked
        stopped = self._stopped(plan)
        document = ApplyResult(plan, report, self.rehearsal, failure_json(stopped)["error"] if stopped else None)
        if self.output == "text":
            write(render("text", self.verb, document), err=True)
        else:
            show(self.output, self.verb, document)
            show_problems(plan.problems)
        if self._refused:
            say("error: nothing was applied, as the rehearsal did not converge.")
        if stopped:
            show_failure(stopped, as_json=False)

    def _stopped(self, plan: Plan) -> Failure | None:
        """Why the plan was not run at all, if its errors are the reason."""
        if not plan.problems or self.keep_going:
            return None
        from reconciler.output.text import count

        hint = f" {KEEP_GOING}" if self.keep_going is False else ""
        return Failure("PlanHasErrors", f"{count(len(plan.problems), 'error')}; nothing was applied.{hint}")

    @property
    def _refused(self) -> bool:
        return self.rehearsal is not None and not self.rehearsal.converges

    def _exit(self, plan: Plan, report: Report | None) -> None:
        from reconciler.apply import Result

        if self._refused or plan.problems or (report is not None and not report.ok):
            sys.exit(1)
        held = plan.held or (report is not None and report.count(Result.HELD))
        if held and self.verb == "run":  # the one thing that was asked for was not done
            sys.exit(1)
        if self.options.detailed_exitcode and (held or plan.waiting):
            sys.exit(2)


def apply_manifests(
    verb: str,
    paths: tuple[str, ...],
    cluster: ClusterReference,
    output: str,
    policy: PolicyOptions,
    execution: ExecutionOptions,
    host: HostOptions,
    *,
    rehearses: bool = False,
) -> None:
    """Plan manifests and apply the plan. The verb ``delete`` makes a plan that deletes what they describe."""
    from reconciler.apply import Options
    from reconciler.reconcile import reconcile_once
    from reconciler.rehearsal import rehearse

    loaded, desired = read_manifests(paths, policy.keep_going, secrets=None if verb == "delete" else policy.secrets)
    allowed = policy_of(desired, policy, delete=verb == "delete")
    origin = provenance(verb, paths or (".",))

    def rehearsal_of(plan: Plan, observed: Observation) -> Rehearsal:
        return rehearse(plan, desired, observed, allowed, options=Options(parallel=execution.parallel))

    with connected(cluster, loaded, desired) as opened:
        refuse_unknown_names(policy, opened, desired)
        run = ApplyCommand(
            opened,
            verb,
            output,
            execution,
            keep_going=policy.keep_going,
            secrets=policy.secrets,
            rehearse=rehearsal_of if rehearses else None,
        )
        run.run(
            lambda **options: reconcile_once(opened, desired, allowed, **options), origin, host, desired.stack.nodes
        )

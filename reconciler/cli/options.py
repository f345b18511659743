"""The options that several verbs share, so that each means the same everywhere.

Options that belong together reach a verb as one value: ``@policy_options("allow", "target")`` adds ``--allow`` and
``--target`` to a verb, whose parameter ``policy`` is a ``PolicyOptions``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import click

from reconciler.agent.registry import DEFAULT_OVS, DEFAULT_SHUTDOWN, DEFAULT_URI, DRIVERS, Networks, NodeSettings
from reconciler.clusters.connection import KUBERNETES, ClusterReference
from reconciler.model.secret_access import ENV_PREFIX, SecretAccess
from reconciler.output.formats import formats_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class PolicyOptions(NamedTuple):
    """The policy given on the command line. That of the Stack is added to it."""

    allow: tuple[str, ...] = ()  # impacts, each text may hold several, separated by commas
    prune: bool = False
    max_deletions: str | None = None  # a number, or a share such as 20%
    adopt: bool = False
    adopt_from: tuple[str, ...] = ()  # names of stacks
    target: tuple[str, ...] = ()  # KIND or KIND/NAME
    keep_going: bool = False  # with what errors leave
    secret_env: tuple[str, ...] = ()  # beginnings of names of variables that may be sent to guests
    secret_dir: tuple[str, ...] = ()  # directories whose files may be

    @property
    def secrets(self) -> SecretAccess:
        """The secrets of this machine that may be read."""
        return SecretAccess(self.secret_env, self.secret_dir)


class HostOptions(NamedTuple):
    """The driver that carries operations out for an embedded cluster, and what it needs to know of its host."""

    driver: str = "simulator"
    node: str | None = None
    libvirt_uri: str = DEFAULT_URI
    latency: float = 0.0  # seconds a simulated operation takes
    shutdown_timeout: float = DEFAULT_SHUTDOWN  # seconds
    allow_path: tuple[str, ...] = ()  # directories and devices that operations may use, beside those of pools
    ovn_nb: str = ""  # where OVN's northbound database answers; empty: no networks
    ovs_db: str = DEFAULT_OVS  # where the database of Open vSwitch of this host answers
    ovn_key: str = ""  # files, for databases at ssl:
    ovn_certificate: str = ""
    ovn_ca: str = ""

    def of_node(self, name: str, address: str = "", state: str = "") -> NodeSettings:
        """The settings of the driver of a node."""
        networks = Networks(self.ovn_nb, self.ovs_db, self.ovn_key, self.ovn_certificate, self.ovn_ca)
        return NodeSettings(
            name,
            address,
            state,
            self.latency,
            uri=self.libvirt_uri,
            shutdown=self.shutdown_timeout,
            allowed=self.allow_path,
            networks=networks,
        )


class ExecutionOptions(NamedTuple):
    """How steps are carried out."""

    timeout: float  # seconds a step may take
    parallel: int = 1
    yes: bool = False
    lock_timeout: float = 0.0  # seconds to wait for another run of the stack
    detailed_exitcode: bool = False


def option_group(parameter: str, make: Callable[..., Any], table: Mapping[str, Decorator]) -> Callable[..., Decorator]:
    """A decorator that adds the named options of ``table`` (all without names) and passes them as one value.

    ``make`` takes their values by name; the verb gets what it returns as ``parameter``.
    """

    def with_options(*names: str) -> Decorator:
        chosen = names or tuple(table)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(function)
            def verb(*args: Any, **arguments: Any) -> Any:
                values = {name: arguments.pop(name) for name in chosen}
                return function(*args, **arguments, **{parameter: make(**values)})

            decorated: Callable[..., Any] = verb
            for name in reversed(chosen):
                decorated = table[name](decorated)
            return decorated

        return decorate

    return with_options


def _cluster_reference(cluster: str | None, context: str | None, kubeconfig: str | None) -> ClusterReference:
    if cluster not in (None, "", KUBERNETES) and (context or kubeconfig):
        raise click.UsageError(
            f"--context and --kubeconfig choose a Kubernetes API, but --cluster {cluster} names a file."
        )
    return ClusterReference(cluster or "", context or "", kubeconfig or "")


def _absolute(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if not each.startswith("/") or os.path.normpath(each) == "/":
            raise click.BadParameter(f"{each} is not the absolute path of a directory or device, such as /srv/iso.")
    return tuple(map(os.path.normpath, given))


def _not_all(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if not each or os.path.realpath(each) == "/":
            raise click.BadParameter("name what is meant for guests, not everything there is.")
    return given


def _remote(context: click.Context, option: click.Parameter, given: str) -> str:
    for each in filter(None, (word.strip() for word in given.split(","))):
        if not re.match(r"unix:/|(tcp|ssl):.+:[0-9]+\Z", each):
            raise click.BadParameter(f"{each} is not unix:/PATH, tcp:HOST:PORT or ssl:HOST:PORT.")
    return given


def _certificate(flag: str, help: str) -> Decorator:
    """An option that names a file in PEM."""
    variable = f"RECONCILE_{flag.strip('-').replace('-', '_').upper()}"
    return click.option(flag, metavar="FILE", default="", envvar=variable, show_envvar=True, help=help)


cluster_options = option_group(
    "cluster",
    _cluster_reference,
    {
        "cluster": click.option(
            "--cluster",
            metavar="FILE|kubernetes",
            envvar="RECONCILE_CLUSTER",
            show_envvar=True,
            help="File of the embedded cluster, or the current Kubernetes context"
            " (default: the Stack's, else .reconcile/cluster.db).",
        ),
        "context": click.option("--context", metavar="NAME", help="Kubernetes, by this context of the kubeconfig."),
        "kubeconfig": click.option(
            "--kubeconfig", metavar="FILE", help="Kubernetes, by this file (default: $KUBECONFIG, else ~/.kube/config)."
        ),
    },
)

policy_options = option_group(
    "policy",
    PolicyOptions,
    {
        "allow": click.option(
            "--allow",
            metavar="IMPACT[:KIND/NAME]",
            multiple=True,
            help="Allow held steps with these impacts: interrupt, restart, recreate, data (comma-separated); with a"
            " resource, only its steps: interrupt:VirtualMachine/web-1.",
        ),
        "prune": click.option("--prune", is_flag=True, help="Delete what the stack owns and no manifest describes."),
        "max_deletions": click.option(
            "--max-deletions",
            metavar="N|SHARE%",
            help="Stop if --prune would delete more (default: the Stack's, else any if no manifest is left).",
        ),
        "adopt": click.option("--adopt", is_flag=True, help="Take over resources that belong to no stack."),
        "adopt_from": click.option(
            "--adopt-from",
            metavar="STACK",
            multiple=True,
            help="Take over what that stack owns and did not describe any more when it was last applied.",
        ),
        "target": click.option(
            "--target", metavar="KIND/NAME", multiple=True, help="Only this resource and what it needs."
        ),
        "keep_going": click.option(
            "--keep-going",
            is_flag=True,
            help="Go on in spite of errors, without the resources that have one and all that refer to them.",
        ),
        "secret_env": click.option(
            "--secret-env",
            metavar="PREFIX",
            multiple=True,
            envvar="RECONCILE_ALLOW_SECRET_ENV",
            show_envvar=True,
            callback=_not_all,
            help=f"Let manifests name variables that begin so, besides {ENV_PREFIX}...: they are sent to guests.",
        ),
        "secret_dir": click.option(
            "--secret-dir",
            metavar="DIR",
            multiple=True,
            envvar="RECONCILE_ALLOW_SECRET_DIR",
            show_envvar=True,
            callback=_not_all,
            help="Let manifests name files in this directory as secrets: they are sent to guests.",
        ),
    },
)

parallel_option = click.option(
    "--parallel", metavar="N", type=click.IntRange(1, 256), default=16, show_default=True, help="Operations at once."
)

execution_options = option_group(
    "execution",
    ExecutionOptions,
    {
        "yes": click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        "parallel": parallel_option,
        "timeout": click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Seconds a step may take.",
        ),
        "lock_timeout": click.option(
            "--lock-timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0),
            default=30.0,
            show_default=True,
            help="Seconds to wait for another run of the same stack to end.",
        ),
        "detailed_exitcode": click.option(
            "--detailed-exitcode", is_flag=True, help="Exit with 2 if there are changes, or if steps were held or wait."
        ),
    },
)

host_options = option_group(
    "host",
    HostOptions,
    {
        "latency": click.option(
            "--latency",
            metavar="SECONDS",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Seconds each simulated operation takes.",
        ),
        "driver": click.option(
            "--driver",
            type=click.Choice(sorted(DRIVERS)),
            default="simulator",
            show_default=True,
            help="What carries operations out for an embedded cluster; libvirt: this host, as the node --node.",
        ),
        "node": click.option(
            "--node", metavar="NAME", help="What manifests call this host, with --driver libvirt (default: its name)."
        ),
        "libvirt_uri": click.option(
            "--libvirt-uri",
            metavar="URI",
            default=DEFAULT_URI,
            show_default=True,
            help="Where the libvirt driver finds libvirt.",
        ),
        "shutdown_timeout": click.option(
            "--shutdown-timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=1),
            default=DEFAULT_SHUTDOWN,
            show_default=True,
            help="Seconds the libvirt driver gives a guest to shut down or restart, before the operation fails.",
        ),
        "allow_path": click.option(
            "--allow-path",
            metavar="PATH",
            multiple=True,
            callback=_absolute,
            help="A directory, or a device in /dev, that operations of the libvirt driver may use beside its pools,"
            " /var/lib/libvirt, /mnt/localfs and /mnt/usb.",
        ),
        "ovn_nb": click.option(
            "--ovn-nb",
            metavar="REMOTE",
            default="",
            envvar="RECONCILE_OVN_NB",
            show_envvar=True,
            callback=_remote,
            help="OVN's northbound database, for networks beside the libvirt driver: unix:PATH, tcp:HOST:PORT or"
            " ssl:HOST:PORT, several separated by commas (default: no networks).",
        ),
        "ovs_db": click.option(
            "--ovs-db",
            metavar="REMOTE",
            default=DEFAULT_OVS,
            show_default=True,
            envvar="RECONCILE_OVS_DB",
            show_envvar=True,
            callback=_remote,
            help="The database of Open vSwitch of this host, with --ovn-nb.",
        ),
        "ovn_key": _certificate("--ovn-key", "The private key of this program, for databases at ssl:."),
        "ovn_certificate": _certificate("--ovn-certificate", "The certificate of that key."),
        "ovn_ca": _certificate("--ovn-ca", "The certificate of the authority that signed those of the databases."),
    },
)
OVN = ("ovn_nb", "ovs_db", "ovn_key", "ovn_certificate", "ovn_ca")
READ_HOST = ("driver", "node", "libvirt_uri", *OVN)  # of ``host_options``: enough to read a host, not to change it

paths_argument = click.argument("paths", nargs=-1, metavar="[PATH]...")

rehearse_option = click.option(
    "--rehearse",
    is_flag=True,
    help="Try the plan on a simulated copy of the cluster first; stop unless it converges.",
)


def output_option(verb: str, *, flag: str = "--output") -> Decorator:
    """``-o``: the formats that a verb has; the verb gets the name of one as ``output``."""
    rows = formats_of(verb)
    described = "; ".join(f"{row.name}: {row.description}" for row in rows)
    return click.option(
        "-o",
        flag,
        "output",
        type=click.Choice([row.name for row in rows]),
        default=rows[0].name,
        show_default=True,
        help=f"Output format. {described}.",
    )

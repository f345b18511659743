"""``reconcile trace``: how a flow is written, what is said of it, and the exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import paths
from support.command_line import run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with the manifests of the firewall, in ``m``."""
    shutil.copytree(paths.FIREWALL, tmp_path / "m")
    return tmp_path


@pytest.fixture
def applied(shop: Path) -> Path:
    assert run(shop, "--yes", "m").code == 0
    return shop


@pytest.mark.parametrize(
    "words",
    [
        ("vm/mail-1", "vm/db-1", "tcp/3306"),
        ("vm/mail-1 -> vm/db-1 tcp/3306",),
        ("vm/mail-1->vm/db-1", "tcp/3306"),
        ("vm/mail-1", "->", "vm/db-1", "tcp/3306"),
    ],
)
def test_a_flow_is_written_with_an_arrow_or_without(shop: Path, words: tuple[str, ...]) -> None:
    done = run(shop, "trace", *words, "m")
    assert done.code == 1
    assert done.out.startswith("VirtualMachine/mail-1 -> VirtualMachine/db-1 tcp/3306: dropped\n")
    assert "the rule 'to 100 ip4' of VirtualMachine/db-1 drops it (m/machines.yaml:58:11)" in done.out


def test_an_arrow_without_quotes_is_what_the_shell_takes_for_a_file(shop: Path) -> None:
    done = run(shop, "trace", "vm/mail-1", "-", "tcp/3306")
    assert (done.code, done.out) == (1, "")
    assert "error: The shell takes > for a file. Write 'reconcile trace vm/web-1 vm/db-1 tcp/3306'" in done.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("vm/shop-1", "vm/db-1", "tcp/3306"), 0),
        (("vm/shop-1", "vm/db-1", "tcp/22"), 1),
        (("outside", "10.10.0.9", "tcp/443"), 0),
        (("192.168.6.12", "vm/db-1", "tcp/3306"), 2),
        (("vm/shop-9", "vm/db-1", "tcp/22"), 1),
    ],
)
def test_the_exit_code_is_the_answer(applied: Path, words: tuple[str, ...], code: int) -> None:
    for more in ((), ("m",), ("--live", "m")):
        assert run(applied, "trace", *words, *more).code == code


def test_manifests_are_traced_as_a_plan_would_make_them_and_the_cluster_as_it_is(applied: Path) -> None:
    machines = applied / "m" / "machines.yaml"
    machines.write_text(machines.read_text().replace("ip4.src == $shop-servers && ", ""))
    flow = ("vm/mail-1", "vm/db-1", "tcp/3306")
    planned, live, cluster = (run(applied, "trace", *flow, *more) for more in (("m",), ("--live", "m"), ()))
    assert (planned.code, live.code, cluster.code) == (0, 1, 1)
    assert "now: dropped, as the rule 'to 100 ip4' of VirtualMachine/db-1 drops it" in planned.out
    assert "The plan has steps for it that are held" in planned.out, (
        "a flow that was allowed may be cut by the old rule"
    )
    assert "(m/machines.yaml:58:11)" in live.out, "a rule that is there as it is declared has its line"
    assert "machines.yaml" not in cluster.out


def test_a_plan_with_errors_is_an_error(applied: Path) -> None:
    networks = applied / "m" / "networks.yaml"
    networks.write_text(networks.read_text().replace("subnet: 192.168.6.0/24", "subnet: 192.168.6.0/25"))
    done = run(applied, "trace", "vm/shop-1", "vm/db-1", "tcp/3306", "m")
    assert done.code == 1
    assert "error" in done.err
    assert "VirtualMachine/shop-1 -> VirtualMachine/db-1 tcp/3306: allowed" in done.out


def test_a_machine_that_is_nowhere_is_not_found(shop: Path) -> None:
    done = run(shop, "trace", "vm/shop-1", "vm/db-2", "tcp/3306", "m")
    assert (done.code, done.err) == (1, "error: there is no VirtualMachine/db-2. Did you mean db-1?\n")

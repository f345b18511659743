"""What drivers say they carry out is what they have functions for, and can be read without their bindings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler.drivers
from reconciler.agent.registry import DRIVERS
from reconciler.catalogue import OPERATIONS
from reconciler.drivers.capabilities import CAPABILITIES, telling
from reconciler.drivers.capability import Level
from reconciler.drivers.network.capabilities import ROWS
from reconciler.model import kinds
from reconciler.model.kinds import MACHINE, NETWORK, POOL
from reconciler.model.problem import OperationFailed

CATALOGUE = {(operation.kind, operation.name) for operation in OPERATIONS}
PACKAGES = Path(reconciler.drivers.__file__).parent
# What the package of a driver carries out: one that is composed of two packages is those two.
SUPPORTED = {
    **{name: each.supported for name, each in CAPABILITIES.items() if "+" not in name},
    "network": {key for key, support in ROWS.items() if support.level is not Level.NO},
}


def entered(driver: str) -> list[tuple[str, str]]:
    """Kind and name of each operation entered with ``@operation`` in the source of a driver."""
    found = []
    for path in sorted((PACKAGES / driver).glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            for call in getattr(function, "decorator_list", ()):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "operation":
                    kind, *names = (ast.unparse(each) for each in call.args)
                    found += [(getattr(kinds, kind), ast.literal_eval(name)) for name in names]
    return found


def test_every_driver_that_an_agent_can_have_says_what_it_carries_out() -> None:
    assert {name.partition("+")[0] for name in CAPABILITIES} == set(DRIVERS)
    assert all(name == each.driver for name, each in CAPABILITIES.items())


@pytest.mark.parametrize("driver", sorted(CAPABILITIES))
def test_a_driver_has_a_row_for_each_operation_of_the_catalogue(driver: str) -> None:
    assert set(CAPABILITIES[driver].rows) == CATALOGUE


@pytest.mark.parametrize("driver", sorted(SUPPORTED))
def test_what_a_driver_says_it_carries_out_is_what_it_has_a_function_for(driver: str) -> None:
    functions = entered(driver)
    assert len(functions) == len(set(functions))
    assert set(functions) == SUPPORTED[driver]


@pytest.mark.parametrize("driver", sorted(SUPPORTED))
def test_the_functions_in_the_source_are_those_that_are_dispatched_to(driver: str) -> None:
    if driver == "libvirt":
        pytest.importorskip("libvirtmod", reason="the binding is not installed: make libvirt")
    __import__(f"reconciler.drivers.{driver}.driver")
    module = sys.modules[f"reconciler.drivers.{driver}.context"]
    assert set(module.OPERATIONS.functions) == set(entered(driver))


@pytest.mark.parametrize("driver", sorted(CAPABILITIES))
def test_a_caveat_and_a_no_have_a_reason_and_a_yes_has_none(driver: str) -> None:
    for support in CAPABILITIES[driver].rows.values():
        assert bool(support.reason) == (support.level is not Level.YES)
        assert not support.reason.endswith(".")
        assert "|" not in support.reason


def test_the_simulator_carries_out_all_operations() -> None:
    assert CAPABILITIES["simulator"].supported == CATALOGUE


def test_capabilities_are_read_without_a_binding_and_without_the_operations() -> None:
    code = (
        "import sys; sys.modules['libvirt'] = sys.modules['ovs'] = sys.modules['ovsdbapp'] = None\n"
        "from reconciler.drivers.capabilities import CAPABILITIES\n"
        "assert not CAPABILITIES['libvirt'].supports('VirtualMachine', 'BackupVM')\n"
        "assert 'reconciler.drivers.libvirt.machine' not in sys.modules\n"
        "assert 'reconciler.drivers.simulator.machine' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_networks_of_ovn_are_told_where_they_add_to_what_a_driver_of_machines_does() -> None:
    assert list(telling(MACHINE, "StartVM")) == ["simulator", "libvirt"]
    switch = telling(NETWORK, "CreateSwitch")
    assert [name for name, support in switch.items() if support.level is Level.YES] == ["simulator", "libvirt+ovn"]
    assert "--ovn-nb" in switch["libvirt"].reason


def test_what_is_not_carried_out_is_refused_with_driver_operation_and_reason() -> None:
    libvirt = CAPABILITIES["libvirt"]
    libvirt.require(MACHINE, "StartVM")
    libvirt.require(POOL, "CreatePool")  # with a caveat
    for kind, operation, reason in (
        (MACHINE, "BackupVM", "backups are not implemented"),
        (MACHINE, "Levitate", "Levitate is not an operation of VirtualMachine"),
        (POOL, "StartVM", "StartVM is not an operation of VirtualMachinePool"),
    ):
        with pytest.raises(OperationFailed) as caught:
            libvirt.require(kind, operation)
        assert caught.value.kind == "VirtctlError"
        assert str(caught.value) == f"the driver libvirt does not carry out {operation} of {kind}: {reason}"

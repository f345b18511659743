"""Machines that are NICs on ports of OVN."""

from __future__ import annotations

import pytest

from support.ovn_machines import OvnMachines


@pytest.fixture
def machines() -> OvnMachines:
    return OvnMachines()

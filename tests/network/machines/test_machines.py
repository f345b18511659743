"""Machines of libvirt on switches of OVN and bridges of Open vSwitch: the contracts that the simulator keeps."""

from __future__ import annotations

import pytest

from contracts.driver_contract_bridge import BridgeContract, PortVlanContract
from contracts.driver_contract_network import NetworkContract
from contracts.driver_contract_nic import NicContract
from contracts.driver_contract_steps import Steps
from contracts.driver_contract_switch import SwitchContract


@pytest.fixture
def running(does: Steps) -> Steps:
    """``web-1`` runs on ``web-1-root``."""
    does.pool()
    does.machine()
    return does


class TestContract(BridgeContract, NetworkContract, NicContract, PortVlanContract, SwitchContract):
    pass

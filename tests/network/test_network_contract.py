"""Networks of OVN by the contract that the simulator keeps."""

from __future__ import annotations

from contracts.driver_contract_network import NetworkContract


class TestNetworks(NetworkContract):
    pass

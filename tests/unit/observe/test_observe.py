"""What the wire shows, in the shape of manifests. Resources as in wire format 5, elements left out or doubled."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.kinds import DISK, KINDS, MACHINE, NETWORK, POOL
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import ANNOTATION_APPLIED, ANNOTATION_PENDING, SETTINGS
from reconciler.observe.observed import Observed
from reconciler.output.describe import Description, description_text, listing
from reconciler.planner.diff import diff
from support.scenario import converge, desired_of, plan_of, served
from support.wire_resources import DOMAIN, GIB, junk, machine, resource, seen, volume


def shape_of(found: Resource, *others: Resource) -> dict[str, Any]:
    return seen(found, *others).resources[ResourceId(found["kind"], found["metadata"]["name"])].shape


def test_a_domain_in_the_words_of_manifests() -> None:
    shape = shape_of(machine(DOMAIN), volume())
    assert shape["powerState"] == "Running"
    assert shape["cpu"] == {"count": 2, "max": 4, "sockets": 1, "cores": 4, "threads": 1}
    assert shape["memory"] == {"size": 2 * GIB, "max": 4 * GIB}
    assert list(shape["disks"]) == ["vda"]
    disk = shape["disks"]["vda"]
    assert (disk["disk"], disk["bus"], disk["cache"]) == ("disk01", "virtio", "none")
    assert disk["qos"]["readIops"] == 400
    assert disk["qos"]["writeIops"] == 0
    assert shape["cdroms"] == {"sda": {"path": ""}}
    assert shape["nics"]["52:54:00:aa:bb:cc"]["qos"] == {"inbound": 102400 * 1024, "outbound": 0}
    assert "type" not in shape["nics"]["52:54:00:aa:bb:cc"], "l2bridge and l3bridge look the same"
    assert shape["bootOrder"] == ["vda"]
    assert shape["nodeName"] == "node22"


@pytest.mark.parametrize(
    "connection",
    [
        {"_type": "network", "source": {"_network": "default"}},
        {"_type": "network", "source": {"_network": "default", "_portid": "6b3a", "_bridge": "virbr0"}},
        # Of one that only names a bridge of the node, libvirt shows a running guest's NIC as one on that bridge.
        {"_type": "bridge", "source": {"_network": "default", "_portid": "6b3a", "_bridge": "br-ext"}},
        {
            "_type": "bridge",
            "source": {"_network": "default", "_bridge": "br0"},
            "virtualport": {"_type": "openvswitch"},
        },
    ],
)
def test_a_nic_in_a_network_of_libvirt(connection: dict[str, Any]) -> None:
    domain = copy.deepcopy(DOMAIN)
    domain["devices"]["_interface"] = [{"mac": {"_address": "52:54:00:aa:bb:cc"}, **connection}]
    nic = shape_of(machine(domain))["nics"]["52:54:00:aa:bb:cc"]
    assert (nic["type"], nic["source"]) == ("network", "default")


def test_one_element_alone_and_none_at_all() -> None:
    domain = copy.deepcopy(DOMAIN)
    domain["devices"]["disk"] = domain["devices"]["disk"][0]
    domain["devices"]["_interface"] = {}
    assert list(shape_of(machine(domain))["disks"]) == ["vda"]
    domain["devices"] = {}
    shape = shape_of(machine(domain))
    assert (shape["disks"], shape["cdroms"]) == ({}, {})


def test_all_cpus_and_all_memory_in_use() -> None:
    domain = copy.deepcopy(DOMAIN) | {"vcpu": {"text": "4"}}
    del domain["currentMemory"]
    shape = shape_of(machine(domain))
    assert (shape["cpu"]["count"], shape["cpu"]["max"]) == (4, 4)
    assert shape["memory"] == {"size": 4 * GIB, "max": 4 * GIB}


@pytest.mark.parametrize(
    ("shown", "meant"),
    [("Running", "Running"), ("Paused", "Paused"), ("Shutdown", "Stopped"), ("Crashed", "Stopped"), ("Unknown",) * 2],
)
def test_power_states(shown: str, meant: str) -> None:
    assert shape_of(machine(DOMAIN, shown))["powerState"] == meant


def test_a_capacity_is_as_exact_as_its_text_and_what_was_applied() -> None:
    assert shape_of(volume())["capacity"] == 10 * GIB
    assert isinstance(shape_of(volume())["capacity"], ApproximateBytes)
    exact = volume()
    exact["metadata"]["annotations"] = {ANNOTATION_APPLIED: json.dumps({"capacity": 10 * GIB + 512})}
    assert shape_of(exact)["capacity"] == 10 * GIB + 512
    grown = copy.deepcopy(exact)
    grown["spec"]["volume"]["capacity"] = "12 GB"
    assert shape_of(grown)["capacity"] == 12 * GIB, "what was applied is no longer what is"
    assert "capacity" not in shape_of(volume(capacity="large"))


def test_a_disk_made_from_an_image_names_its_pool_otherwise() -> None:
    found = volume(targetPool="pool2")
    del found["spec"]["volume"]["pool"]
    assert shape_of(found)["pool"] == "pool2"


def test_which_disk_is_plugged_where() -> None:
    everything = seen(machine(DOMAIN), volume())
    assert everything.attached == {ResourceId(DISK, "disk01"): (ResourceId(MACHINE, "vm01"), "vda")}


def test_a_pool_of_the_type_dir_is_a_local_one() -> None:
    found = resource(POOL, "pool1", {"pool": {"type": "dir", "url": "/srv", "state": "active"}})
    assert shape_of(found)["type"] == "localfs", "the back end treats them alike"


def test_the_node_is_that_of_the_spec_or_else_of_a_label() -> None:
    found = resource(POOL, "pool1", {"pool": {"state": "active"}}, labels={"kubestack.label.host": "node9"})
    assert shape_of(found)["nodeName"] == "node22"
    del found["spec"]["nodeName"]
    assert shape_of(found)["nodeName"] == "node9"


@pytest.mark.parametrize("value", [None, [None], [[]], {"a": 1}, 4])
def test_damaged_scalars_are_no_more_than_unknown(value: Any) -> None:
    (odd,) = seen(resource(POOL, "pool1", {"lifecycle": value, "pool": {}})).resources.values()
    assert odd.under_way == ("a" if isinstance(value, dict) else "")
    odd_machine = machine({**DOMAIN, "memory": {"_unit": value, "text": 1024}})
    odd_machine["spec"]["powerstate"] = value
    shape = shape_of(odd_machine)
    assert (shape["memory"]["max"], shape["powerState"]) == (1024 * 1024, str(value or "Unknown"))
    assert shape_of(volume(capacity=value)).get("capacity") == (4 if value == 4 else None)


def test_a_request_is_not_yet_the_thing() -> None:
    asked = resource(POOL, "pool1", {"lifecycle": {"createPool": {"type": "localfs"}}})
    (observed,) = seen(asked).resources.values()
    assert not observed.exists
    assert observed.under_way == "createPool"


def test_what_nobody_shows_comes_from_what_was_applied() -> None:
    network = resource(NETWORK, "net1", {"type": "l3network", "data": {}})
    assert "switch" not in shape_of(network)
    network["metadata"]["annotations"] = {ANNOTATION_APPLIED: json.dumps({"switch": {"mtu": 1400}})}
    assert shape_of(network)["switch"] == {"mtu": 1400}
    network["metadata"]["annotations"] = {ANNOTATION_APPLIED: "{damaged"}
    assert "switch" not in shape_of(network)


def test_what_an_agent_sees_of_fields_that_nobody_shows_is_what_is() -> None:
    applied, seen = {"switch": {"mtu": 1400, "vlanId": 7}}, {"switch": {"mtu": 1300}}
    network = resource(NETWORK, "net1", {"type": "l3network", "data": {}, SETTINGS: seen})
    assert shape_of(network)["switch"] == {"mtu": 1300}
    network["metadata"]["annotations"] = {ANNOTATION_APPLIED: json.dumps(applied)}
    assert shape_of(network)["switch"] == {"mtu": 1300}
    network["spec"][SETTINGS] = {"switch": None}
    assert "switch" not in shape_of(network)


def test_of_a_part_only_what_an_agent_names_is_seen() -> None:
    mac = "52:54:00:aa:bb:cc"
    applied = {"nics": {mac: {"vlan": 100, "type": "l2bridge"}}}
    found = machine(DOMAIN, annotations={ANNOTATION_APPLIED: json.dumps(applied)})
    for settings, vlan in (
        ({}, 100),
        ({"nics": {mac: {"vlan": 200}}}, 200),
        ({"nics": {mac: {"vlan": None}}}, None),
        ({"nics": {mac: {}}}, 100),
        ({"nics": {"52:54:00:00:00:99": {"vlan": 200}}}, 100),
        ({"nics": "damaged"}, 100),
    ):
        found["spec"][SETTINGS] = settings
        nic = shape_of(found, volume())["nics"][mac]
        assert (nic.get("vlan"), nic["type"]) == (vlan, "l2bridge")


def test_what_waits_for_a_start_waits_until_the_guest_started_anew() -> None:
    note = {ANNOTATION_PENDING: json.dumps({"boot": 3, "fields": {"memory.max": 8 * GIB}})}
    (waiting,) = seen(machine(DOMAIN, annotations=note)).resources.values()
    assert waiting.pending == {"memory.max": 8 * GIB}
    (restarted,) = seen(machine({**DOMAIN, "_id": 4}, annotations=note)).resources.values()
    assert restarted.pending == {}


def test_only_declared_fields_are_compared_and_parts_by_identity() -> None:
    observed = {
        "nics": {"52:54:00:00:00:01": {"source": "br0", "model": "virtio"}, "52:54:00:00:00:02": {"source": "br1"}},
        "memory": {"size": GIB, "max": GIB},
    }
    desired = {"nics": {"52:54:00:00:00:02": {"source": "br1"}, "52:54:00:00:00:01": {"source": "br9"}}}
    moves = diff(MACHINE, desired, observed)
    assert [(move.path, move.observed, move.desired) for move in moves] == [
        (("nics", "52:54:00:00:00:01", "source"), "br0", "br9")
    ]
    (gone,) = diff(MACHINE, {"nics": {"52:54:00:00:00:01": {}}}, observed)
    assert (gone.path, gone.desired) == (("nics", "52:54:00:00:00:02"), None)
    assert diff(MACHINE, {"memory": {"size": GIB}}, observed) == []


@given(st.sampled_from(["vcpu", "memory", "currentMemory", "cpu", "devices"]), junk)
def test_a_damaged_element_spoils_no_other(key: str, value: Any) -> None:
    """One bad object does not stop the others, and one bad element does not hide the rest of its object."""
    shape = shape_of(machine({**DOMAIN, key: value}), volume())
    assert shape["powerState"] == "Running"
    if key != "devices":
        assert list(shape["disks"]) == ["vda"]


@given(st.sampled_from(list(KINDS)), junk)
def test_a_damaged_resource_does_not_stop_the_others(kind: str, value: Any) -> None:
    found = seen(resource(kind, "odd", {KINDS[kind].exists: value}), machine(DOMAIN), volume())
    for observed in found.resources.values():
        assert observed.shape["nodeName"] == "node22"


def test_the_name_of_a_node_means_the_same_in_upper_and_lower_case() -> None:
    pool = "{type: localfs, url: /var/lib/libvirt/disks, nodeName: %s}"
    manifest = "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: disks}\nspec: "
    with served() as cluster:
        for name in ("NodeA", "nodea", "NODEA"):
            made = plan_of(cluster, desired_of(manifest + pool % name))
            assert (made.problems, len(made.steps)) == ((), 1 if name == "NodeA" else 0)
            converge(cluster, desired_of(manifest + pool % name))


def test_what_was_deleted_and_is_kept_is_terminating() -> None:
    kept = machine(DOMAIN)
    kept["metadata"] |= {"deletionTimestamp": "2026-11-23T10:00:00Z", "finalizers": ["example.org/keep", "b"]}
    (observed,) = seen(kept).resources.values()
    assert observed.terminating == "example.org/keep, b"
    assert "Terminating" in listing([observed])
    assert "Terminating" in description_text(Description(observed, []))
    assert not Observed(machine(DOMAIN), {}).terminating

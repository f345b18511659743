"""The custom resource definitions, as an API server and kubectl see them, alone and beside the deployed ones."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from reconciler import LocalCluster, apply, load, serving, validate
from reconciler import plan as make_plan
from reconciler.cli import cli
from reconciler.clusters.crds import CATEGORY, definitions
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, IMAGE, KINDS, MACHINE, NETWORK, POOL, kind_named
from reconciler.model.wire import WIRE_API_VERSION
from support import control_plane as controlplane
from support.api_call import TABLE, call
from support.control_plane import ControlPlane
from support.paths import QUICKSTART
from support.yaml_text import documents_in

DATA = Path(__file__).parent / "crds"
DEPLOYED = (DATA / "deployed.yaml").read_text()
OBSERVED: list[dict[str, Any]] = yaml.safe_load((DATA / "observed.yaml").read_text())
API = f"/apis/{WIRE_API_VERSION}"
UNKNOWN = {"": None, "<none>": None}

# What the deployed definitions leave empty though the back end writes it (wire format 1.3).
EMPTY_THERE = {(DISK_SNAPSHOT, "PATH"), (POOL, "CAPACITY")}

each_kind = pytest.mark.parametrize("row", OBSERVED, ids=lambda row: str(row["kind"]))


# The verb -------------------------------------------------------------------------------------------------


def said(*words: str) -> str:
    result = CliRunner().invoke(cli, ["crds", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_verb_prints_all_kinds_as_yaml_and_as_json() -> None:
    documents = documents_in(said())
    assert [each["spec"]["names"]["kind"] for each in documents] == list(KINDS)
    assert json.loads(said("-o", "json")) == {"apiVersion": "v1", "kind": "List", "items": documents}


def test_the_verb_prints_the_kinds_named_once_in_the_order_given() -> None:
    documents = documents_in(said("vmd", "VirtualMachinePool", "disk"))
    assert [each["spec"]["names"]["kind"] for each in documents] == [DISK, POOL]


def test_a_word_that_is_no_kind_is_refused_with_a_hint() -> None:
    result = CliRunner().invoke(cli, ["crds", "VirtualMachinPool"])
    assert result.exit_code != 0
    assert "Did you mean VirtualMachinePool?" in result.output
    assert result.stdout == ""


# On an API server -----------------------------------------------------------------------------------------


def test_every_kind_is_served(control_plane: ControlPlane) -> None:
    served = json.loads(control_plane.kubectl("get", "--raw", API))
    assert {each["kind"] for each in served["resources"]} == set(KINDS)


@pytest.fixture(scope="module")
def ours() -> Iterator[ControlPlane]:
    """Our definitions alone, with a resource of each kind."""
    with controlplane.control_plane() as plane:
        install(plane, said())
        create(plane, set(KINDS))
        yield plane


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    with controlplane.control_plane() as plane:
        yield plane


@pytest.fixture
def plane(bare: ControlPlane) -> Iterator[ControlPlane]:
    """No definition at all, before and after."""
    yield bare
    kubectl(bare, "delete", "crd", "--all")


def kubectl(plane: ControlPlane, *words: str, stdin: str | None = None) -> str:
    """Names are discovered anew, as definitions come and go; what the server warns of is an error."""
    return plane.kubectl(f"--cache-dir={mkdtemp(dir=plane.home)}", "--warnings-as-errors", *words, stdin=stdin)


def install(plane: ControlPlane, text: str, *flags: str) -> None:
    """Apply definitions, and wait until the API server serves resources by them and no longer by earlier ones."""
    kubectl(plane, "apply", *flags, "-f", "-", stdin=text)
    wide = {
        each["spec"]["names"]["plural"]: [column["name"].upper() for column in columns_of(each)]
        for each in documents_in(text)
    }
    end = time.monotonic() + controlplane.PATIENCE
    with ThreadPoolExecutor() as pool:
        assert all(pool.map(lambda plural: until_served(plane, plural, wide[plural], end), wide))


def columns_of(definition: dict[str, Any]) -> list[dict[str, Any]]:
    (version,) = definition["spec"]["versions"]
    columns: list[dict[str, Any]] = version["additionalPrinterColumns"]
    return columns


def until_served(plane: ControlPlane, plural: str, titles: list[str], end: float) -> bool:
    """Whether a kind comes to be served with columns of these titles."""
    while time.monotonic() < end:
        answer = call(plane.kubeconfig, "GET", f"{API}/{plural}", accept=TABLE)
        columns = answer.body.get("columnDefinitions", ())
        if [each["name"].upper() for each in columns][1:] == titles:  # the first is the name
            return True
        time.sleep(0.02)
    return False


def create(plane: ControlPlane, kinds: set[str]) -> None:
    wanted = [each for each in OBSERVED if each["kind"] in kinds]
    items = [{"apiVersion": WIRE_API_VERSION, "kind": each["kind"], **each["resource"]} for each in wanted]
    kubectl(plane, "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def stored(plane: ControlPlane, plurals: set[str]) -> dict[str, Any]:
    """Every resource there is, whole."""
    return {plural: call(plane.kubeconfig, "GET", f"{API}/{plural}").body["items"] for plural in plurals}


def shown(plane: ControlPlane, *words: str) -> dict[str, str | None]:
    """The one line that ``kubectl get`` prints, by the words of its heading; what is not known is None."""
    heading, line = kubectl(plane, "get", *words).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+(?: \S+)*", heading)]
    slices = [slice(a, b) for a, b in zip_longest(starts, starts[1:])]
    return {heading[at].strip(): UNKNOWN.get(cell := line[at].strip(), cell) for at in slices}


def test_each_kind_has_its_row() -> None:
    assert {each["kind"] for each in OBSERVED} == set(KINDS)
    assert all(kind_named(each["short"]) == each["kind"] for each in OBSERVED)


@each_kind
def test_get_shows_what_is_observed(ours: ControlPlane, row: dict[str, Any]) -> None:
    cells = shown(ours, row["short"])
    assert {title: cells[title] for title in row["columns"]} == row["columns"]
    assert set(cells) - {"NAME", "AGE"} == set(row["columns"]) - {"NAME"}


@each_kind
def test_wide_shows_more_after_the_same(ours: ControlPlane, row: dict[str, Any]) -> None:
    narrow, cells = shown(ours, row["short"]), shown(ours, row["short"], "-o", "wide")
    assert [title for title in cells if title in narrow] == list(narrow)
    assert {title: cells[title] for title in row["wide"]} == row["wide"]
    assert cells["AGE"]


@each_kind
def test_what_is_under_spec_survives_a_round_trip(ours: ControlPlane, row: dict[str, Any]) -> None:
    """Whole: keys in Clark notation, numbers, lists, empty objects; through a PUT as well."""
    path = f"{API}/namespaces/default/{KINDS[row['kind']].plural}/{row['resource']['metadata']['name']}"
    got = json.loads(ours.kubectl("get", "--raw", path))
    assert got["spec"] == row["resource"]["spec"]
    got["spec"]["lifecycle"] = {"neverHeardOf": {"deep": [{"er": 1.5}, None, {}]}}
    ours.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(got))
    assert json.loads(ours.kubectl("get", "--raw", path))["spec"] == got["spec"]


def test_all_kinds_are_found_by_every_name_they_have(ours: ControlPlane) -> None:
    shorts = ",".join(each["short"] for each in OBSERVED)
    for words in (shorts, ",".join(f"{each['short']}s" for each in OBSERVED), CATEGORY):
        names = kubectl(ours, "get", words, "-o", "name").split()
        assert len(names) == len(KINDS), words


def test_explain_says_what_a_kind_is(ours: ControlPlane) -> None:
    assert "reconcile" in kubectl(ours, "explain", "vm.spec")


def test_a_lifecycle_is_never_shown() -> None:
    """It may hold a password until an agent takes it."""
    for definition in definitions():
        assert "lifecycle" not in json.dumps(columns_of(definition))


# Beside the deployed ones ---------------------------------------------------------------------------------

HOW = ([], ["--server-side"])
FOREIGN = {"virtualmachinebackups", "virtualmachinegpus"}


@pytest.mark.parametrize("flags", HOW, ids=["client-side", "server-side"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_either_may_replace_the_other_and_no_resource_is_lost(
    plane: ControlPlane, first: str, flags: list[str]
) -> None:
    texts = {"theirs": DEPLOYED, "ours": said()}
    second = next(name for name in texts if name != first)
    install(plane, texts[first], *flags)
    kinds = {each["spec"]["names"]["kind"] for each in documents_in(texts[first])} & set(KINDS)
    create(plane, kinds)
    plurals = {KINDS[kind].plural for kind in kinds}
    before = stored(plane, plurals)
    assert all(len(items) == 1 for items in before.values())
    for name in (second, first, second):
        install(plane, texts[name], *flags)
        assert stored(plane, plurals) == before, name
    accepted = {
        each["spec"]["names"]["plural"]: each["spec"]["names"] == each["status"]["acceptedNames"]
        for each in crds(plane)
    }
    assert accepted == dict.fromkeys({*(kind.plural for kind in KINDS.values()), *FOREIGN}, True)


@pytest.mark.parametrize("flags", [HOW, HOW[::-1]], ids=["client first", "server first"])
def test_the_ways_to_apply_may_be_mixed(plane: ControlPlane, flags: tuple[list[str], ...]) -> None:
    install(plane, DEPLOYED, *flags[0])
    install(plane, said(), *flags[1])


def test_get_shows_the_columns_people_know_and_fills_those_that_were_empty(plane: ControlPlane) -> None:
    install(plane, DEPLOYED)
    kinds = set(KINDS) - {IMAGE}  # of which the deployed ones have none
    create(plane, kinds)
    rows = [each for each in OBSERVED if each["kind"] in kinds]
    known = {each["kind"]: shown(plane, each["short"]) for each in rows}
    install(plane, said())
    for kind, cells in {each["kind"]: shown(plane, each["short"]) for each in rows}.items():
        assert list(cells) == list(known[kind])
        filled = {title for title in cells if title != "AGE" and cells[title] != known[kind][title]}
        assert {(kind, title) for title in filled} == {each for each in EMPTY_THERE if each[0] == kind}
        assert all(known[kind][title] is None for title in filled)


def test_what_our_agent_writes_fills_every_column(plane: ControlPlane) -> None:
    install(plane, said())
    with LocalCluster(":memory:") as cluster, serving(cluster):
        desired = validate(load([QUICKSTART]))
        assert apply(make_plan(desired, cluster), cluster).ok
        for kind in KINDS:
            for resource in cluster.list(kind).items:
                for assigned in ("uid", "resourceVersion", "creationTimestamp"):
                    resource["metadata"].pop(assigned)
                namespace = resource["metadata"]["namespace"]
                path = f"{API}/namespaces/{namespace}/{KINDS[kind].plural}"
                assert call(plane.kubeconfig, "POST", path, resource).status == 201
    empty = set()
    for kind in (POOL, NETWORK, DISK, MACHINE):
        table = call(plane.kubeconfig, "GET", f"{API}/{KINDS[kind].plural}", accept=TABLE).body
        titles = [column["name"] for column in table["columnDefinitions"]]
        assert table["rows"]
        for row in table["rows"]:
            empty |= {(kind, title) for title, cell in zip(titles, row["cells"], strict=True) if cell in (None, "")}
    assert empty == {(MACHINE, "Image")}


def test_what_we_do_not_know_of_is_left_alone(plane: ControlPlane) -> None:
    install(plane, DEPLOYED)
    gpu = {
        "apiVersion": WIRE_API_VERSION,
        "kind": "VirtualMachineGPU",
        "metadata": {"name": "gpu"},
        "spec": {"gpu": {}},
    }
    kubectl(plane, "create", "-f", "-", stdin=json.dumps(gpu))
    before = stored(plane, FOREIGN), [each for each in crds(plane) if each["spec"]["names"]["plural"] in FOREIGN]
    install(plane, said())
    after = stored(plane, FOREIGN), [each for each in crds(plane) if each["spec"]["names"]["plural"] in FOREIGN]
    assert after == before


def crds(plane: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(plane, "get", "crd", "-o", "json"))["items"]
    return found

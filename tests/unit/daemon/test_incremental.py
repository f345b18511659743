"""What is cached between reconciles is what reading again would give: manifests, desired, observed, the plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import InvalidInput, LocalCluster, Policy, apply, load, make_plan, validate
from reconciler.clusters.base import EventType, WatchEvent
from reconciler.daemon.sources.manifest_cache import DELETION_GRACE, ManifestCache
from reconciler.daemon.sources.resource_cache import ResourceCache
from reconciler.manifests.loader import load_texts
from reconciler.manifests.validator import ValidationResult, Validator
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Resource, ResourceId
from reconciler.observe.observed import Observation, observe
from support.fleets import fleets
from support.scenario import OPTIONS, converge, desired_of, served

slow = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# What manifests mean -----------------------------------------------------------------------------------------


def told(found: ValidationResult) -> tuple[object, ...]:
    """Everything that is said, without the identity of manifests."""
    return (
        {id: (each.shape, each.manifest.source.name) for id, each in found.desired.resources.items()},
        list(found.desired.resources),
        found.desired.requests,
        found.desired.stack,
        sorted(map(str, found.problems)),
        sorted(map(str, found.desired.warnings)),
    )


def spoil(document: dict[str, Any], how: str) -> dict[str, Any]:
    """The same with something wrong with it, alone or together with others."""
    broken: dict[str, Any] = json.loads(json.dumps(document))
    match how:
        case "schema":
            broken["spec"]["colour"] = "red"
        case "node":
            broken["spec"]["nodeName"] = "node9"
        case "name":
            broken["metadata"]["name"] = "pool-node1"
        case "moved":
            broken["metadata"]["movedFrom"] = "pool-node2"
        case "mac":
            for nic in broken["spec"].get("nics", ()):
                nic["mac"] = "52:54:00:00:00:01"
        case "defaults":
            broken = {"apiVersion": document["apiVersion"], "kind": "Stack", "metadata": {"name": "other"}}
            broken["spec"] = {"defaults": {"nodeName": "node1"}}
    return broken


SPOILS = ("", "", "", "schema", "node", "name", "moved", "mac", "defaults")


@slow
@given(st.data())
def test_validating_again_says_what_validating_anew_says(data: st.DataObject) -> None:
    texts: dict[str, str] = {}
    parts = {}
    validator = Validator()
    for generation in range(data.draw(st.integers(1, 4))):
        documents = data.draw(fleets(generation=min(generation, 1)))
        for document in documents[: data.draw(st.integers(1, len(documents)))]:
            made = spoil(document, data.draw(st.sampled_from(SPOILS)))
            file = f"{document['kind']}-{document['metadata']['name']}.json"
            texts[file] = json.dumps(made)
            parts[file] = load_texts({file: texts[file]})
        for file in data.draw(st.sets(st.sampled_from(sorted(texts)), max_size=3)):
            del texts[file], parts[file]
        together = load_texts({})
        for part in parts.values():
            together.manifests += part.manifests
            together.stack = together.stack or part.stack
        assert told(validator.examine(together)) == told(Validator().examine(together))


# FileSource -------------------------------------------------------------------------------------------------------

POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {{name: {name}}}
spec: {{nodeName: node1, type: localfs, url: /var/lib/libvirt/{name}}}
"""


def pool(name: str) -> str:
    return POOL.format(name=name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ManifestCache:
    return ManifestCache(clock)


def names(cache: ManifestCache, *paths: Path, **given: Any) -> list[str]:
    return [each.id.name for each in cache.scan([str(path) for path in paths], **given).loaded.manifests]


@slow
@given(st.data())
def test_a_library_has_what_loading_anew_gives(data: st.DataObject) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        root, cache = Path(folder), ManifestCache(clock)
        (root / "keep.yaml").write_text(pool("keep"))
        for turn in range(data.draw(st.integers(1, 6))):
            moved = []
            for name in data.draw(st.sets(st.sampled_from(["a", "b", "sub/c", "sub/deep/d"]), max_size=3)):
                file = root / f"{name}.yaml"
                if file.exists() and data.draw(st.booleans()):
                    file.unlink()
                else:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(pool(f"pool-{turn}-{name.replace('/', '-')}"))
                moved.append(str(file))
            hinted = data.draw(st.booleans())
            cache.scan([folder], moved if hinted else None)
            clock.now += DELETION_GRACE
            scan = cache.scan([folder])
            fresh = load([folder])
            assert scan.complete
            assert [(m.id, m.source.name) for m in scan.loaded.manifests] == [
                (m.id, m.source.name) for m in fresh.manifests
            ]
            assert scan.loaded.root == fresh.root


def test_a_file_that_cannot_be_used_stays_as_it_was_last_good(cache: ManifestCache, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(pool("pool-a"))
    (tmp_path / "b.yaml").write_text(pool("pool-b"))
    assert names(cache, tmp_path) == ["pool-a", "pool-b"]
    (tmp_path / "a.yaml").write_text(pool("pool-c") + "---\na: [\n")
    scan = cache.scan([str(tmp_path)], [str(tmp_path / "a.yaml")])
    assert [each.id.name for each in scan.loaded.manifests] == ["pool-a", "pool-b"]
    assert not scan.complete
    assert [problem.origin.file for problem in scan.problems] == [str(tmp_path / "a.yaml")]
    (tmp_path / "a.yaml").write_text(pool("pool-c"))
    assert names(cache, tmp_path) == ["pool-c", "pool-b"]
    assert cache.scan([str(tmp_path)]).complete


def test_of_a_file_that_never_was_good_the_good_part_counts(cache: ManifestCache, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(pool("pool-a") + "---\nkind: Nothing\n")
    scan = cache.scan([str(tmp_path)])
    assert [each.id.name for each in scan.loaded.manifests] == ["pool-a"]
    assert len(scan.problems) == 1
    assert not scan.complete


def test_a_file_that_is_gone_for_a_moment_is_not_taken_away(cache: ManifestCache, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    (tmp_path / "b.yaml").write_text(pool("pool-b"))
    file.write_text(pool("pool-a"))
    assert names(cache, tmp_path) == ["pool-a", "pool-b"]
    file.unlink()
    scan = cache.scan([str(tmp_path)])
    assert [each.id.name for each in scan.loaded.manifests] == ["pool-b", "pool-a"]
    assert not scan.complete, "nothing may be pruned on the strength of it"
    assert cache.next_expiry == DELETION_GRACE
    file.write_text(pool("pool-a2"))
    assert sorted(names(cache, tmp_path)) == ["pool-a2", "pool-b"]
    file.unlink()
    cache.scan([str(tmp_path)])
    clock.now += DELETION_GRACE
    assert names(cache, tmp_path) == ["pool-b"]
    assert cache.scan([str(tmp_path)]).complete
    assert cache.next_expiry is None


def test_a_directory_that_is_gone_or_empty_takes_nothing_away(
    cache: ManifestCache, clock: Clock, tmp_path: Path
) -> None:
    root = tmp_path / "mount"
    root.mkdir()
    (root / "a.yaml").write_text(pool("pool-a"))
    assert names(cache, root) == ["pool-a"]
    for away in (lambda: (root / "a.yaml").unlink(), root.rmdir):
        away()
        for _ in range(2):
            clock.now += 10 * DELETION_GRACE
            scan = cache.scan([str(root)])
            assert [each.id.name for each in scan.loaded.manifests] == ["pool-a"]
            assert len(scan.problems) == 1
            assert not scan.complete


def test_a_file_named_by_itself_stays_as_it_was_when_it_is_gone(
    cache: ManifestCache, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(pool("pool-a"))
    assert names(cache, file) == ["pool-a"]
    file.unlink()
    for _ in range(2):
        clock.now += 10 * DELETION_GRACE
        scan = cache.scan([str(file)])
        assert [each.id.name for each in scan.loaded.manifests] == ["pool-a"]
        assert [problem.message for problem in scan.problems] == ["cannot be read: no such file or directory"]
    file.write_text(pool("pool-b"))
    assert names(cache, file) == ["pool-b"]


def test_a_close_look_sees_what_the_file_system_did_not_tell(cache: ManifestCache, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(pool("pool-a"))
    assert names(cache, tmp_path) == ["pool-a"]
    scan = cache._files[str(file)]
    file.write_text(pool("pool-b"))
    stat = file.stat()
    scan.signature = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev)
    assert names(cache, tmp_path) == ["pool-a"]
    assert names(cache, tmp_path, by_content=True) == ["pool-b"]


def test_another_checkout_keeps_what_was_last_good(cache: ManifestCache, tmp_path: Path) -> None:
    for folder, text in (("one", pool("pool-a")), ("two", "a: [\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(text)
    assert names(cache, tmp_path / "one") == ["pool-a"]
    scan = cache.scan([str(tmp_path / "two")])
    assert [each.id.name for each in scan.loaded.manifests] == ["pool-a"]
    assert [problem.origin.file for problem in scan.problems] == [str(tmp_path / "two" / "a.yaml")]


# What is on the cluster --------------------------------------------------------------------------------------


def shown(seen: Observation) -> tuple[object, ...]:
    return (
        {id: (each.resource, each.shape) for id, each in sorted(seen.resources.items())},
        dict(sorted(seen.disk_at.items())),
        dict(sorted(seen.attached.items())),
    )


def resources_of(cluster: LocalCluster) -> dict[ResourceId, Resource]:
    return {id: each.resource for id, each in observe(cluster).resources.items()}


@settings(slow, max_examples=20)
@given(fleets(), fleets(generation=1), st.data())
def test_a_mirror_shows_what_listing_anew_gives(
    before: list[dict[str, Any]], after: list[dict[str, Any]], data: st.DataObject
) -> None:
    with served() as cluster:
        resource_cache = ResourceCache(cluster, Clock())
        resource_cache.relist()
        allow = frozenset({"interrupt", "restart", "recreate", "data"})
        for documents in (before, after):
            old = resources_of(cluster)
            desired = desired_of(documents)
            made = make_plan(desired, observe(cluster), Policy(allow=allow, prune=True))
            apply(made, cluster, options=OPTIONS)
            new = resources_of(cluster)
            notices = [WatchEvent(EventType.MODIFIED, new[id]) for id in new if new[id] != old.get(id)]
            notices += [WatchEvent(EventType.DELETED, buried(old[id], cluster)) for id in old.keys() - new.keys()]
            notices += [WatchEvent(EventType.MODIFIED, old[id]) for id in data.draw(stale(old.keys() & new.keys()))]
            settled = make_plan(desired, resource_cache.observation, Policy(allow=allow)).unchanged_resources
            moved = resource_cache.apply_notices(data.draw(st.permutations(notices)))
            fresh = observe(cluster)
            assert shown(resource_cache.observation) == shown(fresh)
            plan = make_plan(desired, resource_cache.observation, Policy(allow=allow), unchanged=settled - moved)
            anew = make_plan(desired, fresh, Policy(allow=allow))
            assert (plan, plan.unchanged_resources) == (anew, anew.unchanged_resources)


def buried(resource: Resource, cluster: LocalCluster) -> Resource:
    """What a watch shows of something that is gone: its deletion was a version too."""
    metadata = {**resource["metadata"], "resourceVersion": cluster.list(resource["kind"]).version}
    return {**resource, "metadata": metadata}


def stale(ids: Set[ResourceId]) -> st.SearchStrategy[list[ResourceId]]:
    """Resources whose notices a watch repeats, long since seen."""
    return st.lists(st.sampled_from(sorted(ids)), max_size=3) if ids else st.just([])


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        yield cluster


def test_what_is_settled_is_not_looked_at_again(cluster: LocalCluster) -> None:
    desired = desired_of(pool("pool-a") + "---\n" + pool("pool-b"))
    converge(cluster, desired)
    plan = make_plan(desired, observe(cluster))
    assert plan.unchanged_resources == frozenset(desired.resources)
    desired.resources[ResourceId("VirtualMachinePool", "pool-a")].shape["autostart"] = True
    again = make_plan(desired, observe(cluster), unchanged=plan.unchanged_resources)
    assert (again.steps, again.unchanged) == ((), 2)
    (step,) = make_plan(
        desired, observe(cluster), unchanged=plan.unchanged_resources - {next(iter(desired.resources))}
    ).steps
    assert step.operation == "AutoStartPool"


def test_validate_raises_what_examining_finds() -> None:
    loaded = load_texts({"a.yaml": pool("pool-a") + "---\n" + pool("pool-a")})
    found = Validator().examine(loaded)
    assert [each.manifest.source.name for each in found.desired.resources.values()] == ["a.yaml"]
    with pytest.raises(InvalidInput) as caught:
        validate(loaded)
    assert [str(problem) for problem in caught.value.problems] == [str(problem) for problem in found.problems]


def test_every_kind_is_followed(cluster: LocalCluster) -> None:
    assert set(observe(cluster).versions) == set(KINDS)

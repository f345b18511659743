"""One file a fact: ``invalid/<the fact>`` begins with the diagnostics it must give."""

import io
from pathlib import Path

import pytest

from reconciler import InvalidInput, load, validate

INVALID = sorted((Path(__file__).parent / "invalid").iterdir())


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_an_invalid_manifest_gives_its_diagnostics(file: Path) -> None:
    lines = file.read_bytes().decode(errors="replace").splitlines()
    expected = [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]
    assert expected, "state what is expected in the first lines"
    with pytest.raises(InvalidInput) as caught:
        validate(load([file]))
    said = str(caught.value).replace(": error: ", ": ")
    for words in expected:
        assert words in said
    for problem in caught.value.problems:
        assert problem.remedy, f"no remedy: {problem}"
    places = [(problem.origin, problem.path) for problem in caught.value.problems]
    assert len(places) == len(set(places)), "two problems of one field, whose remedies may tell the opposite"


def test_problems_of_all_stages_come_together_in_order_of_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: pool-1}\nspec: {}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        validate(load([tmp_path]))
    origins = [problem.origin for problem in caught.value.problems]
    assert origins == sorted(origins)
    assert {Path(origin.file).name for origin in origins} == {"a.yaml", "b.yaml"}


POOLS = "".join(
    f"---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {{name: pool-{number}}}\n"
    f"spec: {{type: localfs, url: /var/lib/libvirt/{number}}}\n"
    for number in range(3)
)
STACK_HEAD = "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\n"


@pytest.mark.parametrize(
    ("stack", "paths"),
    [
        ("metadata: {name: shop}\nspec: {defaults: {nodeName: [a, b]}}\n", ["spec.defaults.nodeName"]),
        ("metadata: {name: shop}\nspec: {defaults: {nodeName: ''}}\n", ["spec.defaults.nodeName"]),
        ("metadata: {name: shop}\nspec: {defaults: {nodeName: 'a node'}}\n", ["spec.defaults.nodeName"]),
        ("metadata: {name: shop}\nspec: {defaults: {nodeName: 5}}\n", ["spec.defaults.nodeName"]),
        ("metadata: {name: shop}\nspec: {defaults: {node: node22}}\n", ["spec.defaults.node"]),
        ("metadata: {name: shop}\nspec: {default: {nodeName: node22}}\n", ["spec.default"]),
        ("metadata: {name: shop}\nspec: {defaults: node22}\n", ["spec.defaults"]),
        ("metadata: {name: shop}\nspec: node22\n", ["spec"]),
        ("metadata: {name: A B}\nspec: {defaults: {nodeName: node22}}\n", ["metadata.name"]),
        ("metadata: {name: shop, labels: 5}\nspec: {defaults: {nodeName: node22}}\n", ["metadata.labels"]),
        ("metadata: {labels: {}}\nspec: {defaults: {nodeName: node22}}\n", ["metadata.name"]),
        ("metadata: {name: shop}\nspec:\n\tdefaults: {nodeName: node22}\n", [""]),
        (
            "metadata: {name: shop}\nspec: {defaults: {nodeName: 5}, prune: 7}\n",
            ["spec.defaults.nodeName", "spec.prune"],
        ),
        (
            "metadata: {name: shop}\nspec: {policy: {prune: 7}, defaults: {}}\n",
            ["spec.policy.prune", *["spec.nodeName"] * 3],
        ),
    ],
)
def test_what_is_wrong_with_the_defaults_is_said_once_and_of_no_resource(
    stack: str, paths: list[str], tmp_path: Path
) -> None:
    (tmp_path / "reconcile.yaml").write_text(STACK_HEAD + stack)
    (tmp_path / "pools.yaml").write_text(POOLS)
    with pytest.raises(InvalidInput) as caught:
        validate(load([tmp_path]))
    assert sorted(problem.path for problem in caught.value.problems) == sorted(paths)


def test_what_is_missing_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachine\nmetadata: {name: web-1}\nspec: {}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        validate(load([tmp_path]))
    messages = [problem.message for problem in caught.value.problems]
    assert {problem.path for problem in caught.value.problems} == {
        f"spec.{each}" for each in ("cpu", "disks", "memory", "nics", "nodeName", "osVariant")
    }
    assert sorted(messages) == [
        f"{each} is missing" for each in ("cpu", "disks", "memory", "nics", "nodeName", "osVariant")
    ]


def test_defaults_and_policy_of_the_stack(tmp_path: Path) -> None:
    (tmp_path / "reconcile.yaml").write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: shop}\n"
        "spec: {defaults: {nodeName: n7}, policy: {prune: true, allow: [restart]}}\n"
    )
    (tmp_path / "pool.yaml").write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: pool-1}\n"
        "spec: {type: localfs, url: /x/y}\n"
    )
    desired = validate(load([tmp_path]))
    (pool,) = desired.resources.values()
    assert (desired.stack.name, pool.node, desired.stack.prune) == ("shop", "n7", True)
    assert desired.stack.allow == {"restart"}


def test_the_stack_is_named_after_its_directory(tmp_path: Path) -> None:
    folder = tmp_path / "My Stack"
    folder.mkdir()
    (folder / "pool.yaml").write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: pool-1}\n"
        "spec: {nodeName: n1, type: localfs, url: /x/y}\n"
    )
    assert validate(load([folder])).stack.name == "my-stack"


def test_a_name_is_left_by_one_and_described_by_none() -> None:
    def manifest(name: str, metadata: str = "") -> str:
        head = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\n"
        return (
            head
            + f"metadata: {{name: {name}{metadata}}}\nspec: {{nodeName: node22, type: localfs, url: /srv/{name}}}\n"
        )

    text = manifest("pool-a") + manifest("pool-b", ", movedFrom: pool-a")
    text += manifest("pool-c", ", movedFrom: pool-0") + manifest("pool-d", ", movedFrom: pool-0")
    with pytest.raises(InvalidInput) as caught:
        validate(load(["-"], stdin=io.BytesIO(text.encode())))
    assert [problem.message for problem in caught.value.problems] == [
        "VirtualMachinePool/pool-a is described at <stdin>:4:18",
        "VirtualMachinePool/pool-c comes from pool-0 too",
    ]

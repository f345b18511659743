"""What is there and is not read is a problem; links are followed as far as they stay in the tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.manifests.loader import Loaded, load
from support.command_line import run

POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: %s}
spec: {nodeName: node1, type: localfs, content: vmd, url: /var/lib/libvirt/%s}
"""
SECRET = "token: hunter2-is-secret\n"


def put(file: Path, name: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(POOL % (f"pool-{name}", f"pool-{name}"))
    return file


def names(loaded: Loaded) -> list[str]:
    return sorted(manifest.id.name.removeprefix("pool-") for manifest in loaded.manifests)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path / "root" / "a.yaml", "a")
    return tmp_path / "root"


def link_to_folder_outside(root: Path) -> None:
    put(root.parent / "outside" / "b.yaml", "b")
    (root / "sub").symlink_to(root.parent / "outside")


def link_to_file_outside(root: Path) -> None:
    (root.parent / "secret").write_text(SECRET)
    (root / "sub.yaml").symlink_to("../secret")


def link_by_link(root: Path) -> None:
    (root.parent / "secret.yaml").write_text(SECRET)
    (root / "..way").symlink_to("..")
    (root / "sub.yaml").symlink_to("..way/secret.yaml")


def link_to_what_is_hidden(root: Path) -> None:
    (root / ".env").write_text(SECRET)
    (root / "sub.yaml").symlink_to(".env")


def link_into_git(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(SECRET)
    (root / "sub").symlink_to(".git")


def dangling(root: Path) -> None:
    (root / "sub").symlink_to("none")


def dangling_file(root: Path) -> None:
    (root / "sub.yaml").symlink_to("none.yaml")


def circle(root: Path) -> None:
    (root / "sub").symlink_to("other")
    (root / "..other").symlink_to("sub")
    (root / "other").symlink_to("..other")


def capitals(root: Path) -> None:
    put(root / "sub.YAML", "b")


def pipe(root: Path) -> None:
    os.mkfifo(root / "sub.yml")


def submodule(root: Path) -> None:
    (root.parent / ".git").mkdir()
    (root.parent / ".gitmodules").write_text('[submodule "x"]\n\tpath = root/sub\n\turl = https://example.org/x\n')
    (root / "sub").mkdir()


def pointer(root: Path) -> None:
    (root / "sub.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


UNREAD = [
    (link_to_folder_outside, "leads out of the tree"),
    (link_to_file_outside, "leads out of the tree"),
    (link_by_link, "leads out of the tree"),
    (link_to_what_is_hidden, "hidden in it"),
    (link_into_git, "hidden in it"),
    (dangling, "it leads to nothing"),
    (dangling_file, "it leads to nothing"),
    (circle, "too many levels of symbolic links"),
    (capitals, "its name ends in .YAML"),
    (pipe, "named pipe"),
    (submodule, "submodule that is not fetched"),
    (pointer, "git LFS pointer"),
]


@pytest.mark.parametrize(("make", "message"), UNREAD, ids=[make.__name__ for make, _ in UNREAD])
def test_what_is_not_read_is_a_problem_and_not_quoted(root: Path, make: Callable[[Path], None], message: str) -> None:
    make(root)
    loaded = load([root])
    assert names(loaded) == ["a"]
    found = [problem for problem in loaded.problems if problem.origin.file.startswith(str(root / "sub"))]
    assert len(found) == 1, loaded.problems
    assert message in found[0].message
    assert found[0].remedy
    assert "hunter2" not in "".join(map(str, loaded.problems))


@pytest.mark.parametrize("make", [make for make, _ in UNREAD], ids=[make.__name__ for make, _ in UNREAD])
def test_nothing_is_pruned_while_something_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    root = tmp_path / "root"
    put(root / "a.yaml", "a")
    put(root / "sub" / "b.yaml", "b")
    assert run(tmp_path, "apply", "--yes", root).code == 0
    shutil.rmtree(root / "sub")
    assert "DeletePool" in run(tmp_path, "plan", "--prune", root).out
    make(root)
    for also in ((), ("--keep-going",)):  # nobody can tell what it would have declared
        refused = run(tmp_path, "plan", "--prune", *also, root)
        assert refused.code == 1
        assert "root/sub" in refused.err
        assert "DeletePool" not in refused.out


def test_links_inside_are_followed_and_give_no_duplicates(root: Path) -> None:
    put(root / "..data" / "b.yaml", "b")  # as Kubernetes mounts a ConfigMap
    put(root / "z" / "c.yaml", "c")
    put(root / "..far" / "d.json.yaml", "d")
    (root / "b.yaml").symlink_to("..data/b.yaml")
    (root / "also-a.yaml").symlink_to("a.yaml")
    (root / "also-z").symlink_to("z")
    (root / "far").symlink_to(root / "..far")
    (root / "z" / "up").symlink_to("..")
    (root / "notes").symlink_to("/etc/hostname")  # no manifest by its name
    loaded = load([root])
    assert loaded.problems == []
    assert names(loaded) == ["a", "b", "c", "d"]
    assert {manifest.source.name for manifest in loaded.manifests} == {
        str(root / name) for name in ("a.yaml", "b.yaml", "z/c.yaml", "far/d.json.yaml")
    }


def test_the_tree_is_the_git_work_tree_or_what_is_given(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "shared" / "b.yaml", "b")
    (root / "shared").symlink_to("../shared")
    assert [problem.origin.file for problem in load([root]).problems] == [str(root / "shared")]
    both = load([root, tmp_path / "shared"])
    assert (names(both), both.problems) == (["a", "b"], [])
    (tmp_path / ".git").mkdir()
    alone = load([root])
    assert (names(alone), alone.problems) == (["a", "b"], [])


def test_a_directory_given_by_a_link_is_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("root")
    loaded = load([tmp_path / "current"])
    assert (names(loaded), loaded.problems) == (["a"], [])
    assert loaded.manifests[0].source.name == str(tmp_path / "current" / "a.yaml")


# The file of a Stack's cluster ---------------------------------------------------------------------------------

STACK = """apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  cluster:
    path: %s
"""


@pytest.mark.parametrize(
    "path", ["../other.db", "/etc/other.db", "way/other.db", "sub/../../other.db", "file.db", ".."]
)
def test_a_cluster_outside_the_tree_of_its_stack_is_an_error(root: Path, path: str) -> None:
    (root / "way").symlink_to("/etc")
    (root / "file.db").symlink_to("../other.db")
    (root / "reconcile.yaml").write_text(STACK % path)
    (problem,) = [each for each in load([root]).problems if each.path]
    assert str(problem.origin) == f"{root}/reconcile.yaml:6:11"
    assert problem.path == "spec.cluster.path"
    assert "leads out of the directory of the Stack" in problem.message
    assert "--cluster" in problem.remedy
    refused = run(root, "plan", "reconcile.yaml")
    assert (refused.code, refused.out) == (1, "")
    assert "reconcile.yaml:6:11: error: spec.cluster.path: leads out" in refused.err
    assert not (root.parent / "other.db").exists()
    piped = run(root, "plan", "-", stdin=STACK % path)
    assert "<stdin>:6:11: error: spec.cluster.path: leads out" in piped.err


@pytest.mark.parametrize("path", ["shop.db", ".reconcile/shop.db", "sub/../shop.db", "{root}/shop.db"])
def test_a_cluster_inside_the_tree_is_none(root: Path, path: str) -> None:
    (root / "reconcile.yaml").write_text(STACK % path.format(root=root))
    assert load([root]).problems == []


def test_a_cluster_elsewhere_in_the_git_work_tree_is_none(root: Path) -> None:
    (root.parent / ".git").mkdir()
    (root / "reconcile.yaml").write_text(STACK % "../shop.db")
    assert load([root]).problems == []

"""Which files of a directory are manifests; what is there and is not read is a problem, and nothing is pruned."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import load, validate
from reconciler.model.problem import InvalidInput

POOL = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: %s}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/%s, state: Active}
"""


def pool(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(POOL % (name, name))


def read(path: Path) -> tuple[list[str], list[str]]:
    """The names of the resources, and what is wrong."""
    loaded = load([path])
    return [each.id.name for each in loaded.manifests], [
        f"{os.path.relpath(each.origin.file, path)}: {each.message}" for each in loaded.problems
    ]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    pool(tmp_path / "tree" / "a.yaml", "pool-a")
    pool(tmp_path / "tree" / "prod" / "b.yaml", "pool-b")
    return tmp_path / "tree"


def replaced_by_link(tree: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    (tree / "prod").rename(target)
    (tree / "prod").symlink_to(os.path.relpath(target, tree))


def test_a_folder_that_became_a_link_within_the_tree_is_read(tree: Path) -> None:
    replaced_by_link(tree, tree / ".real" / "prod")
    assert read(tree) == (["pool-a", "pool-b"], [])


def test_a_link_leads_as_far_as_the_working_copy_of_git(tree: Path) -> None:
    (tree.parent / ".git").mkdir()
    replaced_by_link(tree, tree.parent / "common" / "prod")
    assert read(tree) == (["pool-a", "pool-b"], [])


def test_nothing_is_read_twice_and_circles_end(tree: Path) -> None:
    (tree / "prod" / "up").symlink_to("..")
    (tree / "again").symlink_to("prod")
    (tree / "other.yaml").symlink_to("a.yaml")
    assert read(tree) == (["pool-a", "pool-b"], [])


OUT = "a link that leads out of"


def out_of_the_tree(tree: Path) -> None:
    replaced_by_link(tree, tree.parent / "elsewhere" / "prod")


def file_out_of_the_tree(tree: Path) -> None:
    (tree / "prod" / "b.yaml").rename(tree.parent / "b.yaml")
    (tree / "prod" / "b.yaml").symlink_to(tree.parent / "b.yaml")


def out_by_way_of_a_link(tree: Path) -> None:
    (tree / "prod" / "b.yaml").unlink()
    (tree / ".out").symlink_to(tree.parent)
    (tree / "prod" / "b.yaml").symlink_to("../.out/secret.yaml")


def nowhere(tree: Path) -> None:
    out_of_the_tree(tree)
    (tree.parent / "elsewhere" / "prod").rename(tree.parent / "gone")


def file_nowhere(tree: Path) -> None:
    file_out_of_the_tree(tree)
    (tree.parent / "b.yaml").unlink()


def a_pipe(tree: Path) -> None:
    (tree / "prod" / "b.yaml").unlink()
    os.mkfifo(tree / "prod" / "b.yaml")


def a_socket(tree: Path) -> None:
    (tree / "prod" / "b.yaml").unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tree / "prod" / "b.yaml"))


def a_submodule(tree: Path) -> None:
    (tree.parent / ".git").mkdir()
    (tree.parent / ".gitmodules").write_text('[submodule "prod"]\n\tpath = tree/prod\n\turl = https://git.example/p\n')
    (tree / "prod" / "b.yaml").unlink()


def a_submodule_without_folder(tree: Path) -> None:
    a_submodule(tree)
    (tree / "prod").rmdir()


def large_file_storage(tree: Path) -> None:
    (tree / "prod" / "b.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


UNREAD: dict[Callable[[Path], None], str] = {
    out_of_the_tree: f"prod: {OUT}",
    file_out_of_the_tree: f"prod/b.yaml: {OUT}",
    out_by_way_of_a_link: f"prod/b.yaml: {OUT}",
    nowhere: "prod: a link that leads nowhere",
    file_nowhere: "prod/b.yaml: cannot be read: no such file or directory",
    a_pipe: "prod/b.yaml: cannot be read: it is a named pipe, not a regular file",
    a_socket: "prod/b.yaml: cannot be read: it is a socket, not a regular file",
    a_submodule: "prod: a git submodule that is not fetched",
    a_submodule_without_folder: "prod: a git submodule that is not fetched",
    large_file_storage: "prod/b.yaml: a pointer of Git LFS",
}


@pytest.mark.parametrize("change", UNREAD, ids=lambda change: change.__name__)
def test_what_is_not_read_is_said_and_stops_everything(tree: Path, change: Callable[[Path], None]) -> None:
    """Be it with --keep-going: nobody knows what the rest of the tree describes."""
    (tree.parent / "secret.yaml").write_text("password: horse-battery\n")
    change(tree)
    names, problems = read(tree)
    assert names == ["pool-a"]
    assert len(problems) == 1
    assert problems[0].startswith(UNREAD[change])
    assert "horse" not in str(load([tree]).problems), "what is outside is not quoted"
    for keep_going in (False, True):
        with pytest.raises(InvalidInput):
            validate(load([tree]), keep_going=keep_going)


def test_names_that_are_nobodys_business_stay_so(tree: Path) -> None:
    outside = tree.parent / "notes.txt"
    outside.write_text("x")
    (tree / "notes.txt").symlink_to(outside)
    (tree / ".hidden").symlink_to("/nowhere")
    (tree / ".hidden.yaml").symlink_to(outside)
    assert read(tree) == (["pool-a", "pool-b"], [])

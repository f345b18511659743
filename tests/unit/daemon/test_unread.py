"""The daemon prunes nothing while something that may hold manifests is not read."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from reconciler.daemon.sources.manifest_cache import ManifestCache
from reconciler.daemon.status.values import Reconciliation
from support.controller import FILES, Clock, ControllerFixture, pool
from support.scenario import served


def to_link(folder: Path) -> None:
    os.rename(folder / "part", folder.parent / "elsewhere")
    (folder / "part").symlink_to(folder.parent / "elsewhere")


def to_dangling(folder: Path) -> None:
    to_link(folder)
    os.rename(folder.parent / "elsewhere", folder.parent / "further")


def renamed(name: str, edit: Callable[[str], str] | None = None) -> Callable[[Path], None]:
    """``part/b.yaml`` has another name below the folder, and another content if it was edited as well."""

    def rename(folder: Path) -> None:
        new = folder / name
        new.parent.mkdir(exist_ok=True)
        text = (folder / "part" / "b.yaml").read_text()
        os.rename(folder / "part" / "b.yaml", new)
        if edit is not None:
            new.unlink()
            new.write_text(edit(text))

    return rename


def folder_to(name: str) -> Callable[[Path], None]:
    return lambda folder: os.rename(folder / "part", folder / name)


def link_called(name: str) -> Callable[[Path], None]:
    """``part/b.yaml`` is elsewhere, where a link leads that is no manifest by its name."""

    def link(folder: Path) -> None:
        os.rename(folder / "part" / "b.yaml", folder.parent / "b.yaml")
        (folder / "part" / name).symlink_to(folder.parent / "b.yaml")

    return link


def packed(folder: Path) -> None:
    (folder / "part" / "b.yaml.gz").write_bytes(gzip.compress((folder / "part" / "b.yaml").read_bytes()))
    (folder / "part" / "b.yaml").unlink()


def edited(text: str) -> str:
    return text.replace("autostart: false", "autostart: true")


def broken(text: str) -> str:
    return f"{text}\n  }} not YAML: ["


def commented_out(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())


def as_json(text: str) -> str:
    return json.dumps(yaml.safe_load(text))


KEPT: dict[str, tuple[Callable[[Path], None], str]] = {  # a way to vanish, and where it is said to be
    "link out of the tree": (to_link, "part"),
    "link to nothing": (to_dangling, "part"),
    "capitals": (renamed("part/b.YAML"), "part/b.YAML"),
    "unknown ending": (renamed("part/b.yaml.off"), "part/b.yaml.off"),
    "other ending": (renamed("part/b.txt"), "part/b.txt"),
    "without ending": (renamed("part/b"), "part/b"),
    "other name": (renamed("part/old"), "part/old"),
    "hidden": (renamed("part/.b.yaml"), "part/.b.yaml"),
    "hidden and emptied": (renamed("part/.b.yaml", lambda text: ""), "part/.b.yaml"),
    "hidden and renamed": (renamed("part/.b.yaml.off"), "part/.b.yaml.off"),
    "renamed and edited": (renamed("part/b.yaml.off", edited), "part/b.yaml.off"),
    "other name and edited": (renamed("part/old", edited), "part/old"),
    "renamed and broken": (renamed("part/b.yaml.off", broken), "part/b.yaml.off"),
    "renamed and commented out": (renamed("part/b.yaml.off", commented_out), "part/b.yaml.off"),
    "renamed and made JSON": (renamed("part/b.json.off", as_json), "part/b.json.off"),
    "put away": (renamed("off/b.yaml.off"), "off/b.yaml.off"),
    "put away, hidden": (renamed(".off/b.yaml"), ".off/b.yaml"),
    "put away above": (renamed("b.yaml_"), "b.yaml_"),
    "folder hidden": (folder_to(".part"), ".part/b.yaml"),
    "link without ending": (link_called("b"), "part/b"),
    "link with an ending": (link_called("b.yaml.link"), "part/b.yaml.link"),
    "packed": (packed, "part/b.yaml.gz"),
}


def look_twice(fixture: ControllerFixture) -> Reconciliation:
    """Look, and again when what is missing would count as deleted."""
    for _ in range(3):
        done = fixture.settle(FILES)[-1]
        fixture.clock.seconds += 100
    return done


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[ControllerFixture]:
    """A daemon that prunes, and has made what two files declare."""
    folder = tmp_path / "shop"
    (folder / "part").mkdir(parents=True)
    with served() as cluster:
        fixture = ControllerFixture(folder, cluster, prune=True)
        fixture.write("a.yaml", pool("pool-a"))
        fixture.write("part/b.yaml", pool("pool-b"))
        fixture.settle()
        yield fixture


@pytest.mark.parametrize("way", KEPT)
def test_what_is_there_and_is_not_read_is_not_pruned(fixture: ControllerFixture, way: str) -> None:
    vanish, place = KEPT[way]
    vanish(fixture.folder)
    assert look_twice(fixture).problems == 1
    assert fixture.names() == {"pool-a", "pool-b"}
    (problem,) = fixture.controller.status.problems
    assert problem.origin.file == str(fixture.folder / place)
    for each in fixture.folder.iterdir():
        if each.is_symlink() or each.is_file():
            if each.name != "a.yaml":
                each.unlink()
        else:
            shutil.rmtree(each)
    look_twice(fixture)
    assert fixture.names() == {"pool-a"}, "when that is deleted, it is gone"


@pytest.mark.parametrize("way", KEPT)
def test_what_comes_back_is_read_again(fixture: ControllerFixture, way: str) -> None:
    KEPT[way][0](fixture.folder)
    look_twice(fixture)
    if (fixture.folder / "part").is_symlink():
        (fixture.folder / "part").unlink()
    (fixture.folder / "part").mkdir(exist_ok=True)
    fixture.write("part/b.yaml", pool("pool-b", autostart=True))
    (fixture.folder / "part" / "b.YAML").unlink(missing_ok=True)
    assert look_twice(fixture).problems == 0
    assert fixture.operations()["pool-b", "autoStartPool"] == 1


def deleted(folder: Path) -> None:
    (folder / "part" / "b.yaml").unlink()


def with_folder(folder: Path) -> None:
    shutil.rmtree(folder / "part")


def beside_what_is_of_another(folder: Path) -> None:
    (folder / "part" / "b.yaml").unlink()
    (folder / "part" / "b.txt").write_text(pool("pool-c"))
    (folder / "part" / "notes").write_text("The pool called pool-b, of gitops.doslab.io, was deleted.")
    (folder / "part" / "b").symlink_to(folder)


def beside_the_swap_of_an_editor(folder: Path) -> None:
    (folder / "part" / ".b.yaml.swp").write_bytes(b"b0VIM\0" + (folder / "part" / "b.yaml").read_bytes())
    (folder / "part" / "b.yaml").unlink()


@pytest.mark.parametrize("delete", [deleted, with_folder, beside_what_is_of_another, beside_the_swap_of_an_editor])
def test_what_is_deleted_is_pruned(fixture: ControllerFixture, delete: Callable[[Path], None]) -> None:
    delete(fixture.folder)
    assert look_twice(fixture).problems == 0
    assert fixture.names() == {"pool-a"}


def test_an_older_version_that_an_editor_has_left_is_not_the_file(fixture: ControllerFixture) -> None:
    file = fixture.folder / "part" / "b.yaml"
    os.rename(file, file.with_name("b.yaml~"))
    fixture.settle(fixture.write("part/b.yaml", pool("pool-b", autostart=True)))
    file.unlink()
    assert look_twice(fixture).problems == 0
    assert fixture.names() == {"pool-a"}


def test_what_has_moved_to_a_file_that_is_read_is_not_missed(fixture: ControllerFixture) -> None:
    """Even if a copy stays behind."""
    shutil.copy(fixture.folder / "part" / "b.yaml", fixture.folder / "part" / "b.yaml.bak")
    os.rename(fixture.folder / "part" / "b.yaml", fixture.folder / "c.yaml")
    assert look_twice(fixture).problems == 0
    assert fixture.names() == {"pool-a", "pool-b"}


def test_links_inside_the_tree_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "part").mkdir(parents=True)
    with served() as cluster:
        fixture = ControllerFixture(folder, cluster, prune=True)
        fixture.write("a.yaml", pool("pool-a"))
        fixture.write("part/b.yaml", pool("pool-b"))
        fixture.settle()
        os.rename(folder / "part", folder / "..moved")
        (folder / "part").symlink_to("..moved")
        for _ in range(2):
            fixture.settle(FILES)
            fixture.clock.seconds += 100
        assert fixture.names() == {"pool-a", "pool-b"}


def test_a_file_that_becomes_a_link_out_of_the_tree_is_not_read(tmp_path: Path) -> None:
    """Also where only that file is said to have changed, and the folder is not listed again."""
    folder, cache = tmp_path / "shop", ManifestCache(lambda: 0.0)
    folder.mkdir()
    file, secret = folder / "a.yaml", tmp_path / "secret"
    file.write_text(pool("pool-a"))
    secret.write_text("token: hunter2\n")
    assert cache.scan([str(folder)]).complete
    file.unlink()
    file.symlink_to(secret)
    scan = cache.scan([str(folder)], [str(file)])
    assert ["leads out of the tree" in problem.message for problem in scan.problems] == [True]
    assert not scan.complete
    assert [each.id.name for each in scan.loaded.manifests] == ["pool-a"]


def test_what_the_next_commit_hides_is_not_taken_for_removed(tmp_path: Path) -> None:
    """Each commit is checked out to a folder of its own, and paths are shown relative to that."""
    clock = Clock()
    first, second = tmp_path / "1", tmp_path / "2"
    cache = ManifestCache(clock.monotonic)
    for checkout, name in ((first, "part/b.yaml"), (second, ".part/b.yaml")):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / "a.yaml").write_text(pool("pool-a"))
        (checkout / name).write_text(pool("pool-b"))
    assert cache.scan([str(first)], under=str(first)).complete
    shutil.rmtree(first)
    cache.scan([str(second)], under=str(second))
    clock.seconds += 100
    scan = cache.scan([str(second)], under=str(second))
    (problem,) = scan.problems
    assert str(problem).splitlines()[0] == (
        ".part/b.yaml: error: not read, and was read as part/b.yaml: its resources are not taken for removed"
    )
    assert {each.id.name for each in scan.loaded.manifests} == {"pool-a", "pool-b"}
    assert not scan.complete

"""The daemon prunes nothing while something that may hold manifests is not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.daemon.sources.manifest_cache import ManifestCache
from support.controller import FILES, ControllerFixture, pool
from support.scenario import served


def to_link(folder: Path) -> None:
    os.rename(folder / "part", folder.parent / "elsewhere")
    (folder / "part").symlink_to(folder.parent / "elsewhere")


def to_dangling(folder: Path) -> None:
    to_link(folder)
    os.rename(folder.parent / "elsewhere", folder.parent / "further")


def to_capitals(folder: Path) -> None:
    os.rename(folder / "part" / "b.yaml", folder / "part" / "b.YAML")


def to_unknown_extension(folder: Path) -> None:
    os.rename(folder / "part" / "b.yaml", folder / "part" / "b.yaml.off")


@pytest.mark.parametrize("unread", [to_link, to_dangling, to_capitals, to_unknown_extension])
def test_what_is_there_and_is_not_read_is_not_pruned(tmp_path: Path, unread: Callable[[Path], None]) -> None:
    folder = tmp_path / "shop"
    (folder / "part").mkdir(parents=True)
    with served() as cluster:
        fixture = ControllerFixture(folder, cluster, prune=True)
        fixture.write("a.yaml", pool("pool-a"))
        fixture.write("part/b.yaml", pool("pool-b"))
        fixture.settle()
        unread(folder)
        for _ in range(2):
            done = fixture.settle(FILES)[-1]
            fixture.clock.seconds += 100
        assert fixture.names() == {"pool-a", "pool-b"}
        assert done.problems == 1
        for file in sorted(folder.glob("part/*")) or [folder / "part"]:
            file.unlink()
        if (folder / "part").is_symlink():
            (folder / "part").unlink()
        for _ in range(2):
            fixture.settle(FILES)
            fixture.clock.seconds += 100
        assert fixture.names() == {"pool-a"}


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

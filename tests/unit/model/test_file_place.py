"""What is written under another name and then renamed: never in the place of a device, a pipe or a socket."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler import LocalCluster
from reconciler.drivers.libvirt import file
from reconciler.drivers.operation import OperationFailed
from reconciler.manifests.writer import write_files
from reconciler.model.file_place import put_in_place
from reconciler.model.problem import InvalidInput
from support.command_line import run
from support.paths import QUICKSTART, ROOT
from tools import generate

KINDS = ("fifo", "socket", "device", "block device", "folder")
FULL = os.makedev(1, 7)  # a device like /dev/full: whoever writes to it is told at once
NO_DISK = os.makedev(7, 250)


def save_plan(place: Path) -> None:
    result = run(place.parent, "plan", "--out", place.name, QUICKSTART)
    if result.code:
        raise OSError(result.err)


def import_manifests(place: Path) -> None:
    write_files(str(place.parent), {"first.yaml": "a: 1\n", place.name: "a: 1\n"})


def write_in_a_pool(place: Path) -> None:
    with file.replacing(place) as temporary:
        temporary.write_text("a")


def make_in_a_pool(place: Path) -> None:
    with file.creating(place.parent, place.name) as temporary:
        (temporary / "config.json").write_text("{}")


def make_cluster(place: Path) -> None:
    LocalCluster(place).close()


def generate_files(place: Path) -> None:
    """The generated file that is made first is the one in the way."""
    root = place.parent / "root"
    path = root / next(iter(generate.files()))
    path.parent.mkdir(parents=True)
    place.rename(path)
    try:
        generate.write(root)
    finally:
        path.rename(place)
        assert not [each for each in root.rglob("*") if each.is_file()]
        shutil.rmtree(root)


def put(place: Path) -> None:
    new = place.with_name("new")
    new.write_text("a")
    try:
        put_in_place(new, place)
    finally:
        new.unlink()


WRITERS = (save_plan, import_manifests, write_in_a_pool, make_in_a_pool, make_cluster, generate_files, put)


@pytest.fixture(params=KINDS)
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Something that is no file, in a folder where everything may be written."""
    place = tmp_path / "a.yaml"
    open_socket = socket.socket(socket.AF_UNIX)
    match request.param:
        case "fifo":
            os.mkfifo(place)
        case "socket":
            open_socket.bind(str(place))
        case "folder":
            place.mkdir()
        case kind:
            if os.geteuid():
                pytest.skip("only root makes devices")
            mode, device = (stat.S_IFCHR, FULL) if kind == "device" else (stat.S_IFBLK, NO_DISK)
            os.mknod(place, 0o600 | mode, device)
    yield place
    open_socket.close()


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_what_is_no_file_is_refused_and_stays(irregular: Path, write: Callable[[Path], None]) -> None:
    before = os.lstat(irregular)
    with pytest.raises((OSError, OperationFailed, InvalidInput)) as refused:
        write(irregular)
    assert os.lstat(irregular)[:4] == before[:4], "it is what it was"
    assert [path.name for path in irregular.parent.iterdir()] == [irregular.name], "nothing is left behind"
    said = str(refused.value)
    assert re.search("not a regular file|is a directory|already exists", said), said
    assert "Traceback" not in said


def test_every_rename_is_of_a_writer_that_is_tried_above() -> None:
    """Who renames a folder cannot replace a file by it."""
    renames = {
        (str(path.relative_to(ROOT)), call.func.attr)
        for top in ("reconciler", "tools")
        for path in (ROOT / top).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("replace", "rename", "renames", "move", "link")
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("os", "shutil")
    }
    assert renames == {
        ("reconciler/model/file_place.py", "replace"),
        ("reconciler/clusters/local/database.py", "link"),  # fails where anything is
        ("reconciler/drivers/libvirt/file.py", "rename"),  # folders
        ("reconciler/daemon/sources/git_checkout.py", "rename"),  # folders
    }


def test_a_plan_is_saved_where_a_link_leads_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plan.json").symlink_to("plans/newest.json")
    for _ in range(2):  # the first time there is nothing where it leads
        assert run(tmp_path, "plan", "--out", "plan.json", QUICKSTART).code == 0
        assert (tmp_path / "plan.json").is_symlink()
        assert json.loads((tmp_path / "plans" / "newest.json").read_text())["steps"]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.json").symlink_to("pipe")
    refused = run(tmp_path, "plan", "--out", "link.json", QUICKSTART)
    assert "link.json cannot be written: it is a named pipe, not a regular file." in refused.err


def test_a_link_in_a_pool_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / "config.json").symlink_to("outside")
    file.write_config(tmp_path, {"current": "a"})
    assert (tmp_path / "outside").read_text() == "theirs"
    assert not (tmp_path / "config.json").is_symlink()


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_plan_saved_to_standard_output_is_all_that_is_there(tmp_path: Path, name: str, output: str) -> None:
    """And it can be applied from where it was led to."""
    result = run(tmp_path, "plan", "--out", name, "-o", output, QUICKSTART)
    assert result.code == 0, result.err
    (tmp_path / "plan.json").write_text(result.out)
    assert run(tmp_path, "apply", "--yes", "plan.json").code == 0
    assert run(tmp_path, "plan", QUICKSTART).out.startswith("No changes.")


def test_a_plan_saved_to_standard_error_is_beside_what_is_shown(tmp_path: Path) -> None:
    result = run(tmp_path, "plan", "--out", "/dev/stderr", QUICKSTART)
    assert json.loads(result.err)["steps"]
    assert "CreatePool" in result.out


def test_a_descriptor_that_is_not_open_is_a_plain_error(tmp_path: Path) -> None:
    result = run(tmp_path, "plan", "--out", "/dev/fd/97", QUICKSTART)
    assert (result.code, result.err.splitlines()[-1]) == (
        1,
        "error: /dev/fd/97 cannot be written: bad file descriptor.",
    )

"""Files that a user names: regular ones are read, anything else is refused at once."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import load
from reconciler.cli.saved_plan import MAX_PLAN, read_saved_plan
from reconciler.clusters.local import LocalCluster
from reconciler.daemon.sources.manifest_cache import ManifestCache
from reconciler.model import user_file
from reconciler.model.problem import InvalidInput
from reconciler.model.secret import MAX_SECRET, Secret, SecretMissing, Vault
from reconciler.model.user_file import TooLarge, read_user_file


@pytest.fixture(params=["fifo", "socket", "device", "link to a fifo"])
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Something that would keep whoever reads it waiting, under the name of a manifest."""
    file = tmp_path / "a.yaml"
    open_socket = socket.socket(socket.AF_UNIX)
    match request.param:
        case "fifo":
            os.mkfifo(file)
        case "socket":
            open_socket.bind(str(file))
        case "device":
            file.symlink_to("/dev/zero")
        case _:
            os.mkfifo(tmp_path / "pipe")
            file.symlink_to("pipe")
    yield file
    open_socket.close()


def test_what_is_not_a_regular_file_is_refused_as_a_manifest(irregular: Path) -> None:
    (problem,) = load([irregular]).problems
    assert "not a regular file" in problem.message
    assert problem.origin.file == str(irregular)
    below = "leads out of the tree" if os.path.realpath(irregular).startswith("/dev") else problem.message
    assert [below in each.message for each in load([irregular.parent]).problems] == [True]


def test_what_is_not_a_regular_file_is_refused_by_the_daemon(irregular: Path) -> None:
    scan = ManifestCache(lambda: 0.0).scan([str(irregular.parent)])
    reason = "leads out of the tree" if os.path.realpath(irregular).startswith("/dev") else "not a regular file"
    assert [reason in problem.message for problem in scan.problems] == [True]


def test_what_is_not_a_regular_file_is_refused_as_a_secret(irregular: Path) -> None:
    with LocalCluster(":memory:") as cluster, pytest.raises(SecretMissing, match="not a regular file"):
        Vault(cluster).read(Secret("file", str(irregular)))


def test_a_secret_is_not_cut_off(tmp_path: Path) -> None:
    """The beginning of a long secret would have been sent as the whole."""
    file = tmp_path / "secret"
    file.write_bytes(b"x" * (MAX_SECRET + 1))
    with LocalCluster(":memory:") as cluster, pytest.raises(SecretMissing, match="it is larger than 64 KiB"):
        Vault(cluster).read(Secret("file", str(file)))


def test_a_saved_plan_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    with file.open("wb") as stream:
        stream.truncate(MAX_PLAN + 1)
    with pytest.raises(InvalidInput, match="it is larger than 256 MiB"):
        read_saved_plan((str(file),))


def test_a_file_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_file, "_CHUNK", 3)
    file = tmp_path / "a"
    file.write_bytes(b"12345678")
    assert read_user_file(str(file), 8) == b"12345678"
    with pytest.raises(TooLarge, match="it is larger than"):
        read_user_file(str(file), 7)


@pytest.mark.parametrize(("path", "reason"), [(".", "is a directory"), ("a\0b", "is not a path")])
def test_what_no_file_can_be_is_an_error_of_the_system(path: str, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        read_user_file(path, 10)


def test_a_pipe_of_the_command_line_is_read_to_its_end() -> None:
    """``reconcile --plan <(kustomize build overlay)``: the shell names a descriptor of ours."""
    reading, writing = os.pipe()
    path = f"/dev/fd/{reading}"

    def write() -> None:
        with open(writing, "wb") as stream:
            stream.write(b"kind: x\n" * 10_000)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert len(read_user_file(path, 100_000, descriptors=True)) == 80_000
        thread.join()
        with pytest.raises(OSError, match="named pipe"):
            read_user_file(path, 100_000)
    finally:
        os.close(reading)

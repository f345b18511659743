"""Files as a source of hints: a real file system, the system's real events, and no waiting but for what must come."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import PyDLL
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.daemon.sources import file_watcher as watches
from reconciler.daemon.sources import files as source
from reconciler.daemon.sources import folders
from reconciler.daemon.sources.files import FileSource
from reconciler.daemon.sources.stat_poll import stat_files
from reconciler.daemon.sources.symlinks import SymlinkLookup, symlink_lookups
from reconciler.daemon.sources.trigger import ALL_FILES, Trigger
from reconciler.manifests.loader import load

PATIENCE = 30.0  # seconds until what must come has come


def put(path: Path, text: str = "a: 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def swap(link: Path, target: str) -> None:
    """Have a link lead elsewhere, as a kubelet does: there is no moment without it."""
    made = link.with_name(f"{link.name}_tmp")
    made.symlink_to(target)
    os.replace(made, link)


class Heard:
    """The hints at ``paths``, and at one folder more: what moves there says that all before it was heard."""

    def __init__(self, paths: Sequence[str | Path], marks: Path, polling: float | None = None) -> None:
        marks.mkdir()
        self._marks, self._count = marks, 0
        self._moved = threading.Condition()
        self._hints: list[Trigger] = []
        self._files = FileSource([*paths, marks], polling=polling)

    def __enter__(self) -> Heard:
        self._files.start(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._files.stop()

    def _hear(self, hint: Trigger) -> None:
        with self._moved:
            self._hints.append(hint)
            self._moved.notify_all()

    def until(self, true: Callable[[set[str]], bool]) -> None:
        """Wait until enough was hinted at; nothing is forgotten."""
        with self._moved:
            enough = self._moved.wait_for(lambda: true({hint.file for hint in self._hints}), PATIENCE)
            assert enough, f"only {sorted({hint.file for hint in self._hints})}"

    def take(self) -> set[str]:
        """What was hinted at since the last time, once nothing more is under way."""
        for _ in range(2):  # who looks may have looked here before there; not twice
            self._mark()
        with self._moved:
            taken, self._hints = self._hints, []
        assert {hint.source for hint in taken} == {"files"}
        return {hint.file for hint in taken if not hint.file.startswith(str(self._marks))}

    def _mark(self) -> None:
        """Move a file, until it is heard by its name: what was heard as ``ALL_FILES`` may have more behind it."""
        while True:
            self._count += 1
            mark = str(self._marks / f"{self._count}.yaml")
            before = len(self._hints)
            put(Path(mark))

            def heard(before: int = before, mark: str = mark) -> set[str]:
                return {hint.file for hint in self._hints[before:]} & {ALL_FILES, mark}

            with self._moved:
                assert self._moved.wait_for(heard, PATIENCE), "nothing is heard any more"
                if mark in heard():
                    return


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    put(folder / "a.yaml")
    put(folder / "sub" / "b.json", "{}")
    return folder


@pytest.fixture(params=[None, 0.02], ids=["told", "polling"])
def heard(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Heard]:
    with Heard([root], tmp_path / "marks", request.param) as heard:
        yield heard


@pytest.fixture
def told(root: Path, tmp_path: Path) -> Iterator[Heard]:
    with Heard([root], tmp_path / "marks") as heard:
        yield heard


# One file -----------------------------------------------------------------------------------------------------


def test_nothing_moves_and_nothing_is_hinted_at(heard: Heard) -> None:
    assert heard.take() == set()


def test_a_file_is_hinted_at_under_the_name_that_load_gives_it(heard: Heard, root: Path) -> None:
    put(root / "a.yaml", "b: 2\n")
    put(root / "sub" / "b.json", '{"b": 2}')
    put(root / "new.yml")
    hinted = heard.take()
    assert hinted == {str(root / "a.yaml"), str(root / "sub" / "b.json"), str(root / "new.yml")}
    assert hinted == {problem.origin.file for problem in load([root]).problems}


def test_names_are_spelled_as_the_path_was_given(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for number, (given_, spelled) in enumerate([(".", "./sub/b.json"), ("sub/", "sub/b.json"), ("../root", "")]):
        with Heard([given_], tmp_path / f"marks{number}") as heard:
            put(root / "sub" / "b.json", f"[{number}]")
            assert heard.take() == {spelled or "../root/sub/b.json"}


def test_reading_makes_no_hints(heard: Heard, root: Path) -> None:
    """Or the daemon would hear itself for ever."""
    for _ in range(3):
        load([root])
        os.listdir(root)
        (root / "a.yaml").read_bytes()
        subprocess.run(["cat", root / "a.yaml"], check=True, capture_output=True)
        assert heard.take() == set()


def test_what_is_not_a_manifest_makes_no_hints(heard: Heard, root: Path) -> None:
    for name in ("note.txt", ".hidden.yaml", "a.yaml~", ".a.yaml.swp", "4913", "#a.yaml#"):
        put(root / name)
        (root / name).unlink()
    assert heard.take() == set()


def test_an_editor_that_renames_into_place_is_one_file(heard: Heard, root: Path) -> None:
    put(root / ".a.yaml.tmp", "b: 2\n")
    os.replace(root / ".a.yaml.tmp", root / "a.yaml")
    assert heard.take() == {str(root / "a.yaml")}


def test_an_editor_that_keeps_the_old_file_aside_is_one_file(heard: Heard, root: Path) -> None:
    os.rename(root / "a.yaml", root / "a.yaml~")
    put(root / "a.yaml", "b: 2\n")
    (root / "a.yaml~").unlink()
    assert heard.take() == {str(root / "a.yaml")}


def test_a_file_is_hinted_at_once_it_is_written_and_not_in_between(told: Heard, root: Path) -> None:
    with (root / "a.yaml").open("w") as stream:
        for line in range(3):
            stream.write(f"{line}: half\n")
            stream.flush()
            assert told.take() == set()
    assert told.take() == {str(root / "a.yaml")}


def test_a_file_that_goes_is_hinted_at(heard: Heard, root: Path) -> None:
    (root / "a.yaml").unlink()
    assert heard.take() == {str(root / "a.yaml")}


def test_a_file_that_moves_away_and_back_is_hinted_at_each_time(heard: Heard, root: Path, tmp_path: Path) -> None:
    os.rename(root / "a.yaml", tmp_path / "kept.yaml")
    assert heard.take() == {str(root / "a.yaml")}
    os.rename(tmp_path / "kept.yaml", root / "a.yaml")
    assert heard.take() == {str(root / "a.yaml")}


def test_a_file_that_gets_another_name_is_hinted_at_under_both(heard: Heard, root: Path) -> None:
    os.rename(root / "a.yaml", root / "c.yaml")
    assert heard.take() == {str(root / "a.yaml"), str(root / "c.yaml")}


def test_a_file_with_two_names_is_hinted_at_under_both(heard: Heard, root: Path) -> None:
    os.link(root / "a.yaml", root / "c.yaml")
    assert {ALL_FILES, str(root / "c.yaml")} & heard.take()
    put(root / "a.yaml", "b: 2\n")
    hinted = heard.take()
    assert ALL_FILES in hinted or hinted == {str(root / "a.yaml"), str(root / "c.yaml")}


def test_a_file_that_appears_whole_is_hinted_at(heard: Heard, root: Path) -> None:
    """Written without a name, and given one when it is complete: nobody closes it under that name."""
    try:
        made = os.open(root, os.O_TMPFILE | os.O_WRONLY)
    except OSError:
        pytest.skip("the file system of the tests has no files without a name")
    os.write(made, b"b: 2\n")
    folder = os.open(root, os.O_RDONLY)
    os.link(f"/proc/self/fd/{made}", "c.yaml", dst_dir_fd=folder)
    assert str(root / "c.yaml") in heard.take()
    os.close(made)
    os.close(folder)


def test_rights_that_move_are_hinted_at(heard: Heard, root: Path) -> None:
    (root / "a.yaml").chmod(0o000)
    assert heard.take() == {str(root / "a.yaml")}


def test_a_path_that_is_a_file(tmp_path: Path, root: Path) -> None:
    path = root / "a.yaml"
    with Heard([path], tmp_path / "marks") as heard:
        put(root / "other.yaml")
        assert heard.take() == set()
        put(path, "b: 2\n")
        assert heard.take() == {str(path)}
        put(root / "new", "c: 2\n")
        os.replace(root / "new", path)
        assert heard.take() == {str(path)}
        path.unlink()
        assert heard.take() == {str(path)}
        put(path)
        assert heard.take() == {str(path)}
        shutil.rmtree(root)
        assert heard.take()
        put(path)
        assert heard.take()
        put(path, "c: 3\n")
        assert heard.take() == {str(path)}


def test_standard_input_is_not_a_file(tmp_path: Path) -> None:
    with Heard(["-"], tmp_path / "marks") as heard:
        assert heard.take() == set()


# Folders ------------------------------------------------------------------------------------------------------


def test_a_folder_with_files_in_it_is_a_hint_at_all_and_then_at_each_file(heard: Heard, root: Path) -> None:
    put(root / "x" / "y" / "z" / "c.yaml")
    assert ALL_FILES in heard.take()
    put(root / "x" / "y" / "z" / "c.yaml", "b: 2\n")
    assert heard.take() == {str(root / "x" / "y" / "z" / "c.yaml")}


def test_a_folder_that_comes_from_elsewhere(heard: Heard, root: Path, tmp_path: Path) -> None:
    put(tmp_path / "made" / "in" / "c.yaml")
    os.rename(tmp_path / "made", root / "x")
    assert ALL_FILES in heard.take()
    put(root / "x" / "in" / "c.yaml", "b: 2\n")
    assert heard.take() == {str(root / "x" / "in" / "c.yaml")}


def test_a_folder_that_gets_another_name(heard: Heard, root: Path) -> None:
    os.rename(root / "sub", root / "other")
    assert ALL_FILES in heard.take()
    put(root / "other" / "b.json", "[]")
    assert heard.take() == {str(root / "other" / "b.json")}


def test_a_folder_that_left_is_not_heard_any_more(heard: Heard, root: Path, tmp_path: Path) -> None:
    os.rename(root / "sub", tmp_path / "away")
    assert ALL_FILES in heard.take()
    put(tmp_path / "away" / "b.json", "[]")
    assert heard.take() == set()


def test_a_folder_that_goes(heard: Heard, root: Path) -> None:
    shutil.rmtree(root / "sub")
    assert ALL_FILES in heard.take()


def test_a_hidden_folder_makes_no_hints(heard: Heard, root: Path) -> None:
    put(root / ".git" / "objects" / "c.yaml")
    put(root / ".git" / "objects" / "c.yaml", "b: 2\n")
    shutil.rmtree(root / ".git")
    assert heard.take() == set()


def test_a_root_that_is_made_anew(heard: Heard, root: Path) -> None:
    for number in range(3):
        shutil.rmtree(root)
        put(root / "sub" / "c.yaml", f"n: {number}\n")
        hinted = heard.take()
        assert ALL_FILES in hinted or str(root / "sub" / "c.yaml") in hinted
        put(root / "sub" / "c.yaml", f"m: {number}\n")
        assert heard.take() == {str(root / "sub" / "c.yaml")}


def test_a_root_that_is_swapped_for_another(heard: Heard, root: Path, tmp_path: Path) -> None:
    put(tmp_path / "fresh" / "c.yaml")
    os.rename(root, tmp_path / "stale")
    os.rename(tmp_path / "fresh", root)
    assert ALL_FILES in heard.take()
    put(tmp_path / "stale" / "a.yaml", "b: 2\n")
    assert heard.take() == set()
    put(root / "c.yaml", "b: 2\n")
    assert heard.take() == {str(root / "c.yaml")}


@pytest.mark.parametrize("polling", [None, 0.02], ids=["told", "polling"])
def test_a_path_that_is_not_there_yet(tmp_path: Path, polling: float | None) -> None:
    path = tmp_path / "not" / "there" / "yet"
    with Heard([path], tmp_path / "marks", polling) as heard:
        put(path / "a.yaml")
        assert ALL_FILES in heard.take()
        put(path / "a.yaml", "b: 2\n")
        assert heard.take() == {str(path / "a.yaml")}


def test_a_folder_above_that_moves(tmp_path: Path) -> None:
    put(tmp_path / "above" / "root" / "a.yaml")
    put(tmp_path / "other" / "root" / "a.yaml", "b: 2\n")
    with Heard([tmp_path / "above" / "root"], tmp_path / "marks") as heard:
        os.rename(tmp_path / "above", tmp_path / "gone")
        os.rename(tmp_path / "other", tmp_path / "above")
        assert ALL_FILES in heard.take()
        put(tmp_path / "above" / "root" / "a.yaml")
        assert heard.take() == {str(tmp_path / "above" / "root" / "a.yaml")}


def test_paths_that_overlap_hint_under_each_name(tmp_path: Path, root: Path) -> None:
    with Heard([root, root / "sub"], tmp_path / "marks") as heard:
        put(root / "sub" / "b.json", "[]")
        assert heard.take() == {str(root / "sub" / "b.json")}
    (tmp_path / "link").symlink_to("root/sub")
    with Heard([root, tmp_path / "link"], tmp_path / "marks2") as heard:
        put(root / "sub" / "b.json", "{}")
        assert heard.take() == {str(root / "sub" / "b.json"), str(tmp_path / "link" / "b.json")}


def test_a_root_that_is_mounted_over_is_looked_at_again(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounting makes no event. It needs rights that a test has not; the place of a folder is what it changes."""
    monkeypatch.setattr(watches, "CHECK_INTERVAL", 0.01)
    looked = threading.Event()
    real = os.stat

    def stat(path: str, **given_: bool) -> os.stat_result:
        found = real(path, **given_)
        if path == os.path.realpath(root) and mounted.is_set():
            looked.set()
            return os.stat_result([*found[:2], found.st_dev + 1, *found[3:]])
        return found

    mounted = threading.Event()
    with Heard([root], tmp_path / "marks") as heard:
        assert heard.take() == set()
        monkeypatch.setattr("reconciler.daemon.sources.folders.os.stat", stat)
        mounted.set()
        heard.until(lambda files: ALL_FILES in files)
        assert looked.is_set()


# Links --------------------------------------------------------------------------------------------------------


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A ConfigMap as a kubelet lays it out."""
    folder = tmp_path / "volume"
    put(folder / "..2026_1" / "a.yaml")
    put(folder / "..2026_1" / "b.yaml")
    (folder / "..data").symlink_to("..2026_1")
    for name in ("a.yaml", "b.yaml"):
        (folder / name).symlink_to(f"..data/{name}")
    return folder


@pytest.mark.parametrize("polling", [None, 0.02], ids=["told", "polling"])
def test_a_config_map_that_is_swapped(tmp_path: Path, volume: Path, polling: float | None) -> None:
    with Heard([volume], tmp_path / "marks", polling) as heard:
        for number in range(2, 6):
            for name in ("a.yaml", "b.yaml"):
                put(volume / f"..2026_{number}" / name, f"{name}: {number}\n")
            swap(volume / "..data", f"..2026_{number}")
            shutil.rmtree(volume / f"..2026_{number - 1}")
            hinted = heard.take()
            assert ALL_FILES in hinted or hinted == {str(volume / "a.yaml"), str(volume / "b.yaml")}


def test_a_file_behind_links_is_hinted_at_by_its_own_name(tmp_path: Path, volume: Path) -> None:
    with Heard([volume], tmp_path / "marks") as heard:
        put(volume / "..2026_1" / "a.yaml", "b: 2\n")
        assert heard.take() == {str(volume / "a.yaml")}
        put(volume / "..2026_1" / "new")
        os.replace(volume / "..2026_1" / "new", volume / "..2026_1" / "b.yaml")
        assert heard.take() == {str(volume / "b.yaml")}


@pytest.mark.parametrize("polling", [None, 0.02], ids=["told", "polling"])
def test_a_root_that_is_a_link_and_leads_elsewhere(tmp_path: Path, root: Path, polling: float | None) -> None:
    link = tmp_path / "link"
    link.symlink_to("root")
    put(tmp_path / "other" / "a.yaml", "b: 2\n")
    with Heard([link], tmp_path / "marks", polling) as heard:
        put(root / "a.yaml", "c: 2\n")
        assert heard.take() == {str(link / "a.yaml")}
        swap(link, str(tmp_path / "other"))
        assert heard.take()
        put(tmp_path / "other" / "a.yaml", "d: 2\n")
        assert heard.take() == {str(link / "a.yaml")}
        put(root / "a.yaml", "e: 2\n")
        assert heard.take() == set()


@pytest.mark.parametrize("polling", [None, 0.02], ids=["told", "polling"])
def test_a_link_to_a_file_elsewhere(tmp_path: Path, root: Path, polling: float | None) -> None:
    link, target = root / "c.yaml", root / "..far" / "away" / "target.yaml"
    put(target)
    link.symlink_to(target)
    with Heard([root], tmp_path / "marks", polling) as heard:
        put(target, "b: 2\n")
        assert heard.take() == {str(link)}
        target.unlink()
        assert heard.take() in ({str(link)}, {ALL_FILES})
        shutil.rmtree(root / "..far")
        heard.take()
        put(target, "d: 2\n")
        assert heard.take()
        put(target, "e: 2\n")
        assert heard.take() == {str(link)}


def test_a_link_that_leads_nowhere_or_in_a_circle(tmp_path: Path, root: Path) -> None:
    (root / "c.yaml").symlink_to("d.yaml")
    (root / "d.yaml").symlink_to("c.yaml")
    (root / "e.yaml").symlink_to("none/at/all")
    with Heard([root], tmp_path / "marks") as heard:
        assert heard.take() == set()
        put(root / "none" / "at" / "all")
        assert ALL_FILES in heard.take()
        swap(root / "d.yaml", "a.yaml")
        assert ALL_FILES in heard.take()


def test_the_looks_for_a_path_go_through_its_links(tmp_path: Path) -> None:
    put(tmp_path / "x" / "file")
    (tmp_path / "x" / "up").symlink_to("../y/link")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "link").symlink_to(tmp_path / "x" / "file")
    looks = list(symlink_lookups("up", str(tmp_path / "x")))
    assert looks[0] == SymlinkLookup(str(tmp_path / "x"), "up", True)
    assert looks[1:3] == [SymlinkLookup(str(tmp_path), "y", False), SymlinkLookup(str(tmp_path / "y"), "link", True)]
    assert looks[3].folder == "/"
    assert looks[-1] == SymlinkLookup(str(tmp_path / "x"), "file", True)
    assert list(symlink_lookups("none/at/all", str(tmp_path))) == [SymlinkLookup(str(tmp_path), "none", False)]
    assert list(symlink_lookups("/")) == []


# Too much -----------------------------------------------------------------------------------------------------


def test_ten_thousand_files_at_once_are_heard(heard: Heard, root: Path) -> None:
    for number in range(10_000):
        put(root / f"{number % 100}" / f"{number}.yaml")
    assert ALL_FILES in heard.take()
    put(root / "7" / "7.yaml", "b: 2\n")
    assert heard.take() == {str(root / "7" / "7.yaml")}


def test_very_many_files_are_all_of_them(root: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    for number in range(source.MAX_SINGLE_FILES + 1):
        put(prepared / f"{number}.yaml")
    with Heard([root], tmp_path / "marks", polling=0.3) as heard:
        prepared.rename(root / "many")  # all at once, however slow the machine is: a poll between would see a part
        assert ALL_FILES in heard.take()


FLOOD = """
import os, sys
sys.stdin.read(1)
for number in range(int(sys.argv[1])):
    os.close(os.open(f"{sys.argv[2]}/{number % 2}.yaml", os.O_WRONLY | os.O_CREAT))
os.mkdir(f"{sys.argv[2]}/late")
"""


def test_where_the_system_lost_count_everything_is_looked_at(
    told: Heard, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of events is kept from reading: the whole process stands still while another one writes."""
    lost = threading.Event()
    real = folders.FolderSet.on_queue_overflow
    monkeypatch.setattr(folders.FolderSet, "on_queue_overflow", lambda self: (lost.set(), real(self)))
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    flood = [sys.executable, "-c", FLOOD, str(kept + 1000), str(root)]
    with subprocess.Popen(flood, stdin=subprocess.PIPE) as writer:
        assert writer.stdin
        writer.stdin.write(b"x")
        writer.stdin.flush()
        PyDLL(None).waitpid(writer.pid, None, 0)  # with the interpreter's lock held
    assert lost.wait(PATIENCE)
    assert ALL_FILES in told.take()
    put(root / "late" / "c.yaml")
    assert str(root / "late" / "c.yaml") in told.take()


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FALLBACK_INTERVAL", 0.02)


@pytest.mark.usefixtures("quick")
def test_without_another_watcher_the_files_are_looked_at(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard([root], tmp_path / "marks")
    with no_more_descriptors():
        heard.__enter__()
    with heard:
        (warning,) = caplog.messages
        assert "fs.inotify.max_user_instances" in warning
        heard.take()
        put(root / "a.yaml", "b: 2\n")
        # Without a descriptor the first look could not read the folder: the next one tells that all may have changed.
        assert heard.take() - {ALL_FILES} == {str(root / "a.yaml")}


def no_more_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(watches.InotifyFD, "add_callback", refuse)


@pytest.mark.usefixtures("quick")
def test_without_enough_watches_the_files_are_looked_at(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_more_watches(monkeypatch)
    with Heard([root], tmp_path / "marks") as heard:
        (warning,) = caplog.messages
        assert "fs.inotify.max_user_watches" in warning
        put(root / "a.yaml", "b: 2\n")
        assert heard.take() == {str(root / "a.yaml")}


@pytest.mark.usefixtures("quick")
def test_when_watches_run_out_later_all_is_hinted_at_and_the_files_are_looked_at(
    told: Heard, root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told.take() == set()
    no_more_watches(monkeypatch)
    put(root / "x" / "c.yaml")
    told.until(lambda files: ALL_FILES in files)
    told.take()
    assert "fs.inotify.max_user_watches" in "".join(caplog.messages)
    put(root / "x" / "c.yaml", "b: 2\n")
    assert told.take() == {str(root / "x" / "c.yaml")}
    assert len(caplog.messages) == 1


@pytest.mark.usefixtures("quick")
def test_where_the_system_says_nothing_the_files_are_looked_at(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "reconciler.daemon.sources.file_watcher", None)
    with Heard([root], tmp_path / "marks") as heard:
        put(root / "a.yaml", "b: 2\n")
        assert heard.take() == {str(root / "a.yaml")}
    assert "inotify is not available" in caplog.text


def test_a_reader_of_events_that_died_is_replaced(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "CHECK_INTERVAL", 0.01)
    with Heard([root], tmp_path / "marks") as heard:
        (reader,) = [each for each in threading.enumerate() if isinstance(each, watches.InotifyFD)]
        reader.stopped_event.set()
        put(root / "last.yaml")
        heard.until(lambda files: ALL_FILES in files)
        heard.take()
        put(root / "a.yaml", "b: 2\n")
        assert heard.take() == {str(root / "a.yaml")}


@pytest.mark.parametrize("polling", [None, 3600.0], ids=["told", "polling"])
def test_it_stops_at_once_and_leaves_nothing_behind(root: Path, polling: float | None) -> None:
    before, open_ = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    files = FileSource([root], polling=polling)
    files.start(lambda hint: None)
    files.stop()
    files.stop()
    assert set(threading.enumerate()) == before
    assert len(os.listdir("/proc/self/fd")) == open_


def test_it_can_be_stopped_before_it_was_started(root: Path) -> None:
    FileSource([root]).stop()


def test_folders_watched_again_many_times_keep_no_watch_of_the_old_ones(told: Heard, root: Path) -> None:
    def count() -> int:
        (reader,) = [each for each in threading.enumerate() if isinstance(each, watches.InotifyFD)]
        info = [Path(f"/proc/self/fdinfo/{fd}").read_text() for fd in os.listdir("/proc/self/fd") if _is_inotify(fd)]
        assert reader.is_alive()
        return sum(text.count("inotify wd:") for text in info)

    told.take()
    before = count()
    for _ in range(20):
        put(root / "x" / "y" / "c.yaml")
        told.take()
        shutil.rmtree(root / "x")
        told.take()
    assert count() == before


def _is_inotify(descriptor: str) -> bool:
    try:
        return "inotify" in os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return False


# Whatever happens ---------------------------------------------------------------------------------------------

PLACES = ("root", "root/a", "root/a/b", "root/.h", "root/a.yaml", "root/b.yaml", "root/a/c.yaml", "root/a/b/d.json",
          "root/.h/e.yaml", "root/n.txt", "out", "out/f.yaml", "out/g", "out/h.yaml")  # fmt: skip
PATHS = (("root",), ("root/a",), ("out/g", "root"), ("root/a/c.yaml", "root/b.yaml"), ("root", "root/a"))
place = st.sampled_from(PLACES)
operation = st.one_of(
    st.tuples(st.sampled_from(["write", "append", "remove", "mkdir", "rename into place"]), place, place),
    st.tuples(st.sampled_from(["move", "link", "swap"]), place, place),
)


def act(base: Path, verb: str, place: str, other: str, text: str) -> None:
    """One operation, which may be impossible just now."""
    path, second = base / place, base / other
    try:
        if verb == "write":
            path.write_text(text)
        elif verb == "append":
            with path.open("a") as stream:
                stream.write(text)
        elif verb == "remove":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif verb == "mkdir":
            path.mkdir(parents=True)
        elif verb == "rename into place":
            (base / "temporary").write_text(text)
            os.replace(base / "temporary", path)
        elif verb == "move":
            os.replace(path, second)
        elif verb == "link":
            path.symlink_to(os.path.relpath(second, path.parent))
        elif verb == "swap":
            swap(path, str(second))
    except OSError:
        pass


def contents(paths: Sequence[str]) -> dict[str, object]:
    """What ``load`` makes of each file."""
    loaded = load(paths)
    found: dict[str, object] = {}
    for manifest in loaded.manifests:
        found[manifest.source.name] = manifest.source.text
    for problem in loaded.problems:
        if os.path.isdir(problem.origin.file):  # it holds no manifest
            continue
        found[problem.origin.file] = (found.get(problem.origin.file), str(problem))
    return found


MANIFEST = "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: n%d}\n---\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(PATHS),
    st.lists(st.lists(operation, min_size=1, max_size=5), min_size=1, max_size=6),
    st.sampled_from([None, None, None, 0.01]),
)
def test_whatever_load_sees_move_was_hinted_at(
    paths: tuple[str, ...], rounds: list[list[tuple[str, str, str]]], polling: float | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        for name in ("root/a/b", "root/.h", "out"):
            (base / name).mkdir(parents=True)
        put(base / "root/a/c.yaml", MANIFEST % 0)
        put(base / "out/f.yaml", MANIFEST % 1)
        given_ = [str(base / path) for path in paths]
        with Heard(given_, base / "marks", polling) as heard:
            before, count = contents(given_), 1
            for operations in rounds:
                for verb, place, other in operations:
                    count += 1
                    act(base, verb, place, other, MANIFEST % count)
                hinted, after = heard.take(), contents(given_)
                moved = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
                assert ALL_FILES in hinted or moved <= hinted, operations
                before = after


def test_a_glance_sees_what_load_sees(root: Path) -> None:
    assert set(stat_files([str(root)]).files) == {str(root / "a.yaml"), str(root / "sub" / "b.json")}
    assert set(stat_files([str(root / "none.yaml")]).files) == {str(root / "none.yaml")}

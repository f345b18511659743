"""A git repository as a source: real repositories, real git, over every protocol, with nothing but git and Python."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from reconciler.daemon.sources import git as source
from reconciler.daemon.sources.desired_reader import DesiredReader
from reconciler.daemon.sources.git import GitSource
from reconciler.daemon.sources.git_address import address
from reconciler.daemon.sources.trigger import ALL_FILES, Trigger
from reconciler.manifests.loader import load
from reconciler.model.problem import InvalidInput

POOL = "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: %s}\n"
NEVER = 3600.0


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of nobody: what this machine or its user set for git does not count. Returns the file of what counts."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "SSH_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    config = home / ".gitconfig"
    config.write_text("[user]\nname = somebody\nemail = somebody@example.com\n[init]\ndefaultBranch = main\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return config


def git(folder: Path, *words: str) -> str:
    ran = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


class Repository:
    """One that people push to: a working tree whose repository others fetch from."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        git(folder, "init", "--quiet")
        self.commit("first", {"dir/a.yaml": POOL % "a", "top.yaml": POOL % "top"})

    def commit(self, message: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        return self.record(message)

    def link(self, name: str, target: str) -> str:
        (self.folder / name).symlink_to(target)
        return self.record(f"link {name}")

    def record(self, message: str) -> str:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", message)
        git(self.folder, "update-server-info")
        return self.head

    @property
    def head(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "web")


Make = Callable[..., GitSource]


@pytest.fixture
def make(tmp_path: Path, repository: Repository) -> Iterator[Make]:
    """Makes sources of the repository; they are stopped in the end."""
    made: list[GitSource] = []

    def of(
        url: str | Path = "", ref: str = "main", path: str = "", folder: str = "state", **given: object
    ) -> GitSource:
        made.append(GitSource(str(url or repository.folder), ref, path, tmp_path / folder, random=lambda: 0.0, **given))  # type: ignore[arg-type]
        return made[-1]

    yield of
    for each in made:
        each.stop()


def names(git_: GitSource) -> list[str]:
    """Of the manifests in the current checkout."""
    checkout = git_.current()
    assert checkout
    loaded = load(checkout.paths, under=checkout.folder)
    assert loaded.problems == []
    return sorted(manifest.id.name for manifest in loaded.manifests)


def refused(git_: GitSource) -> str:
    """Why a round came to nothing."""
    assert git_.poll() is False
    assert git_.problem
    return git_.problem


# The commit ---------------------------------------------------------------------------------------------------


def test_nothing_is_there_before_the_first_round(make: Make) -> None:
    assert make().current() is None


def test_a_branch_is_checked_out_and_followed(make: Make, repository: Repository) -> None:
    watched = make()
    assert watched.poll() is True
    first = watched.current()
    assert first
    assert first.commit == repository.head
    assert names(watched) == ["a", "top"]
    assert watched.poll() is False
    assert watched.current() == first
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    assert watched.poll() is True
    assert names(watched) == ["a", "b", "top"]
    assert watched.problem == ""
    assert Path(first.paths[0], "dir", "a.yaml").exists()
    assert not Path(first.paths[0], "dir", "b.yaml").exists()


def test_a_branch_that_was_pushed_by_force_is_followed(make: Make, repository: Repository) -> None:
    watched = make()
    first = repository.head
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    assert watched.poll()
    git(repository.folder, "reset", "--quiet", "--hard", first)
    repository.commit("other", {"dir/c.yaml": POOL % "c"})
    assert watched.poll()
    assert names(watched) == ["a", "c", "top"]
    git(repository.folder, "reset", "--quiet", "--hard", first)
    assert watched.poll()
    assert names(watched) == ["a", "top"]


def test_a_tag_is_checked_out_and_followed(make: Make, repository: Repository) -> None:
    git(repository.folder, "tag", "--annotate", "--message", "one", "v1")
    watched, first = make(ref="v1"), repository.head
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    assert watched.poll()
    assert watched.current().commit == first  # type: ignore[union-attr]
    git(repository.folder, "tag", "--force", "v1")
    assert watched.poll()
    assert names(watched) == ["a", "b", "top"]


def test_a_branch_counts_before_a_tag_of_its_name(make: Make, repository: Repository) -> None:
    git(repository.folder, "tag", "main")
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    for ref, found in (("main", ["a", "b", "top"]), ("refs/tags/main", ["a", "top"]), ("HEAD", ["a", "b", "top"])):
        watched = make(ref=ref, folder=ref.replace("/", "-"))
        assert watched.poll()
        assert names(watched) == found


def test_a_branch_whose_end_is_the_name_of_another_is_another(make: Make, repository: Repository) -> None:
    git(repository.folder, "branch", "team/refs/heads/other")
    assert "no branch or tag other" in refused(make(ref="other"))


def test_a_commit_is_checked_out_and_asked_for_once(make: Make, repository: Repository) -> None:
    first = repository.head
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    watched = make(ref=first)
    assert watched.poll()
    assert names(watched) == ["a", "top"]
    shutil.rmtree(repository.folder)
    assert watched.poll() is False
    assert watched.problem == ""


def test_only_the_last_commit_is_fetched_where_the_server_can_tell(
    make: Make, repository: Repository, tmp_path: Path
) -> None:
    for number in range(5):
        repository.commit(f"{number}", {"dir/a.yaml": POOL % f"a{number}"})
    assert make(f"file://{repository.folder}").poll()
    assert git(tmp_path / "state" / "repository.git", "rev-list", "--all", "--count") == "1"


def test_a_path_is_what_manifests_are_taken_from(make: Make) -> None:
    watched = make(path="./dir/")
    assert watched.poll()
    checkout = watched.current()
    assert checkout
    assert names(watched) == ["a"]
    assert checkout.paths == (os.path.join(checkout.folder, "dir"),)


def test_files_are_named_as_in_the_repository_and_the_stack_after_it(make: Make, repository: Repository) -> None:
    repository.commit("broken", {"dir/b.yaml": "x: 1\n"})
    for path, root in (("", "web"), ("dir", "dir")):
        watched = make(path=path, folder=f"state{path}")
        assert watched.poll()
        checkout = watched.current()
        assert checkout
        loaded = load(checkout.paths, under=checkout.folder)
        assert [str(problem.origin) for problem in loaded.problems] == ["dir/b.yaml:1:1"]
        assert loaded.root == root


def test_files_come_out_as_they_were_committed(make: Make, repository: Repository, settings: Path) -> None:
    repository.commit("archived", {".gitattributes": "dir export-ignore\n*.yaml export-subst\n"})
    repository.commit("subst", {"dir/c.yaml": POOL % "c" + "# $Format:%H$\n"})
    watched = make()
    assert watched.poll()
    assert names(watched) == ["a", "c", "top"]
    assert "$Format:%H$" in Path(watched.current().folder, "dir", "c.yaml").read_text()  # type: ignore[union-attr]


def test_a_reader_never_sees_half_a_checkout(make: Make, repository: Repository) -> None:
    def write(number: int) -> None:
        repository.commit(f"{number}", {f"dir/{name}.yaml": POOL % f"n{number}" for name in "abcdefgh"})

    watched, wrong, done = make(path="dir"), [], threading.Event()
    write(0)
    assert watched.poll()

    def read() -> None:
        while not done.is_set():
            checkout = watched.current()
            assert checkout
            found = {(each.id.name, len(load(checkout.paths).manifests)) for each in load(checkout.paths).manifests}
            if len(found) != 1 or {count for _, count in found} != {8}:
                wrong.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 2 * source.KEPT_CHECKOUTS):
        write(number)
        assert watched.poll()
    done.set()
    reader.join()
    assert wrong == []


def test_old_checkouts_go(make: Make, repository: Repository, tmp_path: Path) -> None:
    watched = make()
    for number in range(2 * source.KEPT_CHECKOUTS):
        repository.commit(f"{number}", {})
        assert watched.poll()
    kept = os.listdir(tmp_path / "state" / "checkouts")
    assert len(kept) == source.KEPT_CHECKOUTS
    assert repository.head in kept


# What goes wrong ----------------------------------------------------------------------------------------------


def test_a_branch_that_is_not_there(make: Make, repository: Repository) -> None:
    watched = make(ref="none")
    assert "there is no branch or tag none" in refused(watched)
    assert "Check --ref" in watched.problem
    git(repository.folder, "branch", "none")
    assert watched.poll() is True
    assert watched.problem == ""


def test_a_branch_that_goes_leaves_the_last_commit(make: Make, repository: Repository) -> None:
    git(repository.folder, "branch", "side")
    watched = make(ref="side")
    assert watched.poll()
    git(repository.folder, "branch", "--delete", "--force", "side")
    assert "there is no branch or tag side" in refused(watched)
    assert names(watched) == ["a", "top"]


def test_a_part_of_a_commit_id_is_no_commit(make: Make, repository: Repository) -> None:
    assert "all its digits" in refused(make(ref=repository.head[:10]))


def test_a_commit_that_is_not_there(make: Make) -> None:
    assert "the repository has no commit" in refused(make(ref="1" * 40))


def test_a_tag_of_something_else_than_a_commit(make: Make, repository: Repository) -> None:
    git(repository.folder, "tag", "tree", "HEAD^{tree}")
    assert "has no commit" in refused(make(ref="tree"))


def test_a_repository_without_a_commit(make: Make, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    assert "there is no branch or tag main" in refused(make(tmp_path / "empty"))


def test_a_repository_that_is_gone_and_comes_back(make: Make, repository: Repository, tmp_path: Path) -> None:
    watched = make(interval=60.0)
    assert watched.poll()
    assert watched.next_poll == 60.0
    repository.folder.rename(tmp_path / "away")
    pauses = []
    for _ in range(8):
        assert "the repository does not exist" in refused(watched)
        pauses.append(watched.next_poll)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert names(watched) == ["a", "top"]
    (tmp_path / "away").rename(repository.folder)
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    assert watched.poll()
    assert (watched.problem, watched.next_poll) == ("", 60.0)


def test_a_path_that_is_not_in_the_commit(make: Make, repository: Repository) -> None:
    watched = make(path="other")
    assert f"commit {repository.head[:12]} has no other. Check --path" in refused(watched)
    repository.commit("second", {"other/c.yaml": POOL % "c"})
    assert watched.poll()
    assert names(watched) == ["c"]
    shutil.rmtree(repository.folder / "other")
    repository.record("third")
    for _ in range(2):
        assert "has no other" in refused(watched)
        assert names(watched) == ["c"]


@pytest.mark.parametrize(
    "target",
    ["/etc/hostname", "../../../../../../../../etc/hostname", "../../secret.yaml", "/dev/zero", "{tree}/top.yaml"],
)
def test_a_link_that_leads_out_is_not_followed(make: Make, repository: Repository, target: str) -> None:
    watched = make(path="dir")
    assert watched.poll()
    repository.link("dir/l.yaml", target.format(tree=repository.folder))
    assert "dir/l.yaml is a link that leads out of the repository" in refused(watched)
    assert names(watched) == ["a"]
    (repository.folder / "dir" / "l.yaml").unlink()
    repository.commit("mended", {"dir/b.yaml": POOL % "b"})
    assert watched.poll()
    assert names(watched) == ["a", "b"]


def test_a_link_that_leads_out_by_another_link(make: Make, repository: Repository) -> None:
    (repository.folder / "elsewhere").symlink_to("/etc")
    repository.link("dir/l.yaml", "../elsewhere/hostname")
    assert "dir/l.yaml is a link that leads out" in refused(make(path="dir"))


def test_a_path_that_leads_out_by_a_link(make: Make, repository: Repository) -> None:
    repository.link("out", "/etc")
    assert "out leads out of the repository through a link" in refused(make(path="out"))
    assert "out/ssl leads out of the repository through a link" in refused(make(path="out/ssl", folder="second"))


def test_a_link_inside_is_followed(make: Make, repository: Repository) -> None:
    (repository.folder / "shared").mkdir()
    repository.commit("shared", {"shared/s.yaml": POOL % "s"})
    repository.link("dir/s.yaml", "../shared/s.yaml")
    repository.link("linked", "dir")
    for path in ("dir", "linked"):
        watched = make(path=path, folder=path)
        assert watched.poll()
        assert names(watched) == ["a", "s"]


def test_a_link_that_leads_out_is_nobodys_business_beside_the_path(make: Make, repository: Repository) -> None:
    repository.link("node_modules", "/usr/lib/node_modules")
    watched = make(path="dir")
    assert watched.poll()
    assert names(watched) == ["a"]


def test_what_is_not_fetched_is_a_problem(make: Make, repository: Repository) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    head = repository.head
    repository.commit("lfs", {"dir/big.json": pointer, ".gitattributes": "*.json filter=lfs\n"})
    git(repository.folder, "update-index", "--add", "--cacheinfo", f"160000,{head},dir/module")
    git(repository.folder, "commit", "--quiet", "--message", "module")
    watched = make()
    assert watched.poll()
    with pytest.raises(InvalidInput) as refused:  # which Stack it is may be what is not read
        DesiredReader([], lambda: 0.0, watched).read()
    said = {problem.origin.file: problem.message for problem in refused.value.problems}
    assert said["dir/module"] == "a git submodule, which is not fetched"
    assert "git LFS pointer" in said["dir/big.json"]


def test_a_filter_of_lfs_is_not_run(make: Make, repository: Repository, settings: Path, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    repository.commit("lfs", {".gitattributes": "*.json filter=lfs\n", "dir/big.json": pointer})
    with settings.open("a") as stream:
        stream.write(f'[filter "lfs"]\nsmudge = touch {tmp_path}/ran\nprocess = touch {tmp_path}/ran\n')
        stream.write("required = true\n")
    watched = make()
    assert watched.poll()
    assert Path(watched.current().folder, "dir", "big.json").read_text() == pointer  # type: ignore[union-attr]
    assert not (tmp_path / "ran").exists()


def test_no_hook_is_run(
    make: Make, repository: Repository, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    places = [hooks, repository.folder / ".git" / "hooks"]
    for place in places:
        for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor", "pre-auto-gc"):
            (place / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n")
            (place / name).chmod(0o755)
    with settings.open("a") as stream:
        stream.write(f"[init]\ntemplateDir = {tmp_path}/template\n[core]\nfsmonitor = {hooks}/fsmonitor\n")
        stream.write(f"hooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    assert make().poll()
    assert list(tmp_path.glob("ran-*")) == []


def test_another_repositorys_environment_does_not_count(
    make: Make, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook, or in a shell that was told to look for faults."""
    other = Repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    monkeypatch.setenv("GIT_TRACE_CURL", str(tmp_path / "trace"))
    watched = make()
    assert watched.poll()
    monkeypatch.undo()
    assert git(other.folder, "status", "--porcelain") == ""
    assert not (tmp_path / "trace").exists()


def test_without_git(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = make()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "git is not installed on this machine. Install it." in refused(watched)


def test_a_folder_that_cannot_be_written(make: Make, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    problem = refused(make())
    assert "state: " in problem
    assert "Check the folder" in problem


# Restarts -----------------------------------------------------------------------------------------------------


def test_a_restart_goes_on_from_the_last_good_commit_though_nobody_answers(
    make: Make, repository: Repository, tmp_path: Path
) -> None:
    first = make()
    assert first.poll()
    commit = repository.head
    first.stop()
    repository.folder.rename(tmp_path / "away")
    again = make()
    assert again.poll() is True
    assert again.current().commit == commit  # type: ignore[union-attr]
    assert names(again) == ["a", "top"]
    assert "the repository does not exist" in again.problem
    again.stop()
    (tmp_path / "away").rename(repository.folder)
    repository.link("dir/l.yaml", "/etc/hostname")
    third = make()
    assert third.poll() is True
    assert names(third) == ["a", "top"]
    assert "dir/l.yaml is a link" in third.problem


def test_another_ref_does_not_begin_with_the_last_one(make: Make, repository: Repository) -> None:
    first = make()
    assert first.poll()
    first.stop()
    again = make(ref="none")
    assert "there is no branch or tag none" in refused(again)
    assert again.current() is None


def test_what_a_killed_daemon_left_is_made_anew(make: Make, repository: Repository, tmp_path: Path) -> None:
    half = tmp_path / "state" / "checkouts" / repository.head / "web"
    half.mkdir(parents=True)
    (tmp_path / "state" / "checkouts" / ".new-x").mkdir()
    watched = make()
    assert watched.poll()
    assert names(watched) == ["a", "top"]
    assert os.listdir(tmp_path / "state" / "checkouts") == [repository.head]


def test_two_daemons_do_not_share_a_folder(make: Make) -> None:
    first, second = make(), make()
    assert first.poll()
    assert "is in use by another daemon" in refused(second)
    assert names(first) == ["a", "top"]
    first.stop()
    assert second.poll()


# The thread ---------------------------------------------------------------------------------------------------


def test_a_hint_comes_when_the_commit_moved(make: Make, repository: Repository) -> None:
    hints: list[Trigger] = []
    moved = threading.Semaphore(0)

    def hint(hint: Trigger) -> None:
        hints.append(hint)
        moved.release()

    watched = make(interval=NEVER)
    watched.start(hint)
    assert moved.acquire(timeout=60)
    for number in range(2):
        repository.commit(f"{number}", {"dir/b.yaml": POOL % f"b{number}"})
        watched.poll_now()
        assert moved.acquire(timeout=60)
        assert names(watched) == ["a", f"b{number}", "top"]
    watched.poll_now()
    watched.stop()
    watched.stop()
    assert hints == [Trigger("git", ALL_FILES)] * 3


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}/web.git"


def test_it_stops_though_git_waits_for_an_answer(make: Make, silent: str) -> None:
    watched, before = make(silent), threading.active_count()
    watched.start(lambda hint: None)
    while not watched._command._running:
        pass
    watched.stop()
    assert threading.active_count() == before
    assert watched.current() is None


def test_an_answer_that_does_not_come_is_not_waited_for(
    make: Make, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = make(silent)
    watched._prepare()
    monkeypatch.setattr(source, "TIMEOUT", 0.3)
    assert "it did not answer in time" in refused(watched)


# Other protocols ----------------------------------------------------------------------------------------------


class Dumb(SimpleHTTPRequestHandler):
    """Files, to those who know the password if there is one."""

    folder, password = "", ""
    seen: list[str]

    def translate_path(self, path: str) -> str:
        return os.path.join(self.folder, urlsplit(path).path.lstrip("/"))

    def do_GET(self) -> None:
        if self.allowed():
            super().do_GET()

    def allowed(self) -> bool:
        given = self.headers.get("Authorization", "")
        self.seen.append(given)
        expected = "Basic " + base64.b64encode(f"somebody:{self.password}".encode()).decode()
        if not self.password or given == expected:
            return True
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, *_: object) -> None:
        pass


class Smart(Dumb):
    """What git brings for servers."""

    def do_GET(self) -> None:
        if self.allowed():
            self.serve(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.allowed():
            self.serve(body)

    def serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ran = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves the folder of the repositories over https; returns host and port."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    servers = []

    def begin(kind: type[BaseHTTPRequestHandler], password: str = "") -> str:
        handler = type("Handler", (kind,), {"folder": str(tmp_path), "password": password, "seen": []})
        server = ThreadingHTTPServer(("localhost", 0), handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"localhost:{server.server_address[1]}"

    yield begin
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", [Dumb, Smart])
def test_over_https(make: Make, repository: Repository, serve: Serve, kind: type[Dumb]) -> None:
    url = f"https://{serve(kind)}/web/.git"
    first = repository.head
    watched = make(url)
    assert watched.poll(), watched.problem
    repository.commit("second", {"dir/b.yaml": POOL % "b"})
    assert watched.poll(), watched.problem
    assert names(watched) == ["a", "b", "top"]
    earlier = make(url, ref=first, folder="earlier")
    assert earlier.poll(), earlier.problem
    assert names(earlier) == ["a", "top"]
    assert "there is no branch or tag none" in refused(make(url, ref="none", folder="none"))
    assert "the repository does not exist" in refused(make(f"{url}x", folder="x"))


@pytest.mark.parametrize("kind", [Dumb, Smart])
def test_credentials_of_a_url_are_used_and_never_shown(
    make: Make, serve: Serve, kind: type[Dumb], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    host = serve(kind, password="p%ss/w'rd $X")
    words = tmp_path / "words"
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text(f'#!/bin/sh\necho "$@" >> {words}\nexec {real} "$@"\n')
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    right, wrong = "somebody:p%25ss%2Fw%27rd%20$X", "somebody:mistaken"
    watched = make(f"https://{right}@{host}/web/.git")
    assert watched.poll(), watched.problem
    assert names(watched) == ["a", "top"]
    other = make(f"https://{wrong}@{host}/web/.git", folder="other")
    problem = refused(other)
    assert "access is denied. Check the credentials" in problem
    assert watched.shown == f"https://{host}/web/.git main"
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.glob("*/repository.git/*") if path.is_file())
    said = problem + other.shown + watched.shown + caplog.text + words.read_text() + kept
    for secret in ("p%", "mistaken", "somebody"):
        assert secret not in said


def test_a_token_may_stand_for_the_user(make: Make, serve: Serve) -> None:
    host = serve(Smart, password="")
    assert make(f"https://token@{host}/web/.git").poll()
    host = serve(Smart, password="secret")
    problem = refused(make(f"https://t0ken@{host}/web/.git", folder="other"))
    assert "access is denied" in problem
    assert "t0ken" not in problem


def test_a_credential_helper_is_asked(make: Make, serve: Serve, settings: Path) -> None:
    host = serve(Smart, password="secret")
    assert "Check the credentials" in refused(make(f"https://{host}/web/.git", folder="other"))
    with settings.open("a") as stream:
        stream.write('[credential]\nhelper = "!echo username=somebody; echo password=secret; :"\n')
    watched = make(f"https://{host}/web/.git")
    assert watched.poll(), watched.problem


def test_a_certificate_that_is_not_known(
    make: Make, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = serve(Smart)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert "cannot be" in refused(make(f"https://{host}/web/.git"))


def test_a_server_that_is_not_there(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "it cannot be reached" in refused(make(f"https://127.0.0.1:{port}/web.git"))


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of ssh: runs here what should run there, and keeps what it was called with."""
    script = tmp_path / "ssh.py"
    script.write_text(
        "import os, sys\n"
        f"with open({str(tmp_path / 'called')!r}, 'a') as stream:\n"
        "    print(*sys.argv[1:], sep='\\n', file=stream)\n"
        "if 'refuse' in sys.argv[-2]:\n"
        "    sys.exit('git@refuse: Permission denied (publickey).')\n"
        "os.environ.pop('GIT_DIR', None)\n"
        "os.execvp('sh', ['sh', '-c', sys.argv[-1]])\n"
    )
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{sys.executable} {script}")
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    return tmp_path / "called"


def test_over_ssh(make: Make, repository: Repository, remote: Path) -> None:
    for number, url in enumerate((f"git@host:{repository.folder}", f"ssh://git:pw@host:22{repository.folder}")):
        watched = make(url, folder=f"{number}")
        assert watched.poll(), watched.problem
        assert names(watched) == ["a", "top"]
        assert "pw" not in watched.shown
    called = remote.read_text().splitlines()
    assert "-oBatchMode=yes" in called
    assert {word for word in called if "host" in word} == {"git@host"}
    assert "Check the ssh key" in refused(make("git@refuse:web.git", folder="refuse"))


def test_the_ssh_command_of_the_settings_is_used(
    make: Make, repository: Repository, remote: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settings.open("a") as stream:
        stream.write(f"[core]\nsshCommand = {os.environ['GIT_SSH_COMMAND']}\n")
    monkeypatch.delenv("GIT_SSH_COMMAND")
    watched = make(f"git@host:{repository.folder}")
    assert watched.poll(), watched.problem
    assert "-oBatchMode=yes" in remote.read_text().splitlines()


# What is given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "-oProxyCommand=x", "--upload-pack=x", "ext::sh -c x", "ext::sh", "fd::7", "http://host/x", "git://host/x",
        "ftp://u:secret@host/x", "ssh://-oProxyCommand=x/y", "git@-oProxyCommand=x:y", "https:///x", "https://h:x/y",
        "user:secret@host:path", "a\nb", "https://[::1/x",
    ],
)  # fmt: skip
def test_an_address_that_is_not_used(url: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        address(url)
    assert "secret" not in str(raised.value)
    assert "--git: error: " in str(raised.value)


@pytest.mark.parametrize(
    ("url", "given_", "shown", "name"),
    [
        ("https://u:secret@host:8443/team/web.git?x=secret", "https://host:8443/team/web.git?x=secret",
         "https://host:8443/team/web.git", "web"),
        ("https://u@[::1]/web/", "https://[::1]/web/", "https://[::1]/web/", "web"),
        ("ssh://git@host:22/team/web.git", "ssh://git@host:22/team/web.git", "ssh://git@host:22/team/web.git", "web"),
        ("git@host:web.git", "git@host:web.git", "git@host:web.git", "web"),
        ("host:team/web", "host:team/web", "host:team/web", "web"),
        ("file:///srv/web.git", "file:///srv/web.git", "file:///srv/web.git", "web"),
        ("/srv/a:b/web", "/srv/a:b/web", "/srv/a:b/web", "web"),
        ("/srv/web/.git", "/srv/web/.git", "/srv/web/.git", "web"),
        ("/srv/...", "/srv/...", "/srv/...", "repository"),
    ],
)  # fmt: skip
def test_an_address(url: str, given_: str, shown: str, name: str) -> None:
    read = address(url)
    assert (read.url, read.shown, read.name) == (given_, shown, name)


@pytest.mark.parametrize("ref", ["", "-x", "--all", "a b", "a..b", "a:b", "+a", "a*", "a~1", "a^", "@{u}", "/a", "a/"])
def test_a_ref_that_cannot_be_one(make: Make, ref: str) -> None:
    if ref == "+a":
        assert "no branch or tag" in refused(make(ref=ref))
        return
    with pytest.raises(InvalidInput, match=r"--ref: error: .* is not the name of"):
        make(ref=ref)


@pytest.mark.parametrize("path", ["/etc", "..", "a/../../b", "-x", "a\0b"])
def test_a_path_that_is_not_inside(make: Make, path: str) -> None:
    with pytest.raises(InvalidInput, match=r"--path: error: .* is not a path inside the repository"):
        make(path=path)

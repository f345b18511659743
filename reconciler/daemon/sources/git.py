"""A git repository as a source of manifests: every commit of a branch is checked out into a folder of its own.

Submodules and git LFS files are not fetched: that what is in them is missing is a problem of the manifests. Hooks are
not run. A commit with a link that leads out of the repository is refused: the commit before it stays in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import random
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress

from reconciler.daemon.sources.git_address import address, check_path, check_ref
from reconciler.daemon.sources.git_checkout import SHORT, Checkout, CommitRefused, check_out
from reconciler.daemon.sources.git_command import GitCommand, GitError
from reconciler.daemon.sources.trigger import Trigger
from reconciler.model.backoff import Backoff
from reconciler.model.problem import described_error, traceback_of

log = logging.getLogger(__name__)

SOURCE = "git"
INTERVAL = 60.0  # seconds between polls
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between polls that fail
TIMEOUT, FETCH_TIMEOUT = 60.0, 900.0  # seconds
KEPT_CHECKOUTS = 3  # a reconcile that began before the newest commit still reads its own
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitSource:
    """The newest commit of ``ref`` (a branch, else a tag, or a full commit id) in the repository at ``url``.

    ``folder`` belongs to this source: the repository and the checkouts are kept there, so that after a restart the
    last good commit is available even if the server is not. ``interval`` is in seconds. Raises ``InvalidInput`` for an
    invalid address, ref or path.
    """

    def __init__(
        self,
        url: str,
        ref: str,
        path: str,
        folder: str | os.PathLike[str],
        *,
        interval: float = INTERVAL,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._address, self._ref, self._path = address(url), check_ref(ref), check_path(path)
        self._folder = os.path.realpath(folder)
        self._checkouts = os.path.join(self._folder, "checkouts")
        self._command = GitCommand(os.path.join(self._folder, "repository.git"), self._address)
        key = hashlib.sha256(f"{self._address.url}\n{ref}".encode()).hexdigest()[:16]
        self._fetched_ref, self._last_good_ref = f"refs/fetched/{key}", f"refs/good/{key}"
        self._interval = interval
        self._backoff = Backoff(FIRST_PAUSE, max(LONGEST_PAUSE, interval), random=random)
        self._poll_lock = threading.Lock()
        self._checked_out: dict[str, Checkout] = {}
        self._current: Checkout | None = None
        self._refused = ("", "")  # a commit, and the reason
        self._problem = ""
        self._next_poll = interval
        self._folder_lock: int | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def shown(self) -> str:
        """URL, ref and path, without credentials."""
        return " ".join(filter(None, (self._address.shown, self._ref, self._path)))

    @property
    def problem(self) -> str:
        """Why the newest commit is not the current one, or cannot be determined; empty if it is."""
        return self._problem

    @property
    def next_poll(self) -> float:
        """Seconds from the last poll to the next."""
        return self._next_poll

    def current(self) -> Checkout | None:
        """The newest usable commit; None before the first. Its files are kept while it is one of the last few."""
        return self._current

    def start(self, trigger: Callable[[Trigger], None]) -> None:
        """Poll from now on; ``trigger`` is called, from the thread of this source, when the commit changes."""
        self._thread = threading.Thread(target=self._run, args=(trigger,), name=SOURCE, daemon=True)
        self._thread.start()

    def poll_now(self) -> None:
        """Poll now instead of at the next interval. Any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Stop git and the thread, and release the folder."""
        self._stopping = True
        self._command.stop()
        self._wake.set()
        if self._thread:
            self._thread.join()
        if self._folder_lock is not None:
            os.close(self._folder_lock)
            self._folder_lock = None

    def _run(self, trigger: Callable[[Trigger], None]) -> None:
        while not self._stopping:
            self._wake.clear()
            if self.poll():
                trigger(Trigger(SOURCE))
            self._wake.wait(self._next_poll)

    def poll(self) -> bool:
        """Look up the newest commit, fetch it and check it out; returns whether the current commit changed.

        Never raises for git or files: ``problem`` says what failed.
        """
        with self._poll_lock:
            before = self._current
            problem, self._next_poll = "", self._interval
            try:
                self._prepare()
                self._switch(self._newest())
                self._backoff.reset()
            except CommitRefused as refused:
                problem = str(refused)
            except GitError as failed:
                problem, self._next_poll = str(failed), next(self._backoff)
            except OSError as error:
                problem = f"{self._folder}: {error.strerror}. Check the folder and the free space."
                self._next_poll = next(self._backoff)
            except Exception as error:  # a bug: the current commit stays in use
                problem, self._next_poll = f"a bug in reconcile: {described_error(error)}", next(self._backoff)
                if problem not in self._problem:
                    log.error("fetching meets a bug in reconcile\n%s", traceback_of(error))
            if problem and not self._current and self._folder_lock is not None:
                with suppress(CommitRefused, GitError, OSError):
                    self._switch(self._resolved(self._last_good_ref))
            self._set_problem(problem)
            return self._current != before

    def _set_problem(self, problem: str) -> None:
        problem = f"{self._address.shown}: {problem}" if problem else ""
        if problem != self._problem and not self._stopping:
            log.warning("%s", problem) if problem else log.info("%s: working again", self._address.shown)
        self._problem = problem

    def _prepare(self) -> None:
        """Lock the folder, make the repository in it, and remove old checkouts, which may be incomplete."""
        if self._folder_lock is not None:
            return
        os.makedirs(self._checkouts, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in os.listdir(self._checkouts):
                shutil.rmtree(os.path.join(self._checkouts, left))
            self._git("init", "--bare", "--quiet", "--template=", os.path.join(self._folder, "repository.git"))
        except BlockingIOError:
            os.close(lock)
            raise GitError(
                f"{self._folder} is in use by another daemon. Give this one its own --checkouts folder."
            ) from None
        except (OSError, GitError):
            os.close(lock)
            raise
        self._folder_lock = lock

    def _newest(self) -> str:
        """The commit that ``ref`` names, fetched if it is new. Raises ``CommitRefused`` if there is none."""
        if COMMIT.fullmatch(self._ref):
            if self._ref not in self._checked_out and self._ref != self._refused[0]:
                self._fetch_commit()
            return self._ref
        names = [self._ref] if self._ref.startswith("refs/") or self._ref == "HEAD" else []
        names = names or [f"refs/heads/{self._ref}", f"refs/tags/{self._ref}"]
        asked = [pattern for name in names for pattern in (name, f"{name}^{{}}")]
        listed = self._git("ls-remote", "--quiet", "--", self._address.url, *asked).splitlines()
        commits = {name: commit for commit, _, name in (line.partition("\t") for line in listed)}
        name = next((name for name in names if name in commits), None)
        if name is None:
            raise CommitRefused(f"there is no branch or tag {self._ref}. Check --ref; a commit needs all its digits.")
        commit = commits.get(f"{name}^{{}}", commits[name])
        if commit in self._checked_out or commit == self._refused[0]:
            return commit
        self._fetch(f"+{name}:{self._fetched_ref}")
        return self._resolved(self._fetched_ref)

    def _fetch(self, *refs: str) -> None:
        """Fetch the last commit only, where the server supports it, else the history. It may be newer than the one that
        was looked up.
        """
        words = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]
        words.append("--update-shallow")
        try:
            self._git(*words, "--depth=1", "--", self._address.url, *refs, timeout=FETCH_TIMEOUT)
        except GitError as failed:
            if not re.search("shallow|dumb", failed.stderr):
                raise
            self._git(*words, "--", self._address.url, *refs, timeout=FETCH_TIMEOUT)

    def _fetch_commit(self) -> None:
        """Fetch a commit by its id; from a server that does not support it fetch all branches and tags."""
        try:
            self._fetch(f"+{self._ref}:{self._fetched_ref}")
        except GitError as failed:
            if not re.search("not our ref|unadvertised|find remote ref|shallow|dumb", failed.stderr):
                raise
            words = ["fetch", "--quiet", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]
            spaces = (f"+refs/{kind}/*:{self._fetched_ref}.all/{kind}/*" for kind in ("heads", "tags"))
            self._git(*words, "--", self._address.url, *spaces, timeout=FETCH_TIMEOUT)
        self._resolved(self._ref)

    def _resolved(self, ref: str) -> str:
        try:
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
        except GitError:
            raise CommitRefused(f"the repository has no commit {self._ref}. Check --ref.") from None

    def _switch(self, commit: str) -> None:
        """Make a commit the current one. Raises ``CommitRefused`` if it cannot be used, each time."""
        if commit == self._refused[0]:
            raise CommitRefused(self._refused[1])
        if commit not in self._checked_out:
            target = os.path.join(self._checkouts, commit)
            try:
                made = check_out(self._command, commit, target, self._address.name, self._path)
            except CommitRefused as refused:
                self._refused = (commit, str(refused))
                raise
            self._checked_out[commit] = made
        self._git("update-ref", self._last_good_ref, commit)
        self._checked_out[commit] = self._checked_out.pop(commit)  # the newest last
        self._current = self._checked_out[commit]
        log.info("%s: now at commit %s", self._address.shown, commit[:SHORT])
        for old in list(self._checked_out)[:-KEPT_CHECKOUTS]:
            shutil.rmtree(os.path.dirname(self._checked_out.pop(old).folder), ignore_errors=True)
        self._git("gc", "--auto", "--quiet", timeout=FETCH_TIMEOUT)

    def _git(self, *words: str, timeout: float | None = None) -> str:
        return self._command.run(*words, timeout=timeout or TIMEOUT)

"""A git repository as a source of manifests: each commit of a branch, checked out by itself.

Only files come out of it. Its submodules and what git LFS keeps elsewhere are not fetched, none of its hooks is run,
and a commit with a link that leads out of it is not used: the one before stays.
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

from reconciler.daemon.sources.address import address, check_path, check_ref
from reconciler.daemon.sources.checkout import SHORT, Checkout, Refused, check_out
from reconciler.daemon.sources.command import Command, Failed
from reconciler.daemon.sources.hint import Hint
from reconciler.model.backoff import Backoff

log = logging.getLogger(__name__)

SOURCE = "git"
INTERVAL = 60.0  # seconds between questions whether the commit moved
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between questions while there is no answer
PATIENCE, LONG_PATIENCE = 60.0, 900.0  # seconds for an answer, and for all that is fetched
KEPT = 3  # checkouts: a pass that began before the commit moved still reads its own
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Git:
    """The newest commit of ``ref`` (a branch, else a tag, or a full commit id) in the repository at ``url``.

    ``folder`` is its own: the repository and the checkouts are kept there, so that a restart goes on from the last
    good commit though nobody answers. Raises ``InvalidInput`` for an address, ref or path that cannot be used.
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
        self._command = Command(os.path.join(self._folder, "repository.git"), self._address)
        key = hashlib.sha256(f"{self._address.url}\n{ref}".encode()).hexdigest()[:16]
        self._fetched, self._good = f"refs/fetched/{key}", f"refs/good/{key}"
        self._interval = interval
        self._backoff = Backoff(FIRST_PAUSE, max(LONGEST_PAUSE, interval), random=random)
        self._turn = threading.Lock()  # of one round
        self._made: dict[str, Checkout] = {}
        self._current: Checkout | None = None
        self._refused = ("", "")  # a commit, and why
        self._problem = ""
        self._pause = interval
        self._lock: int | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def shown(self) -> str:
        """The source in words, without credentials: URL, ref and path."""
        return " ".join(filter(None, (self._address.shown, self._ref, self._path)))

    @property
    def problem(self) -> str:
        """Why the commit that is wanted is not the current one, or is not known; empty if all is well."""
        return self._problem

    @property
    def pause(self) -> float:
        """Seconds from the last round to the next."""
        return self._pause

    def current(self) -> Checkout | None:
        """The newest commit that could be used. Its files stay as they are while it is one of the last few."""
        return self._current

    def start(self, hint: Callable[[Hint], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(hint,), name=SOURCE, daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Begin the next round now, on a signal or a webhook."""
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._command.stop()
        self._wake.set()
        if self._thread:
            self._thread.join()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run(self, hint: Callable[[Hint], None]) -> None:
        while not self._stopping:
            self._wake.clear()
            if self.sync():
                hint(Hint(SOURCE))
            self._wake.wait(self._pause)

    def sync(self) -> bool:
        """One round: ask, fetch, check out. Whether the commit moved; if it could not be told, ``problem`` says why."""
        with self._turn:
            before = self._current
            problem, self._pause = "", self._interval
            try:
                self._prepare()
                self._switch(self._newest())
                self._backoff.reset()
            except Refused as refused:
                problem = str(refused)
            except Failed as failed:
                problem, self._pause = str(failed), next(self._backoff)
            except OSError as error:
                problem = f"{self._folder}: {error.strerror}. Check the folder and the space left."
                self._pause = next(self._backoff)
            if problem and not self._current and self._lock is not None:
                with suppress(Refused, Failed, OSError):
                    self._switch(self._resolved(self._good))
            self._tell(problem)
            return self._current != before

    def _tell(self, problem: str) -> None:
        problem = f"{self._address.shown}: {problem}" if problem else ""
        if problem != self._problem and not self._stopping:
            log.warning("%s", problem) if problem else log.info("%s: all is well again", self._address.shown)
        self._problem = problem

    def _prepare(self) -> None:
        """Have the folder for ourselves, and in it a repository, and no checkout that nobody knows to be complete."""
        if self._lock is not None:
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
            raise Failed(f"{self._folder} is another daemon's. Give this one a folder of its own.") from None
        except (OSError, Failed):
            os.close(lock)
            raise
        self._lock = lock

    def _newest(self) -> str:
        """The commit that ``ref`` names, fetched unless it is here. Raises ``Refused`` where there is none."""
        if COMMIT.fullmatch(self._ref):
            if self._ref not in self._made and self._ref != self._refused[0]:
                self._fetch_commit()
            return self._ref
        names = [self._ref] if self._ref.startswith("refs/") or self._ref == "HEAD" else []
        names = names or [f"refs/heads/{self._ref}", f"refs/tags/{self._ref}"]
        asked = [pattern for name in names for pattern in (name, f"{name}^{{}}")]
        listed = self._git("ls-remote", "--quiet", "--", self._address.url, *asked).splitlines()
        commits = {name: commit for commit, _, name in (line.partition("\t") for line in listed)}
        name = next((name for name in names if name in commits), None)
        if name is None:
            raise Refused(f"there is no branch or tag {self._ref}. Check --ref; a commit is named by all its digits.")
        commit = commits.get(f"{name}^{{}}", commits[name])
        if commit in self._made or commit == self._refused[0]:
            return commit
        self._fetch(f"+{name}:{self._fetched}")
        return self._resolved(self._fetched)

    def _fetch(self, *refs: str) -> None:
        """Only the last commit where the server can tell it from the rest; it may be newer than the one asked for."""
        words = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]
        words.append("--update-shallow")
        try:
            self._git(*words, "--depth=1", "--", self._address.url, *refs, timeout=LONG_PATIENCE)
        except Failed as failed:
            if not re.search("shallow|dumb", failed.said):
                raise
            self._git(*words, "--", self._address.url, *refs, timeout=LONG_PATIENCE)

    def _fetch_commit(self) -> None:
        """Some servers give a commit by its id, others only branches and tags: then it is looked for in all of them."""
        try:
            self._fetch(f"+{self._ref}:{self._fetched}")
        except Failed as failed:
            if not re.search("not our ref|unadvertised|find remote ref|shallow|dumb", failed.said):
                raise
            words = ["fetch", "--quiet", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]
            spaces = (f"+refs/{kind}/*:{self._fetched}.all/{kind}/*" for kind in ("heads", "tags"))
            self._git(*words, "--", self._address.url, *spaces, timeout=LONG_PATIENCE)
        self._resolved(self._ref)

    def _resolved(self, ref: str) -> str:
        try:
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
        except Failed:
            raise Refused(f"{self._ref} is no commit of the repository. Check --ref.") from None

    def _switch(self, commit: str) -> None:
        """Make a commit the current one. Raises ``Refused`` if it cannot be used, as often as it is asked for."""
        if commit == self._refused[0]:
            raise Refused(self._refused[1])
        if commit not in self._made:
            target = os.path.join(self._checkouts, commit)
            try:
                made, absent = check_out(self._command, commit, target, self._address.name, self._path)
            except Refused as refused:
                self._refused = (commit, str(refused))
                raise
            for what in absent:
                log.warning("%s: not fetched: %s", self._address.shown, what)
            self._made[commit] = made
        self._git("update-ref", self._good, commit)
        self._made[commit] = self._made.pop(commit)  # the newest last
        self._current = self._made[commit]
        log.info("%s: at commit %s", self._address.shown, commit[:SHORT])
        for old in list(self._made)[:-KEPT]:
            shutil.rmtree(os.path.dirname(self._made.pop(old).folder), ignore_errors=True)
        self._git("gc", "--auto", "--quiet", timeout=LONG_PATIENCE)

    def _git(self, *words: str, timeout: float | None = None) -> str:
        return self._command.run(*words, timeout=timeout or PATIENCE)

"""Running git without prompts and without hooks or filters of the repository, with errors that say what to do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress

from reconciler.daemon.sources.git_address import PROTOCOLS, Address

# Variables that name another repository, or that trace and so would show credentials.
DROPPED_VARIABLES = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR|NAMESPACE|(ALTERNATE_)?OBJECT_DIRECTOR\w+|SHALLOW_FILE"
    r"|TEMPLATE_DIR|QUARANTINE_PATH|LITERAL_PATHSPECS|TRACE\w*|CURL_VERBOSE)|SSH_ASKPASS"
)
CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.askPass": "",
    "gc.autoDetach": "false",
    "gc.pruneExpire": "now",
    "fetch.recurseSubmodules": "false",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "advice.detachedHead": "false",
}
# A credential helper that answers "get" only; it is configured for the host of the credentials only.
CREDENTIAL_HELPER = r"""!f() { if test "$1" = get; then
printf 'username=%s\npassword=%s\n' "$RECONCILE_USER" "$RECONCILE_PASSWORD"; fi; }; f"""

TIMED_OUT = "it did not answer in time"
EXPLANATIONS = (
    (
        r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|error: 40[13]\b",
        "access is denied. Check the credentials: a git credential helper, or a token in the URL.",
    ),
    (r"Host key verification failed", "its host key is unknown. Add it to known_hosts."),
    (r"Permission denied \(", "access is denied. Check the ssh key, and that ssh-agent can be reached."),
    (r"dubious ownership", "it belongs to another user. Run 'git config --global --add safe.directory PATH' for it."),
    (r"transport '\w*' not allowed|protocol '.*' is not supported", "only file, ssh and https are supported."),
    (
        r"Repository not found|not found|does not appear to be a git repository|does not exist|No such file",
        "the repository does not exist, or you have no access to it. Check the URL and the permissions.",
    ),
    (
        r"Could not resolve host\w*|Connection (refused|timed out|reset|closed)|[Cc]ould not connect|Failed to connect"
        r"|unable to access|Network is unreachable|No route to host|hung up|early EOF|RPC failed",
        "it cannot be reached. Check the URL and the network.",
    ),
    (r"No space left on device|Disk quota exceeded", "no space is left on the device that holds the checkouts."),
)


class GitError(Exception):
    """git failed. The message is for people; ``stderr`` is what git printed."""

    def __init__(self, message: str, stderr: str = "") -> None:
        self.stderr = stderr
        super().__init__(message)


class GitCommand:
    """git for the bare repository in ``folder``, with the credentials of an address. Any thread may call ``stop``."""

    def __init__(self, folder: str, address: Address) -> None:
        self._folder, self._address = folder, address
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._ssh = ""

    def run(self, *words: str, timeout: float, index: str = "", tree: str = "") -> str:
        """Run ``git WORDS``, at most ``timeout`` seconds; returns what it prints. Raises ``GitError``.

        ``index`` and ``tree`` are the index file and the work tree of a checkout.
        """
        environment = self._environment()
        if index:
            environment["GIT_INDEX_FILE"] = index
        command = ["git", f"--git-dir={self._folder}", *([f"--work-tree={tree}"] if tree else []), *words]
        try:
            with self._lock:
                if self._stopped:
                    raise GitError("it was stopped")
                # In a session of its own it has no terminal for a prompt, and can be killed with its children.
                self._running = process = subprocess.Popen(
                    command,
                    cwd=tree or None,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise GitError("git is not installed on this machine. Install it.") from None
        with process:
            try:
                output, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self._kill()
                raise GitError(f"{TIMED_OUT} ({timeout:g} s)") from None
            finally:
                self._running = None
        if process.returncode:
            raise self._error(stderr.decode(errors="replace"))
        return output.decode(errors="surrogateescape")

    def stop(self) -> None:
        """Kill the running git; every later ``run`` fails."""
        with self._lock:
            self._stopped = True
            self._kill()

    def _kill(self) -> None:
        if (process := self._running) and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _error(self, stderr: str) -> GitError:
        if self._stopped:
            return GitError("it was stopped")
        for pattern, explanation in EXPLANATIONS:
            if re.search(pattern, stderr):
                return GitError(explanation, stderr)
        lines = [line for line in stderr.splitlines() if line.startswith(("fatal:", "error:"))] or stderr.splitlines()
        last = (lines or ["nothing"])[-1].removeprefix("fatal: ").removeprefix("error: ")
        return GitError(f"git failed: {self._clean(last)}", stderr)

    def _clean(self, text: str) -> str:
        """``text`` without credentials and without control characters."""
        for secret in (self._address.password, self._address.user):
            text = text.replace(secret, "***") if secret and self._address.protocol == "https" else text
        text = re.sub(r"://[^/@\s]+@", "://", text)
        return "".join(letter for letter in text if letter.isprintable())[:300]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not DROPPED_VARIABLES.fullmatch(name)}
        ours = {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        if self._address.protocol == "ssh" and ("GIT_SSH" not in kept or "GIT_SSH_COMMAND" in kept):
            self._ssh = self._ssh or kept.get("GIT_SSH_COMMAND") or _configured_ssh() or "ssh"
            ours["GIT_SSH_COMMAND"] = f"{self._ssh} -oBatchMode=yes"
        return {**kept, **ours, **self._settings(kept)}

    def _settings(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Settings as variables: they override those of files, and unlike arguments are not in the process list."""
        settings = list(CONFIG.items())
        found: dict[str, str] = {}
        user, password = self._address.user, self._address.password
        if user or password:
            scope = "/".join(self._address.url.split("/")[:3])
            found = {"RECONCILE_USER": user, "RECONCILE_PASSWORD": password}
            settings.append((f"credential.{scope}.username", user))
            if password:  # it takes precedence over other helpers
                settings.append((f"credential.{scope}.helper", ""))
            settings.append((f"credential.{scope}.helper", CREDENTIAL_HELPER))
        first = int(count) if (count := kept.get("GIT_CONFIG_COUNT", "")).isdigit() else 0
        for number, (key, value) in enumerate(settings, first):
            found[f"GIT_CONFIG_KEY_{number}"], found[f"GIT_CONFIG_VALUE_{number}"] = key, value
        return {**found, "GIT_CONFIG_COUNT": str(first + len(settings))}


def _configured_ssh() -> str:
    """``core.sshCommand`` of the user; empty if there is none."""
    try:
        found = subprocess.run(
            ["git", "config", "--get", "core.sshCommand"], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip()

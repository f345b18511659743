"""Calling git so that it asks nobody, runs nothing that a repository brings, and says in words what went wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress

from reconciler.daemon.sources.address import PROTOCOLS, Address

# Of another repository, or of somebody who looks for a fault and would see credentials.
MISLEADING = re.compile(
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
# Only what git asks for is answered, and only for the host that the credentials are of.
HELPER = r"""!f() { if test "$1" = get; then
printf 'username=%s\npassword=%s\n' "$RECONCILE_USER" "$RECONCILE_PASSWORD"; fi; }; f"""

TIME_OUT = "it did not answer in time"
WORDS = (
    (
        r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|error: 40[13]\b",
        "it does not let us in. Check the credentials: a credential helper of git, or a token in the URL.",
    ),
    (r"Host key verification failed", "its host key is not known. Add it to known_hosts."),
    (r"Permission denied \(", "it does not let us in. Check the ssh key, and that its agent can be reached."),
    (r"dubious ownership", "it belongs to another user. Run 'git config --global --add safe.directory PATH' for it."),
    (r"transport '\w*' not allowed|protocol '.*' is not supported", "it is not reached by file, ssh or https."),
    (
        r"Repository not found|not found|does not appear to be a git repository|does not exist|No such file",
        "there is no repository, or not for us. Check the URL and the rights.",
    ),
    (
        r"Could not resolve host\w*|Connection (refused|timed out|reset|closed)|[Cc]ould not connect|Failed to connect"
        r"|unable to access|Network is unreachable|No route to host|hung up|early EOF|RPC failed",
        "it cannot be reached. Check the URL and the network.",
    ),
    (r"No space left on device|Disk quota exceeded", "there is no space left where its checkouts are kept."),
)


class Failed(Exception):
    """git did not do what it was asked; ``said`` is what it printed, for those who look for a word in it."""

    def __init__(self, message: str, said: str = "") -> None:
        self.said = said
        super().__init__(message)


class Command:
    """git in the repository ``folder``, with the credentials of an address."""

    def __init__(self, folder: str, address: Address) -> None:
        self._folder, self._address = folder, address
        self._turn = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._ssh = ""

    def run(self, *words: str, timeout: float, index: str = "", tree: str = "") -> str:
        """What git prints. Raises ``Failed``. ``index`` and ``tree`` are for filling a folder."""
        environment = self._environment()
        if index:
            environment["GIT_INDEX_FILE"] = index
        command = ["git", f"--git-dir={self._folder}", *([f"--work-tree={tree}"] if tree else []), *words]
        try:
            with self._turn:
                if self._stopped:
                    raise Failed("it was stopped")
                # In a session of its own it has no terminal to ask at, and ends with all that it started.
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
            raise Failed("there is no git on this machine. Install it.") from None
        with process:
            try:
                output, said = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self._kill()
                raise Failed(f"{TIME_OUT} ({timeout:g} s)") from None
            finally:
                self._running = None
        if process.returncode:
            raise self._failed(said.decode(errors="replace"))
        return output.decode(errors="surrogateescape")

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        with self._turn:
            self._stopped = True
            self._kill()

    def _kill(self) -> None:
        if (process := self._running) and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _failed(self, said: str) -> Failed:
        if self._stopped:
            return Failed("it was stopped")
        for pattern, words in WORDS:
            if re.search(pattern, said):
                return Failed(words, said)
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))] or said.splitlines()
        last = (lines or ["nothing"])[-1].removeprefix("fatal: ").removeprefix("error: ")
        return Failed(f"git says: {self._clean(last)}", said)

    def _clean(self, text: str) -> str:
        """Without credentials, wherever they may stand, and without what a terminal would obey."""
        for secret in (self._address.password, self._address.user):
            text = text.replace(secret, "***") if secret and self._address.protocol == "https" else text
        text = re.sub(r"://[^/@\s]+@", "://", text)
        return "".join(letter for letter in text if letter.isprintable())[:300]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not MISLEADING.fullmatch(name)}
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
        return {**kept, **ours, **self._configured(kept)}

    def _configured(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Settings above those of files, and not on the command line: others see that."""
        settings = list(CONFIG.items())
        found: dict[str, str] = {}
        user, password = self._address.user, self._address.password
        if user or password:
            scope = "/".join(self._address.url.split("/")[:3])
            found = {"RECONCILE_USER": user, "RECONCILE_PASSWORD": password}
            settings.append((f"credential.{scope}.username", user))
            settings += [(f"credential.{scope}.helper", "")] if password else []  # what is given counts
            settings.append((f"credential.{scope}.helper", HELPER))
        first = int(count) if (count := kept.get("GIT_CONFIG_COUNT", "")).isdigit() else 0
        for number, (key, value) in enumerate(settings, first):
            found[f"GIT_CONFIG_KEY_{number}"], found[f"GIT_CONFIG_VALUE_{number}"] = key, value
        return {**found, "GIT_CONFIG_COUNT": str(first + len(settings))}


def _configured_ssh() -> str:
    try:
        found = subprocess.run(
            ["git", "config", "--get", "core.sshCommand"], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip()

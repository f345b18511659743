"""The ``reconcile`` command in processes forked from one that has imported it.

Half a second of a command goes into its imports. A process forked from one that has done them is as separate as one
started anew, with a directory, an environment and an exit code of its own. How a command starts is tried with real
ones in ``tests/cli/test_startup.py`` and ``tests/project/test_wheel.py``; so are signals.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from support.forked_client import ask
from support.paths import ROOT, TESTS

# What a command imports only for those who have it.
OPTIONAL = ("reconciler.drivers.libvirt", "reconciler.drivers.network", "reconciler.clusters.kubernetes")
LARGEST = 200_000  # bytes of a request


_HELD: list[subprocess.Popen[bytes]] = []


def server() -> str:
    """The socket of the process that forks, one for each process that tests and host that it tests on."""
    return _server(os.readlink("/proc/thread-self/ns/mnt") if Path("/proc/thread-self").exists() else "")


@cache
def _server(host: str) -> str:
    """Started on the host that we are on; it ends when its input does, with us."""
    path = str(Path(tempfile.mkdtemp(), "socket"))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}", "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "support.forked_command", path]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"listening\n"
    _HELD.append(process)
    return path


def run_forked(
    folder: Path, words: list[str], environment: dict[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command from start to end; its output and exit code as ``subprocess.run`` gives them."""
    with contextlib.ExitStack() as open_files:
        files = [open_files.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin.encode())
        files[0].seek(0)
        code = ask(server(), words, str(folder), environment, [file.fileno() for file in files])
        for file in files:
            file.seek(0)
        out, err = (file.read().decode() for file in files[1:])
    return subprocess.CompletedProcess(words, code, out, err)


def _prepare() -> None:
    """Import what commands import, and compile the schemas that they check manifests with."""
    import reconciler

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(OPTIONAL):
            importlib.import_module(module.name)
    from reconciler.manifests import schema
    from reconciler.model.kinds import KINDS

    for kind in KINDS:
        schema.accepts(kind)


def _serve(path: str) -> None:
    _prepare()
    gc.freeze()  # what is there for good is not copied by looking for what is not
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        print("listening", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    request, files, *_ = socket.recv_fds(connection, LARGEST, 3)
    if not (child := os.fork()):
        connection.close()
        _become(json.loads(request), files)
    connection.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    os._exit(0)


def _become(request: dict[str, Any], files: list[int]) -> NoReturn:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["reconcile", *request["words"]]
    from reconciler.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
    # What Python does at its end, but for taking all modules apart.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(sys.argv[1])

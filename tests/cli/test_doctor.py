"""Records of a cluster file that cannot be read: every verb names them, and doctor finds and mends them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from support.command_line import run
from support.kill_at_write import KILL_AT_WRITE
from support.paths import QUICKSTART, ROOT, TESTS

GARBAGE: dict[str, object] = {
    "nothing": "",
    "bytes": b"\x00\xff",
    "no JSON": "{",
    "cut off": '{"kind":"VirtualMachine","metadata":{"na',
    "another shape": '["a"]',
    "an object of nothing": "{}",
    "null": "null",
    "two in one": "{},{}",
    "deep": "[" * 5000,
}
WHERE = {
    "a machine": ("resources", "kind = 'VirtualMachine'", "VirtualMachine/web-1"),
    "a pool": ("resources", "kind = 'VirtualMachinePool'", "VirtualMachinePool/"),
    "an Event": ("resources", "kind = 'Event'", "Event/"),
    "the journal": ("journal", "id = 3", "entry 3 of the journal of stack quickstart"),
    "the identity": ("shelf", "key = 'identity'", "the record identity"),
}
ALL = [(where, how) for where in WHERE for how in GARBAGE]
VERBS = (
    ("--plan", QUICKSTART),
    ("--plan", QUICKSTART, "--out", "plan.json"),
    ("--yes", QUICKSTART),
    ("get",),
    ("describe", "vm/web-1", "--history"),
    ("history", "--stack", "quickstart"),
    ("history", "--stack", "quickstart", "-o", "json"),
    ("release", "--yes", "--all", "--stack", "quickstart"),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    assert run(folder, "--yes", QUICKSTART).code == 0
    assert run(folder, "--plan", QUICKSTART, "--out", "plan.json").code == 0
    with closing(sqlite3.connect(folder / ".reconcile" / "cluster.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def shop(sound: Path, tmp_path: Path) -> Path:
    (tmp_path / ".reconcile").mkdir(mode=0o700)
    (tmp_path / ".reconcile" / "cluster.db").write_bytes((sound / ".reconcile" / "cluster.db").read_bytes())
    return tmp_path


def execute(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / ".reconcile" / "cluster.db", isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount


def is_readable(where: str, how: str) -> bool:
    """An entry of the journal that says nothing is one, and any JSON may be on the shelf."""
    table = WHERE[where][0]
    return (table == "journal" and how == "an object of nothing") or (
        table == "shelf" and how in ("another shape", "an object of nothing", "null")
    )


@pytest.mark.parametrize(("where", "how"), ALL)
def test_a_record_that_cannot_be_read_is_named_and_mended(shop: Path, where: str, how: str) -> None:
    table, which, named = WHERE[where]
    execute(shop, f"UPDATE {table} SET body = ? WHERE {which}", GARBAGE[how])
    for words in VERBS:
        result = run(shop, *words)
        assert "Traceback" not in result.err + result.out
        assert "meets a bug" not in result.err + result.out
        if result.code == 1 and "cannot be read" in result.err:
            assert named in result.err
            assert "reconcile doctor" in result.err
    if is_readable(where, how):
        return
    found = run(shop, "doctor")
    assert found.code == 1
    assert f"{named}" in found.out
    assert "With --fix: it is removed" in found.out
    mended = json.loads(run(shop, "doctor", "--fix", "-o", "json").out)
    assert mended["sound"]
    assert (shop / mended["backup"]).stat().st_mode & 0o777 == 0o600
    assert run(shop, "doctor").out.startswith(".reconcile/cluster.db: nothing is wrong with ")
    assert run(shop, "--yes", "--adopt", QUICKSTART).code == 0
    assert run(shop, "--plan", QUICKSTART).out.startswith("No changes.")


@pytest.mark.parametrize("value", ["x", None, b"\x01", 1.5])
@pytest.mark.parametrize("key", ["version", "compacted"])
def test_a_count_that_is_none_is_counted_again(shop: Path, key: str, value: object) -> None:
    execute(shop, "DELETE FROM meta WHERE key = ?", key)
    if value is not None:
        execute(shop, "INSERT INTO meta VALUES (?, ?)", key, value)
    for words in VERBS[:4]:
        assert "Traceback" not in run(shop, *words).err
    assert run(shop, "doctor").code == 1
    assert run(shop, "doctor", "--fix").code == 0
    assert run(shop, "--plan", QUICKSTART).out.startswith("No changes.")
    assert run(shop, "delete", "--yes", QUICKSTART).code == 0


def test_what_is_sound_is_left_alone(shop: Path) -> None:
    file = shop / ".reconcile" / "cluster.db"
    before = file.read_bytes()
    assert run(shop, "doctor", "--fix").code == 0
    assert file.read_bytes() == before
    assert sorted(each.name for each in file.parent.iterdir()) == ["cluster.db"]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\x00" * 84])
def test_what_is_no_cluster_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.db").write_bytes(content)
    for words in ((), ("--fix",)):
        result = run(tmp_path, "doctor", "--cluster", "other.db", *words)
        assert result.code == 1
        assert "Traceback" not in result.err
        assert result.err.startswith(("error: ", "other.db"))
    assert (tmp_path / "other.db").read_bytes() == content


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert "there is no file none.db" in run(tmp_path, "doctor", "--cluster", "none.db", "--fix").err
    assert not (tmp_path / "none.db").exists()


ODD: dict[str, tuple[str, str]] = {
    "a spec that is a list": ("$.spec", '["a"]'),
    "a spec that is a text": ("$.spec", '"x"'),
    "a spec that is a number": ("$.spec", "7"),
    "another namespace": ("$.metadata.namespace", '"other"'),
    "a namespace that is a number": ("$.metadata.namespace", "7"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_object_of_another_shape_is_named_and_mended(shop: Path, odd: str) -> None:
    execute(shop, "UPDATE resources SET body = json_set(body, ?, json(?)) WHERE kind = 'VirtualMachine'", *ODD[odd])
    assert run(shop, "doctor").code == 1  # first: an agent that an apply starts may show the resource again
    named = {words: run(shop, *words) for words in (*VERBS[:5], ("import",), ("graph", QUICKSTART))}
    for result in named.values():
        assert "bug" not in result.err + result.out
        assert result.code == 0 or "VirtualMachine/" in result.err
    assert run(shop, "doctor", "--fix").code == 0
    assert run(shop, "--yes", "--adopt", QUICKSTART).code == 0
    assert run(shop, "--plan", QUICKSTART).out.startswith("No changes.")


def test_an_annotation_that_is_no_text_is_taken_as_never_written(shop: Path) -> None:
    path = '$.metadata.annotations."gitops.doslab.io/last-applied"'
    execute(shop, "UPDATE resources SET body = json_set(body, ?, 7) WHERE kind = 'VirtualMachine'", path)
    for words in VERBS[:5]:
        assert "bug" not in run(shop, *words).err
    assert run(shop, "doctor").code == 0


def test_what_a_killed_apply_left_is_named_until_the_next_one(tmp_path: Path) -> None:
    words = (*KILL_AT_WRITE, "update/VirtualMachinePool/2", "--yes", str(QUICKSTART))  # its agent has just claimed it
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{TESTS}"}
    killed = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    for more in ((), ("--fix",)):
        found = run(tmp_path, "doctor", *more)
        assert found.code == 1
        assert "VirtualMachinePool/vmd-pool: CreatePool was begun by an agent of node node22 that is gone" in found.out
        assert "Nothing was changed." in found.out
    run(tmp_path, "--yes", "--adopt", QUICKSTART)  # which reports how far it came
    assert run(tmp_path, "--yes", "--adopt", QUICKSTART).code == 0
    assert run(tmp_path, "doctor").code == 0

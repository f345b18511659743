"""``-o json``: one document on standard output in every case, as its published schema says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from reconciler.cli import cli, main
from reconciler.cli.errors import KINDS, asks_for_json
from reconciler.model.problem import ReconcilerError
from reconciler.output.formats import REHEARSAL, formats_of, verbs
from support import paths
from support.paths import ROOT

SCHEMAS = ROOT / "schemas"
QUICKSTART = str(paths.QUICKSTART)
FIREWALL = [str(paths.FIREWALL / name) for name in ("networks.yaml", "machines.yaml")]  # without its Stack

# The words after each verb with which it succeeds on a cluster where the quickstart was applied.
SUCCEEDS: dict[str, tuple[str, ...]] = {
    "plan": (QUICKSTART,),
    REHEARSAL: (QUICKSTART,),
    "apply": ("--yes", QUICKSTART),
    "delete": ("--yes", QUICKSTART),
    "run": ("--yes", "--allow", "restart", "vm/web-1", "RebootVM"),
    "release": ("--yes", "--all", "--stack", "quickstart"),
    "stack": ("rename", "quickstart", "second", "--yes"),
    "validate": (QUICKSTART,),
    "get": (),
    "describe": ("vm/web-1", QUICKSTART, "--history"),
    "trace": ("vm/shop-1", "vm/db-1", "tcp/3306", QUICKSTART, *FIREWALL),
    "history": ("--stack", "quickstart"),
    "doctor": (),
    "operations": (),
    "explain": ("vm",),
    "crds": ("vm",),
    "import": (),
}
JSON_VERBS = [verb for verb in verbs() if "json" in [row.name for row in formats_of(verb)]]
OF_MANIFESTS = [verb for verb in JSON_VERBS if QUICKSTART in SUCCEEDS[verb]]
OF_A_CLUSTER = [verb for verb in JSON_VERBS if verb not in ("validate", "operations", "explain", "crds", "doctor")]


class Answer:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.err = code, err
        self.document: Any = json.loads(out)  # one document, and nothing else


Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def schemas() -> Registry[Any]:
    found = {
        path.relative_to(SCHEMAS).as_posix(): json.loads(path.read_text())
        for path in (SCHEMAS / "plan.schema.json", SCHEMAS / "status.schema.json", *(SCHEMAS / "output").glob("*.json"))
    }
    return Registry().with_resources([(name, Resource.from_contents(each)) for name, each in found.items()])


@pytest.fixture
def run(
    schemas: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a verb with ``-o json``; what it prints is one document that its schema accepts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECONCILE_CLUSTER", raising=False)

    def run(verb: str, *words: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["reconcile", *verb.split(), "-o", "json", *words])
        answer = Answer(exit_code(), *capsys.readouterr())
        check(schemas, verb.split()[0], answer.document)
        return answer

    return run


def exit_code() -> int:
    """That of the command in ``sys.argv``."""
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def check(schemas: Registry[Any], verb: str, document: Any) -> None:
    schema = {"$ref": f"output/{verb}.schema.json"}
    errors = list(Draft202012Validator(schema, registry=schemas).iter_errors(document))
    assert errors == [], (errors[0].json_path, errors[0].message, [each.message for each in errors[0].context or ()])


@pytest.fixture
def applied(run: Run) -> Run:
    assert run("apply", "--yes", QUICKSTART).code == 0
    return run


def test_every_verb_that_prints_json_has_a_case_and_a_schema() -> None:
    assert set(SUCCEEDS) == set(JSON_VERBS)
    assert isinstance(cli, click.Group)
    for verb, command in cli.commands.items():
        choices = [list(each.type.choices) for each in command.params if each.name == "output"]  # type: ignore[attr-defined]
        assert choices == ([[row.name for row in formats_of(verb)]] if verb in verbs() else [])
        if choices and "json" in choices[0]:
            assert (SCHEMAS / "output" / f"{verb}.schema.json").exists()


def test_every_schema_is_one(schemas: Registry[Any]) -> None:
    for path in (SCHEMAS / "output").glob("*.json"):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"output/{path.name}"


def test_the_schema_of_a_failure_has_every_kind() -> None:
    schema = json.loads((SCHEMAS / "output" / "failure.schema.json").read_text())
    kinds = schema["$defs"]["error"]["properties"]["kind"]["oneOf"]
    assert {each["const"]: each["description"] for each in kinds} == KINDS
    assert ReconcilerError.__name__ in KINDS, "so that every exception of ours has a kind"


@pytest.mark.parametrize("verb", JSON_VERBS)
def test_success_is_a_document(applied: Run, verb: str) -> None:
    answer = applied(verb, *SUCCEEDS[verb])
    assert answer.code == 0, answer.err
    assert "error" not in answer.document


@pytest.mark.parametrize("verb", OF_MANIFESTS)
def test_bad_yaml_is_a_document_with_the_place(run: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "vm.yaml").write_text("kind: VirtualMachine\nmetadata: {name: web-1\n")
    answer = run(verb, *(word if word != QUICKSTART else "bad" for word in SUCCEEDS[verb]))
    assert answer.code == 1
    assert answer.document["error"]["kind"] == "InvalidInput"
    (problem,) = answer.document["problems"]
    assert (problem["severity"], problem["file"], problem["line"]) == ("error", "bad/vm.yaml", 3)
    assert f"bad/vm.yaml:3:{problem['column']}: error: {problem['message']}" in answer.err


@pytest.mark.parametrize("verb", OF_MANIFESTS)
def test_a_missing_directory_is_a_document(run: Run, verb: str) -> None:
    answer = run(verb, *(word if word != QUICKSTART else "nowhere" for word in SUCCEEDS[verb]))
    assert answer.code == 1
    assert [problem["file"] for problem in answer.document["problems"]] == ["nowhere"]


@pytest.mark.parametrize("verb", OF_A_CLUSTER)
def test_a_cluster_that_cannot_be_reached_is_a_document(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr("reconciler.clusters.kubernetes.api.FIRST_CONTACT", 0.1)  # seconds, instead of 3 for each verb
    (tmp_path / "config").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "users": [{"name": "me", "user": {}}],
            }
        )
    )
    answer = run(verb, "--kubeconfig", "config", *SUCCEEDS[verb])
    assert (answer.code, answer.document["error"]["kind"]) == (1, "Unavailable"), answer.err
    assert answer.document["problems"] == []
    assert answer.err == f"error: {answer.document['error']['message']}\n"


@pytest.mark.parametrize("verb", OF_A_CLUSTER)
def test_a_damaged_cluster_file_is_a_document(run: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "cluster.db").write_bytes(b"not a database at all")
    answer = run(verb, "--cluster", "cluster.db", *SUCCEEDS[verb])
    assert (answer.code, bool(answer.document["error"]["message"])) == (1, True)


@pytest.mark.parametrize("verb", JSON_VERBS)
def test_a_wrong_option_is_a_document(run: Run, verb: str) -> None:
    answer = run(verb, *SUCCEEDS[verb], "--xyzzy")
    assert (answer.code, answer.document["problems"]) == (1, [])
    assert answer.document["error"] == {"kind": "UsageError", "message": "No such option '--xyzzy'."}


@pytest.mark.parametrize(
    ("verb", "words", "kind"),
    [
        ("apply", (QUICKSTART,), "NotConfirmed"),
        ("apply", ("--allow", "everything", QUICKSTART), "UsageError"),
        ("apply", ("--target", "vm/web-9", QUICKSTART), "NotFound"),
        ("plan", ("--out", "nowhere/plan.json", QUICKSTART), "NotWritten"),
        ("plan", ("--inject", "PlugDisk=often", QUICKSTART), "UsageError"),
        ("run", ("vm/web-9", "RebootVM"), "NotFound"),
        ("describe", ("vm/web-9",), "NotFound"),
        ("describe", ("vm",), "UsageError"),
        ("get", ("vmx",), "UsageError"),
        ("history", ("--stack", "nowhere"), "NotFound"),
        ("trace", ("vm/web-1", "vm/web-9", "tcp/22"), "NotFound"),
        ("trace", ("vm/web-1", "disk/web-1-root", "tcp/22"), "UsageError"),
        ("trace", ("vm/web-1", "-", "tcp/22"), "UsageError"),
        ("operations", ("PlugDsk",), "InvalidInput"),
        ("explain", ("vm.memroy",), "InvalidInput"),
        ("crds", ("vmx",), "UsageError"),
        ("import", ("vm/web-9",), "NotFound"),
        ("import", ("--adopt",), "UsageError"),
    ],
)
def test_every_other_failure_is_a_document_with_its_kind(
    run: Run, verb: str, words: tuple[str, ...], kind: str
) -> None:
    answer = run(verb, *words)
    assert (answer.code, answer.document["error"]["kind"]) == (1, kind)
    assert answer.err != ""


def test_a_plan_with_errors_is_the_plan_with_its_problems(applied: Run, tmp_path: Path) -> None:
    text = (Path(QUICKSTART) / "quickstart.yaml").read_text()
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "quickstart.yaml").write_text(
        text.replace("url: /var/lib/libvirt/vmd-pool", "url: /srv")
    )
    planned = applied("plan", "quickstart")
    assert planned.code == 1
    assert [(each["severity"], each["file"]) for each in planned.document["problems"]] == [
        ("error", "quickstart/quickstart.yaml")
    ]
    refused = applied("apply", "--yes", "quickstart")
    assert (refused.code, refused.document["report"]) == (1, None)
    assert refused.document["problems"] == refused.document["plan"]["problems"] == planned.document["problems"]


def test_warnings_are_among_the_problems_of_valid_manifests(run: Run, tmp_path: Path) -> None:
    answer = run("validate", QUICKSTART)
    assert answer.document["valid"] is True
    assert len(answer.document["resources"]) == 5
    assert [each for each in answer.document["problems"] if each["severity"] != "warning"] == []


def test_a_bug_is_a_document_and_a_traceback(
    schemas: Registry[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*words: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("reconciler.cli.validate.read_manifests", broken)
    monkeypatch.setattr(sys, "argv", ["reconcile", "validate", "-o", "json", QUICKSTART])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("  Traceback (most recent call last):\n")
    assert printed.err.endswith("  RuntimeError: a bug\n")
    document = json.loads(printed.out)
    check(schemas, "validate", document)
    assert document["error"] == {"kind": "InternalError", "message": "a bug"}


def test_ctrl_c_is_a_document(schemas: Registry[Any], tmp_path: Path) -> None:
    """A run that reads manifests from a pipe whose other end stays open is interrupted there."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from reconciler.cli import main; main()", "plan", "-o", "json", "-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("#" * 2**20)  # more than a pipe holds: it returns when the process reads
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    document = json.loads(out)
    check(schemas, "plan", document)
    assert (process.returncode, document["error"]["kind"]) == (1, "Interrupted")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["get", "-o", "json"], True),
        (["get", "-ojson"], True),
        (["get", "--output=json"], True),
        (["apply", "-yo", "json"], True),
        (["apply", "-yojson"], True),
        (["get", "-o", "json", "-o", "text"], False),
        (["get", "-o"], False),
        (["get", "--", "-o", "json"], False),
        (["get", "json"], False),
    ],
)
def test_a_wrong_command_line_still_tells_whether_it_asks_for_json(words: list[str], asked: bool) -> None:
    assert asks_for_json(words) is asked


def test_help_names_every_format_of_a_verb_and_what_it_is_for() -> None:
    assert isinstance(cli, click.Group)
    for verb, command in cli.commands.items():
        text = " ".join(command.get_help(click.Context(command)).split())
        for row in formats_of(verb) if verb in verbs() else ():
            assert f"{row.name}: {row.description}" in text, verb


def test_help_of_every_verb_has_an_example() -> None:
    assert isinstance(cli, click.Group)
    for verb, command in cli.commands.items():
        described = command.get_help(click.Context(command)).partition("Options:")[0]
        assert re.search(rf"^  reconcile {verb}\b", described, re.MULTILINE), verb

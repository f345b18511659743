"""What can be read, what cannot, and that every value is traced to its place."""

import io
import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifests import reader as read
from reconciler.manifests.json_reader import read_json
from reconciler.manifests.loader import Loaded, load
from reconciler.model.problem import Origin

POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: %s}
spec: {nodeName: n1, type: localfs, url: /x/y}
"""


def names(loaded: Loaded) -> list[str]:
    return [manifest.id.name for manifest in loaded.manifests]


def from_text(text: str) -> Loaded:
    return load(["-"], stdin=io.BytesIO(text.encode()))


def test_a_directory_is_read_recursively_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for file in ("c.yml", "a.yaml", "b/d.yaml", ".hidden/e.yaml", "readme.md"):
        (tmp_path / file).write_text(POOL % f"pool-{Path(file).stem}")
    loaded = load([tmp_path])
    assert names(loaded) == ["pool-a", "pool-c", "pool-d"]
    assert not loaded.problems
    assert loaded.root == tmp_path.name


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(POOL % "pool-1")
    assert names(load([file, tmp_path])) == ["pool-1"]


def test_several_documents_and_json_of_several_values(tmp_path: Path) -> None:
    one = yaml.safe_load(POOL % "pool-1")
    two = yaml.safe_load(POOL % "pool-2")
    (tmp_path / "two.json").write_text(json.dumps(one) + "\n" + json.dumps(two))
    (tmp_path / "zwei.yaml").write_text(POOL % "pool-3" + "---\n" + POOL % "pool-4")
    assert names(load([tmp_path])) == ["pool-1", "pool-2", "pool-3", "pool-4"]


def test_a_list_is_its_items(tmp_path: Path) -> None:
    items = [yaml.safe_load(POOL % "pool-1"), yaml.safe_load(POOL % "pool-2")]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    loaded = load([tmp_path / "list.yaml"])
    assert names(loaded) == ["pool-1", "pool-2"]
    assert loaded.manifests[1].origin("metadata", "name").line > loaded.manifests[0].origin("metadata", "name").line


def test_standard_input() -> None:
    loaded = from_text(POOL % "pool-1")
    assert names(loaded) == ["pool-1"]
    assert str(loaded.manifests[0].origin("spec", "url")) == "<stdin>:4:42"


def test_anchors_aliases_and_merge_keys() -> None:
    text = (
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: pool-1}\n"
        "base: &base {type: localfs, url: /old}\nspec: {<<: *base, url: /new}\n"
    )
    assert from_text(text).manifests[0].spec == {"url": "/new", "type": "localfs"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".", "."),
        ("'5'", "5"),
        ("!!str 5", "5"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    source = read.SourceText("x", f"key: {text}\n")
    assert next(read.read_yaml(source)) == {"key": value}


SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=4),
)


@given(VALUES)
def test_what_a_careful_writer_wrote_is_read_back(value: object) -> None:
    """JSON is YAML with every text quoted, so nothing is left to interpretation."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    assert list(read.read_yaml(read.SourceText("x", text))) == [value]
    assert list(read_json(read.SourceText("x.json", text))) == [value]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    loaded = load(["-"], stdin=io.BytesIO(text.encode("utf-8", "replace")))
    assert loaded.problems
    for problem in loaded.problems:
        assert problem.origin.file == "<stdin>"
        assert problem.remedy


@given(st.binary(max_size=60))
def test_any_bytes_on_standard_input_give_manifests_or_problems(content: bytes) -> None:
    loaded = load(["-"], stdin=io.BytesIO(content))
    assert loaded.problems or loaded.manifests


def test_positions_of_nested_values() -> None:
    text = "a:\n  - b: 1\n    c:\n      - x\n      - yy: 2\n"
    source = read.SourceText("f", text)
    assert source.locate(0, ("a", 0, "c", 1, "yy")) == Origin("f", 5, 13)
    assert source.locate(0, ("a", 0, "missing", "deeper")) == Origin("f", 2, 5)


def test_a_missing_file_an_unreadable_folder_and_an_empty_one(tmp_path: Path) -> None:
    loaded = load([tmp_path / "nothing.yaml", tmp_path])
    assert [problem.message for problem in loaded.problems] == [
        "the directory holds no manifest",
        "cannot be read: no such file or directory",
    ]


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(2**33)
    (problem,) = load([file], max_bytes=2**20).problems
    assert problem.message == "larger than 1 MiB"


def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text(POOL % "pool-1")
    (tmp_path / "c.yaml").write_text("a: }")
    loaded = load([tmp_path])
    assert names(loaded) == ["pool-1"]
    assert [os.path.basename(problem.origin.file) for problem in loaded.problems] == ["a.yaml", "c.yaml"]


def test_deep_nesting_is_refused() -> None:
    (problem,) = from_text("[" * 200 + "]" * 200).problems
    assert problem.message == "nested deeper than 64"


def test_an_anchor_that_contains_itself_is_refused() -> None:
    (problem,) = from_text("a: &a [*a]").problems
    assert problem.message == "*a contains itself"


def test_files_under_a_folder_that_means_nothing_are_named_from_there(tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "sub" / "a.yaml").write_text("a: 1\nb:\n")
    (tmp_path / "dir" / "sub" / "b.yaml").write_bytes(b"\xff")
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "dir", tmp_path / "empty", tmp_path / "none.yaml"]
    loaded = load(paths, under=str(tmp_path))
    assert [str(problem.origin) for problem in loaded.problems] == [
        "empty",
        "dir/sub/a.yaml:1:1",
        "dir/sub/b.yaml:1:1",
        "none.yaml",
    ]
    assert loaded.root == "dir"
    assert str(load(paths).problems[1].origin) == f"{tmp_path}/dir/sub/a.yaml:1:1"


def test_a_path_that_is_a_circle_of_links_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (problem,) = load([tmp_path / "a" / "c"]).problems
    assert "too many levels of symbolic links" in problem.message

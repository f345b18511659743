"""What is installed is locked: the files in ``requirements`` fit ``pyproject.toml``, agree, and have hashes."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.paths import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = {path.stem: path.read_text() for path in sorted((ROOT / "requirements").glob("*.txt"))}
# What each file is made for: it has these, and what they need.
ASKED = {
    "build": PYPROJECT["build-system"]["requires"],
    "image": PROJECT["dependencies"],
    "dev": PROJECT["dependencies"] + EXTRAS["dev"],
    "libvirt": PROJECT["dependencies"] + EXTRAS["libvirt"],
    "ovn": PROJECT["dependencies"] + EXTRAS["ovn"],
    "docs": PROJECT["dependencies"] + EXTRAS["docs"],
    "sbom": PROJECT["dependencies"] + EXTRAS["sbom"],
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ; [^\\]+)? \\$")


def pins(name: str) -> dict[str, Version]:
    """The locked version of each package in a file."""
    found = [match for line in FILES[name].splitlines() if (match := PIN.match(line))]
    return {canonicalize_name(match[1]): Version(match[2]) for match in found}


def test_there_is_a_file_for_each_way_to_install() -> None:
    assert FILES.keys() == ASKED.keys()
    assert EXTRAS.keys() <= ASKED.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_lock_has_what_the_project_asks_for_at_a_version_it_allows(name: str) -> None:
    locked = pins(name)
    for text in ASKED[name]:
        asked = Requirement(text)
        version = locked.get(canonicalize_name(asked.name))
        assert version is not None, f"{text} is not in requirements/{name}.txt: run 'make lock'"
        assert version in asked.specifier, f"{asked.name} {version} does not fit {text}: run 'make lock'"


@pytest.mark.parametrize("name", FILES)
def test_every_line_of_a_lock_is_a_pin_or_one_of_its_hashes(name: str) -> None:
    """No package without hashes, and no address of a registry."""
    hashes: dict[str, int] = {}
    package = ""
    for line in FILES[name].splitlines():
        if match := PIN.match(line):
            package = match[1]
            hashes[package] = 0
        elif re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line):
            hashes[package] += 1
        else:
            assert re.fullmatch(r" *#.*", line), line
    assert "://" not in FILES[name]
    assert hashes
    assert min(hashes.values()) >= 1


def test_locks_agree_on_every_version() -> None:
    """Several of them may be installed into one environment."""
    for name in FILES:
        for package, version in pins(name).items():
            for other in FILES:
                assert pins(other).get(package, version) == version, f"{package}: {name} and {other}"


@pytest.mark.parametrize("file", ["Makefile", "deploy/Dockerfile"])
def test_what_is_installed_from_a_registry_is_checked_by_hash(file: str) -> None:
    text = re.sub(r"\\\n", " ", (ROOT / file).read_text())
    installs = [
        part
        for line in text.splitlines()
        for part in re.split(r"&&|;", line)
        if re.search(r"pip[ )].*(install|wheel)|\$\(PIP\) ", part)
    ]
    installs = [part for part in installs if ":=" not in part]
    assert len(installs) >= 3
    for part in installs:
        if "--no-index" not in part and "--no-deps" not in part and not part.rstrip().endswith(" uv"):
            assert "--require-hashes -r requirements/" in part, part


def test_the_pythons_that_are_declared_are_those_that_ci_tries() -> None:
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    matrix = re.search(r"python: \[(.+)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert matrix is not None
    assert re.findall(r"3\.\d+", matrix[1]) == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"


def test_the_license_is_named_and_there() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    for name in PROJECT["license-files"]:
        assert "Apache License" in (ROOT / name).read_text()

"""The bill of materials that ``make sbom`` writes: what the lock of the image has, no more and no less.

That it is CycloneDX, the program checks that writes it.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from reconciler import __version__
from support.paths import ROOT

FILE = ROOT / "build" / "reconcile.cdx.json"
REQUIRED = "RECONCILE_REQUIRE_SBOM"
LOCK = (ROOT / "requirements" / "image.txt").read_text()
PACKAGE = re.compile(r"^([\w.-]+)==(\S+).*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    if not FILE.exists() and not os.environ.get(REQUIRED):
        pytest.skip("there is no bill of materials: run 'make sbom'")
    return dict(json.loads(FILE.read_text()))


def test_it_is_of_this_version_of_the_program(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    subject = bill["metadata"]["component"]
    assert (subject["name"], subject["version"], subject["type"]) == ("reconciler", __version__, "application")


def test_it_has_what_the_image_installs_by_version_and_hash(bill: dict[str, Any]) -> None:
    locked = {
        (canonicalize_name(name), version, frozenset(re.findall(r"[0-9a-f]{64}", hashes)))
        for name, version, hashes in PACKAGE.findall(LOCK)
    }
    found = {
        (
            canonicalize_name(each["name"]),
            each["version"],
            frozenset(hash["content"] for place in each["externalReferences"] for hash in place["hashes"]),
        )
        for each in bill["components"]
    }
    assert len(locked) == LOCK.count("==") > 10
    assert found == locked
    assert all(
        each["purl"].startswith(f"pkg:pypi/{canonicalize_name(each['name'])}@{each['version']}")
        for each in bill["components"]
    )


def test_it_tells_nothing_of_where_it_was_written(bill: dict[str, Any]) -> None:
    assert str(ROOT) not in json.dumps(bill)
    assert "timestamp" not in bill["metadata"]

"""What all tests share: markers, the flag that rewrites golden plans, and a Kubernetes API where there is one.

Every test has the marker of its folder (``pytest -m 'unit or cli'``), so none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from hypothesis import settings

from reconciler.clusters.crds import definitions
from support.control_plane import ControlPlane
from support.control_plane import control_plane as started
from support.paths import TESTS

# How long an example takes says how busy the machine is; figures are for benchmarks.
settings.register_profile("patient", parent=settings.default, deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-plans",
        action="store_true",
        help="rewrite the expected plans and reviews from the plans as they are now",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


@pytest.fixture
def update_plans(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-plans"))


@pytest.fixture
def without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of uni-virt show each change, however fast they come; that it is waited for is tested without this."""
    monkeypatch.setattr(import_module("reconciler.apply.claims"), "REST", 0.0)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A Kubernetes API with our definitions, shared by all tests: leave it running, and as it is."""
    with started() as plane:
        plane.apply(*definitions())
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        yield plane

"""What all tests share: the flag that writes golden plans anew, and a Kubernetes API where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.clusters.crds import definitions
from support.control_plane import ControlPlane
from support.control_plane import control_plane as started


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-plans", action="store_true", help="write tests/plans and tests/reviews as plans are now")


@pytest.fixture
def update_plans(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-plans"))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A Kubernetes API with our definitions, shared by all tests: leave it running, and as it is."""
    with started() as plane:
        plane.apply(*definitions())
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        yield plane

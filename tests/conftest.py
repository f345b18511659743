"""What all tests share: the flag that writes golden plans anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-plans", action="store_true", help="write tests/plans/*/plan.txt as plans are now")


@pytest.fixture
def update_plans(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-plans"))

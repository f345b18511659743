"""The custom resource definitions, as an API server sees them."""

from __future__ import annotations

import json

from controlplane import ControlPlane

from reconciler.kinds import KINDS


def test_every_kind_is_served(control_plane: ControlPlane) -> None:
    served = json.loads(control_plane.kubectl("get", "--raw", "/apis/doslab.io/v1"))
    assert {each["kind"] for each in served["resources"]} == set(KINDS)

"""A problem carries the resource it concerns, so that nobody looks for it in the message."""

from __future__ import annotations

import pytest

from reconciler.manifests.loader import load_texts
from reconciler.manifests.validator import Validator, validate
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.output.plan_json import problem_json

MACHINE = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1, namespace: shop}
spec: {nodeName: node1}
"""
WEB = ResourceId("VirtualMachine", "web-1", "shop")


def test_a_problem_of_a_manifest_carries_the_id_of_its_resource() -> None:
    problems = Validator().examine(load_texts({"web.yaml": MACHINE})).problems
    assert problems
    assert {problem.id for problem in problems} == {WEB}


def test_two_resources_of_one_name_are_a_problem_of_that_name() -> None:
    pool = "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\nmetadata: {name: vmd-pool}\n"
    pool += "spec: {nodeName: node1, type: localfs, url: /var/lib/libvirt/vmd}\n"
    with pytest.raises(InvalidInput) as invalid:
        validate(load_texts({"a.yaml": pool, "b.yaml": pool}))
    assert [problem.id for problem in invalid.value.problems] == [ResourceId("VirtualMachinePool", "vmd-pool")]


def test_the_id_is_in_json_and_not_in_the_text() -> None:
    problem = Problem(Origin("web.yaml", 3, 1), "the label is not used", id=WEB)
    assert problem_json(problem)["resource"] == "VirtualMachine/shop/web-1"
    assert problem_json(Problem(Origin("web.yaml"), "cannot be read"))["resource"] is None
    assert str(problem) == "web.yaml:3:1: error: the label is not used"


def test_problems_sort_by_place_whether_they_have_a_resource_or_not() -> None:
    place = Origin("web.yaml", 3, 1)
    plain, concerned = Problem(place, "wrong"), Problem(place, "wrong", id=WEB)
    later = Problem(Origin("web.yaml", 4, 1), "a", id=WEB)
    assert sorted([later, concerned, plain]) == [plain, concerned, later]
    assert plain != concerned

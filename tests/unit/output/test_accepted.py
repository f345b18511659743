"""``explain`` says the range or the form of every field that has one, and where a back end accepts less."""

from __future__ import annotations

import pytest

from reconciler.catalogue.limits import NUMBERS, SIZES, FieldLimit
from reconciler.model import quantity
from reconciler.model.wire import UNIVIRT
from reconciler.output.explain import explain, explanation_text


def text_of(limit: FieldLimit) -> str:
    return explanation_text(explain(f"{limit.kind}.{limit.field.replace('.*', '')}"))


@pytest.mark.parametrize("limit", [*NUMBERS, *SIZES], ids=lambda limit: f"{limit.kind}.{limit.field}")
def test_a_number_and_a_size_say_their_range_and_that_of_a_back_end(limit: FieldLimit) -> None:
    (accepts,) = [line for line in text_of(limit).splitlines() if line.startswith("  Accepts: ")]
    low, high = (quantity.parse(word.strip(",")) for word in accepts.split()[1:4:2])
    assert low >= limit.range[0]
    assert high == limit.range[1]
    bound = [each for each in limit.row.binding(UNIVIRT) if each.minimum is not None]
    assert text_of(limit).count(f" for {UNIVIRT} (") == len(bound)


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("vm.memory.size", "  Accepts: 1Mi to 64Ti, in whole MiB"),
        ("vm.memory.size", "  Only 100Mi to 100Gi for uni-virt (API document)"),
        ("vmd.capacity", "  Only 1G to 999999999999 for uni-virt (API document)"),
        ("vm.nics.acls.priority", "  Accepts: 0 to 32767"),
        ("vm.nics.acls.priority", "  Only 1 to 999 for uni-virt (API document)"),
        ("vm.disks.target", "  Accepts: ^(vd|hd|sd)[a-z]{1,2}$"),
        ("vmp.uuid", "  Accepts: 4 to 100 characters, ^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$"),
    ],
)
def test_what_it_prints(field: str, line: str) -> None:
    assert line in explanation_text(explain(field)).splitlines()


def test_a_field_whose_type_says_all_says_no_more() -> None:
    assert "Accepts" not in explanation_text(explain("vm.powerState"))

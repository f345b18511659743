"""Rows of the catalogue -> JSON Schemas, the reference page, examples and sentences.

Only text and plain values come out; ``docs.generate`` puts them into files, ``reconcile operations`` prints them.
"""

from reconciler.catalogue.document.decimal_pattern import between
from reconciler.catalogue.document.example import call, request, yaml
from reconciler.catalogue.document.parameter_schema import schema
from reconciler.catalogue.document.phrases import (
    BEYOND,
    allowed_values,
    exclusions,
    field_paths,
    parameter_relations,
    univirt_support,
)
from reconciler.catalogue.document.reference_page import GENERATED, anchor, reference

__all__ = [
    "BEYOND",
    "GENERATED",
    "allowed_values",
    "anchor",
    "between",
    "call",
    "exclusions",
    "field_paths",
    "parameter_relations",
    "reference",
    "request",
    "schema",
    "univirt_support",
    "yaml",
]

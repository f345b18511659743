"""Rows of the catalogue -> JSON Schemas, the reference page, examples and sentences.

Only text and plain values come out; ``docs.generate`` puts them into files, ``reconcile operations`` prints them.
"""

from reconciler.catalogue.document.decimal_pattern import between
from reconciler.catalogue.document.example import call, request, yaml
from reconciler.catalogue.document.parameter_schema import schema
from reconciler.catalogue.document.reference_page import GENERATED, anchor, reference
from reconciler.catalogue.document.wording import BEYOND, allowed, exclusions, existing, reached, together

__all__ = [
    "BEYOND",
    "GENERATED",
    "allowed",
    "anchor",
    "between",
    "call",
    "exclusions",
    "existing",
    "reached",
    "reference",
    "request",
    "schema",
    "together",
    "yaml",
]

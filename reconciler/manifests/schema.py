"""The JSON Schemas of the manifest kinds: a compiled check that good input passes cheaply, and a slow one
that explains what is wrong.

``schemas/*.schema.json`` are the source: editors use them as they are, and ``reconcile explain`` prints
their descriptions. Called by ``validate``; reads only the package's own files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.manifests.finding import Finding
from reconciler.model.fields import secret_fields
from reconciler.model.kinds import KINDS
from reconciler.model.problem import shown

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

COMMON = "common.schema.json"


def folder() -> FilePath:
    """The folder of the schemas: inside an installed package, or beside it in a checkout."""
    package = FilePath(__file__).parents[1]
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@cache
def schema(kind: str) -> dict[str, Any]:
    """The schema of a kind, self-contained: what it takes from the common file is under its ``$defs``."""
    text = (folder() / f"{kind}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text.replace(f'"{COMMON}#/$defs/', '"#/$defs/'))
    loaded["$defs"] = _common() | loaded.get("$defs", {})
    return loaded


@cache
def _common() -> dict[str, Any]:
    """The definitions that the kinds share."""
    definitions: dict[str, Any] = json.loads((folder() / COMMON).read_text(encoding="utf-8"))["$defs"]
    return definitions


@cache
def accepts(kind: str) -> Callable[[dict[str, Any]], bool]:
    """A quick yes or no for documents of a kind."""
    import fastjsonschema

    # fastjsonschema knows the drafts up to 7; the schemas use only what has not changed since.
    plain = {**_for_machines(schema(kind), kind), "$schema": "http://json-schema.org/draft-07/schema#"}
    check = fastjsonschema.compile(plain, use_default=False, detailed_exceptions=False)

    def good(document: dict[str, Any]) -> bool:
        try:
            check(document)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return good


_FOR_PEOPLE = frozenset({"$id", "$schema", "$defs", "title", "description", "default", "examples"})
_BY_NAME = frozenset({"properties", "patternProperties"})  # their keys are names of fields, not keywords


def _for_machines(fragment: Any, kind: str) -> Any:
    """A part of a schema without what is for people, and with each reference replaced by what it refers to.

    fastjsonschema makes code of every word of it, and a function of every reference, which costs more than the
    check itself. It also cannot refuse a ``const`` without details; an ``enum`` of one value means the same. For a
    pattern that must not be found, and a condition that does not hold, it raises an error with all of its variables;
    one pattern, and two alternatives of which the likely one comes first, say the same.
    """
    if isinstance(fragment, list):
        return [_for_machines(each, kind) for each in fragment]
    if not isinstance(fragment, dict):
        return fragment
    plain: dict[str, Any] = {}
    for keyword, value in fragment.items():
        if keyword == "$ref":
            plain["allOf"] = [_for_machines(schema(kind)["$defs"][value.removeprefix("#/$defs/")], kind)]
        elif keyword in _BY_NAME:
            plain[keyword] = {name: _for_machines(each, kind) for name, each in value.items()}
        elif keyword == "const":
            plain["enum"] = [value]
        elif keyword == "if" and value.keys() == {"not"}:
            plain["anyOf"] = [_for_machines(each, kind) for each in (fragment["then"], value["not"])]
        elif (keyword == "not" and value.keys() == {"pattern"}) or (keyword == "then" and "not" in fragment["if"]):
            pass  # in the pattern; in the alternatives
        elif keyword == "pattern" and "pattern" in fragment.get("not", ()):
            plain["pattern"] = f"^(?!.*(?:{fragment['not']['pattern']}))(?=(?:{value}))"
        elif keyword == "anyOf" and _is_number_or_text(value):
            plain |= {**value[0], **value[1], "type": [each["type"] for each in value]}
        elif keyword not in _FOR_PEOPLE:
            plain[keyword] = _for_machines(value, kind)
    return plain["allOf"][0] if plain.keys() == {"allOf"} and "$ref" in fragment else plain


def _is_number_or_text(alternatives: list[dict[str, Any]]) -> bool:
    """Whether one type with the rules of both says the same, as rules for numbers say nothing of texts.

    The compiled check raises an error, with all of its variables, for each alternative that is not the one.
    """
    return [set(each) for each in alternatives] == [{"type", "minimum"}, {"type", "pattern"}]


@cache
def _explaining(kind: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema(kind))


def explain_errors(kind: str, document: dict[str, Any]) -> Iterator[Finding]:
    """All findings about a document."""
    errors = _explaining(kind).iter_errors(document)
    # The library has one error for each missing field, and each is explained with all of them.
    see = f"See 'reconcile explain {kind}'."
    found = set[Finding]()
    for finding in (each for error in errors for each in _explain(error)):
        if finding not in found:
            found.add(finding)
            yield finding if finding.remedy else finding._replace(remedy=see)


class _Failure(NamedTuple):
    """A value that a keyword of a schema refuses."""

    keyword: str
    rule: Any  # what the schema gives the keyword: a number, a list of choices
    value: Any
    schema: dict[str, Any]
    hidden: bool = False  # whether it says where a secret is: somebody may have written the secret itself


# The fields that say where a secret is.
_SECRETS = {"credentialsFrom", "passwordFrom"} | {path[-1] for kind in KINDS for path in secret_fields(kind)}


def _quoted(failure: _Failure) -> str:
    return "the value (hidden)" if failure.hidden else shown(failure.value)


def _explain(error: ValidationError) -> Iterator[Finding]:
    """The findings of one error of the library, worded by the keyword of the schema that failed."""
    fragment = error.schema if isinstance(error.schema, dict) else {}
    if meant := _meant(error):
        remedy = str(fragment.get("description", ""))
        for finding in (finding for each in meant for finding in _explain(each)):
            yield finding if finding.remedy else finding._replace(remedy=remedy)
        return
    hidden = not _SECRETS.isdisjoint(error.absolute_path)
    failure = _Failure(str(error.validator), error.validator_value, error.instance, fragment, hidden)
    for finding in _EXPLANATIONS.get(failure.keyword, _other)(failure):
        yield finding.under(*error.absolute_path)


def _meant(error: ValidationError) -> list[ValidationError]:
    """Of a value that no alternative accepts, the errors of the only one that is for a value of its type."""
    by_alternative: dict[Any, list[ValidationError]] = {}
    for each in error.context or ():
        by_alternative.setdefault(each.schema_path[0], []).append(each)
    of_type = [
        errors
        for errors in by_alternative.values()
        if not any(each.validator == "type" and not each.relative_path for each in errors)
    ]
    return of_type[0] if len(of_type) == 1 and len(by_alternative) > 1 else []


def _unknown_fields(failure: _Failure) -> Iterator[Finding]:
    known = sorted(failure.schema.get("properties", {}))
    for key in sorted(set(failure.value) - set(known), key=str):
        yield Finding((key,), f"unknown field {shown(key)}", _did_you_mean(key, known) or _known_here(known))


def _missing_fields(failure: _Failure) -> Iterator[Finding]:
    properties = failure.schema.get("properties", {})
    for key in failure.rule:
        if key not in failure.value:
            remedy = f"Add it. {_description(properties.get(key, {}))}".strip()
            yield Finding((), f"{key} is missing", remedy, missing=key)


def _wrong_type(failure: _Failure) -> Iterator[Finding]:
    value, expected = failure.value, failure.rule
    types = expected if isinstance(expected, list) else [expected]
    message = f"is {_type_of(value)}, must be {' or '.join(map(_type_name, types))}"
    yield Finding((), message, _type_remedy(value, expected) or _doc(failure))


def _not_a_choice(failure: _Failure) -> Iterator[Finding]:
    choices = failure.rule
    if (text := _as_text(failure.value)) in choices:
        yield Finding((), f"is {_type_of(failure.value)}, must be text", f'Quote it: "{text}".')
        return
    near = _did_you_mean(failure.value, [each for each in choices if isinstance(each, str)])
    yield Finding((), f"{_quoted(failure)} is not one of {', '.join(map(str, choices))}", near or _doc(failure))


def _not_allowed(failure: _Failure) -> Iterator[Finding]:
    yield Finding((), f"{_quoted(failure)} is not allowed", _written_out(failure.value) or _doc(failure))


def _not_exactly_one(failure: _Failure) -> Iterator[Finding]:
    names = [each["required"][0] for each in failure.rule if "required" in each]
    if not names:
        yield from _not_allowed(failure)
        return
    if not isinstance(failure.value, dict):
        return  # that is a finding of its own
    found = [name for name in names if name in failure.value]
    message = f"exactly one of {', '.join(names)} is needed, found {' and '.join(found) or 'none'}"
    yield Finding(tuple(found[1:2]), message, "Keep one." if found else "Add one.")


def _too_many(failure: _Failure) -> Iterator[Finding]:
    known, found = failure.schema.get("properties", {}), " and ".join(sorted(map(str, failure.value)))
    yield Finding((), f"at most {failure.rule} of {', '.join(known)} is allowed, found {found}", "Keep one.")


def _out_of_range(failure: _Failure) -> Iterator[Finding]:
    limit = f"{failure.keyword} {failure.rule}"
    yield Finding((), f"{_quoted(failure)} is out of range ({limit})", _doc(failure))


def _wrong_length(failure: _Failure) -> Iterator[Finding]:
    value, limit = failure.value, f"{failure.keyword} {failure.rule}"
    yield Finding((), f"{_quoted(failure)} has {len(value)} characters ({limit})", _doc(failure))


def _empty(failure: _Failure) -> Iterator[Finding]:
    yield Finding((), "must not be empty", _doc(failure))


def _repeated(failure: _Failure) -> Iterator[Finding]:
    yield Finding((), "the same value twice", "Keep one of the two.")


def _not_the_constant(failure: _Failure) -> Iterator[Finding]:
    yield Finding((), f"{_quoted(failure)} must be {failure.rule!r}", _doc(failure))


def _other(failure: _Failure) -> Iterator[Finding]:
    yield Finding((), f"{_quoted(failure)} breaks the rule {failure.keyword}", _doc(failure))


# Keyword of the schema -> how its failure is explained. Paths begin at the value that fails.
_EXPLANATIONS: dict[str, Callable[[_Failure], Iterator[Finding]]] = {
    "additionalProperties": _unknown_fields,
    "required": _missing_fields,
    "type": _wrong_type,
    "enum": _not_a_choice,
    "const": _not_the_constant,
    "pattern": _not_allowed,
    "anyOf": _not_allowed,
    "not": _not_allowed,
    "oneOf": _not_exactly_one,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "minLength": _wrong_length,
    "maxLength": _wrong_length,
    "minItems": _empty,
    "minProperties": _empty,
    "maxProperties": _too_many,
    "uniqueItems": _repeated,
}


def _doc(failure: _Failure) -> str:
    """What the schema says of the field, as the remedy where there is no better one."""
    return str(failure.schema.get("description", ""))


def _description(fragment: dict[str, Any]) -> str:
    if "$ref" in fragment:
        fragment = _common().get(fragment["$ref"].rpartition("/")[2], {})
    return str(fragment.get("description", ""))


def _did_you_mean(word: object, known: list[str]) -> str:
    lower = {each.lower(): each for each in known}
    close = get_close_matches(str(word).lower(), lower, n=1, cutoff=0.6)
    return f"Did you mean {lower[close[0]]}?" if close else ""


def _known_here(known: list[str]) -> str:
    return f"Known here: {', '.join(known)}." if known else ""


_TYPES = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number"}
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
}


def _type_of(value: object) -> str:
    return "empty" if value is None else _TYPES.get(type(value), "a number")


def _type_name(name: str) -> str:
    return _TYPE_NAMES.get(name, name)


def _as_text(value: object) -> str:
    """How a number or a truth value is written; nothing of any other value."""
    return str(value).lower() if isinstance(value, int | float) else ""


def _type_remedy(value: object, expected: object) -> str:
    """How to write the value so that YAML reads the expected type; empty if that cannot be told."""
    if expected == "string" and (text := _as_text(value)):
        return f'Quote it: "{text}".'
    if expected == "integer" and (remedy := _written_out(value)):
        return remedy
    if expected == "boolean" and isinstance(value, str) and re.fullmatch(r"(?i)yes|no|on|off|y|n", value):
        return f"Write {str(value.lower() in ('yes', 'on', 'y')).lower()}."
    if expected == "integer" and isinstance(value, str) and value.isdigit():
        return f"Remove the quotes: {value}."
    return ""


def _written_out(value: object) -> str:
    """How to write a whole number that has a point or exponent; empty for anything else."""
    if isinstance(value, float) and abs(value) < 2**53 and value == int(value):
        return f"Write the number out: {int(value)}."
    return ""

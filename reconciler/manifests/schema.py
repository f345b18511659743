"""The JSON Schemas of the manifest kinds: a compiled check that good input passes cheaply, and a slow one
that says what is wrong.

``schemas/*.schema.json`` are the source: editors use them as they are, and ``reconcile explain`` prints
their descriptions. Called by ``validate``; reads only the package's own files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from reconciler.model.resource import Path

COMMON = "common.schema.json"


def folder() -> FilePath:
    """Where the schemas are: inside an installed package, or beside it in a checkout."""
    package = FilePath(__file__).parents[1]
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@cache
def schema(kind: str) -> dict[str, Any]:
    """The schema of a kind, self-contained: what it takes from the common file is under its ``$defs``."""
    text = (folder() / f"{kind}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text.replace(f'"{COMMON}#/$defs/', '"#/$defs/'))
    loaded["$defs"] = json.loads((folder() / COMMON).read_text(encoding="utf-8"))["$defs"] | loaded.get("$defs", {})
    return loaded


@cache
def accepts(kind: str) -> Callable[[dict[str, Any]], bool]:
    """A quick yes or no for documents of a kind."""
    import fastjsonschema

    # fastjsonschema knows the drafts up to 7; the schemas use only what has not changed since.
    plain = {**schema(kind), "$schema": "http://json-schema.org/draft-07/schema#"}
    plain.pop("$id", None)
    check = fastjsonschema.compile(plain, use_default=False)

    def good(document: dict[str, Any]) -> bool:
        try:
            check(document)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return good


def explain_errors(kind: str, document: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Everything wrong with a document: path, message, remedy."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema(kind)).iter_errors(document)
    # The library has one error for each missing field, and each is explained with all of them.
    yield from dict.fromkeys(explained for error in errors for explained in _explain(error))


def _explain(error: Any) -> Iterator[tuple[Path, str, str]]:
    path: Path = tuple(error.absolute_path)
    doc = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    value, rule = error.instance, error.validator_value
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            for key in sorted(set(value) - set(known), key=str):
                yield (*path, key), f"unknown field {key!r}", _nearest(key, known)
        case "required":
            for key in rule:
                if key not in value:
                    about = _describe(error.schema.get("properties", {}).get(key, {}))
                    yield path, f"{key} is missing", f"Add it. {about}".strip()
        case "type":
            yield path, f"is {_type_of(value)}, must be {_types(rule)}", _type_hint(value, rule) or doc
        case "enum":
            choices = ", ".join(str(each) for each in rule)
            nearest = _nearest(value, [each for each in rule if isinstance(each, str)], choices=False)
            yield path, f"{value!r} is not one of {choices}", nearest or doc
        case "pattern" | "anyOf":
            yield path, f"{value!r} is not allowed", doc
        case "oneOf":
            names = [each["required"][0] for each in rule]
            found = [name for name in names if name in value]
            count = "none" if not found else " and ".join(found)
            yield path, f"exactly one of {', '.join(names)} is needed, found {count}", "Keep one."
        case "minimum" | "maximum":
            yield path, f"{value} is out of range ({error.validator} {rule})", doc
        case "minLength" | "maxLength":
            yield path, f"{value!r} has {len(value)} characters ({error.validator} {rule})", doc
        case "minItems" | "minProperties":
            yield path, "must not be empty", doc
        case "uniqueItems":
            yield path, "the same value twice", "Keep one of the two."
        case "const":
            yield path, f"{value!r} must be {rule!r}", doc
        case _:
            yield path, error.message, doc


def _describe(fragment: dict[str, Any]) -> str:
    if "$ref" in fragment:
        fragment = json.loads((folder() / COMMON).read_text(encoding="utf-8"))["$defs"].get(
            fragment["$ref"].rpartition("/")[2], {}
        )
    return str(fragment.get("description", ""))


def _nearest(word: object, known: list[str], *, choices: bool = True) -> str:
    from difflib import get_close_matches

    lower = {each.lower(): each for each in known}
    close = [lower[each] for each in get_close_matches(str(word).lower(), lower, n=1, cutoff=0.6)]
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known here: {', '.join(known)}." if choices and known else ""


_TYPES = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number"}
_NAMES = {"object": "a mapping", "array": "a list", "string": "text", "boolean": "true or false"}


def _type_of(value: Any) -> str:
    return "empty" if value is None else _TYPES.get(type(value), "a number")


def _types(rule: Any) -> str:
    rules = rule if isinstance(rule, list) else [rule]
    return " or ".join(_NAMES.get(each, "a whole number" if each == "integer" else each) for each in rules)


def _type_hint(value: Any, rule: Any) -> str:
    if rule == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'Quote it: "{value}".'
    if rule == "boolean" and isinstance(value, str) and re.fullmatch(r"(?i)yes|no|on|off|y|n", value):
        return f"Write {str(value.lower() in ('yes', 'on', 'y')).lower()}."
    if rule == "integer" and isinstance(value, str) and value.isdigit():
        return f"Remove the quotes: {value}."
    return ""

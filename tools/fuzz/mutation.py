"""One input from the corpus: documents chosen, changed here and there, and written as YAML or JSON. Deterministic."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from reconciler.manifests.reader import Decimal
from tools.fuzz.corpus import Corpus, documents_of

Place = tuple[Any, Any]  # a mapping or list, and a key or index of it

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**40, 1.5, 1e9, 1e300, -0.0),
    *("", " ", "-", ".", "..", "../../etc/passwd", "/", "/dev/zero", "a" * 300, "a" * 5000, "9" * 4400, "0" * 4400),
    *("1e9", "1e400", ".inf", "-.inf", ".nan", "NaN", "0x" + "f" * 80, "0o17", "1_000", "+1", "1:30", "~", "null"),
    *("20Gi", "0Gi", "0.1Ki", "99999999999Pi", "1.0000000000001Gi", "100%", "101%", "-1%", "1/0", "2026-02-30"),
    *("10.0.0.256", "10.0.0.1/33", "10.0.0.0/0", "::", "::1/129", "fe80::1%eth0", "10.0.0.9..10.0.0.1", "0.0.0.0"),
    *("52:54:00:00:00:00", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "5254.0000.0001"),
    *(
        "\x00",
        "a\nb",
        "a\r\nb",
        "\t",
        "\x1b[2J",
        "\u202egnp",
        "\u2028",
        "é",
        "😀",
        "\ufeff",
        "{{ .Values.x }}",
        "$(id)",
    ),
    *("Running", "Unmanaged", "vda", "vdb", "sda", "hda", "fda", "vdaa", "default", "kube-system", "A" * 64),
    *([], {}, [[]], [{}], {"": ""}, {"a": {}}, [None], {"name": None}, {"file": "/dev/zero"}, {"env": ""}),
    *(["a"] * 3, [[["a"]]], {"x": {"x": {"x": {}}}}),
)
TOKENS = (
    *("\n---\n", "\n...\n", "<<: *a\n", "&a ", "*a", "!!binary ", "!x ", "? ", "?", "- ", ": ", "{", "}", "[", "]"),
    *(
        "|\n",
        ">-\n",
        "%YAML 1.1\n",
        "#",
        "'",
        '"',
        "\\",
        ",",
        "\t",
        "\x00",
        "\x07",
        "\ud83d",
        "\u2029",
        "\x85",
        "@",
        "`",
    ),
    *(
        "{a: " * 70,
        "[" * 70,
        "- " * 70,
        "1e400",
        "9" * 4400,
        "? {a: 1}\n: 2\n",
        "? [a]\n: b\n",
        "a: 1\na: 2\n",
        "~",
        "=",
    ),
)
MOST_DOCUMENTS = 4
SAVED_PLANS = 0.1  # share of inputs that are saved plans
CLUSTERS = 0.15  # share of inputs that are resources as a cluster shows them
BYTE_LEVEL = 0.15  # share of inputs whose text is changed, not only their values


def make_input(corpus: Corpus, seed: str) -> tuple[str, str]:
    """Name and text of the input that a seed stands for."""
    chance = random.Random(seed)
    if chance.random() < SAVED_PLANS:
        return _saved_plan(corpus, chance)
    if chance.random() < CLUSTERS:
        return _shown(corpus, chance)
    documents = _chosen(corpus, chance)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        if not documents:
            break
        chance.choice(CHANGES)(documents, corpus, chance)
    name, text = _written(documents, corpus, chance)
    if chance.random() < BYTE_LEVEL:
        for _ in range(chance.randint(1, 4)):
            text = chance.choice(TEXT_CHANGES)(text, corpus, chance)
    return name, text


def _saved_plan(corpus: Corpus, chance: random.Random) -> tuple[str, str]:
    """Name and text of a saved plan that was edited."""
    documents: list[Any] = [copy.deepcopy(chance.choice(corpus.plans))]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        chance.choice(CHANGES)(documents, corpus, chance)
        if not documents:
            break
    text = json.dumps(documents[0] if documents else None)
    if chance.random() < BYTE_LEVEL:
        text = chance.choice(TEXT_CHANGES)(text, corpus, chance)
    return "plan.json", text


def _shown(corpus: Corpus, chance: random.Random) -> tuple[str, str]:
    """Name and text of some resources of a cluster that others changed."""
    shown: list[Any] = copy.deepcopy(chance.sample(corpus.shown, k=chance.randint(1, 3)))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if shown:
            chance.choice(CHANGES)(shown, corpus, chance)
    for each in shown:
        if isinstance(each, dict) and chance.random() < 0.2 and isinstance(each.get("metadata"), dict):
            _change_note(each["metadata"], chance)
    return "cluster.json", json.dumps(shown)


def _change_note(metadata: dict[str, Any], chance: random.Random) -> None:
    """Change one of the labels and annotations that reconcile writes: a text, that may hold JSON."""
    notes = metadata.get(chance.choice(("labels", "annotations")))
    if isinstance(notes, dict) and notes:
        name, junk = chance.choice(sorted(map(str, notes))), chance.choice(JUNK)
        notes[name] = junk if isinstance(junk, str) else json.dumps(junk)


def _chosen(corpus: Corpus, chance: random.Random) -> list[Any]:
    """Documents that belong together, with others now and then."""
    found: list[Any] = []
    drawn = chance.random()
    if drawn < 0.4:  # what the populated cluster has: a change of it is a step
        found = chance.sample(corpus.populated, k=min(MOST_DOCUMENTS, len(corpus.populated)))
    elif drawn < 0.8:
        found = documents_of(chance.choice(corpus.texts))
        chance.shuffle(found)
    if not found or chance.random() < 0.3:
        found = [*found[:MOST_DOCUMENTS], *chance.choices(corpus.documents, k=chance.randint(1, 3))]
    return copy.deepcopy(found[:MOST_DOCUMENTS])


def _places(value: Any) -> Iterator[Place]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield value, key
        yield from _places(child)


def _place(documents: list[Any], chance: random.Random) -> Place:
    """A place in one of the documents; below spec more often than not."""
    document = chance.choice(documents)
    inside = document.get("spec", document) if isinstance(document, dict) and chance.random() < 0.8 else document
    places = list(_places(inside)) or [(documents, documents.index(document))]
    return chance.choice(places)


Change = Callable[[list[Any], Corpus, random.Random], None]


def _junk(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    holder, key = _place(documents, chance)
    holder[key] = copy.deepcopy(chance.choice(JUNK))


def _other_value(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    """What stands under that name elsewhere: mostly valid, and another thing than before."""
    holder, key = _place(documents, chance)
    if known := corpus.values.get(str(key)):
        holder[key] = copy.deepcopy(chance.choice(known))


def _without(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    holder, key = _place(documents, chance)
    del holder[key]


def _another_field(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    holder, _ = _place(documents, chance)
    if isinstance(holder, dict):
        name = chance.choice(list(corpus.values))
        holder[name] = copy.deepcopy(chance.choice(corpus.values[name]))


def _renamed_field(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    holder, key = _place(documents, chance)
    if isinstance(holder, dict):
        holder[chance.choice(list(corpus.values))] = holder.pop(key)


def _wrapped(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    holder, key = _place(documents, chance)
    holder[key] = [holder[key]] if chance.random() < 0.5 else {chance.choice(("a", "name", "x")): holder[key]}


def _repeated(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    lists = [(holder, key) for holder, key in _places(documents) if isinstance(holder[key], list) and holder[key]]
    if lists:
        holder, key = chance.choice(lists)
        times = chance.choice((2, 2, 3, 30))
        holder[key] = [copy.deepcopy(each) for each in (*holder[key],) * times][:60]


def _swapped(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    one, other = _place(documents, chance), _place(documents, chance)
    value = copy.deepcopy(one[0][one[1]])
    one[0][one[1]] = copy.deepcopy(other[0][other[1]]) if one[1] in _keys(one[0]) else None
    if other[1] in _keys(other[0]):
        other[0][other[1]] = value


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _duplicated(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    twin = copy.deepcopy(chance.choice(documents))
    if isinstance(twin, dict) and isinstance(twin.get("metadata"), dict) and chance.random() < 0.7:
        twin["metadata"]["name"] = chance.choice(corpus.names)
    documents.append(twin)


def _named(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    """Another name, a former name, or a namespace."""
    document = chance.choice(documents)
    if isinstance(document, dict) and isinstance(document.get("metadata"), dict):
        field = chance.choice(("name", "name", "movedFrom", "namespace"))
        document["metadata"][field] = chance.choice(corpus.names)


def _of_another_kind(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    document = chance.choice(documents)
    if isinstance(document, dict):
        document["kind"] = chance.choice(corpus.values["kind"])


def _listed(documents: list[Any], corpus: Corpus, chance: random.Random) -> None:
    documents[:] = [{"apiVersion": "v1", "kind": "List", "items": documents[:]}]


CHANGES: tuple[Change, ...] = (
    *(_junk, _junk, _junk, _other_value, _other_value, _other_value, _without, _without, _another_field),
    *(_renamed_field, _wrapped, _repeated, _swapped, _duplicated, _named, _of_another_kind, _listed),
)


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(Decimal, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", repr(value)))


def _written(documents: list[Any], corpus: Corpus, chance: random.Random) -> tuple[str, str]:
    if chance.random() < 0.2:
        return "input.json", "\n".join(json.dumps(each, indent=chance.choice((None, 1))) for each in documents)
    flow = chance.choice((None, None, None, True))
    text = yaml.dump_all(documents, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, allow_unicode=True)
    return "input.yaml", str(text)


TextChange = Callable[[str, Corpus, random.Random], str]


def _token(text: str, corpus: Corpus, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(TOKENS) + text[at:]


def _cut(text: str, corpus: Corpus, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + text[at + chance.choice((1, 2, 10, 100, 100_000)) :]


def _doubled(text: str, corpus: Corpus, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + text[at : at + 200] * chance.choice((2, 3, 50)) + text[at + 200 :]


def _spliced(text: str, corpus: Corpus, chance: random.Random) -> str:
    other = chance.choice(corpus.texts)
    return text[: chance.randint(0, len(text))] + other[chance.randint(0, len(other)) :][:3000]


TEXT_CHANGES: tuple[TextChange, ...] = (_token, _token, _cut, _doubled, _spliced)

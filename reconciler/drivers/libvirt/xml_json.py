"""Conversion between libvirt's XML and the JSON of the wire (wire format 5.1)."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element

# Elements that are a list even where there is but one (wire format 5.1), by their path below the root.
_LISTS = {
    *(f"devices/{name}" for name in (
        "disk", "interface", "graphics", "console", "controller", "channel", "video", "input", "serial",
        "hostdev", "redirdev", "rng", "tpm", "sound",
    )),
    "seclabel", "os/boot", "clock/timer", "cpu/feature", "cpu/numa/cell", "vcpus/vcpu", "cputune/vcpupin",
    "memoryBacking/hugepages/page", "disks/disk",
}  # fmt: skip
_ESCAPED = ("interface", "transient")  # these names have an underscore before them
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")


def parsed(text: str) -> Element:
    """The root element of an XML text."""
    return ElementTree.fromstring(text)


def text_of(element: Element) -> str:
    """An element as XML text."""
    return ElementTree.tostring(element, encoding="unicode")


def to_wire(element: Element, path: str = "") -> dict[str, Any]:
    """An element as the wire shows it: attributes with an underscore before them, text under ``text``."""
    shown: dict[str, Any] = {f"_{_escaped(name)}": _scalar(value) for name, value in element.attrib.items()}
    if (text := (element.text or "").strip()) and not len(element):
        shown["text"] = _scalar(text)
    for child in element:
        below = f"{path}/{child.tag}".lstrip("/")
        key, value = _escaped(child.tag), to_wire(child, below)
        if key in shown:
            known = shown[key]
            shown[key] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            shown[key] = [value] if below in _LISTS and value else value
    return shown


def from_wire(tag: str, value: dict[str, Any]) -> Element:
    """The element that ``to_wire`` shows so."""
    element = Element(tag)
    for key, part in value.items():
        if isinstance(part, dict):
            element.append(from_wire(key.lstrip("_"), part))
        elif isinstance(part, list):
            element.extend(from_wire(key.lstrip("_"), each) for each in part)
        elif key == "text":
            element.text = str(part)
        else:
            element.set(key.lstrip("_"), str(part))
    return element


def _escaped(name: str) -> str:
    if name in _ESCAPED or name == "interfaceid":
        return f"_{name}"
    return name


def _scalar(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def mac_of(nic: Element) -> str:
    """The MAC address of a NIC, in lower case; empty if none is given."""
    mac = nic.find("mac")
    return "" if mac is None else mac.get("address", "").lower()

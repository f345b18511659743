"""The addresses of NICs as the wire has them, whoever reports them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import TypeAlias

from reconciler.model.wire import ADDRESS_SOURCES

Reported: TypeAlias = Mapping[str, Iterable[str]]
"""MAC in lower case -> its addresses, as one source tells them."""

Addresses: TypeAlias = list[dict[str, str]]
"""The value of ``spec.addresses``: ``mac``, ``address`` and ``source`` of each."""

LIMIT = 16  # addresses of a NIC: a guest may report any number


def wire_addresses(macs: Iterable[str], reported: Mapping[str, Reported]) -> Addresses:
    """Source -> what it reports, put together for the NICs with these MACs.

    An address has the surest of the sources that know it; NICs are in the order of the MACs, IPv4 comes before IPv6.
    What is no address, or one that is of no use outside of the guest (loopback, link-local), is left out: a guest says
    whatever it likes.
    """
    return [each for mac in dict.fromkeys(macs) for each in islice(_of(mac, reported), LIMIT)]


def _of(mac: str, reported: Mapping[str, Reported]) -> Iterator[dict[str, str]]:
    sources: dict[IPv4Address | IPv6Address, str] = {}
    for source in ADDRESS_SOURCES:
        for text in reported.get(source, {}).get(mac, ()):
            address = _usable(text)
            if address is not None:
                sources.setdefault(address, source)
    for address in sorted(sources, key=lambda each: (each.version, int(each))):
        yield {"mac": mac, "address": str(address), "source": sources[address]}


def _usable(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    useless = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return None if useless or getattr(address, "scope_id", None) else address

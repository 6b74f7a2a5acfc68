"""Where calls to providers may go in production; the addresses come from settings alone."""

import ipaddress
import socket
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

# Names and addresses under which clouds hand credentials to whoever asks from inside.
METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def url_fault(url: str) -> str | None:
    """What is wrong with a provider's base address, as the end of a sentence; ``None`` for a good one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # asking for a port that is none raises
    except ValueError:
        return "is not an address."
    if parts.scheme not in ("http", "https") or not host:
        return "is not an address that begins with https://."
    if parts.username is not None or parts.query or parts.fragment:
        return "holds more than a host, a port and a path."
    if parts.scheme == "http" and not _is_this_machine(host):
        return "is not https, so credentials would travel in clear."
    return host_fault(host)


def host_fault(host: str) -> str | None:
    """What is wrong with a provider's host name or address, as the end of a sentence."""
    name = host.rstrip(".").lower()
    address = _address(name)
    if name in METADATA_NAMES or address in METADATA_ADDRESSES:
        return "names a cloud's metadata service."
    if address and (address.is_link_local or address.is_multicast or address.is_unspecified):
        return "is a link-local, multicast or unspecified address."
    return None


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> Address | None:
    """The address a host is in any spelling a socket takes, such as ``0xA9FEA9FE``; ``None`` for a name."""
    found: Address | None = None
    with suppress(ValueError):
        found = ipaddress.ip_address(host.partition("%")[0])
    if found is None:
        with suppress(OSError, ValueError):
            found = ipaddress.ip_address(socket.inet_aton(host))
    return getattr(found, "ipv4_mapped", None) or found

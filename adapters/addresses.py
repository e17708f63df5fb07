"""Where a source may be: a name of its declared host must not lead to the machine itself, to the metadata service of a
cloud, or out of the networks its mapping names. Addresses are checked when a connection is made, so no name can change
its meaning in between (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA = frozenset(map(ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")))
"""Where clouds tell their machines secrets; some of these are no link-local addresses."""

TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::/96"))
"""IPv6 that carries an IPv4 address in its last 32 bits (RFC 6052, RFC 4291 §2.5.5.1)."""


class ForbiddenAddress(OSError):
    """解析所得的地址不在允许之列"""


def check_address(text: str, host: str, networks: Sequence[Network]) -> None:
    """Raises ForbiddenAddress unless a connection for `host` may go to this address."""
    address = _plain(ip_address(text.partition("%")[0]))
    if _is_never_a_source(address) or not _is_declared(address, host, networks):
        raise ForbiddenAddress(ForbiddenAddress.__doc__)


def literal(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


async def resolve(host: str, port: int, networks: Sequence[Network]) -> list[str]:
    """The addresses of a host that may be connected to, in the resolver's order. Raises OSError, also when there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed: dict[str, None] = {}
    for *_, place in found:
        try:
            check_address(str(place[0]), host, networks)
        except ForbiddenAddress:
            continue
        allowed[str(place[0])] = None
    if not allowed:
        raise ForbiddenAddress(ForbiddenAddress.__doc__)
    return list(allowed)


def _is_never_a_source(address: Address) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in METADATA
        or address == IPv4Address("255.255.255.255")
    )


def _is_declared(address: Address, host: str, networks: Sequence[Network]) -> bool:
    """A literal means itself; a name may mean this machine only when it says so, or when `networks` do."""
    written = literal(host)
    if written is not None and address != _plain(written):
        return False
    if networks:
        return any(address in network for network in networks if network.version == address.version)
    return not address.is_loopback or written is not None or host.lower().rstrip(".") == "localhost"


def _plain(address: Address) -> Address:
    """The IPv4 address in an IPv6 one that only carries it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if not address.is_loopback and not address.is_unspecified and any(address in net for net in TRANSLATED):
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address

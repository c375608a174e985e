"""What a target names: is it something that gRPC connects to, and is it on this machine.

What gRPC makes of other texts it says late, or not at all.
"""

import re
from contextlib import suppress
from ipaddress import ip_address

_SCHEMES = {"dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds", "google-c2p"}
"""Source: gRPC, "Name Resolution" (doc/naming.md)."""

_PORT = re.compile(r":(\d+)$", re.ASCII)
_MAX_PORT = 65_535
_SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)", re.IGNORECASE)
_WANTED = "target must be host:port, or a name as gRPC writes it such as dns:///host:port"


def check_target(target: str) -> None:
    """Refuse what can't be meant.

    Raises:
        ValueError: it is empty, a URL of another protocol, has blanks in it, or a port that there is not.
    """
    if not target or any(character.isspace() for character in target):
        raise ValueError(f"{_WANTED}, got {target!r}")
    scheme, separator, _ = target.partition("://")
    if separator and scheme.lower() not in _SCHEMES:
        raise ValueError(f"{_WANTED}, without {scheme}://, got {target!r}")
    port = _PORT.search(target)
    # gRPC takes the rest of a division by 65,536.
    if port and not target.startswith(("unix", "vsock")) and not 0 < int(port[1]) <= _MAX_PORT:
        raise ValueError(f"a port is from 1 to {_MAX_PORT}, got {target!r}")


def is_on_this_machine(target: str) -> bool:
    """Tell whether a target is ``localhost`` or a loopback address: a proxy cannot reach those."""
    host = _PORT.sub("", _SCHEME.sub("", target)).strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"

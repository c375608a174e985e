"""Where a server listens: each address of a host, on both families if it is a wildcard, and why it can't in words.

gRPC names no cause when it can't listen, so its addresses are tried here first.
"""

import errno
import socket

from ingestor.errors import ConfigurationError, words_of

EVERY_ADDRESS = "::"
"""Every address of the machine, of both families; so is 0.0.0.0, because gRPC makes no difference."""

_WILDCARDS = frozenset({EVERY_ADDRESS, "0.0.0.0", ""})  # noqa: S104 - names it, does not bind it
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""The machine does not have this address, or none of this family at all."""
_ATTEMPTS = 10
"""Free ports tried if a name has several addresses: the port of the first may be taken on the next."""

_Address = tuple[socket.AddressFamily, tuple[str | int, ...] | tuple[int, bytes]]


def host_port(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int, setting: str) -> list[socket.socket]:
    """Return a listening socket for each address of ``host`` that this machine has, all with one port.

    ``host`` is an address, with or without brackets, or a name. ``port`` 0 takes a free one. ``setting`` is what the
    variables' names begin with, such as ``INGESTOR_HTTP``, for the error.

    Raises:
        ConfigurationError: it has no such address, or may not listen there; the text says why.
    """
    bound = _bind_host(host, port, setting)
    try:
        for one in bound:
            one.listen()
    except OSError as error:
        _close(bound)
        raise _refused(error, host, port, setting) from error
    return bound


def find_addresses(host: str, port: int, setting: str) -> list[str]:
    """Return the numeric hosts on which ``listen`` can listen, for a library that does it by itself.

    Raises:
        ConfigurationError: see ``listen``.
    """
    bound = _bind_host(host, port, setting)
    try:
        return [_numeric(one) for one in bound]
    finally:
        _close(bound)


def _bind_host(host: str, port: int, setting: str) -> list[socket.socket]:
    plain = _without_brackets(host)
    try:
        if plain in _WILDCARDS:
            return [_bind_every_address(port)]
        return _bind_all(_resolve(plain, port), port)
    except (OSError, UnicodeError) as error:
        raise _refused(error, host, port, setting) from error


def _without_brackets(host: str) -> str:
    """Return a host as the system takes it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _refused(error: Exception, host: str, port: int, setting: str) -> ConfigurationError:
    plain = _without_brackets(host)
    return ConfigurationError(f"can't listen on {host_port(plain, port)}: {_explain(error, plain, setting)}")


def _bind_every_address(port: int) -> socket.socket:
    try:
        return _bind(socket.AF_INET6, (EVERY_ADDRESS, port), dual=True)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - a machine without IPv6


def _resolve(host: str, port: int) -> list[_Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: list[_Address], port: int) -> list[socket.socket]:
    """Bind each address with one port, a free one if ``port`` is 0."""
    for _ in range(_ATTEMPTS):
        try:
            return _bind_present(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _bind_present(addresses, port)


def _bind_present(addresses: list[_Address], port: int) -> list[socket.socket]:
    """Bind each address; those that the machine does not have are left out unless it has none of them."""
    bound: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in addresses:
        try:
            bound.append(_bind(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno not in _ABSENT:
                _close(bound)
                raise
            absent = error
        else:
            port = bound[0].getsockname()[1]
    if absent is not None and not bound:
        raise absent
    return bound


def _bind(family: int, address: tuple[object, ...], *, dual: bool = False) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As servers do: connections of an earlier run may linger on the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _numeric(bound: socket.socket) -> str:
    return socket.getnameinfo(bound.getsockname(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _explain(error: Exception, host: str, setting: str) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"no address is known for this name; correct {setting}_HOST"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"another process has the port; stop it, or set {setting}_PORT"
    if number == errno.EADDRNOTAVAIL:
        return f"this machine does not have the address; correct {setting}_HOST"
    if number == errno.EAFNOSUPPORT:
        return f"this machine has no {'IPv6' if ':' in host else 'IPv4'}; correct {setting}_HOST"
    if number in (errno.EACCES, errno.EPERM):
        return f"this process may not take the port, below 1024 it needs a right of its own; set {setting}_PORT"
    return f"{words_of(error)}; correct {setting}_HOST or {setting}_PORT"

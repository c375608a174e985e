"""HTTP/2 frames by hand: clients that no gRPC library lets one write, such as slow, silent and flooding ones."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from hpack import Decoder

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
FRAME_BYTES = 16_384

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_INITIAL_WINDOW = 65_535
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
WRITE_PATH = "/analytics.v1.AnalyticsService/Write"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Encode one frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def grpc_message(content: bytes) -> bytes:
    """Put gRPC's prefix before a message: not compressed, its length."""
    return b"\0" + len(content).to_bytes(4, "big") + content


def _text(text: str) -> bytes:
    """Encode a text without Huffman coding."""
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    length, rest = bytearray([127]), len(raw) - 127
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    length.append(rest)
    return bytes(length) + raw


def header_block(path: str, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """Encode the headers of a call, every one literally and none remembered."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *metadata,
    ]
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


class Frame(NamedTuple):
    """A frame of an answer, HEADERS or DATA."""

    kind: int
    flags: int
    payload: bytes


@dataclass(slots=True)
class Stream:
    """One call as its client sees it."""

    window: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reset_code: int | None = None
    answer: list[Frame] = field(default_factory=list)

    def headers(self) -> list[dict[str, str]]:
        """Return the fields of each header frame of the answer."""
        blocks = (Decoder().decode(one.payload, raw=True) for one in self.answer if one.kind == HEADERS)
        return [{bytes(name).decode(): bytes(value).decode() for name, value, *_ in block} for block in blocks]


class RawConnection:
    """A connection that does what it is told, and answers SETTINGS; only ``send_message`` heeds flow control."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._window = _INITIAL_WINDOW
        self._stream_window = _INITIAL_WINDOW
        self._room = asyncio.Event()
        self._next = 1
        self.streams: dict[int, Stream] = {}
        self.pings_answered = 0
        self.goaway: int | None = None
        self.closed = asyncio.Event()

    async def call(self, path: str = WRITE_PATH, metadata: Sequence[tuple[str, str]] = (), *, end: bool = False) -> int:
        """Open a call and return its stream's number."""
        number, self._next = self._next, self._next + 2
        self.streams[number] = Stream(self._stream_window)
        flags = END_HEADERS | (END_STREAM if end else 0)
        await self.send(frame(HEADERS, flags, number, header_block(path, metadata)))
        return number

    async def send(self, frames: bytes) -> None:
        """Write frames as they are."""
        self._writer.write(frames)
        await self._writer.drain()

    async def send_data(self, number: int, content: bytes, *, end: bool = False) -> None:
        """Send a little of a body, whatever the window is."""
        await self.send(frame(DATA, END_STREAM if end else 0, number, content))

    async def send_message(self, number: int, message: memoryview) -> bool:
        """Send a whole body as fast as the windows allow; return whether the server took all of it."""
        stream = self.streams[number]
        while message:
            size = min(FRAME_BYTES, len(message), stream.window, self._window)
            if size <= 0:
                self._room.clear()
                await self._room.wait()
            if stream.ended.is_set() or self.closed.is_set():
                return False
            if size > 0:
                stream.window -= size
                self._window -= size
                part, message = bytes(message[:size]), message[size:]
                await self.send_data(number, part, end=not message)
        return True

    async def ping(self, count: int = 1) -> None:
        """Send so many pings at once."""
        await self.send(frame(PING, 0, 0, b"12345678") * count)

    async def reset(self, number: int) -> None:
        """Give a call up."""
        await self.send(frame(RST_STREAM, 0, number, CANCEL.to_bytes(4, "big")))

    async def listen(self) -> None:
        """Read frames until the connection ends."""
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFF_FFFF, payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            self._room.set()
            for stream in self.streams.values():
                stream.ended.set()

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            self._change_windows(payload)
            self._writer.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING:
            if flags & ACK:
                self.pings_answered += 1
            else:
                self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            if stream is not None:
                stream.window += int.from_bytes(payload, "big")
            elif number == 0:
                self._window += int.from_bytes(payload, "big")
            self._room.set()
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif stream is not None and kind in (DATA, HEADERS, RST_STREAM):
            self._take_answer(stream, kind, flags, payload)

    def _take_answer(self, stream: Stream, kind: int, flags: int, payload: bytes) -> None:
        if kind == RST_STREAM:
            stream.reset_code = int.from_bytes(payload, "big")
        else:
            stream.answer.append(Frame(kind, flags, payload))
        if kind == RST_STREAM or flags & END_STREAM:
            stream.ended.set()
            self._room.set()

    def _change_windows(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack("!HI", payload):
            if name == _INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
        self._room.set()


@asynccontextmanager
async def raw_connection(port: int, *, listen: bool = True) -> AsyncIterator[RawConnection]:
    """Connect to a server on this machine; one that does not ``listen`` never reads what it is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = RawConnection(reader, writer)
    no_table = struct.pack("!HI", _HEADER_TABLE_SIZE, 0)  # so that each answer's headers can be read by themselves
    await connection.send(_PREFACE + frame(SETTINGS, 0, 0, no_table))
    listener = asyncio.create_task(connection.listen()) if listen else None
    try:
        yield connection
    finally:
        if listener is not None:
            listener.cancel()
        writer.transport.abort()

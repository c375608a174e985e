"""TimescaleDB under its community licence: PGlite in a Node process, behind the part of asyncpg that the schema uses.

One session that all tests of a process share, so that locks of others can't be tried there, and nothing runs jobs.
"""

import asyncio
import json
import selectors
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

ENGINE = "PGlite: PostgreSQL 17, TimescaleDB 2.23 community"

_DIRECTORY = Path(__file__).parents[1] / "community"
_START_S = 60.0
_STATEMENT_S = 60.0


def _array(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a reader of one-dimensional arrays in PostgreSQL's text form."""

    def read(text: str) -> list[Any]:
        items, item, quoted, escaped = [], "", False, False
        for character in text[1:-1]:
            if escaped or (character not in '\\",'):
                item, escaped = item + character, False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = not quoted
            elif quoted:
                item += character
            else:
                items.append(item)
                item = ""
        return [convert(one) for one in ([*items, item] if len(text) > len("{}") else [])]

    return read


_READERS: Mapping[int, Callable[[str], Any]] = {
    16: lambda text: text == "t",
    20: int,
    21: int,
    23: int,
    26: int,
    700: float,
    701: float,
    1003: _array(str),
    1007: _array(int),
    1009: _array(str),
    1016: _array(int),
    1184: datetime.fromisoformat,
}
"""How values of a type, by its oid, are read from text; of every other type the text is taken."""


class Row(dict[str, Any]):
    """A row whose values are found by name and by position."""

    def __getitem__(self, key: str | int) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


class CommunityConnection:
    """The connection; every wait has a deadline."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._read(_START_S)

    async def execute(self, sql: str, *parameters: object, timeout: float | None = None) -> str:
        """Run a statement, or several where there are no parameters."""
        answer = await self._ask(sql, [*parameters] if parameters else None, timeout)
        return f"ROWS {answer.get('affected', len(answer.get('rows', ())))}"

    async def fetch(self, sql: str, *parameters: object, timeout: float | None = None) -> list[Row]:
        """Return the rows of a query."""
        answer = await self._ask(sql, [*parameters], timeout)
        readers = [(name, _READERS.get(oid, str)) for name, oid in answer["fields"]]
        return [
            Row(
                (name, None if text is None else reader(text))
                for (name, reader), text in zip(readers, row, strict=True)
            )
            for row in answer["rows"]
        ]

    async def fetchrow(self, sql: str, *parameters: object, timeout: float | None = None) -> Row | None:
        """Return the first row, None where there is none."""
        rows = await self.fetch(sql, *parameters, timeout=timeout)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *parameters: object, timeout: float | None = None) -> Any:
        """Return the first value of the first row, None where there is none."""
        row = await self.fetchrow(sql, *parameters, timeout=timeout)
        return None if row is None else row[0]

    async def _ask(self, sql: str, parameters: list[object] | None, timeout_s: float | None) -> dict[str, Any]:
        return await asyncio.to_thread(self._exchange, sql, parameters, timeout_s or _STATEMENT_S)

    def _exchange(self, sql: str, parameters: list[object] | None, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"sql": sql, "parameters": parameters}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._read(min(timeout_s, _STATEMENT_S))
        if "error" in answer:
            raise asyncpg.PostgresError.new({"S": "ERROR"} | {k: v for k, v in answer["error"].items() if v})
        return answer

    def _read(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(timeout_s), f"{ENGINE} was silent for {timeout_s} s"
        line = self._process.stdout.readline()
        assert line, f"{ENGINE} ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def community_server() -> Iterator[CommunityConnection]:
    """Run the engine until the body ends."""
    command = ["node", "serve.mjs"]
    with subprocess.Popen(command, cwd=_DIRECTORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield CommunityConnection(process)
        finally:
            process.kill()

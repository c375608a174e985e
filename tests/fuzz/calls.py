"""Messages and metadata that libFuzzer makes up, as calls to the server at ``FUZZ_TARGET``; see ``fuzz.server``.

Each is decoded here as well: the decoder's coverage leads libFuzzer to messages that get through it.
"""

import os
import sys
from contextlib import suppress

import atheris
import grpc

with atheris.instrument_imports(include=["ingestor.pipeline"]):
    from ingestor.errors import InvalidRequestError
    from support.decoding import new_decoder

from fuzz.corpus import write_corpus
from support.service import SERVICE

CALL_TIMEOUT_S = 20.0
_FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


def main() -> None:
    """Send until the time given to libFuzzer is over: OK or a refusal, never a fault of the server's."""
    channel = grpc.insecure_channel(os.environ["FUZZ_TARGET"])
    calls = [channel.unary_unary(f"{SERVICE}/{name}", None, None) for name in ("Write", "LogMetric")]

    decoder = new_decoder(cache_bytes=1 << 20)

    def one(data: bytes) -> None:
        """Take the first byte for method and metadata, the others for the message."""
        choice = data[0] if data else 0
        with suppress(InvalidRequestError):
            (decoder.decode_log_metric if choice & 1 else decoder.decode_write)(data[1:])
        metadata: list[tuple[str, str | bytes]] = []
        if choice & 2:
            metadata.append(("x-idempotency-key", data[1:37].hex()[: choice >> 2]))
        if choice & 4:
            metadata.append(("x-ack", "buffered" if choice & 8 else data[1:9].hex()))
        try:
            calls[choice & 1](data[1:], timeout=CALL_TIMEOUT_S, metadata=tuple(metadata))
        except grpc.RpcError as error:
            if error.code() not in _FINE:
                raise AssertionError(f"{error.code()} for {data!r}") from error

    atheris.Setup([*sys.argv, str(write_corpus("server"))], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

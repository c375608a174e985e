"""Bytes that coverage leads to, at the decoder: it makes of them what a naive reading does, or refuses them."""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["ingestor.pipeline", "ingestor.points"]):
    from ingestor.errors import InvalidRequestError
    from support.decoding import check_against_naive_reading, new_decoder

from fuzz.corpus import write_corpus


def main() -> None:
    """Fuzz until the time given to libFuzzer is over."""
    decoder = new_decoder(cache_bytes=1 << 20)

    def one(data: bytes) -> None:
        check_against_naive_reading(decoder, data)
        with suppress(InvalidRequestError):
            decoder.decode_log_metric(data)

    atheris.Setup([*sys.argv, str(write_corpus("decoder"))], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Bytes that coverage leads to, at the decoder: it makes of them what a naive reading does, or refuses them."""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["ingestor.pipeline", "ingestor.points"]):
    from ingestor.errors import InvalidRequestError
    from ingestor.pipeline.decode import Decoder
    from support.decoding import LIMITS, NOW_US, check_against_naive_reading, new_decoder

from fuzz.corpus import write_corpus
from support.wire import Window, read_naively

WINDOW = Window(NOW_US, LIMITS.behind_us, LIMITS.ahead_us)


def main() -> None:
    """Fuzz until the time given to libFuzzer is over."""
    decoder = new_decoder(cache_bytes=1 << 20)

    def one(data: bytes) -> None:
        if read_naively(data, WINDOW).refusal is None:
            check_against_naive_reading(decoder, data)
        elif not _refuses(decoder, data):  # for the same fault or another: a request may have several
            raise AssertionError("taken, and a naive reading refuses it")
        with suppress(InvalidRequestError):
            decoder.decode_log_metric(data)

    atheris.Setup([*sys.argv, str(write_corpus("decoder"))], one)
    atheris.Fuzz()


def _refuses(decoder: Decoder, data: bytes) -> bool:
    try:
        decoder.decode_write(data)
    except InvalidRequestError:
        return True
    return False


if __name__ == "__main__":
    main()

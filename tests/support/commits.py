"""Tell a flush's COMMIT from those of other transactions: a COPY came before it."""

_COPY = b"COPY "
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_COMMIT_DONE = b"C\x00\x00\x00\x0bCOMMIT\x00"


class FlushCommits:
    """What one connection's bytes say of its flushes."""

    def __init__(self) -> None:
        self._copied = False
        self._sent = False

    def sends(self, data: bytes) -> bool:
        """Return True if ``data`` is the COMMIT of a flush."""
        if data[:1] == b"Q" and data[5:].startswith(_COPY):
            self._copied = True
        if data != _COMMIT:
            return False
        self._sent, self._copied = self._copied, False
        return self._sent

    def answers(self, data: bytes) -> bool:
        """Return True if ``data`` answers the COMMIT of a flush."""
        if not self._sent or _COMMIT_DONE not in data:
            return False
        self._sent = False
        return True

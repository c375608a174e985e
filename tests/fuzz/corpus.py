"""Where fuzzing starts: requests as clients write them."""

import tempfile
from pathlib import Path

from analytics.v1 import ingestor_pb2 as pb
from support.decoding import NOW_NS
from support.points import columns, key_bytes, rows


def write_corpus(name: str) -> Path:
    """Write the requests into a folder and return it; libFuzzer adds what it finds."""
    folder = Path(tempfile.gettempdir()) / f"ingestor-fuzz-{name}"
    folder.mkdir(exist_ok=True)
    single = pb.LogMetricsRequest(service_name="s", metric_name="m", value=-5, labels=[pb.Label(name="a", value="b")])
    single.timestamp.FromNanoseconds(NOW_NS)
    requests = (rows([1.0, 2.0]), columns(20, series=3), columns(5, key=key_bytes()), single)
    for number, request in enumerate(requests):
        message = request.SerializeToString()
        (folder / f"seed{number}").write_bytes(bytes([number // 3]) + message if name == "server" else message)
    return folder

"""The figures of a run as a page of Markdown: ratios first, then where the time goes."""

from collections.abc import Sequence
from datetime import UTC, datetime

from ingestor.bench.rungs import Results, Rung, Wait
from ingestor.bench.stages import Stages

RATIOS_PLOT, PROFILE_PLOT = "benchmarks-ratios.png", "benchmarks-profile.png"

_INTRODUCTION = """\
# Benchmarks

Written by `make bench`; do not edit. All figures are of one run: {pairs} interleaved pairs, medians, client, server and
database together on one machine that others use too. Read the ratios; points per second are this machine's.

The limit of columns and rows is **L1**: asyncpg replaying the same rows, encoded and sorted beforehand, with binary
COPY in transactions of the server's mean flush over the same two connections into the same hypertable. The ratio is to
L1 beside a parked process that burns the share of a core which the load client took. The limit of single calls is an
empty `grpc.aio` server on the same event loop with the same client; that of traced paths the same path through a server
without tracing. Answers are `committed`, with ledger and durability
on, where nothing else is said; in every run the points acked were counted in the table.

Data: random walks with two labels, 10,000 series where nothing else is said, 10 s apart, seed 1; requests are encoded
beforehand and carry a key each; single calls are those of the original interface, without one, where none is named.
"""


def write_report(results: Results, stages: Sequence[Stages], machine: Sequence[tuple[str, str]]) -> str:
    """Return the page."""
    return "\n".join(
        [
            _INTRODUCTION.format(pairs=results.pairs),
            f"Made on {datetime.now(UTC):%Y-%m-%d}.",
            "",
            *_table(("machine", ""), machine),
            "## Throughput",
            "",
            f"![Ratio to the limit of each path]({RATIOS_PLOT})",
            "",
            *_table(
                ("path", "points/s", "limit alone", "limit beside the client", "ratio", "must", "goal"),
                [_throughput(rung) for rung in results.rungs],
            ),
            "## Waits and memory",
            "",
            *_table(("wait", "median", "must", "goal"), [_wait(wait) for wait in results.waits]),
            f"Largest memory of a server in all of these: {results.peak_bytes / 1024**2:.0f} MiB.",
            "",
            "## Where the time goes",
            "",
            "CPU time per point, in microseconds. What the server takes beyond its own stages is gRPC, asyncpg, the",
            "event loop and the kernel's copies.",
            "",
            f"![CPU time per point of client, server and database]({PROFILE_PLOT})",
            "",
            *_table(
                ("path", "client", "server", "database", "database in L1"),
                [_profile(rung) for rung in results.rungs],
            ),
            "The server's own stages, each alone, in nanoseconds per point:",
            "",
            *_table(
                ("request", "decode, shape not seen before", "decode, shape known", "sort and encode for COPY"),
                [_stages(one) for one in stages],
            ),
        ]
    )


def _throughput(rung: Rung) -> tuple[str, ...]:
    bounds = (f"{rung.must:.2f}", f"{rung.goal:.2f}") if rung.must else ("–", "–")
    rates = (f"{rung.median(figure):,.0f}" for figure in ("rate", "limit", "shared_limit"))
    return (rung.name, *rates, f"**{rung.ratio:.2f}**", *bounds)


def _wait(wait: Wait) -> tuple[str, ...]:
    return (wait.name, *(f"{seconds * 1000:.1f} ms" for seconds in (wait.median_s, wait.must_s, wait.goal_s)))


def _profile(rung: Rung) -> tuple[str, ...]:
    figures = [rung.cpu(process) for process in ("client", "server", "database")]
    figures.append(rung.cpu("database", of_limit=True))
    return (rung.name, *(f"{seconds * 1e6:.2f}" if seconds else "–" for seconds in figures))


def _stages(stages: Stages) -> tuple[str, ...]:
    figures = (stages.first_decode_ns, stages.known_decode_ns, stages.encode_ns)
    return (stages.shape.name, *(f"{figure:.0f}" for figure in figures))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)] if len(head) > 2 else ["---"] * len(head), *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]

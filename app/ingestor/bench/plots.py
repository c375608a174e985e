"""The report's two pictures. They need matplotlib, which the extra ``bench`` installs."""

from collections.abc import Sequence
from pathlib import Path

from ingestor.bench.report import PROFILE_PLOT, RATIOS_PLOT
from ingestor.bench.rungs import Results, Rung
from ingestor.errors import ConfigurationError

_PROCESSES = (("client", "#9aa5b1"), ("server", "#2f6f9f"), ("database", "#c9803c"))
_BAR, _MUST, _GOAL = "#2f6f9f", "#c0392b", "#2e8b57"


def draw_plots(results: Results, folder: Path) -> None:
    """Write both pictures into ``folder``.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: F401
    except ImportError:
        raise ConfigurationError("plots need matplotlib: pip install 'analytics-ingestor[bench]'") from None
    _draw_ratios(results.rungs, folder / RATIOS_PLOT)
    _draw_profile([rung for rung in results.rungs if rung.index], folder / PROFILE_PLOT)


def _draw_ratios(rungs: Sequence[Rung], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.5 * len(rungs) + 1.2), layout="constrained")
    axes = figure.subplots()
    names = [rung.name for rung in rungs]
    axes.barh(names, [rung.ratio for rung in rungs], color=_BAR, height=0.6)
    for position, rung in enumerate(rungs):
        ratios = [pair.rate / pair.shared_limit for pair in rung.pairs]
        axes.plot(ratios, [position] * len(ratios), "|", color="black", markersize=9)
        for value, colour in ((rung.must, _MUST), (rung.goal, _GOAL)):
            if value:
                axes.plot([value, value], [position - 0.42, position + 0.42], color=colour, linewidth=2)
    axes.axvline(1.0, color="grey", linewidth=0.8)
    figure.supxlabel("ratio to the limit; ticks: single pairs, red: must, green: goal", fontsize="medium")
    axes.invert_yaxis()
    figure.savefig(path, dpi=110)


def _draw_profile(rungs: Sequence[Rung], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.5 * len(rungs) + 1.4), layout="constrained")
    axes = figure.subplots()
    names = [rung.name for rung in rungs]
    left = [0.0] * len(rungs)
    for process, colour in _PROCESSES:
        costs_us = [rung.cpu(process) * 1e6 for rung in rungs]
        axes.barh(names, costs_us, left=left, color=colour, height=0.6, label=process)
        left = [start + cost for start, cost in zip(left, costs_us, strict=True)]
    axes.set_xlabel("CPU time per point, microseconds")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)

"""A dashboard's panels as one picture, to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 3
LINES = 12
"""More series than these would only cover each other."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one panel shows: times in seconds before now and values, by the names of its series."""

    title: str
    unit: str
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]]


def draw(panels: Sequence[Drawn], path: Path) -> None:
    """Write the picture."""
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(6 * COLUMNS, 3 * rows), layout="constrained")
    places = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axes, panel in zip(places, panels, strict=False):
        _draw_one(axes, panel)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=60)


def _draw_one(axes: Axes, panel: Drawn) -> None:
    axes.set_title(f"{panel.title} [{panel.unit}]", fontsize=9)
    axes.tick_params(labelsize=7)
    for name, (times, values) in list(panel.series.items())[:LINES]:
        axes.plot(times, values, label=name or "all", linewidth=1, marker="." if len(values) < 3 else "")
    _, top = axes.get_ylim()
    axes.set_ylim(bottom=-0.03 * top, top=top)  # a line at 0 is seen
    if panel.series:
        axes.legend(fontsize=6, loc="upper left")

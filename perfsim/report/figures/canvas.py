"""The sheet that pictures are drawn on: style, colours, units, files. matplotlib is imported here alone.

The colours are those of Okabe and Ito (Color Universal Design, 2008), which colour-blind readers tell apart; marks
differ in shape or place as well.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perfsim.errors import missing_extra
from perfsim.report.text import shortened

if TYPE_CHECKING:
    import numpy as np

    Numbers = Sequence[float] | np.ndarray[Any, Any]

DARK, GREY, PALE = "#222222", "#666666", "#dddddd"
PARTS = {  # of a layer's time, and what bounds it
    "ddr": "#D55E00",
    "matrix": "#0072B2",
    "vector": "#009E73",
    "weights": "#E69F00",
    "stream": "#CC79A7",
    "overhead": "#999999",
}
KINDS = {  # of what lies in internal memory
    "feature map": "#56B4E9",
    "weight": "#E69F00",
    "prefetch": "#F0E442",
    "tiles": "#999999",
}
MARKERS = {"ddr": "o", "matrix": "s", "vector": "^", "stream": "v", "weights": "D", "overhead": "P"}
SUFFIXES = (".svg", ".png")
PNG_DOTS_PER_INCH = 200
LEGEND_SIZE = 7.5  # [points]
LEGEND_ROOM = 0.95  # of the picture's width, at most

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "legend.fontsize": LEGEND_SIZE,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "svg.hashsalt": "perfsim",  # the same picture gives the same bytes
    "text.parse_math": False,  # a name may hold a dollar sign
}
_NO_DATES = {"Date": None, "Creator": None}


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Our style, whatever the user's own matplotlibrc says; raises MissingExtraError without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise missing_extra("pictures need the library matplotlib", "plot") from None
    with mpl.rc_context(), warnings.catch_warnings():
        # a name in a script that the font lacks: an SVG keeps its text, a PNG shows boxes
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width_in: float, height_in: float) -> Any:
    """An empty figure of so many inches that can measure its texts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def picture_bytes(figure: Any, suffix: str, title: str) -> bytes:
    """The figure as a file of the format that `suffix` names, with its title for those who do not see it."""
    buffer = io.BytesIO()
    form = suffix.removeprefix(".")
    metadata = (
        {"Title": title, **_NO_DATES} if form == "svg" else {"Title": title, "Software": None}
    )
    figure.savefig(buffer, format=form, dpi=PNG_DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def headed(figure: Any, axes: Any, title: str, facts: str) -> None:
    """The title of a figure, and what must be known of the run in smaller letters above its uppermost axes."""
    import textwrap

    across = int((figure.get_figwidth() - 1.2) * 15.5)
    figure.suptitle(plain(title), x=0.01, ha="left", fontsize=10, fontweight="bold", color=DARK)
    axes.set_title(
        "\n".join(textwrap.wrap(plain(facts), across)), loc="left", x=0, color=GREY, fontsize=7.5
    )


def settle(figure: Any) -> None:
    """Give the axes their final places, so that there is no other layout of what is measured from now on."""
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")


def legend_below(
    figure: Any, handles: Sequence[Any], columns: int = 5, title: str | None = None
) -> None:
    """A legend under the axes, outside the data, in as many columns as there is room for, at most `columns`.

    title: a sentence above its entries.
    """
    head = {"title": title, "title_fontsize": LEGEND_SIZE}
    # letters are a little wider in a file of another resolution than where they are measured
    room = LEGEND_ROOM * figure.bbox.width
    for count in range(min(columns, len(handles)), 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=count, **head)
        if count == 1 or legend.get_window_extent().width < room:
            return
        legend.remove()


def swatch(label: str, **look: Any) -> Any:
    """A rectangle for a legend."""
    from matplotlib.patches import Patch

    return Patch(label=label, **look)


def stroke(label: str, **look: Any) -> Any:
    """A line, or with a marker a point, for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **look)


def rectangles(
    axes: Any,
    left: Numbers,
    bottom: Numbers,
    width: Numbers,
    height: Numbers,
    name: str,
    **look: Any,
) -> None:
    """Rectangles of one look, in data coordinates, as one shape: an SVG stays small.

    name: the shape's id in an SVG. Nothing is drawn for no rectangles.
    """
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    x, y = np.asarray(left, dtype=float), np.asarray(bottom, dtype=float)
    if not x.size:
        return
    right, top = x + np.asarray(width, dtype=float), y + np.asarray(height, dtype=float)
    corners = np.stack(
        [np.stack(pair, axis=-1) for pair in ((x, y), (right, y), (right, top), (x, top))], axis=1
    )
    patch = PathPatch(Path.make_compound_path_from_polys(corners), **look)
    patch.set_gid(name)
    axes.add_patch(patch)


def plain(text: str) -> str:
    """`text` with what cannot stand in a picture, such as control characters, spelled out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def time_unit(largest_s: float) -> tuple[float, str]:
    """(factor, name) of the unit in which times up to `largest_s` [s] are easy to read."""
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    return next((unit for unit in units if largest_s >= unit[0]), units[-1])


def byte_unit(largest: float) -> tuple[float, str]:
    """(factor, name) of the unit in which sizes up to `largest` [bytes] are easy to read."""
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next((unit for unit in units if largest >= unit[0]), (1.0, "B"))


def power_of_ten(value: float, _: object = None) -> str:
    """A power of ten with its exponent raised, for the ticks of an axis; nothing for other numbers."""
    import math

    power = round(math.log10(value))
    if abs(value - 10.0**power) > 1e-6 * value:
        return ""
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def plain_ticks(axes: Any) -> None:
    """Ticks at 1, 2 and 5 of each decade of two logarithmic axes, as numbers that one writes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def shortened_name(name: str, most: int) -> str:
    """A name in at most so many characters, its middle left out."""
    return shortened(plain(name), most)

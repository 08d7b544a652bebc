"""What all figures share: a page measured in pixels, the colours, and writing it as PNG.

Everything is drawn on matplotlib's object-oriented Agg canvas: no global state, no display, safe
in worker processes. Colours keep apart for readers with any colour vision (Okabe and Ito, 2008).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1b2430"
MUTED = "#5f6b7a"
FAINT = "#c9d0d8"
TRACK = "#edf0f3"
PAPER = "#ffffff"
POSITIVE = "#d55e00"
NEGATIVE = "#8b99a8"
REFERENCE = "#0072b2"
NIGHT = "#0c0f14"
NIGHT_TEXT = "#f1f4f7"
NIGHT_MUTED = "#96a2b1"
NIGHT_LINE = "#2b333e"
NIGHT_STRIP = "#151a21"
NIGHT_POSITIVE = "#f08c3c"
WARNING_PAPER = "#f7c948"
WARNING_INK = "#3d2c00"
WARNING_LIGHT = "#fff3cf"
_DPI = 100
_FAMILY = "DejaVu Sans"
_POINTS_PER_PIXEL = 72 / _DPI


class Page:
    """A page of ``width`` x ``height`` pixels; all places are pixels from its top left corner.

    Args:
        width: Pixels.
        height: Pixels.
        colour: Of the paper.
    """

    def __init__(self, width: int, height: int, colour: str = PAPER) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width = width
        self.height = height
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=colour)
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        """Axes without frame and ticks that fill a rectangle."""
        place = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        axes = self.figure.add_axes(place, **{"facecolor": "none", **options})
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def rectangle(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle, below everything drawn into axes."""
        from matplotlib.patches import Rectangle

        corner = (left / self.width, 1 - (top + height) / self.height)
        size = (width / self.width, height / self.height)
        shape = Rectangle(
            corner, *size, transform=self.figure.transFigure, facecolor=colour, lw=0, zorder=-1
        )
        self.figure.add_artist(shape)

    def text(
        self,
        left: float,
        top: float,
        text: str,
        *,
        size: float = 13,
        colour: str = INK,
        **options: Any,
    ) -> None:
        """Text whose height is ``size`` pixels; ``top`` is its middle unless ``va`` says else."""
        style = {**font(size), "color": colour, "va": "center", "ha": "left", **options}
        self.figure.text(left / self.width, 1 - top / self.height, text, **style)

    def width_of(self, text: str, size: float, **options: Any) -> float:
        """Pixels that the widest line of a text takes.

        Args:
            text: May hold line breaks.
            size: As of `text`.
            options: Such as `weight`.
        """
        from matplotlib.font_manager import FontProperties

        renderer = self.figure.canvas.get_renderer()  # type: ignore[attr-defined]
        look = FontProperties(
            family=_FAMILY, size=size * _POINTS_PER_PIXEL, weight=options.get("weight")
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")
            return max(
                float(renderer.get_text_width_height_descent(line, look, ismath=False)[0])
                for line in text.split("\n")
            )

    def fit(self, text: str, size: float, wide: float, lines: int = 1, **options: Any) -> str:
        """A text broken into lines of at most ``wide`` pixels; too much is cut from its middle.

        Args:
            text: On one line.
            size: As of `text`.
            wide: Pixels.
            lines: Most lines.
            options: Such as `weight`.
        """
        text = " ".join(text.splitlines())
        characters = len(text)
        while characters > 1:
            folded = fold(text, characters, lines)
            used = self.width_of(folded, size, **options)
            if used <= wide:
                return folded
            characters = min(characters - 1, int(characters * max(wide / used, 0.5)) + 1)
        return fold(text, 1, 1)

    def save(self, path: str | Path) -> Path:
        """Write the page as PNG, whole or not at all.

        Raises:
            InputError: If the place cannot be written.
        """
        with replacing(path) as partial, warnings.catch_warnings():
            # Names may hold letters that the font lacks; they show as boxes.
            warnings.filterwarnings("ignore", message="Glyph")
            self.figure.savefig(
                partial,
                format="png",
                dpi=_DPI,
                facecolor=self.figure.get_facecolor(),
                metadata={"Software": None},
                pil_kwargs={"compress_level": 3},
            )
        return Path(path)


def font(size_pixels: float) -> dict[str, Any]:
    """Text options: DejaVu Sans (it ships with matplotlib), no `$` mathematics in user's names."""
    return {
        "family": _FAMILY,
        "fontsize": size_pixels * _POINTS_PER_PIXEL,
        "parse_math": False,
    }


def fold(text: str, characters: int, lines: int) -> str:
    """Break a long name into lines, at spaces or underscores; too much is cut from its middle."""
    slack = characters // 4
    most = characters * lines - slack * (lines - 1)
    if len(text) > most:
        head = most * 2 // 3
        text = text[: head - 1] + "…" + text[len(text) - (most - head) :]
    folded = []
    while len(text) > characters:
        breaks = [text.rfind(mark, characters - slack, characters) for mark in " _-"]
        end = max(breaks) + 1 or characters
        folded.append(text[:end].rstrip())
        text = text[end:]
    return "\n".join([*folded, text])


def synthetic_band(page: Page, top: float, height: float) -> None:
    """A band across the page that no reader can miss: these weights never saw a patient."""
    page.rectangle(0, top, page.width, height, WARNING_PAPER)
    page.text(
        page.width / 2,
        top + height / 2,
        "SYNTHETIC weights that never saw a patient: results on real scans mean nothing. "
        "Not for clinical use.",
        size=14,
        colour=WARNING_INK,
        ha="center",
        weight="bold",
    )

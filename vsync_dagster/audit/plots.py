"""Figures as SVG that stands in a page: no script, no font, nothing fetched; each mark says in words what it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from xml.etree.ElementTree import Element, SubElement, tostring

_WIDTH = 1000
_LEFT = 70
_CELL = 24
_HEIGHT = 180
_FONT = {"font-family": "sans-serif", "font-size": "12", "fill": "#333"}


@dataclass(frozen=True, slots=True)
class Series:
    """A value for each day, under a name and in a colour; days that are missing are 0, None is not known."""

    name: str
    colour: str
    values: Mapping[date, float | None]


@dataclass(frozen=True, slots=True)
class Cell:
    """What is told of a row on a day: a colour, a sign for those who see none, and words."""

    colour: str
    sign: str
    words: str


def days(first: date, last: date) -> list[date]:
    """Return the days from one to another, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def calendar(title: str, rows: Mapping[str, Mapping[date, Cell]], shown: Sequence[date]) -> str:
    """Return a figure with a row for each name and a column for each day."""
    height = _CELL * (len(rows) + 1)
    svg = _svg(title, height)
    step = (_WIDTH - _LEFT) / max(len(shown), 1)
    for number, (name, cells) in enumerate(rows.items()):
        top = number * _CELL
        _text(svg, name, 0, top + 16)
        for place, day in enumerate(shown):
            if day in cells:
                _cell(svg, cells[day], _LEFT + place * step, top, step)
    _axis(svg, shown, step, height - 8)
    return tostring(svg, encoding="unicode")


def bars(title: str, series: Sequence[Series], shown: Sequence[date]) -> str:
    """Return a figure of stacked bars, one for each day; a day of which something is not known has a `-`."""
    svg = _svg(title, _HEIGHT + 50)
    highest = max((sum(each.values.get(day) or 0 for each in series) for day in shown), default=0)
    step = (_WIDTH - _LEFT) / max(len(shown), 1)
    for value in sorted({0, highest}):
        _text(svg, f"{value:,.0f}", 0, _top(value, highest) + 4)
    for place, day in enumerate(shown):
        floor = 0.0
        for each in series:
            value = each.values.get(day) or 0
            if value:
                _bar(svg, each, day, value, (floor, highest), (_LEFT + place * step, step))
            floor += value
        unknown = [each.name for each in series if each.values.get(day, 0) is None]
        if unknown:
            _not_known(svg, day, unknown, _LEFT + place * step, _top(floor, highest) - 4)
    _axis(svg, shown, step, _HEIGHT + 20)
    for number, each in enumerate(series):
        left = _LEFT + number * 200
        SubElement(svg, "rect", _rectangle(left, _HEIGHT + 32, 12, 12, each.colour))
        _text(svg, each.name, left + 18, _HEIGHT + 43)
    return tostring(svg, encoding="unicode")


def _top(value: float, highest: float) -> float:
    return _HEIGHT - (_HEIGHT - 12) * value / (highest or 1)


def _bar(
    svg: Element, series: Series, day: date, value: float, scale: tuple[float, float], place: tuple[float, float]
) -> None:
    (floor, highest), (left, step) = scale, place
    top = _top(floor + value, highest)
    height = _top(floor, highest) - top
    rectangle = SubElement(svg, "rect", _rectangle(left, top, max(step - 1, 0.5), height, series.colour))
    SubElement(rectangle, "title").text = f"{day}: {value:,.0f} {series.name}"


def _not_known(svg: Element, day: date, names: Sequence[str], left: float, top: float) -> None:
    mark = SubElement(svg, "text", {**_FONT, "x": f"{left:.1f}", "y": f"{top:.1f}"})
    mark.text = "-"
    SubElement(mark, "title").text = f"{day}: not known: {', '.join(names)}"


def _cell(svg: Element, cell: Cell, left: float, top: float, step: float) -> None:
    rectangle = SubElement(svg, "rect", _rectangle(left, top, max(step - 1, 0.5), _CELL - 2, cell.colour))
    SubElement(rectangle, "title").text = cell.words
    if step >= 12:  # room for a sign
        _text(svg, cell.sign, left + step / 2 - 5, top + 16)


def _axis(svg: Element, shown: Sequence[date], step: float, top: float) -> None:
    every = max(len(shown) // 10, 1)
    for place in range(0, len(shown), every):
        _text(svg, shown[place].strftime("%m-%d"), _LEFT + place * step, top)


def _svg(title: str, height: float) -> Element:
    box = {"viewBox": f"0 0 {_WIDTH} {height:.0f}", "role": "img", "aria-label": title}
    return Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **box})


def _rectangle(left: float, top: float, width: float, height: float, colour: str) -> dict[str, str]:
    place = {"x": left, "y": top, "width": width, "height": height}
    return {**{name: f"{value:.1f}" for name, value in place.items()}, "fill": colour}


def _text(svg: Element, words: str, left: float, top: float) -> None:
    SubElement(svg, "text", {"x": f"{left:.1f}", "y": f"{top:.1f}", **_FONT}).text = words

import itertools
import re
import xml.etree.ElementTree as ElementTree
from typing import Literal

import numpy as np
import pytest

from latentfields.pages.charts import Chart, Level, Series, Stage, chart_svg, series_colours

NAMESPACE = "{http://www.w3.org/2000/svg}"


def draw(chart: Chart) -> str:
    return chart_svg(chart, series_colours([chart]))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{NAMESPACE}text")]


def drawn_points(svg: str, variable: str) -> list[tuple[float, float]]:
    """Vertices of the curve that is stroked with a colour variable."""
    for path in ElementTree.fromstring(svg).iter(f"{NAMESPACE}path"):
        style = path.get("style", "")
        if f"stroke: var(--{variable})" in style and "fill: none" in style:
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
            return list(zip(numbers[::2], numbers[1::2], strict=True))
    raise AssertionError(f"nothing is drawn with {variable}")


def test_curves_follow_their_values_in_the_colours_of_the_page() -> None:
    chart = Chart("PSNR", "step", "dB", (Series("a", [0, 10, 20], [1, 3, 2]), Series("b", [0, 20], [5, 5])))
    svg = draw(chart)
    (x0, y0), (x1, y1), (x2, y2) = drawn_points(svg, "series-0")
    assert x1 - x0 == pytest.approx(x2 - x1, abs=1e-3)
    assert (y2 - y0) == pytest.approx((y1 - y0) / 2, abs=1e-3)
    assert y1 < y0  # upwards
    assert len(drawn_points(svg, "series-1")) == 2
    # No colour of matplotlib's own is left but the black that stands for "none".
    assert "#abcde" not in svg
    assert "#c0ffe" not in svg
    assert "#1f77b4" not in svg


def test_logarithmic_scales_draw_a_decay_as_a_line_and_skip_what_has_no_logarithm() -> None:
    x = np.arange(8)
    y = 10.0 ** (-x / 2)
    y[3], y[5] = 0.0, np.nan
    points = drawn_points(
        draw(Chart("Loss", "step", "loss", (Series("a", x.tolist(), y.tolist()),), scale="log")), "series-0"
    )
    assert len(points) == 6
    slopes = {round((b[1] - a[1]) / (b[0] - a[0]), 3) for a, b in itertools.pairwise(points)}
    assert len(slopes) == 1


def test_long_series_are_summarised_without_losing_their_extremes() -> None:
    x = np.arange(50_000)
    y = np.sin(x / 5000)
    y[31_234] = 40.0
    svg = draw(Chart("Loss", "step", "loss", (Series("a", x.tolist(), y.tolist()),)))
    assert len(svg) < 60_000
    assert len(drawn_points(svg, "series-0")) <= 240
    # The band reaches up to the spike, so that the axis does too.
    assert "40" in texts(svg)


def test_stages_and_levels_are_drawn_once_they_are_reached() -> None:
    stages = (Stage("Latent Supervision", 0), Stage("RGB Alignment", 50), Stage("Later", 500))
    chart = Chart("PSNR", "step", "dB", (Series("a", [0, 100], [1, 2]),), stages, (Level("ceiling", 33.0),))
    svg = draw(chart)
    labels = texts(svg)
    assert "Latent Supervision" in labels
    assert "RGB Alignment" in labels
    assert "Later" not in labels
    assert "stroke-dasharray" in svg
    assert max(float(label) for label in labels if re.fullmatch(r"[\d.]+", label)) >= 30


def test_stages_that_ended_before_the_first_point_have_no_label() -> None:
    chart = Chart("loss", "step", "loss", (Series("a", [2], [1]),), (Stage("early", 0), Stage("joint", 1)))
    assert "joint" in texts(draw(chart))
    assert "early" not in texts(draw(chart))


def test_charts_are_reproducible_escaped_and_never_read_as_mathematics() -> None:
    name = "--><script>alert(1)</script> $\\frac{$ & _x"
    chart = Chart(name, name, name, (Series(name, [0, 1], [1, 2]),), (Stage(name, 0),), (Level(name, 1.0),))
    svg = draw(chart)
    assert svg == draw(chart)
    assert "<script" not in svg
    assert texts(svg).count(name) == 3
    assert "<metadata" not in svg
    assert "<g id" not in svg


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("values", [[], [1.0], [float("nan")], [0.0]])
def test_charts_of_a_run_that_has_just_begun(scale: Literal["linear", "log"], values: list[float]) -> None:
    chart = Chart(
        "Loss", "step", "loss", (Series("a", range(len(values)), values),), (Stage("s", 0),), scale=scale
    )
    assert "Loss" not in texts(draw(chart))  # the page shows the title


def test_equal_labels_have_one_colour_in_all_charts() -> None:
    first = Chart("1", "", "", (Series("rgb", [], []), Series("latent", [], [])))
    second = Chart("2", "", "", (Series("latent", [], []), Series("third", [], [])))
    assert series_colours([first, second]) == {"rgb": 0, "latent": 1, "third": 2}
    many = Chart("3", "", "", tuple(Series(str(index), [0, 1], [0, 1]) for index in range(8)))
    assert max(series_colours([many]).values()) == 5
    draw(many)


def test_series_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="series 'a' has 2 positions and 1 values"):
        draw(Chart("", "", "", (Series("a", [0, 1], [0]),)))


def test_points_stand_alone_and_are_named_where_they_are() -> None:
    series = tuple(Series(name, [x], [y]) for name, x, y in (("a", 0.1, 30), ("b", 0.3, 33), ("c", 0.2, 31)))
    svg = draw(Chart("", "x", "y", series, marks="points"))
    dots = {
        colour: (float(x), float(y))
        for x, y, colour in re.findall(
            r'<use [^>]*?x="([-\d.]+)" y="([-\d.]+)" style="fill: var\(--(series-\d)\)', svg
        )
    }
    assert sorted(dots, key=lambda colour: dots[colour][0]) == ["series-0", "series-2", "series-1"]
    assert sorted(dots, key=lambda colour: -dots[colour][1]) == [
        "series-0",
        "series-2",
        "series-1",
    ]  # upwards
    assert [label for label in texts(svg) if label in "abc"] == ["a", "b", "c"]
    # Nothing is cut off: dots keep away from the borders of what is drawn.
    assert all(60 < x < 400 and 20 < y < 180 for x, y in dots.values())

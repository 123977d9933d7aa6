import base64
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentfields.errors import InputError
from latentfields.pages.charts import Chart, Level, Series, Stage
from latentfields.pages.report import (
    Film,
    Headline,
    Picture,
    PictureGroup,
    PictureRow,
    Report,
    Table,
    render_report,
    write_report,
)
from latentfields.pages.video import write_mp4

VOID = {"meta", "img", "br", "use", "path", "rect", "link"}


class Page(HTMLParser):
    """Elements of a page; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(source: str | None) -> Image.Image:
    kind, _, content = (source or "").partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    assert kind == f"data:{Image.MIME[str(image.format)]}"
    return image


@pytest.fixture
def report(tmp_path: Path) -> Report:
    write_mp4(tmp_path / "orbit.mp4", [pixels(32, 32)] * 3, fps=24)
    shown = Picture("Ground truth", pixels(40, 30))
    return Report(
        title="chair: latent NeRF",
        subtitle="K-Planes, 8 test views",
        command="latentfields fit data/chair --field kplanes",
        status="step 1200 of 5000",
        headlines=(Headline("Latent NeRF", "26.3", "dB", "8 test views"), Headline("RGB NeRF", "27.0", "dB")),
        charts=(
            Chart(
                "PSNR",
                "step",
                "dB",
                (Series("Latent NeRF", [0, 1], [20, 26]), Series("RGB NeRF", [0, 1], [21, 27])),
                (Stage("Latent Supervision", 0), Stage("RGB Alignment", 0.5)),
                (Level("Autoencoder ceiling", 33.0),),
            ),
        ),
        groups=(
            PictureGroup(
                "View r_1",
                (
                    PictureRow("Latent NeRF", (shown, Picture("Latents", pixels(16, 16)))),
                    PictureRow("RGB NeRF", (None, Picture("Render", pixels(600, 800)))),
                ),
            ),
        ),
        films=(Film("Orbit", tmp_path / "orbit.mp4"),),
        tables=(Table("Scores", ("View", "PSNR", "LPIPS"), (("r_1", "26.31", "–"), ("r_2", "1,026.4", ""))),),
        notes=("LPIPS was not computed because lpips is not installed.",),
        configuration={"field": "kplanes", "out": Path("runs/chair"), "steps": 5000},
    )


def test_everything_is_on_the_page(report: Report) -> None:
    page = Page(render_report(report))
    text = "\n".join(page.text)
    for expected in (
        "chair: latent NeRF",
        "K-Planes, 8 test views",
        "step 1200 of 5000",
        "26.3",
        "8 test views",
        "PSNR",
        "RGB Alignment",
        "Autoencoder ceiling",
        "View r_1",
        "Latents",
        "Orbit",
        "Scores",
        "1,026.4",
        "LPIPS was not computed because lpips is not installed.",
        '"out": "runs/chair"',
        '"steps": 5000',
    ):
        assert expected in text
    assert report.command is not None
    command = [word for word in page.text if word in report.command.split(" ")]
    assert " ".join(command) == report.command


def test_the_page_needs_nothing_else(report: Report) -> None:
    text = render_report(report)
    page = Page(text)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    sources = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes
    ]
    assert len(sources) == 4
    assert all((source or "").startswith("data:") for source in sources)
    namespaces = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert set(re.findall(r"https?://[^\"' <)]*", text)) <= namespaces
    assert "default-src 'none'" in text


def test_pictures_are_exact_when_small_and_reduced_when_large(report: Report) -> None:
    exact, latents, large = (element for element in Page(render_report(report)).all("img"))
    np.testing.assert_array_equal(np.asarray(decoded(exact["src"])), pixels(40, 30))
    np.testing.assert_array_equal(np.asarray(decoded(latents["src"])), pixels(16, 16))
    assert latents["class"] == "pixelated"
    assert "class" not in large
    assert decoded(large["src"]).size == (512, 384)
    assert large["alt"] == "View r_1, RGB NeRF: Render"


def test_films_are_embedded_whole(report: Report) -> None:
    (film,) = Page(render_report(report)).all("video")
    content = (film["src"] or "").removeprefix("data:video/mp4;base64,")
    assert base64.b64decode(content) == report.films[0].path.read_bytes()


def test_a_missing_film_is_named(report: Report, tmp_path: Path) -> None:
    missing = tmp_path / "gone.mp4"
    with pytest.raises(InputError, match=r"gone\.mp4: expected an MP4 file for the film 'Orbit'"):
        render_report(replace(report, films=(Film("Orbit", missing),)))


def test_rows_and_numbers_have_the_colour_of_their_curve(report: Report) -> None:
    text = render_report(report)
    for label, index in (("Latent NeRF", 0), ("RGB NeRF", 1)):
        swatch = rf'<span class="swatch" style="background: var\(--series-{index}\)"></span>\s*{label}'
        assert len(re.findall(swatch, text)) == 3  # key number, legend, row of pictures


def test_columns_of_numbers_are_aligned_right(report: Report) -> None:
    cells = [attributes.get("class") for attributes in Page(render_report(report)).all("td")]
    assert cells == [None, "number", "number"] * 2


def test_all_text_is_escaped() -> None:
    attack = "\"><script>alert('&')</script>"
    hostile = Report(
        title=attack,
        subtitle=attack,
        command=attack,
        status=attack,
        headlines=(Headline(attack, attack, attack, attack),),
        charts=(
            Chart(
                attack, attack, attack, (Series(attack, [0], [1]),), (Stage(attack, 0),), (Level(attack, 1),)
            ),
        ),
        groups=(PictureGroup(attack, (PictureRow(attack, (Picture(attack, pixels(8, 8)),)),)),),
        tables=(Table(attack, (attack,), ((attack,),), attack),),
        notes=(attack,),
        configuration={attack: attack},
    )
    page = Page(render_report(hostile))
    assert page.all("script") == []
    assert page.text.count(attack) > 15


def test_an_empty_report_has_no_empty_sections() -> None:
    page = Page(render_report(Report(title="t", subtitle="s", command="c")))
    assert page.all("section") == page.all("h2") == []


def test_reports_are_reproducible_and_replaced_in_one_step(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    write_report(path, replace(report, status="step 1 of 5000"))
    write_report(path, report)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_rows_of_a_table_must_fit_its_columns() -> None:
    with pytest.raises(ValueError, match="table 'Scores': 1 cells for 2 columns"):
        Table("Scores", ("View", "PSNR"), (("r_1",),))


@pytest.mark.slow
def test_matplotlib_is_only_imported_when_something_is_drawn() -> None:
    code = "import sys, latentfields.pages.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

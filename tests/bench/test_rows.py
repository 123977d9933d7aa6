import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfields.bench.rows import (
    Claim,
    Pivot,
    Row,
    Rows,
    Spread,
    Value,
    above_zero,
    at_least,
    at_most,
    claims_table,
    gains,
)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_mean_and_spread_are_the_usual_ones(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert spread.deviation == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert spread.count == len(values)


def test_one_measurement_has_no_spread() -> None:
    assert str(Spread.of([2.5])) == "2.50"
    assert str(Spread.of([1.0, 3.0])) == "2.00 ± 1.41"


def test_gains_are_paired() -> None:
    assert gains([3.0, 1.0], [1.0, 2.0]) == [2.0, -1.0]
    with pytest.raises(ValueError, match="argument 2"):
        gains([1.0], [1.0, 2.0])


def rows() -> Rows:
    """Two methods on two objects of two families; one was not timed on all."""
    records = [
        {"method": method, "family": family, "psnr": psnr + seed}
        | ({} if (method, seed) == ("b", 1) else {"seconds": 2000.0 * psnr})
        for method, psnr in (("a", 20.0), ("b", 30.0))
        for family in ("vases", "hats")
        for seed in (0, 1)
    ]
    return Rows(Row.of(record, seed=number % 2) for number, record in enumerate(records))


def test_texts_are_labels_and_numbers_values() -> None:
    record = {"field": "kplanes", "psnr": 20.5, "images": 3, "memory": None, "curve": [{"psnr": 20.0}]}
    row = Row.of(record, seed=7)
    assert row.labels == {"field": "kplanes", "seed": "7"}
    assert row.values == {"psnr": 20.5, "images": 3}
    assert row.curve == [{"psnr": 20.0}]


def test_numbers_can_be_labels_and_values_at_once() -> None:
    row = Row.of({"size": 128, "seed": 3, "limit": 75.0}, numbered=("size", "limit", "rays"))
    assert row.labels == {"size": "128", "limit": "75"}
    assert row.plus({"gain": 0.5}).values == {"size": 128, "seed": 3, "limit": 75.0, "gain": 0.5}


def test_curves_are_meaned_as_far_as_all_go() -> None:
    curves = [[{"step": 1, "psnr": 10.0}, {"step": 2, "psnr": 20.0}], [{"step": 1, "psnr": 14.0}]]
    assert Rows(Row({}, {}, curve) for curve in curves).mean_curve("step", "psnr") == ([1], [12.0])


def test_gains_are_of_one_label_over_another() -> None:
    assert rows().gain("method", "b", "a") == [10.0] * 4
    assert rows().select(family="hats").gain("seed", "1", "0", "psnr") == [1.0, 1.0]


def test_rows_without_a_label_are_a_group() -> None:
    found = Rows([Row({"a": "x"}, {}), Row({}, {}), Row({"a": "x"}, {"psnr": 1.0})])
    assert {names: len(group) for names, group in found.grouped("a").items()} == {("x",): 2, ("",): 1}


def test_rows_are_chosen_by_their_labels() -> None:
    assert rows().values("psnr", method="b", family="hats") == [30.0, 31.0]
    assert [row.labels["seed"] for row in rows().select(method="a")] == ["0", "1", "0", "1"]
    groups = rows().grouped("family", "method")
    assert list(groups) == [("vases", "a"), ("hats", "a"), ("vases", "b"), ("hats", "b")]


def test_a_value_has_a_column_of_its_own() -> None:
    shown = (
        Value("psnr", "PSNR", ".1f"),
        Value("seconds", "thousand seconds", ".0f", spread=False, unit=1e-3),
        Value("lpips", "LPIPS", optional=True),
        Value("ssim", "SSIM"),
    )
    table = Pivot("Times", {"method": "NeRF"}, shown, note="On two objects.").table({"fits": rows()})
    assert table.columns == ("NeRF", "PSNR", "thousand seconds", "SSIM")
    # Not every fit of b was timed, and none has an SSIM.
    assert table.rows == (("a", "20.5 ± 0.6", "40", "-"), ("b", "30.5 ± 0.6", "-", "-"))
    assert (table.title, table.note) == ("Times", "On two objects.")


@pytest.mark.parametrize("total", [True, False])
def test_a_value_is_spread_over_the_columns_of_a_label(total: bool) -> None:
    title = "all" if total else ""
    pivot = Pivot("PSNR", {"method": "NeRF"}, (Value("psnr", title),), columns="family")
    table = pivot.table({"fits": rows()})
    assert table.columns == ("NeRF", "vases", "hats", *(["all"] if total else []))
    assert table.rows[1][:3] == ("b", "30.50 ± 0.71", "30.50 ± 0.71")
    assert all(
        row[3:] == ("20.50 ± 0.58", "30.50 ± 0.58")[n : n + 1] * total for n, row in enumerate(table.rows)
    )


def test_rows_without_what_a_table_needs_and_labels_that_are_all_equal_are_left_out() -> None:
    labels = {"family": "family", "method": "NeRF"}
    pivot = Pivot(
        "PSNR", labels, (Value("psnr", "PSNR"),), needs="seconds", only_several=("family", "method")
    )
    assert pivot.table({"fits": rows()}).columns == ("family", "NeRF", "PSNR")
    one = pivot.table({"fits": rows().select(method="b")})
    assert one.columns == ("family", "PSNR")
    assert one.rows == (("vases", "30.00"), ("hats", "30.00"))


def test_a_claim_holds_by_more_than_the_means_standard_error() -> None:
    """Deviations of 0.71 of two measurements: a standard error of 0.5. One measurement has none."""
    assert Spread.of([1.0, 2.0]).error == pytest.approx(0.5)
    assert Spread.of([3.0]).error == 0
    assert not at_least("x", [1.0, 2.0], 1.01).holds
    assert at_least("x", [1.0, 2.0], 0.99).holds
    assert not at_least("x", [-1.0, 0.0], -0.9).holds
    assert at_most("x", [1.0, 2.0], 2.01).holds
    assert not at_most("x", [1.0, 2.0], 1.99).holds
    assert above_zero("x", [0.1, 1.0]).holds
    assert not above_zero("x", [-0.01, 1.0]).holds
    # Fifteen fits that gain 0.02 dB in the mean, and scatter by 0.1.
    assert not above_zero("x", [0.02 + 0.1 * (-1) ** n for n in range(14)] + [0.02]).holds
    assert at_least("x", [1.5], 1.5).holds


def test_claims_are_judged_by_means() -> None:
    assert at_least("x", [1.0, 2.0], 1.0) == Claim("x", ">= +1.00 dB", "+1.50 ± 0.71 dB", True)
    assert not at_least("x", [-0.6], -0.5).holds
    assert above_zero("y", [0.0]) == Claim("y", "> 0 dB", "+0.00 dB", False)
    assert above_zero("y", [0.01, 0.03], unit="", spec=".4f").measured == "+0.0200 ± 0.0141"
    assert at_most("z", [0.1, 0.2], 0.2) == Claim("z", "<= 0.20", "0.15 ± 0.07", True)
    table = claims_table([Claim("x", "> 0", "1", True), Claim("y", "> 0", "-1", False)])
    assert [row[-1] for row in table.rows] == ["yes", "NO"]


def test_the_rows_of_a_table_are_those_with_what_it_needs() -> None:
    table = Pivot(
        "LPIPS of {images:.0f}", {"space": "space"}, (Value("lpips", "all", ".3f"),), needs="lpips", kind="x"
    )
    without, measured = (
        Row({"space": "rgb"}, {"psnr": 30.0}),
        Row({"space": "rgb"}, {"lpips": 0.25, "images": 4}),
    )
    assert table.taken({"x": Rows([without])}) == table.taken({}) == ()
    assert table.taken({"x": Rows([without, measured])}) == (measured,)
    found = table.table({"x": Rows([without, measured])})
    assert (found.title, found.rows) == ("LPIPS of 4", (("rgb", "0.250"),))

"""The Grafana board as a file: what Grafana would not complain of, and a person would."""

import itertools
import json

from places import BOARD

BOARD_JSON = json.loads(BOARD.read_text())
ALL = BOARD_JSON["panels"]
PANELS = [panel for panel in ALL if panel["type"] != "row"]

# Of Grafana's units (packages/grafana-data/src/valueFormats/categories.ts) those that fit here.
UNITS = {"short", "s", "bytes", "Bps", "reqps", "eps", "cpm"}


def test_each_panel_has_a_title_of_its_own_and_a_description():
    titles = [panel["title"] for panel in ALL]
    assert len(set(titles)) == len(titles) > 20
    assert len({panel["id"] for panel in ALL}) == len(ALL)
    assert all(panel["description"].endswith((".", ").")) for panel in PANELS)


def test_no_panel_lies_on_another_or_beyond_the_edge():
    places = [panel["gridPos"] for panel in ALL]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_units_are_grafanas_and_fit_what_is_shown():
    for panel in PANELS:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS, panel["title"]
        for target in panel["targets"]:
            expression = target["expr"]
            if "histogram_quantile" in expression or "age_seconds" in expression:
                assert unit == "s", panel["title"]
            if "_bytes" in expression:
                assert unit == ("Bps" if "rate(" in expression else "bytes"), panel["title"]
            if expression.startswith("60 * ") and len(panel["targets"]) == len([t for t in panel["targets"] if t["expr"].startswith("60 * ")]):
                assert unit == "cpm", panel["title"]


def test_everything_goes_to_the_data_source_that_was_chosen_and_to_the_daemon():
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [variable["type"] for variable in BOARD_JSON["templating"]["list"]] == ["datasource", "query"]
    for panel in PANELS:
        assert panel["datasource"] == chosen
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            assert 'instance=~"$instance"' in target["expr"] or "ALERTS" in target["expr"], target["expr"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_a_panel_with_several_series_names_them():
    for panel in PANELS:
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]

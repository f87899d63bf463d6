"""Tables: what is written of numbers."""

import json

import pytest

from attn_ref.experiments.experiment import Settings, Training
from attn_ref.experiments.results import cell, collect, machine, mean_and_spread, order, read, table, values, verdicts


def results(**errors):
    trainings = [
        {"net": net, "data": "R", "seed": seed, "error": error}
        for net, all_of_it in errors.items()
        for seed, error in enumerate(all_of_it)
    ]
    return {"trainings": trainings}


def test_mean_and_spread():
    assert mean_and_spread([2.0, 4.0, 6.0]) == (4.0, 2.0)
    assert mean_and_spread([2.5]) == (2.5, None)


def test_cells():
    assert cell([0.02, 0.04, 0.06], factor=100) == "4.0 ± 2.0"
    assert cell([0.5], digits=2) == "0.50"
    assert cell([]) == "–"


def test_a_table():
    assert table(["a", "b"], [["x", "1"]]) == ["| a | b |", "| --- | --: |", "| x | 1 |"]


def test_verdicts():
    found = results(A=[0.1, 0.2], B=[0.3, 0.4], C=[0.15, 0.1], D=[0.15, 0.15])
    pairs = [("A", "B"), ("C", "A"), ("B", "A"), ("A", "D"), ("A", "E")]
    assert verdicts(found, "R", "error", pairs, {"B < A": "Because."}) == [
        "- R: A below B holds, in every pair of seeds: 15.0 against 35.0 %.",
        "- R: C below A holds: 12.5 against 15.0 %. By seed: 15.0, 10.0 against 10.0, 20.0.",
        "- R: B below A **does not hold**: 35.0 against 15.0 %. By seed: 30.0, 40.0 against 10.0, 20.0. Because.",
        "- R: A below D is a **tie**: 15.0 against 15.0 %.",
    ]


def test_what_is_collected_can_be_read_again(tmp_path):
    settings = Settings(40, 10, 2)
    trainings = [Training("upright", net, "R", 0, settings) for net in ("ST-CNN", "taught")]
    found = collect(trainings, [{"error": 0.5}, {"error": 0.25}], settings, "attn-ref experiment upright", 2)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(found))
    assert read(path) == found
    assert order(found, "net") == ["ST-CNN", "taught"]
    assert values(found, "taught", "R", "error") == [0.25]
    assert found["machine"]["jobs"] == 2
    assert set(machine()) == {"cpu", "cores", "system", "python", "numpy", "blas"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "another"}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "results.json"
    with pytest.raises(ValueError, match=r"results\.json cannot be read"):
        read(path)
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a results file"):
        read(path)

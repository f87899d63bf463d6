"""The page and the figure, made from a report that is written by hand."""

import json
import re

import pytest

from attn_ref.bench import page, report
from attn_ref.bench.figure import draw
from attn_ref.bench.page import main


def case(group, name, ours, theirs, ratio, *, contender="torch", part="forward + backward", agrees=True, values=100):
    times = [{"contender": "attn_ref", "part": part, "median": ours, "seconds": [ours], "calls": 1}]
    comparisons = []
    if theirs:
        times.append({"contender": contender, "part": part, "median": theirs, "seconds": [theirs], "calls": 1})
        spread = {"median": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio}
        comparisons = [
            {"contender": contender, "part": part, "difference": 3e-7, "tolerance": 1e-5, "ratio": spread,
             "agrees": agrees}
        ]  # fmt: skip
    return {
        "group": group,
        "name": name,
        "values": values,
        "times": times,
        "comparisons": comparisons,
        "peaks": {},
        "failures": {},
    }


CASES = [
    case("features", "1×16×9×8 float32", 0.010, 0.020, 0.5),
    case("features", "1×32×9×8 float32", 0.010, 0.080, 0.125),
    case("images", "1×3×9×8 float32", 0.020, 0.005, 4.0),
    case("images", "1×3×28×28 float32", 0.001, 0.4, 0.0025, contender="onnx", part="forward"),
    case("small", "2×3×5×6 at 4×3 float64", 120e-6, 10e-6, 12.0, part="forward"),
    case("growth", "1×16×79×79 float32", 0.001, None, None, values=10**5),
    case("growth", "1×16×250×250 float32", 0.01, None, None, values=10**6),
    {
        **case("memory", "1×8×2048×2048 float32", 1.0, None, None),
        "times": [],
        "peaks": {"attn_ref": {"results": 2**28, "resident": 2**29, "traced": 2**29, "ratio": 2.0}},
    },
]


def whole(cases=CASES, **changes):
    versions = dict.fromkeys(("attn_ref", "python", "numpy", "scipy", "torch"), "1.2")
    machine = {
        "cpu": "Z80",
        "cores": 2,
        "memory": 0.1,
        "system": "CP/M",
        "blas": ["openblas 0.3, kernels for Z80"],
        "versions": versions,
    }
    settings = {
        "quick": False, "only": [], "seed": 7, "threads": 2, "limits": {"attn_ref": "2", "torch": "2"},
        "budget": 4.0, "least": 5, "most": 200, "shortest": 0.002, "pause": 0.01,
    }  # fmt: skip
    return {
        "schema": report.SCHEMA,
        "attn_ref": "1.2",
        "settings": settings,
        "interrupted": False,
        "chosen": len(cases),
        "machine": machine,
        "contenders": {"torch": {"version": "1.2", "note": "eager | mode"}},
        "cases": cases,
        "summaries": report.summaries(cases),
        **changes,
    }


def test_groups_are_summed_up():
    found = {(row["group"], row["what"]): row for row in report.summaries(CASES)}
    expected = {
        ("features", "forward + backward / torch's"): (0.25, 2, "≤ 0.5"),
        ("images", "forward + backward / torch's"): (4.0, 1, "≤ 2.0"),
        ("images", "forward / onnx's"): (0.0025, 1, ""),
        ("small", "the longest"): (120e-6, 1, "below 150 µs"),
        ("small", "forward / torch's"): (12.0, 1, ""),
        ("growth", "exponent"): (1.0, 2, "0.95 to 1.05"),
        ("memory", "peak of attn_ref"): (2.0, 1, "≤ 2.5"),
        ("sampler", "forward + backward / torch's"): ((0.5 * 0.125 * 4) ** (1 / 3), 3, "≤ 1.0"),
    }
    assert found.keys() == expected.keys()
    for key, (value, count, aim) in expected.items():
        assert found[key]["value"] == pytest.approx(value), key
        assert (found[key]["cases"], found[key]["aim"]) == (count, aim), key


def test_one_size_has_no_exponent():
    assert report.summaries(CASES[5:6]) == []


def test_the_page_tells_what_the_report_tells():
    text = page.page(whole())
    for words in (
        "| features | forward + backward / torch's | 0.250 | ≤ 0.5 | 2 |",
        "| small | the longest | 120 µs | below 150 µs | 1 |",
        "| 1×16×9×8 float32 | forward + backward | 10.0 ms | torch | 20.0 ms | 0.500 | 0.45–0.55 | 3e-07 |",
        "Z80, 2 cores",
        "attn_ref: 2, torch: 2",
        "eager \\| mode",
        "attn-ref bench --threads 2 --seed 7 --seconds 4 --json results.json",
        "2 ms are repeated",
        "## features: grid_sample",
        "Aim: ≤ 0.5.",
        "CP/M",
    ):
        assert words in text
    assert "went wrong" not in text
    assert "cut short" not in text
    assert not re.search(r"[{}]", text)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


def test_what_went_wrong_is_on_the_page():
    bad = [
        case("affine", "one", 1.0, 1.0, 1.0, agrees=False),
        {**case("affine", "two", 1.0, 1.0, 1.0), "failures": {"onnx": "no such operator"}},
        {**case("affine", "three", 1.0, None, None), "failures": {"attn_ref": "no room"}},
    ]
    text = page.page(whole(bad, interrupted=True, chosen=9))
    assert "cut short: 3 of 9 cases" in text
    assert "- affine: one: torch differs from attn_ref by 3e-07" in text
    assert "- affine: two: onnx failed and is left out: no such operator" in text
    assert "- affine: three: attn_ref failed: no room" in text
    assert len(report.wrong(whole(bad))) == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (12.345, "12.3 s"),
        (1.0, "1.00 s"),
        (0.0351, "35.1 ms"),
        (142e-6, "142 µs"),
        (1234.5, "1234 s"),
        (5e-8, "50.0 ns"),
    ],
)
def test_durations_have_three_digits(seconds, words):
    assert report.duration(seconds) == words


def test_the_module_writes_page_and_figure(tmp_path, capsys):
    results, target, figure = tmp_path / "results.json", tmp_path / "page.md", tmp_path / "static" / "ratios.svg"
    figure.parent.mkdir()
    results.write_text(json.dumps(whole()), encoding="utf-8")
    main([str(results), str(target), "--figure", str(figure)])
    assert target.read_text(encoding="utf-8") == page.page(whole(), "static/ratios.svg")
    assert "](static/ratios.svg)" in target.read_text(encoding="utf-8")
    assert figure.stat().st_size > 1000
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting"),
        ("[]", "no report of attn-ref bench"),
        (json.dumps({"schema": 1, "cases": []}), "no whole report: it lacks 'settings'"),
        (json.dumps({"schema": 99, "cases": []}), "run attn-ref bench --json anew"),
        (None, "No such file"),
    ],
)
def test_what_is_no_report_is_refused(content, words, tmp_path, capsys):
    results, target = tmp_path / "results.json", tmp_path / "page.md"
    target.write_text("old", encoding="utf-8")
    if content is not None:
        results.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main([str(results), str(target)])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == "old"


def test_the_figure_has_a_panel_for_each_kind():
    assert len(draw(whole()).axes) == 2
    assert len(draw(whole(CASES[:3])).axes) == 1
    assert len(draw(whole(CASES[5:7])).axes) == 1
    assert draw(whole(CASES[-1:])) is None


def test_the_figure_shows_each_ratio():
    axes = draw(whole()).axes[0]
    drawn = {float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() not in ("None", None)}
    assert drawn >= {0.5, 0.125, 4.0, 0.0025, 12.0}
    assert len(axes.get_yticklabels()) == 5

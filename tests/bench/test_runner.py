"""Contenders against each other, and how they are timed."""

import time
from dataclasses import replace

import numpy as np
import pytest

from attn_ref.bench import by_torch, machine, runner
from attn_ref.bench.cases import GROUPS, chosen
from attn_ref.bench.contenders import CONTENDERS, OURS, Contender
from attn_ref.bench.problems import build, tolerance
from attn_ref.bench.timing import Settings, interleave
from attn_ref.bench.works import BOTH, FORWARD, Work

from .tiny import FAST, TINY, tiny

ALL = list(CONTENDERS.values())
TIMED = [case for case in TINY if GROUPS[case.group].measure == "ratio"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """More would only wait for each other in cases as small as these, beside other tests."""
    with machine.limited_threads(1, with_torch=CONTENDERS["torch"].installed):
        yield


def named(case):
    return f"{case.group}, {case.name}"


def of(group):
    return tiny(chosen([group])[0])


@pytest.mark.parametrize("case", TIMED, ids=named)
def test_every_case_runs_and_agrees(case):
    """With torch wherever torch can do it, and with whoever else takes part."""
    installed = [contender for contender in ALL if contender.installed]
    outcome = runner.run_case(case, installed, FAST, seed=3)
    assert outcome.failures == {}
    assert all(comparison.agrees for comparison in outcome.comparisons), outcome.comparisons
    if CONTENDERS["torch"].installed and case.kind in by_torch.KINDS:
        assert "torch" in [comparison.contender for comparison in outcome.comparisons]
    for times in outcome.times.values():
        assert len(times.seconds) == 2
        assert min(times.seconds) > 0


@pytest.mark.parametrize(
    ("name", "group", "part"),
    [
        ("onnx", "images", FORWARD),
        ("onnx", "bicubic", FORWARD),
        ("scipy", "images", FORWARD),
        ("scipy", "volumes", FORWARD),
        ("pylops", "operator", "make and use"),
    ],
)
def test_other_contenders_do_their_part(name, group, part):
    if not CONTENDERS[name].installed:
        pytest.skip(f"{name} is not installed")
    outcome = runner.run_case(of(group), [CONTENDERS[name], CONTENDERS[OURS]], FAST, seed=0)
    (comparison,) = outcome.comparisons
    assert (comparison.contender, comparison.part, comparison.agrees) == (name, part, True)
    assert (OURS, part) in outcome.times


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("onnx", replace(chosen(["images"])[0], dtype="float64")),
        ("onnx", chosen(["volumes"])[0]),
        ("onnx", replace(chosen(["images"])[0], shape=(1, 3, 64, 64))),
        ("scipy", of("nearest")),
        ("scipy", replace(chosen(["images"])[0], shape=(10, 20, 4, 5))),
        ("pylops", of("images")),
        ("torch", of("operator")),
    ],
)
def test_who_cannot_do_a_case_stays_out(name, case):
    assert CONTENDERS[name].prepare(case, {}) == {}


def planted(change):
    """A contender that does what we do, and then something else."""

    def prepare(case, arrays):
        works = CONTENDERS[OURS].prepare(case, arrays)
        return {part: Work(work.run, lambda r, w=work: change(w.results(r))) for part, work in works.items()}

    return Contender("planted", "numpy", {"sample": prepare}, "")


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        (lambda results: results, 0.0),
        (lambda results: (results[0], 1.01 * results[1], results[2]), 0.01),
        (lambda results: (results[0], results[1], 0 * results[2]), 1.0),
        (lambda results: results[:2], np.inf),
        (lambda results: tuple(r.astype(np.float64) for r in results), np.inf),
        (lambda results: tuple(r[:1] for r in results), np.inf),
        (lambda results: (results[0] * np.float32("nan"), *results[1:]), np.inf),
    ],
)
def test_wrong_results_are_found(change, gap):
    outcome = runner.run_case(of("images"), [planted(change), CONTENDERS[OURS]], FAST, seed=1)
    (comparison,) = outcome.comparisons
    assert comparison.difference == pytest.approx(gap, rel=1e-4)
    assert comparison.agrees == (gap == 0)


def test_the_tolerance_is_rounding():
    """Far above float32's eps, far below what a wrong cell or weight makes."""
    for case in TINY:
        assert np.finfo(case.dtype).eps < tolerance(case) < 2e-3


def test_who_fails_is_left_out_and_named():
    def prepare(case, arrays):
        raise MemoryError("no room\nat all")

    outcome = runner.run_case(of("images"), [*ALL[:1], Contender("planted", "numpy", {"sample": prepare}, "")], FAST, 0)
    assert outcome.failures == {"planted": "no room at all"}
    assert list(outcome.times) == [(OURS, BOTH)]


def test_our_own_failure_ends_the_case_only(monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr("attn_ref.grid_sample_backward", fail)
    outcome = runner.run_case(of("images"), ALL[:1], FAST, seed=0)
    assert outcome.failures == {OURS: "no room"}
    assert outcome.times == {}


def test_growth_is_ours_alone():
    outcome = runner.run_case(of("growth"), ALL, FAST, seed=0)
    assert list(outcome.times) == [(OURS, BOTH)]
    assert outcome.comparisons == []


def test_the_peak_of_memory_is_at_least_the_results():
    case = replace(chosen(["memory"])[0], shape=(1, 8, 300, 310))
    outcome = runner.run_case(case, ALL[:1], FAST, seed=0)
    assert outcome.failures == {}
    peak = outcome.peaks[OURS]
    assert peak.results == 4 * 300 * 310 * (8 + 8 + 2)
    assert peak.traced >= peak.results
    assert 1 <= peak.ratio < 20  # and so counts nothing of this process, which is much larger


def test_a_process_that_dies_is_a_failure_and_not_a_crash(monkeypatch):
    """The case does not exist for the spawned process, which ends with an error before it has measured anything."""
    case = replace(chosen(["memory"])[0], options={"mode": "no such mode"})
    outcome = runner.run_case(case, ALL[:1], FAST, seed=0)
    assert "ended with status 1" in outcome.failures[OURS]
    assert outcome.peaks == {}


def test_rounds_are_interleaved_in_random_order():
    order = []
    works = {name: lambda name=name: order.append(name) for name in "abc"}
    times = interleave(works, Settings(budget=1e-9, least=40, most=40, shortest=1e-12, pause=0), seed=2)
    calls = order[3:]  # the first three warm up, and so does every other one after them
    assert calls[::2] == calls[1::2]
    rounds = [tuple(calls[i : i + 6 : 2]) for i in range(0, len(calls), 6)]
    assert len(rounds) == 40
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) == 6
    assert all(len(t.seconds) == 40 for t in times.values())
    order.clear()
    interleave(works, Settings(budget=1e-9, least=40, most=40, shortest=1e-12, pause=0), seed=2)
    assert calls == order[3:]


def test_short_calls_are_repeated_and_long_ones_are_not():
    times = interleave(
        {"short": lambda: None, "long": lambda: time.sleep(0.003)},
        Settings(budget=1e-9, least=2, most=9, shortest=1e-3, pause=0),
        seed=0,
    )
    assert times["short"].calls >= 10
    assert times["long"].calls == 1
    assert all(0.002 < seconds < 1 for seconds in times["long"].seconds)
    assert all(seconds < 1e-4 for seconds in times["short"].seconds)


def test_the_budget_sets_the_number_of_rounds():
    def rounds(budget):
        settings = Settings(budget=budget, least=3, most=12, shortest=1e-9, pause=0)
        return len(interleave({"a": lambda: time.sleep(0.002)}, settings, seed=0)["a"].seconds)

    assert rounds(1e-9) == 3
    assert rounds(1e3) == 12


def test_progress_names_each_case_before_it_runs():
    seen = []
    cases = [of("affine"), of("small")]
    for outcome in runner.run(cases, ALL[:1], FAST, seed=0, progress=seen.append):
        assert seen[-1] == outcome.case
    assert seen == cases


def test_arrays_are_not_written_to():
    for case in TIMED:
        arrays = build(case, 0)
        copies = {name: array.copy() for name, array in arrays.items()}
        for work in CONTENDERS[OURS].prepare(case, arrays).values():
            work.run()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, copies[name])

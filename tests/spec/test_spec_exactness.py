"""Rules D1 to D3: the same bits every time, and errors within derived bounds."""

import hashlib
import os
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import attn_ref
from attn_ref import exact

from . import oracle
from .calls import CALLS
from .cases import ALIGNED, MODE, PADDING, PRIMITIVES, Problem, every_option, grid_of, run
from .oracle import Options


def bits(problem, options, channels_last=False):
    return {name: a.tobytes() for name, a in run(problem, options, channels_last).items()}


@every_option
@PRIMITIVES
def test_D1_same_inputs_same_bits(mode, padding_mode, align_corners, d, channels_last):
    """Run after run, in several threads at once, and wherever in memory the arrays happen to lie."""
    options = Options(mode, padding_mode, align_corners)
    points = np.random.default_rng(d).uniform(-1.6, 1.6, (60, d))
    problem = Problem((3, 4, 5)[:d], grid_of(points, np.float32, batch=2), channels=5)
    want = bits(problem, options, channels_last)
    found = []
    threads = [threading.Thread(target=lambda: found.append(bits(problem, options, channels_last))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for shift in (1, 3):
        moved = Problem((3, 4, 5)[:d], problem.grid, channels=5)
        for name in ("image", "grid", "grad_output", "u", "v"):
            old = getattr(problem, name)
            buffer = np.empty(old.size + shift, old.dtype)[shift:].reshape(old.shape)
            buffer[...] = old
            setattr(moved, name, buffer)
        found.append(bits(moved, options, channels_last))
    assert all(result == want for result in found)
    assert len(found) == 4


def digest():
    """A fingerprint of every result of the sampler; printed by the subprocesses of the next test."""
    sampler = [call for name, call in CALLS.items() if name.startswith(("grid_sample", "operator"))]
    return hashlib.sha256(b"".join(a.tobytes() for call in sampler for a in call.results())).hexdigest()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_D1_bits_depend_neither_on_the_number_of_threads_nor_on_the_process(threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ATTN_REF_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONHASHSEED": threads}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    program = f"from {__name__} import digest; print(digest())"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()


def box(p, size, unit):
    """D2's box round a coordinate, with c_p = 4, and in it every place where the sampler may turn."""
    delta = 4 * unit * (abs(p) + size)
    ends = [p - delta, p + delta]
    turns = [Fraction(k, 2) for k in range(int(2 * ends[0]) - 2, int(2 * ends[1]) + 3)]
    return [*ends, p, *[k for k in turns if ends[0] < k < ends[1]]]


def in_pixels(g, size, align_corners):
    return (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2


def back_to_g(p, size, align_corners):
    return 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1


def worst_ratio(mode, padding_mode, align_corners, dtype):
    """Largest error of the forward pass against the exact oracle, in units of D2's bound with c = 1."""
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    unit = Fraction(float(np.finfo(dtype).eps)) / 2
    height, width = 3, 6
    generator = np.random.default_rng(5)
    image = generator.normal(size=(1, 1, height, width)).astype(dtype)
    centres = exact.affine_grid([[[1, 0, 0], [0, 1, 0]]], (1, 1, height, width), align_corners=align_corners)
    near_kinks = exact.to_float(centres).reshape(-1, 2)[::2]
    points = np.concatenate([generator.uniform(-1.8, 1.8, (12, 2)), near_kinks]).astype(dtype)
    y = attn_ref.grid_sample(image, grid_of(points, dtype), **options).ravel()
    worst = Fraction(0)
    for got, (gx, gy) in zip(y, points, strict=True):
        around = [
            [
                back_to_g(p, size, align_corners)
                for p in box(in_pixels(Fraction(float(g)), size, align_corners), size, unit)
            ]
            for g, size in ((gx, width), (gy, height))
        ]
        corners = [[[list(corner) for corner in product(*around)]]]
        range_of_y = exact.grid_sample(image, corners, **options).ravel()
        # Σ_k |w_k| |x_k| at p itself, which is at most the maximum over the box
        here = [[[[Fraction(float(gx)), Fraction(float(gy))]]]]
        weights = exact.grid_sample_backward([[[[1]]]], image, here, **options).input
        bound = unit * (np.abs(weights) * np.abs(exact.to_fractions(image))).sum()
        value = Fraction(float(got))
        outside = max(min(range_of_y) - value, value - max(range_of_y), Fraction(0))
        worst = max(worst, outside / (bound + Fraction(float(np.finfo(dtype).smallest_subnormal))))
    return float(worst)


@MODE
@PADDING
@ALIGNED
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_D2_D3_error_against_the_exact_oracle_is_within_the_derived_bound(mode, padding_mode, align_corners, dtype):
    """c = 20: a handful of roundings a weight, one a product, a sum of up to 16. The worst here is between 2 and 3."""
    assert worst_ratio(mode, padding_mode, align_corners, dtype) <= 20


def test_D2_the_range_over_the_box_matters():
    """One rounding of p moves a nearest sample by a whole pixel: no fixed tolerance would do."""
    g = np.float32(0.6666668)
    pair = [g, np.nextafter(g, np.float32(1))]
    p = [oracle.pixel_coordinate(x, 4, True, np.float32) for x in pair]
    assert 0 < p[1] - p[0] < 1e-6
    image = np.array([[[[0, 0, 0, 100]]]], np.float32)
    y = attn_ref.grid_sample(image, grid_of([(x, 0) for x in pair], np.float32), mode="nearest", align_corners=True)
    assert y.ravel().tolist() == [0, 100]


def test_D3_operations_that_only_select_have_no_error():
    """Nearest at exact coordinates, and the identity: the oracle's number itself."""
    image = np.random.default_rng(0).normal(size=(1, 2, 3, 5))
    theta = np.eye(2, 3)[None]
    grid = attn_ref.affine_grid(theta, image.shape, align_corners=True)
    for mode in ("nearest", "bilinear", "bicubic"):
        want = exact.grid_sample(image, grid, mode=mode, align_corners=True)
        np.testing.assert_array_equal(
            attn_ref.grid_sample(image, grid, mode=mode, align_corners=True), exact.to_float(want)
        )

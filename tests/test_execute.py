"""How the sampler is executed: paths that agree, wherever work is cut, by however many threads, in little memory."""

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref
from attn_ref import _execute, _planes, _rows, _threads, validation
from attn_ref.ops.taps import TapTable
from attn_ref.registry import OPERATIONS

VARIANTS = OPERATIONS["grid_sample"].variants
PATHS = {"planes": _planes, "rows": _rows}


def drawn(shape, output, dtype=np.float64, seed=0):
    """An image (N, C, …), a grid that leaves it here and there, and a cotangent of the output."""
    rng = np.random.default_rng(seed)
    image, grid = rng.standard_normal(shape), rng.uniform(-1.4, 1.4, (shape[0], *output, len(output)))
    cotangent = rng.standard_normal((*shape[:2], *output))
    return image.astype(dtype), grid.astype(dtype), cotangent.astype(dtype)


def everything(image, grid, cotangent, **options):
    """Bytes of the output and of all first and second cotangents."""
    options = {"align_corners": False, **options}
    output = attn_ref.grid_sample(image, grid, **options)
    first = attn_ref.grid_sample_backward(cotangent, image, grid, **options)
    second = attn_ref.grid_sample_double_backward(image, grid, cotangent, image, grid, **options)
    return [array.tobytes() for array in (output, *first, *second)]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(1, 11), points=st.integers(1, 9))
def test_planes_and_rows_do_what_the_three_primitives_do_on_the_whole_table(variant, seed, channels, points):
    options = {**variant}
    d = options.pop("ndim")
    image, grid, cotangent = drawn((2, channels, *(3, 4, 5)[:d]), (2, points, 3)[-d:], seed=seed)
    backend = validation.numbers(grid=grid).backend
    table = TapTable(backend, grid, image.shape[2:], **options)
    X = image.reshape(2, channels, -1).swapaxes(1, 2)
    Y = cotangent.reshape(2, channels, -1).swapaxes(1, 2)
    for axes in [(), (0,), (d - 1,), (0, d - 1)]:
        scale = 1e-14 * (1 + np.abs(table.weight(*axes)).sum()) * np.abs(X).max() * (1 + np.abs(Y).sum())
        for path in PATHS.values():
            for method, array in (("gather", X), ("scatter", Y)):
                want = getattr(_execute.WHOLE, method)(table, axes, array)
                np.testing.assert_allclose(getattr(path, method)(table, axes, array), want, rtol=0, atol=scale)
            got, want = (p.weigh(table, [axes], Y, X)[..., 0] for p in (path, _execute.WHOLE))
            np.testing.assert_allclose(got, want, rtol=0, atol=scale)


@pytest.mark.parametrize(
    ("shape", "output", "mode"),
    [
        ((1, 1, 50, 60), (190, 200), "bilinear"),  # one sample, cut into parts and halves
        ((3, 2, 31, 20), (110, 170), "bilinear"),
        ((40, 3, 12, 13), (30, 21), "bilinear"),  # blocks of several samples
        ((3, 3, 12, 13), (70, 80), "bicubic"),
        ((3, 17, 24, 30), (50, 60), "bilinear"),  # rows
        ((1, 40, 20, 30), (60, 50), "bilinear"),  # the channels of one sample
        ((2, 2, 9, 10, 11), (20, 30, 29), "bilinear"),
        ((1, 17, 24, 30), (50, 60), "nearest"),  # planes, however many channels
        ((5, 9, 24, 30), (33, 34), "nearest"),
    ],
    ids=str,
)
def test_bits_do_not_depend_on_the_number_of_threads(shape, output, mode, monkeypatch):
    """D1. Blocks are small, so that all of these are cut."""
    monkeypatch.setattr(_planes, "_POINTS", 2**11)
    assert len(_planes.blocks(shape[0], int(np.prod(output)))) > 1
    arrays = drawn(shape, output, np.float32)
    found = []
    for count in ("1", "2", "5"):
        monkeypatch.setenv("ATTN_REF_NUM_THREADS", count)
        found.append(everything(*arrays, mode=mode))
    assert all(bits == found[0] for bits in found)


@pytest.mark.parametrize("points", [2**14 - 1, 2**14, 2**14 + 1, 2**15 + 1])
@pytest.mark.parametrize("channels", [2, 8])
def test_a_sample_is_the_same_wherever_the_points_are_cut(points, channels, monkeypatch):
    monkeypatch.setattr(_planes, "_POINTS", 2**14)
    image, grid, cotangent = drawn((1, channels, 14, 15), (1, points))
    options = {"align_corners": True, "padding_mode": "border"}
    whole = attn_ref.grid_sample(image, grid, **options)
    back = attn_ref.grid_sample_backward(cotangent, image, grid, **options)
    total = 0.0
    for part in (slice(0, 5000), slice(5000, 16383), slice(16383, points)):
        some = grid[:, :, part]
        one = attn_ref.grid_sample(image, some, **options)
        assert one.tobytes() == np.ascontiguousarray(whole[:, :, :, part]).tobytes()
        cotangents = attn_ref.grid_sample_backward(cotangent[:, :, :, part], image, some, **options)
        np.testing.assert_allclose(cotangents.grid, back.grid[:, :, part], rtol=0, atol=1e-13)
        total += cotangents.input
    np.testing.assert_allclose(total, back.input, rtol=0, atol=1e-14 * np.abs(cotangent).sum())


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [7, 9])
def test_channels_are_worked_on_in_groups_of_unequal_size(mode, channels):
    """Nine channels of 6272 points in nearest are a group of five and one of four, each large enough for a matrix."""
    image, grid, cotangent = drawn((2, channels, 12, 13), (56, 56))
    options = {"mode": mode, "align_corners": True}
    got = attn_ref.grid_sample_backward(cotangent, image, grid, **options)
    for c in range(channels):
        one = slice(c, c + 1)
        alone = attn_ref.grid_sample_backward(cotangent[:, one], image[:, one], grid, **options)
        np.testing.assert_allclose(got.input[:, one], alone.input, rtol=0, atol=1e-12)


def test_one_tap_goes_by_planes_if_the_image_does():
    """Rows of channels would be made only to be taken apart again."""
    image, grid, _ = drawn((2, 16, 5, 6), (7, 8))
    backend = validation.numbers(grid=grid).backend
    first = image.reshape(2, 16, 30).swapaxes(1, 2)
    for mode, X, path in [
        ("nearest", first, _planes),
        ("nearest", np.ascontiguousarray(first), _rows),  # channels last
        ("bilinear", first, _rows),
        ("nearest", first[:, :, :3], _planes),
    ]:
        assert _execute.path(TapTable(backend, grid, (5, 6), mode, "zeros", False), X) is path


def peak(size, channels):
    """Bytes of the results of forward and backward, and the most that was held at a time to make them."""
    image, grid, cotangent = drawn((1, channels, size, size + 1), (size, size + 1), np.float32)
    tracemalloc.start()
    output = attn_ref.grid_sample(image, grid, align_corners=False)
    back = attn_ref.grid_sample_backward(cotangent, image, grid, align_corners=False)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return output.nbytes + back.input.nbytes + back.grid.nbytes, most


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_memory_grows_by_two_and_a_half_times_the_results(channels, monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "2")
    (small, before), (large, after) = peak(500, channels), peak(1000, channels)
    assert (after - before) / (large - small) <= 2.5


# ---------------------------------------------------------------------------------------------------------------------
# Threads


def test_results_come_in_the_order_of_the_tasks(monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "3")
    assert _threads.results(lambda task: 2 * task, range(50)) == list(range(0, 100, 2))


def test_what_a_task_asks_for_is_done_where_it_is(monkeypatch):
    """A pool whose threads wait for each other would never end."""
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "2")
    inner = range(4)
    found = _threads.results(lambda task: _threads.results(lambda k: (task, k), inner), range(6))
    assert found == [[(task, k) for k in inner] for task in range(6)]


def test_an_error_in_a_task_is_raised(monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "2")

    def task(number):
        if number == 3:
            raise MemoryError("task 3")
        return number

    with pytest.raises(MemoryError, match="task 3"):
        _threads.run(task, range(9))
    assert _threads.results(task, range(3)) == [0, 1, 2]


def test_nan_and_inf_are_quiet_in_every_thread(monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "2")
    image, grid, cotangent = drawn((1, 2, 30, 40), (210, 200))
    grid[0, ::50, ::9] = np.nan
    grid[0, 1::50, ::9] = np.inf
    cotangent[0, 1, ::7] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        everything(image, grid, cotangent)


@pytest.mark.parametrize("channels", [2, 9])
def test_an_infinite_cotangent_is_not_multiplied_with_what_is_outside(channels):
    """X5: along x the point lies between the last pixel and nothing, along y far outside."""
    image, grid = np.ones((1, channels, 3, 4)), np.array([[[[1.1, 0.1], [0.2, 7.0]]]])
    cotangent = np.full((1, channels, 1, 2), np.inf)
    back = attn_ref.grid_sample_backward(cotangent, image, grid, align_corners=True)
    assert back.grid[0, 0, 0, 0] == -np.inf
    assert (back.grid[0, 0, 1] == 0).all()

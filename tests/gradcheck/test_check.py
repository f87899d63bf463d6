import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import attn_ref
from attn_ref.gradcheck import GradientError, check_gradients

FLOATS = st.floats(-3, 3).map(lambda v: v if abs(v) > 1e-100 else 0.0)  # underflow is not what is looked at


def smooth(x, w):
    return np.tanh(x @ w.T)


def smooth_backward(dy, x, w):
    dh = dy * (1 - np.tanh(x @ w.T) ** 2)
    return dh @ w, dh.T @ x


@given(x=hnp.arrays(np.float64, (5, 4), elements=FLOATS), w=hnp.arrays(np.float64, (3, 4), elements=FLOATS))
def test_a_right_gradient_passes_whatever_the_flags(x, w):
    for batched in (False, [True, False]):
        report = check_gradients(smooth, smooth_backward, [x, w], batched=batched)
        report.raise_if_failed()
        assert not report.kinks


@given(x=hnp.arrays(np.float64, (5, 4), elements=FLOATS), factor=st.sampled_from([1 + 1e-6, 1 - 1e-6, 2, -1, 0]))
def test_a_gradient_off_by_a_millionth_fails(x, factor):
    w = np.linspace(-1, 1, 12).reshape(3, 4)
    report = check_gradients(
        smooth, lambda dy, x, w: (smooth_backward(dy, x, w)[0] * factor, smooth_backward(dy, x, w)[1]), [x, w]
    )
    assert not report.passed
    assert [c.name for c in report.failures] == ["input 0: random cotangent", "input 0: full Jacobian"]


def test_one_wrong_element_is_found_and_named():
    x = np.random.default_rng(0).standard_normal((3, 4, 5))

    def backward(dy, x):
        dx = dy * 2 * x
        dx[1, 2, 3] *= 1.001
        return dx

    report = check_gradients(lambda x: x**2, backward, [x], names=["image"])
    worst = report.failures[0]
    assert worst.name == "image: random cotangent"
    assert worst.index == (1, 2, 3)
    assert worst.error == pytest.approx(abs(worst.analytic - worst.numeric))
    with pytest.raises(GradientError, match=r"image: random cotangent .*FAILED"):
        report.raise_if_failed()


def test_the_report_prints_both_numbers_and_the_bound():
    x = np.array([[0.5], [2.0]])
    text = str(check_gradients(lambda x: x**2, lambda dy, x: dy * x, [x], batched=True))
    header, first, *_ = text.splitlines()
    for word in ("elements", "bound", "at", "analytic", "numeric"):
        assert word in header
    assert "FAILED" in first


def test_errors_that_cancel_in_a_sum_are_found():
    """A backward pass that permutes its cotangent is right for ones: random cotangents are not fooled."""
    x = np.random.default_rng(1).standard_normal((2, 6))
    report = check_gradients(lambda x: 3 * x, lambda dy, x: 3 * dy[:, ::-1], [x], batched=True)
    assert not report.passed


def test_an_averaged_batch_is_found_in_batched_mode():
    x = np.random.default_rng(2).standard_normal((4, 3))
    report = check_gradients(lambda x: x**3, lambda dy, x: dy * 3 * x**2 / len(x), [x], batched=True)
    assert not report.passed


ROW = np.array([0.3, -0.5, 0.8])


def unit(x):
    return x / np.sqrt((x**2).sum())


def unit_backward(dy, x):
    r = np.sqrt((x**2).sum())
    return dy / r - x * (dy * x).sum() / r**3


def sine(w):
    return lambda x: np.sin(w * x), lambda dy, x: dy * w * np.cos(w * x), ROW


HARD = {
    **{f"sin {w:g} x": sine(w) for w in (50, 1e3, 1e6)},
    **{f"unit vector {s:g}": (unit, unit_backward, s * ROW) for s in (1, 1e-4, 1e-8, 1e8)},
    **{f"log {v:g}": (np.log, lambda dy, x: dy / x, np.array([v, 1.0])) for v in (1e-6, 1e-3, 1e5)},
    "sqrt": (np.sqrt, lambda dy, x: dy / 2 / np.sqrt(x), np.array([1e-6, 0.5])),
    "arcsin": (np.arcsin, lambda dy, x: dy / np.sqrt(1 - x**2), np.array([0.99, 0.99999, -0.5])),
    "exp 300 x": (lambda x: np.exp(300 * x), lambda dy, x: dy * 300 * np.exp(300 * x), ROW / 100),
    "offset": (lambda x: 1e6 + x**2, lambda dy, x: dy * 2 * x, ROW),
    "scales": (lambda x: x**2 * [1e12, 1, 1], lambda dy, x: dy * 2 * x * [1e12, 1, 1], ROW),
    "large": (lambda x: np.tanh(x / 1e15), lambda dy, x: dy * (1 - np.tanh(x / 1e15) ** 2) / 1e15, 1e15 * ROW),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", HARD)
def test_hard_functions_pass_and_fail_rightly(name):
    forward, backward, x = HARD[name]
    report = check_gradients(forward, backward, [x])
    report.raise_if_failed()
    assert not report.kinks
    for factor in (1.01, -1.0, 0.0):
        assert not check_gradients(forward, lambda dy, x, f=factor: f * backward(dy, x), [x]).passed
    last = np.where(np.arange(len(x)) == len(x) - 1, -1.0, 1.0)  # the sign of one element
    assert not check_gradients(forward, lambda dy, x: last * backward(dy, x), [x]).passed


def test_a_function_that_raises_beyond_its_domain_is_differenced_within():
    def strict(x):
        if (x <= 0).any():
            raise ValueError("not in the domain")
        return np.log(x)

    x = np.array([[1e-3, 1.0], [2.0, 1e-5]])
    for batched in (False, True):
        assert check_gradients(strict, lambda dy, x: dy / x, [x], batched=batched).passed
        assert not check_gradients(strict, lambda dy, x: 1.01 * dy / x, [x], batched=batched).passed


def test_a_singular_neighbour_does_not_hide_a_wrong_sign():
    theta = np.eye(2, 3, dtype=np.float32)[None]
    right = attn_ref.affine_inverse_backward
    assert check_gradients(attn_ref.affine_inverse, right, [theta], batched=True).passed
    wrong = check_gradients(attn_ref.affine_inverse, lambda dy, x: -right(dy, x), [theta], batched=True)
    assert not wrong.passed


def test_float32_layer_norm_raises_no_false_alarm():
    def normed(x):
        s = np.sqrt(x.var(axis=1, keepdims=True) + np.float32(1e-5))
        return (x - x.mean(axis=1, keepdims=True)) / s

    def backward(dy, x):
        s, y = np.sqrt(x.var(axis=1, keepdims=True) + np.float32(1e-5)), normed(x)
        return (dy - dy.mean(axis=1, keepdims=True) - y * (dy * y).mean(axis=1, keepdims=True)) / s

    for scale in (1, 1e-2, 1e-4):
        for seed in range(5):
            x = (scale * np.random.default_rng(seed).standard_normal((3, 8))).astype(np.float32)
            assert check_gradients(normed, backward, [x], batched=True).passed
            assert not check_gradients(normed, lambda dy, x: -backward(dy, x), [x], batched=True).passed


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
@given(flat=st.integers(-48, -34), steep=st.integers(-16, 16))
def test_the_flat_end_of_a_smooth_function_is_no_kink_in_float32(name, flat, steep):
    """Its slope of about 1e-5 drowns in the rounding of the outputs beside it: no more can be said, nothing less."""
    function = attn_ref.get_activation(name)
    x = (np.array([[steep, flat], [steep, steep]]) / 8 + 1 / 16).astype(np.float32)
    report = check_gradients(function, function.backward, [x], batched=True)
    report.raise_if_failed()
    assert not report.kinks
    assert not check_gradients(function, lambda dy, x: 1.01 * function.backward(dy, x), [x], batched=True).passed


def test_a_function_that_returns_one_buffer_again_and_again_is_read_in_time():
    buffer = np.empty(3)

    def forward(x):
        return np.multiply(x, x, out=buffer)

    assert check_gradients(forward, lambda dy, x: 2 * x * dy, [ROW]).passed
    assert not check_gradients(forward, lambda dy, x: 3 * x * dy, [ROW]).passed


def test_a_constant_has_no_gradient_but_rounding():
    assert check_gradients(lambda x: 0 * x, lambda dy, x: dy * 1e-17, [ROW]).passed
    assert not check_gradients(lambda x: 0 * x, lambda dy, x: dy * 1e-12, [ROW]).passed


def test_the_cotangent_depends_on_the_seed():
    def seen(seed):
        kept = []

        def backward(dy, x):
            kept.append(dy.tolist())
            return 2 * x * dy

        check_gradients(lambda x: x**2, backward, [ROW], full_jacobian=False, seed=seed)
        return kept[0]

    assert seen(0) == seen(0) != seen(1)


def test_float32_passes_with_its_own_bound_and_still_finds_a_percent():
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 4), (3, 4)))
    assert check_gradients(smooth, smooth_backward, [x, w], batched=[True, False]).passed
    wrong = check_gradients(smooth, lambda *a: [1.02 * g for g in smooth_backward(*a)], [x, w], batched=[True, False])
    assert not wrong.passed


# --- kinks


def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, x):
    return dy * (x > 0)


@pytest.mark.parametrize("batched", [False, True])
@given(data=st.data())
def test_a_kink_is_reported_as_a_kink(batched, data):
    x = data.draw(hnp.arrays(np.float64, (2, 3), elements=st.floats(0.01, 3) | st.floats(-3, -0.01)))
    place = data.draw(st.tuples(st.integers(0, 1), st.integers(0, 2)))
    x[place] = data.draw(st.sampled_from([0.0, 1e-12, -1e-12, 1e-9, 1e-6]))
    report = check_gradients(relu, relu_backward, [x], batched=batched)
    assert report.passed
    assert [kink.index for kink in report.kinks] == [place]
    (kink,) = report.kinks
    assert not (kink.compared and x[place] == 0)  # a kink that is only near may be stepped round
    assert kink.compared or kink.between
    assert "on or near a kink" in str(report)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(seed=st.integers(0, 2**16), exponent=st.floats(-3, 0))
def test_no_false_alarm_near_a_kink(dtype, seed, exponent):
    x = (np.random.default_rng(seed).choice([-1, 1], 3) * 10**exponent * np.array([1, 0.7, 1.3])).astype(dtype)
    assert check_gradients(relu, relu_backward, [x]).passed


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e6, -1e3])
def test_a_kink_does_not_excuse_what_no_subgradient_is(wrong):
    x = np.array([[0.0, 1.0, -1.0]])
    report = check_gradients(relu, lambda dy, x: dy * np.where(x == 0, wrong, x > 0), [x], batched=True)
    assert not report.passed


def test_the_gradient_of_a_norm_at_zero_must_not_be_nan():
    def norm(x):
        return np.sqrt((x**2).sum(axis=1))

    def backward(dy, x):
        with np.errstate(invalid="ignore"):
            return dy[:, None] * x / norm(x)[:, None]

    assert not check_gradients(norm, backward, [np.zeros((1, 3))], batched=True).passed


def test_a_value_off_the_one_sided_ones_is_said_to_be():
    x = np.array([[0.0, 1.0, -1.0]])
    report = check_gradients(relu, lambda dy, x: dy * np.where(x == 0, 2.0, x > 0), [x], batched=True)
    assert not report.kinks[0].between
    assert "not between them" in str(report)


def test_if_every_element_is_on_a_kink_the_table_says_that_nothing_was_compared():
    report = check_gradients(relu, relu_backward, [np.zeros((2, 7))], batched=True)
    assert report.passed
    assert "nothing compared" in str(report)
    assert len(report.kinks) == 14
    assert "and 4 more" in str(report)


def test_a_kink_does_not_hide_a_wrong_gradient_elsewhere():
    x = np.array([[0.0, 1.0, -1.0]])
    report = check_gradients(relu, lambda dy, x: dy * (x > 0) * 1.01, [x], batched=True)
    assert not report.passed
    assert len(report.kinks) == 1


def test_a_symmetric_kink_is_not_silently_passed():
    """The central difference of |x| at 0 is 0 at every step, and so is the subgradient sign(0)."""
    report = check_gradients(np.abs, lambda dy, x: dy * np.sign(x), [np.array([[0.0, 1.0]])])
    assert report.passed
    assert [kink.index for kink in report.kinks] == [(0, 0)]


def test_a_kink_a_thousandth_away_is_stepped_round():
    report = check_gradients(relu, relu_backward, [np.array([0.001, -0.001])])
    assert report.passed
    assert not report.kinks


def test_a_jump_is_a_kink():
    report = check_gradients(lambda x: np.floor(x) + x, lambda dy, x: dy * 1, [np.array([1.0, 1.5])])
    assert [kink.index for kink in report.kinks] == [(0,)]


def test_given_kink_distances_are_believed():
    x = np.array([[0.0, 0.5, -2.0]])
    report = check_gradients(relu, relu_backward, [x], batched=True, kink_distance=[np.abs(x)])
    assert [kink.index for kink in report.kinks] == [(0, 0)]
    report = check_gradients(relu, relu_backward, [x], step=[0.6], degree=1, kink_distance=[np.abs(x)])
    assert [kink.index for kink in report.kinks] == [(0, 0), (0, 1)]


# --- exact stencils


@pytest.mark.parametrize(("power", "degree"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_exact_stencils_have_no_truncation_error(power, degree):
    x = np.array([[0.3, -1.2, 2.0]])
    report = check_gradients(
        lambda x: x**power, lambda dy, x: dy * power * x ** (power - 1), [x], step=[1.0], degree=degree
    )
    assert report.passed
    assert max(c.error for c in report.comparisons) < 1e-12


def test_a_degree_too_low_is_noticed():
    x = np.array([[0.3, -1.2, 2.0]])
    assert not check_gradients(lambda x: x**3, lambda dy, x: dy * 3 * x**2, [x], step=[0.5], degree=2).passed


# --- shapes


def test_scalar_outputs_and_zero_dimensional_inputs():
    x, s = np.array([1.0, 2.0]), np.array(3.0)
    report = check_gradients(
        lambda x, s: np.array((s * x**2).sum()), lambda dy, x, s: (dy * s * 2 * x, np.array(dy * (x**2).sum())), [x, s]
    )
    report.raise_if_failed()


def test_empty_inputs_and_outputs_pass():
    assert check_gradients(lambda x: 2 * x, lambda dy, x: 2 * dy, [np.zeros((0, 3))], batched=True).passed


def test_the_sampler_passes_and_its_flipped_alignment_fails():
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((2, 3, 5, 6)), rng.uniform(-1, 1, (2, 4, 3, 2))]

    def check(aligned_backward):
        return check_gradients(
            lambda x, g: attn_ref.grid_sample(x, g, align_corners=True),
            lambda dy, x, g: attn_ref.grid_sample_backward(dy, x, g, align_corners=aligned_backward),
            inputs,
            batched=True,
        )

    assert check(True).passed
    assert len(check(False).failures) == 4


def test_inputs_are_not_written_to_even_if_the_function_tries():
    x = np.array([[1.0, 2.0]])
    before = x.tobytes()

    def forward(x):
        y = x**2
        x += 1
        return y

    assert check_gradients(forward, lambda dy, x: dy * 2 * x, [x]).passed
    assert x.tobytes() == before


def test_batched_is_one_call_for_all_elements():
    calls = []

    def forward(x):
        calls.append(len(x))
        return x**2

    check_gradients(
        forward, lambda dy, x: dy * 2 * x, [np.random.default_rng(0).standard_normal((3, 40))], batched=True
    )
    assert len(calls) <= 6


# --- mistakes of the caller

X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"inputs": X}, TypeError, "sequence of arrays"),
        ({"inputs": [[1.0, 2.0]]}, TypeError, r"inputs\[0\].*list"),
        ({"inputs": [np.arange(3)]}, TypeError, r"inputs\[0\].*int64"),
        ({"inputs": []}, ValueError, "empty"),
        ({"batched": [True, False]}, ValueError, "batched"),
        ({"batched": "yes"}, ValueError, "batched"),
        ({"names": ["a", "b"]}, ValueError, "names"),
        ({"step": [0.1]}, ValueError, "step and degree"),
        ({"degree": 1}, ValueError, "step and degree"),
        ({"step": [0.1], "degree": 5}, ValueError, "degree=5"),
        ({"step": [0.1, 0.2], "degree": 1}, ValueError, "step"),
        ({"kink_distance": np.ones(3)}, ValueError, "kink_distance"),
        ({"step": [0.0], "degree": 1}, ValueError, r"step\[0\] must be finite and positive"),
        ({"step": [np.nan], "degree": 1}, ValueError, r"step\[0\] must be finite and positive"),
        ({"step": 0.1, "degree": 1}, ValueError, "step must be a sequence"),
        ({"step": [np.ones(7)], "degree": 1}, ValueError, r"step\[0\] has shape"),
        ({"step": [0.1], "degree": -1}, ValueError, "degree must be a whole number"),
        ({"step": [0.1], "degree": 1.5}, ValueError, "degree must be a whole number"),
        ({"batched": 1}, ValueError, "batched"),
        ({"inputs": [np.ma.masked_array(X, X > 0)]}, TypeError, r"inputs\[0\].*MaskedArray"),
        ({"inputs": [np.array([1.0, np.nan])]}, ValueError, r"inputs\[0\] holds NaN"),
        ({"forward": lambda x: x + np.random.default_rng().normal()}, ValueError, "other values for the same inputs"),
        ({"forward": lambda x: [1.0]}, TypeError, "forward returned list"),
        ({"forward": lambda x: x > 0}, TypeError, "forward returned"),
        ({"forward": lambda x: x / 0}, ValueError, "NaN or inf"),
        ({"backward": lambda dy, x: dy[0]}, ValueError, r"shape \(3,\) for input 0"),
        ({"backward": lambda dy, x: (dy, dy)}, ValueError, "1 cotangents"),
        ({"backward": lambda dy, x: None}, TypeError, "NoneType"),
        ({"batched": True, "forward": lambda x: x.sum(axis=0)}, ValueError, "axis 0"),
    ],
)  # fmt: skip
def test_mistakes_of_the_caller_are_named(change, error, words):
    arguments = {"forward": lambda x: 2 * x, "backward": lambda dy, x: 2 * dy, "inputs": [X], **change}
    with np.errstate(all="ignore"), pytest.raises(error, match=words):
        check_gradients(arguments.pop("forward"), arguments.pop("backward"), arguments.pop("inputs"), **arguments)


def test_samples_that_influence_each_other_are_noticed():
    def centred(x):
        return x - x.mean(axis=0)

    x = np.random.default_rng(0).standard_normal((3, 2))
    with pytest.raises(ValueError, match="independent"):
        check_gradients(centred, lambda dy, x: dy - dy.mean(axis=0), [x], batched=True)
    with pytest.raises(ValueError, match="independent"):  # only later samples depend on earlier ones
        check_gradients(lambda x: np.cumsum(x, axis=0), lambda dy, x: dy, [x], batched=True)


@pytest.mark.parametrize("batched", [True, False])
def test_backward_may_return_the_same_memory_each_time(batched):
    """What it returned first is kept from its next call; and two inputs need no more calls than one."""
    x, y, calls, buffers = np.array([[0.3, 0.7], [0.2, 0.4]]), np.array([[1.1, 0.6], [0.9, 0.5]]), [], {}

    def backward(grad, x, y):
        calls.append(len(grad))
        dx, dy = buffers.setdefault(len(grad), (np.empty_like(x), np.empty_like(y)))
        np.multiply(grad, y, out=dx)
        np.multiply(grad, x, out=dy)
        return dx, dy

    report = check_gradients(lambda x, y: x * y, backward, [x, y], batched=batched, full_jacobian=batched)
    assert report.passed, report
    assert len(calls) == (2 if batched else 1)

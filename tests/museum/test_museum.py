"""Every bug of the museum, planted alone, is caught by the properties of ``attn-ref check``; which, is written down."""

import dataclasses

import numpy as np
import pytest

from attn_ref.gradcheck import check_gradients
from attn_ref.gradcheck.runner import pairs, run_pair
from attn_ref.registry import OPERATIONS

from .attention import ATTENTION_BUGS
from .bugs import BUGS, Bug
from .layers import LAYER_BUGS
from .page import PAGE, page

EXAMPLES = 3


def catchers(bug: Bug) -> list[str]:
    """The properties that fail now, on the variants that the bug speaks of."""
    operation = OPERATIONS[bug.operation]
    variants = tuple(v for v in operation.variants if bug.where.items() <= v.items())
    assert variants, f"no variant has {bug.where}"
    operation = dataclasses.replace(operation, variants=variants)
    results = [
        run_pair(operation, name, examples=EXAMPLES, random_seed=0, shrink=False) for _, name in pairs([bug.operation])
    ]
    return [result.property_name for result in results if not result.passed]


@pytest.mark.parametrize("bug", [*BUGS, *ATTENTION_BUGS, *LAYER_BUGS], ids=lambda bug: bug.plant.__name__)
def test_planted_bug_is_caught_by(bug: Bug, monkeypatch, record_property):
    bug.plant(monkeypatch)
    caught = catchers(bug)
    record_property("caught_by", ", ".join(caught))
    assert set(bug.caught_by) <= set(caught), f"{bug.name}: caught only by {caught}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_planted_nothing_caught(operation):
    assert all(
        run_pair(OPERATIONS[operation], name, examples=2, random_seed=1).passed for _, name in pairs([operation])
    )


def test_cylinder_grid_with_the_derivative_of_another_function_is_caught():
    """fxia22/stn.pytorch's cylinder grid: −½ sin((1 + cos θ)/2) where the derivative of −cos θ is sin θ."""
    theta = np.array([[0.3, 1.2], [2.0, -0.7]])
    wrong = check_gradients(
        lambda theta: -np.cos(theta), lambda dy, theta: -dy / 2 * np.sin((1 + np.cos(theta)) / 2), [theta], batched=True
    )
    right = check_gradients(lambda theta: -np.cos(theta), lambda dy, theta: dy * np.sin(theta), [theta], batched=True)
    assert right.passed
    assert not wrong.passed


def test_the_page_in_the_docs_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.museum.page"

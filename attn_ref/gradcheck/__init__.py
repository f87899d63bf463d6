"""Gradient checks, strongest first, for the operations of this package and for anyone's.

``check_gradients`` compares a backward pass with differences of its forward pass; ``strategies`` (a submodule, needs
Hypothesis) draws inputs built round the kinks; ``properties`` lists what every registered operation must satisfy; and
``runner`` runs them all, which is what ``attn-ref check`` does.
"""

from attn_ref.gradcheck.check import check_gradients
from attn_ref.gradcheck.report import Comparison, GradientError, Kink, Report

__all__ = ["Comparison", "GradientError", "Kink", "Report", "check_gradients"]

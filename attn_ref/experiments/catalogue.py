"""The experiments by name: what the command line and the page of results read."""

from __future__ import annotations

from attn_ref.experiments import channel_gates, distorted_digits, upright
from attn_ref.experiments.experiment import Experiment

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (distorted_digits.EXPERIMENT, upright.EXPERIMENT, channel_gates.EXPERIMENT)
}
"""All experiments."""

"""Hypothesis profiles: ``dev`` draws anew each time, ``ci`` always the same, ``thorough`` long and anew.

Choose one with the environment variable HYPOTHESIS_PROFILE; ``dev`` is the default.
"""

import os

from hypothesis import HealthCheck, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=_QUIET)
settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

"""Verify a foreign implementation: whether it is right, within derived bounds, and if not, what is wrong with it.

:func:`verify` asks a candidate, called like the reference's own function, for its results on the corners of the
specification and on calls that Hypothesis draws, and compares them with intervals that hold every right result.
:func:`diagnose` says which known mistake the wrong ones look like; :func:`identify` names a sampler's convention.
"""

from attn_ref._extras import optional

with optional():
    from attn_ref.verify.bounds import Interval, intervals
    from attn_ref.verify.diagnosis import Diagnosis, diagnose
    from attn_ref.verify.failures import Case, Failure, Outcome
    from attn_ref.verify.identification import Identification, identify
    from attn_ref.verify.report import Report, VerificationError
    from attn_ref.verify.verification import replay, verify

__all__ = [
    "Case",
    "Diagnosis",
    "Failure",
    "Identification",
    "Interval",
    "Outcome",
    "Report",
    "VerificationError",
    "diagnose",
    "identify",
    "intervals",
    "replay",
    "verify",
]

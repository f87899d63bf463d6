"""Golden vectors: what the operations must compute, case by case, for those who do not write Python.

A suite is a folder of arrays with a manifest: inputs, results, gradients, JVPs, double backward passes, and the bounds
between which each result must lie. The right results come from :mod:`attn_ref.exact` and are rounded once; every byte
of a suite is the same wherever and whenever it is written. ``attn-ref vectors write`` writes it, ``attn-ref vectors
check`` judges what another program made of it.
"""

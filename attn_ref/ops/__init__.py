"""The hand-derived operations, one file each, all in the same reading order.

A header with the idea and the derivation; the operation ``f``; its ``f_backward``, ``f_jvp`` and
``f_double_backward``; then private helpers.
"""

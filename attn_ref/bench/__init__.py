"""Time attn_ref against others on the same problems: the engine behind ``attn-ref bench``.

A *case* is a problem of one size (:mod:`~attn_ref.bench.cases`), its arrays come from
:mod:`~attn_ref.bench.problems`, and *contenders* (:mod:`~attn_ref.bench.contenders`) do the same work on them. The
runner (:mod:`~attn_ref.bench.runner`) first compares their results with ours, for a benchmark of wrong numbers is
worthless, and then calls all of them in turn, round by round in random order, so that whatever else the machine does
befalls all alike. What is told of it (table, figure, page) is made from the JSON report alone.
"""

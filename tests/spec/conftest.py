"""The array primitives to run with."""

from dataclasses import replace

import numpy as np
import pytest

from attn_ref import _execute, backend


@pytest.fixture(params=["csr", "takes"])
def primitives(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with SciPy's products, and with the takes and sorts that serve every other array library."""
    if request.param == "takes":
        entry = replace(
            backend.BACKENDS["numpy"](),
            gather=_execute.gather_by_takes(np),
            scatter=_execute.scatter_by_sort(np),
            dot=_execute.dot_by_takes(np),
        )
        monkeypatch.setitem(backend.BACKENDS, "numpy", lambda: entry)
    return request.param

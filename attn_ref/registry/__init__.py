"""Every operation, once: its functions, its exact twin, where its inputs come from, how large its terms are.

Whatever goes over all operations (the gradient checks, the command line, the docs' table of properties) reads
:data:`OPERATIONS` and nothing else, so that adding an operation is one file and one entry here.
"""

from attn_ref.registry.attention import ATTENTION
from attn_ref.registry.layers import LAYERS
from attn_ref.registry.operation import Call, Functions, Operation, Terms
from attn_ref.registry.spatial import SPATIAL

__all__ = ["OPERATIONS", "Call", "Functions", "Operation", "Terms"]

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in (*SPATIAL, *ATTENTION, *LAYERS)}
"""All operations by name."""

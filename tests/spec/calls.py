"""Every public function with arguments that fit, so that a rule about arguments is tried on all of them."""

from ..helpers import CALLS, Call, arguments

__all__ = ["ARGUMENTS", "CALLS", "EVERY_ARGUMENT", "Call"]

ARGUMENTS = list(arguments())
EVERY_ARGUMENT = [f"{name}:{argument}" for name, argument in ARGUMENTS]

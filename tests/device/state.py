"""What the stand-in for CuPy keeps count of: devices, streams, memory, calls, waiting, and what is handed over."""

import contextlib
import types
from dataclasses import dataclass, fields


@dataclass
class Counts:
    """What happened on the devices: calls of the library that compute or make an array, and what crosses the border."""

    calls: int = 0
    synchronisations: int = 0
    uploads: int = 0

    def since(self, before):
        return Counts(*[getattr(self, f.name) - getattr(before, f.name) for f in fields(self)])


COUNTS = Counts()


@contextlib.contextmanager
def counting():
    """Give counts that hold what happened inside, once it is left."""
    before, found = Counts(**vars(COUNTS)), Counts()
    yield found
    vars(found).update(vars(COUNTS.since(before)))


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


@dataclass
class _State:
    device: int = 0
    stream: object = None
    memory: int | None = None  # bytes that may still be allocated


STATE = _State()


def synchronised():
    COUNTS.synchronisations += 1


class Device:
    """A device, current inside a ``with``."""

    def __init__(self, id=0):
        self.id = id

    def __enter__(self):
        self._before, STATE.device = STATE.device, self.id
        return self

    def __exit__(self, *_):
        STATE.device = self._before


class Stream:
    """A stream, current inside a ``with``. One that does not block shares no array with others: nothing orders them."""

    def __init__(self, non_blocking=False):
        self.non_blocking = non_blocking
        self.ptr = id(self)

    def __enter__(self):
        self._before, STATE.stream = STATE.stream, self
        return self

    def __exit__(self, *_):
        STATE.stream = self._before

    def synchronize(self):
        synchronised()


class Event:
    """A moment on a stream; here nothing takes time."""

    def record(self):
        self._recorded = True

    def synchronize(self):
        assert self._recorded
        synchronised()


class Pool:
    """A memory pool that holds nothing back."""

    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0

    def free_all_blocks(self):
        pass


@contextlib.contextmanager
def memory(limit):
    """Refuse memory once so many bytes have been allocated; nothing is ever given back."""
    STATE.memory = limit
    try:
        yield
    finally:
        STATE.memory = None


DEFAULT_STREAM = Stream()
cuda = types.SimpleNamespace(
    Device=Device,
    Stream=Stream,
    Event=Event,
    get_current_stream=lambda: STATE.stream or DEFAULT_STREAM,
    get_elapsed_time=lambda before, behind: 1.0,
    runtime=types.SimpleNamespace(
        getDevice=lambda: STATE.device,
        getDeviceProperties=lambda device: {"name": b"stand-in", "totalGlobalMem": 2**33},
        driverGetVersion=lambda: 12090,
        runtimeGetVersion=lambda: 12090,
    ),
)

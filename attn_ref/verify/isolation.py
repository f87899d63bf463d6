"""A candidate in a process of its own: one that crashes or hangs takes nothing with it.

The process is started anew after either. Questions and answers go through its standard streams, pickled; what the
candidate prints goes nowhere. It ignores Ctrl-C: its parent ends it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

from attn_ref.verify.candidate import Answer, Candidate, Question, load

__all__ = ["Isolated", "serve"]

_START = 120.0
"""Seconds that a process may take to import a candidate and its libraries."""
_PROTOCOL = 5


class Isolated:
    """A candidate that lives in another process.

    Parameters
    ----------
    paths : mapping of str to str
        Where to import its functions from, ``package.module:function``.
    adapter : str
        Name of its adapter.
    time_limit : float
        Seconds that one answer may take.
    """

    def __init__(self, paths: Mapping[str, str], adapter: str, time_limit: float) -> None:
        self.paths, self.adapter, self.time_limit = dict(paths), adapter, time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[Any] = queue.Queue()

    def ask(self, question: Question) -> Answer:
        """Ask the process; it is started if there is none."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            _send(self._process.stdin, question)
        except OSError:
            return self._crashed()
        answer = self._receive(self.time_limit)
        if answer == "nothing":
            self.close()
            return Answer(kind="timeout", message=f"no answer within {self.time_limit:g} s")
        return self._crashed() if answer is None else answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from attn_ref.verify.isolation import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._answers = queue.Queue()
        assert self._process.stdin is not None
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()
        _send(self._process.stdin, (self.paths, self.adapter))
        ready = self._receive(_START)
        if ready != "ready":
            self.close()
            reason = {"nothing": f"no sign of life within {_START:g} s", None: "the process died"}.get(ready, ready)
            raise ValueError(f"the candidate cannot be imported in a process of its own: {reason}")

    def _receive(self, seconds: float) -> Any:
        """What the process said; "nothing" in time, None if it is gone."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return "nothing"

    def _crashed(self) -> Answer:
        assert self._process is not None
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0
        self.close()
        return Answer(kind="crash", message=f"the process died{_by_signal(status)}")


def _by_signal(status: int) -> str:
    if status >= 0:
        return f" with exit status {status}"
    try:
        return f" of {signal.Signals(-status).name}"
    except ValueError:
        return f" of signal {-status}"


def _listen(stream: IO[bytes], answers: queue.Queue[Any]) -> None:
    while True:
        try:
            answers.put(pickle.load(stream))
        except Exception:  # the end of the stream, in the midst of a message or not
            answers.put(None)
            return


def _send(stream: IO[bytes], message: Any) -> None:
    pickle.dump(message, stream, _PROTOCOL)
    stream.flush()


def serve() -> None:
    """Answer questions until the stream ends: what runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    paths, adapter = pickle.load(questions)
    try:
        candidate = Candidate({name: load(path) for name, path in paths.items()}, adapter)
    except BaseException as error:
        _send(answers, f"{type(error).__name__}: {error}")
        return
    _send(answers, "ready")
    while True:
        try:
            question = pickle.load(questions)
        except EOFError:
            return
        _send(answers, candidate.ask(question))

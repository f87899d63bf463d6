"""What a gradient check found, as values that print as a table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Comparison", "GradientError", "Kink", "Report"]


class GradientError(AssertionError):
    """Raised by :meth:`Report.raise_if_failed`; its message is the report.

    Examples
    --------
    >>> report = Report((Comparison("x: full Jacobian", 4, 1.0, 1e-12, (0, 1), 1.0, 2.0),))
    >>> try:
    ...     report.raise_if_failed()
    ... except GradientError as error:
    ...     print(str(error).splitlines()[0])
    the gradients are wrong
    """


@dataclass(frozen=True)
class Comparison:
    """One family of numbers computed in two ways, summed up by its worst member.

    Attributes
    ----------
    name : str
        What was compared, "theta: full Jacobian".
    elements : int
        How many numbers were compared.
    error : float
        The worst absolute difference, worst meaning largest in units of its bound.
    bound : float
        What rounding and truncation can explain of it.
    index : tuple of int
        Where it is: the index into the input, after the index into the output for a full Jacobian.
    analytic, numeric : float
        The two numbers: from ``backward``, and from differences of ``forward``.

    Examples
    --------
    >>> Comparison("x: full Jacobian", 4, 1e-12, 4e-12, (0, 1), 2.0, 2.000000000001).ratio
    0.25
    """

    name: str
    elements: int
    error: float
    bound: float
    index: tuple[int, ...]
    analytic: float
    numeric: float

    @property
    def ratio(self) -> float:
        """The error in units of its bound: at most 1 passes. NaN where either number is NaN."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else float("inf")

    @property
    def passed(self) -> bool:
        """Whether the two agree."""
        return self.ratio <= 1


@dataclass(frozen=True)
class Kink:
    """An element on a kink of the function, or near one.

    Attributes
    ----------
    name : str
        The input.
    index : tuple of int
        Index into the input.
    left, right : float
        The one-sided difference quotients of the projected output, NaN if they were not formed.
    analytic : float
        What ``backward`` says there.
    compared : bool
        Whether the kink is only near, so that the element was compared all the same.

    Examples
    --------
    >>> Kink("x", (0,), left=0.0, right=1.0, analytic=0.0).between, Kink("x", (0,), 0.0, 1.0, 30.0).far
    (True, True)
    """

    name: str
    index: tuple[int, ...]
    left: float
    right: float
    analytic: float
    compared: bool = False

    @property
    def between(self) -> bool:
        """Whether the analytic number lies between the one-sided ones, as a subgradient does."""
        return self._outside() <= 1e-6 * (1 + abs(self.left) + abs(self.right))

    @property
    def far(self) -> bool:
        """Whether it lies so far outside that no choice of one-sided derivatives explains it: ten times their gap."""
        gap = abs(self.right - self.left)
        return not self.compared and self._outside() > 10 * gap + 1e-3 * (1 + abs(self.left) + abs(self.right))

    @property
    def verdict(self) -> str:
        """What became of it, in words."""
        if self.compared:
            return "compared with smaller steps"
        if self.far:
            return "FAILED: far from both"
        return "not compared" if self.between else "not compared, though not between them"

    def _outside(self) -> float:
        """How far the analytic number lies outside the one-sided ones; NaN if those are not known."""
        low, high = sorted((self.left, self.right))
        return max(low - self.analytic, self.analytic - high, 0.0) if low <= high else float("nan")


@dataclass(frozen=True)
class Report:
    """The result of :func:`attn_ref.gradcheck.check_gradients`.

    Attributes
    ----------
    comparisons : tuple of Comparison
        One or two for each input.
    kinks : tuple of Kink
        Elements left out of the comparisons because the function has a kink there.

    Examples
    --------
    >>> good = Comparison("x: full Jacobian", 4, 1e-12, 4e-12, (0, 1), 2.0, 2.000000000001)
    >>> Report((good,)).passed
    True
    """

    comparisons: tuple[Comparison, ...]
    kinks: tuple[Kink, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every comparison passed and no number on a kink is far from both sides.

        Kinks themselves are not failures: look at them, and at how many elements are left.
        """
        return not self.failures and not any(kink.far for kink in self.kinks)

    @property
    def failures(self) -> tuple[Comparison, ...]:
        """The comparisons that did not pass."""
        return tuple(comparison for comparison in self.comparisons if not comparison.passed)

    def raise_if_failed(self) -> None:
        """Raise an error with the whole table if a comparison failed.

        Raises
        ------
        GradientError
            If ``passed`` is False.
        """
        if not self.passed:
            raise GradientError(f"the gradients are wrong\n{self}")

    def __str__(self) -> str:
        rows = [("compared", "elements", "error / bound", "error", "bound", "at", "analytic", "numeric", "")]
        for c in self.comparisons:
            rows.append(
                (
                    c.name,
                    str(c.elements),
                    f"{c.ratio:.3g}",
                    f"{c.error:.3g}",
                    f"{c.bound:.3g}",
                    str(c.index),
                    f"{c.analytic:.10g}",
                    f"{c.numeric:.10g}",
                    "nothing compared" if c.elements == 0 else "ok" if c.passed else "FAILED",
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = "\n".join(
            "  ".join(word.ljust(w) for word, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )
        if not self.kinks:
            return table
        shown = [
            f"  {k.name}{list(k.index)}: from the left {k.left:.6g}, from the right {k.right:.6g}, "
            f"analytic {k.analytic:.6g}, {k.verdict}"
            for k in self.kinks[:10]
        ]
        more = [f"  and {len(self.kinks) - 10} more"] if len(self.kinks) > 10 else []
        return "\n".join([table, f"{len(self.kinks)} element(s) on or near a kink:", *shown, *more])

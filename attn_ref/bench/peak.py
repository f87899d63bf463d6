"""What a peak of memory is told by."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Peak"]


@dataclass(frozen=True)
class Peak:
    """Bytes: of the results, and at the peak above the start, resident and traced (None where it is not known)."""

    results: int
    resident: int | None
    traced: int | None

    @property
    def ratio(self) -> float | None:
        """The larger peak in units of the results' size."""
        known = [peak for peak in (self.resident, self.traced) if peak is not None]
        return max(known) / self.results if known else None

    def to_dict(self) -> dict[str, float | int | None]:
        """Return plain values for JSON."""
        return {**asdict(self), "ratio": self.ratio}

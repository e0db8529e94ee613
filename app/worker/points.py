"""Points as the protocol says them and as the operators know them."""

from collections.abc import Iterable

from app.worker.protocol import Point
from operators.domain.prompt import PromptPoint


def prompt_points(said: Iterable[Point]) -> tuple[PromptPoint, ...]:
    return tuple(PromptPoint(point.series, point.point_lps_mm, point.label) for point in said)

"""What pixel values mean."""

from typing import Literal

ValueMeaning = Literal["HU", "scanner units", "grey levels"]
"""Grey levels were windowed and cut to 8 bits for display; no rescaling brings back what was measured."""

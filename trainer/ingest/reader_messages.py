"""What the reading libraries say: it quotes header values, so it is heard by nobody."""

import logging
import warnings

_READERS = ("pydicom", "nibabel", "imagecodecs")


def silence_readers() -> None:
    """For this process: without a handler of their own, their warnings would go to the terminal."""
    for name in _READERS:
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    warnings.simplefilter("ignore")

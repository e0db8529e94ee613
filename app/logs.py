"""Logging of the application: one stream on stderr, no patient data in it."""

import logging
import sys
import warnings

import structlog

_CHATTY = ("pydicom", "pynetdicom", "highdicom", "timm", "torch")


def configure_logs(level: str, *, as_json: bool = False) -> None:
    """Set up structlog on stderr and keep libraries quiet: their messages can quote header values.

    A line that stderr does not take, its reader gone or its disk full, is lost, and nothing else: Python's logging sees
    to that.
    """
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    for name in _CHATTY:
        # A level would not hold: pydicom sets its own when it is imported.
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    ours = logging.getLogger("app")
    ours.setLevel(level.upper())
    ours.propagate = False
    ours.handlers[:] = [logging.StreamHandler(sys.stderr)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

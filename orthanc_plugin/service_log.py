"""Logs: one JSON object a line on standard error, for our own events and for the libraries' alike.

Nothing of a patient's is logged. A study appears as a keyed hash, which lets lines be joined but not be traced
back without the key file of this installation.
"""

import hashlib
import hmac
import logging
import secrets
import sys
import threading
from pathlib import Path

import structlog

_LIBRARIES = ("dbos", "uvicorn", "uvicorn.error", "httpx", "httpcore", "sqlalchemy")


def configure_logging(level: str) -> None:
    """Send structlog's and the libraries' events to standard error as JSON lines."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    threading.excepthook = _log_thread_exception
    # DBOS adds a console handler of its own to a logger that has none, and stops propagation.
    dbos_logger = logging.getLogger("dbos")
    dbos_logger.handlers[:] = [handler]
    dbos_logger.propagate = False


def _log_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    assert arguments.exc_value is not None
    trace = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
    structlog.get_logger("curia.service").error("thread failed", exc_info=trace)


class StudyNames:
    """Names for studies in the log: a hash keyed with a secret of this installation."""

    def __init__(self, key_file: Path, *, plain: bool) -> None:
        if not key_file.exists():
            key_file.write_bytes(secrets.token_bytes(32))
            key_file.chmod(0o600)
        self._key = key_file.read_bytes()
        self._plain = plain

    def __call__(self, study_instance_uid: str) -> str:
        if self._plain:
            return study_instance_uid
        return hmac.new(self._key, study_instance_uid.encode(), hashlib.sha256).hexdigest()[:16]

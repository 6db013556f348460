"""Progress on stderr: our own log, without what Dagster puts before its messages."""

import logging
import sys


class ProgressFormatter(logging.Formatter):
    """The time and the message. Dagster prefixes run and step, and keeps the message as it was beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        meta = getattr(record, "dagster_meta", None)
        message = meta["orig_message"] if meta else record.getMessage()
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{message}"


def show_progress(level: str) -> None:
    """Send this process's log to stderr: ours from `level` on, everybody else's warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ProgressFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("vsync_dagster").setLevel(level)

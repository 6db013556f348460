"""Progress on stderr: our own log, without what Dagster puts before its messages; on a terminal also a bar."""

import logging
import threading

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vsync_dagster.progress import COUNTED, show_on


class ProgressFormatter(logging.Formatter):
    """The time and the message. Dagster prefixes run and step, and keeps the message as it was beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        meta = getattr(record, "dagster_meta", None)
        message = meta["orig_message"] if meta else record.getMessage()
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{message}"


class ConsoleHandler(logging.Handler):
    """Writes the log to a terminal, above the bars, without the lines that the bars show already."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, as it is."""
        if not getattr(record, COUNTED, False):
            self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class Bars:
    """One bar for each thing that is counted, gone when it has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    @property
    def shown(self) -> tuple[str, ...]:
        """What is shown now."""
        return tuple(self._tasks)

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far something is; the first makes the bar."""
        with self._lock:
            if self._progress is None:
                self._progress = _bars(self._console)
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(what, total=total)
            self._progress.update(self._tasks[what], completed=done)
            self._progress.start()  # once is enough: later calls do nothing

    def hide(self, what: str) -> None:
        """Remove a bar; with the last one the display ends."""
        with self._lock:
            task = self._tasks.pop(what, None)
            if self._progress is None or task is None:
                return
            self._progress.remove_task(task)
            if not self._tasks:
                self._progress.stop()
                self._progress = None


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def show_progress(level: str) -> None:
    """Send this process's log to stderr: ours from `level` on, everybody else's warnings. Bars only to a terminal."""
    console = Console(stderr=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:
        handler = ConsoleHandler(console)
        show_on(Bars(console))
    handler.setFormatter(ProgressFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("vsync_dagster").setLevel(level)

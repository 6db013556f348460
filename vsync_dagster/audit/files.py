"""Evidence as files: CSV for spreadsheets, Parquet for programs; one for each table."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

# What a spreadsheet would take for a formula (OWASP, "CSV Injection"): people write reasons, servers write results.
_FORMULA = r"^[=+\-@\t\r]"


def write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Write a table; text that a spreadsheet would take for a formula has a `'` put before it."""
    text = pl.col(pl.String)
    safe = pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)
    frame.with_columns(safe.name.keep()).write_csv(path)


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as it is."""
    frame.write_parquet(path)


WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], None]] = {"csv": write_csv, "parquet": write_parquet}


def write_tables(tables: Mapping[str, pl.DataFrame], folder: Path, kind: str) -> list[Path]:
    """Write each table as `<name>.<kind>` into a folder that is there, and return the paths. `kind` is of `WRITERS`."""
    paths = []
    for name, frame in tables.items():
        path = folder / f"{name}.{kind}"
        WRITERS[kind](frame, path)
        paths.append(path)
    return paths

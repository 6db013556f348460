"""A participant's table against a CID file, as general tools for comparing tables do it; meant for 1,000,000 keys.

They run in a virtual environment of their own (`make bench-peers`): datacompy wants an older Polars than we do. So this
module imports nothing of ours before it is needed.
"""

from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import Place

CASE = "the same, beside general tools for comparing tables"
OURS = "vsync"
AGAINST = {
    "reladiff": ("reladiff, across databases, as it comes", 10.0),
    "reladiff_best": ("reladiff, across databases, `bisection_threshold` 262,144", 4.0),
    "datacompy": ("datacompy (Polars)", 8.0),
}
ELSEWHERE = frozenset(AGAINST)
_HELD = "from entries where participant_ispb = '12345678' and status = 'ACTIVE'"


def _compare() -> Any:
    return import_module("benchmarks.cases.compare")


def prepare_vsync(place: Place) -> None:
    """Make the file, from which the peers' tables are made too."""
    _compare().prepare_vsync(place)


def vsync(place: Place) -> None:
    """Ours."""
    _compare().vsync(place)


def prepare_reladiff(place: Place) -> None:
    """Give it what it wants: both sides as tables of text with an index, which is not what is measured."""
    import_module("reladiff")
    with closing(import_module("psycopg2").connect(place.url)) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('peer_theirs') is not null")
        if cursor.fetchone()[0]:
            return
        cursor.execute("create table peer_theirs (cid text)")
        with _path(place).open("rb") as file:
            cursor.copy_expert("copy peer_theirs from stdin", file)
        cursor.execute(f"create table peer_ours as select encode(cid, 'hex') as cid {_HELD}")
        for table in ("peer_ours", "peer_theirs"):
            cursor.execute(f"alter table {table} add primary key (cid)")
            cursor.execute(f"analyze {table}")
        connection.commit()


prepare_reladiff_best = prepare_reladiff


def reladiff(place: Place) -> None:
    """By its defaults."""
    _reladiff(place)


def reladiff_best(place: Place) -> None:
    """With the threshold that was fastest here."""
    _reladiff(place, bisection_threshold=262_144)


def _reladiff(place: Place, **settings: int) -> None:
    module = import_module("reladiff")
    # Each has a connection of its own, as tables of two databases have.
    tables = [module.connect_to_table(place.url, name, "cid") for name in ("peer_ours", "peer_theirs")]
    signs = [sign for sign, _ in module.diff_tables(*tables, **settings)]
    _check(place, signs.count("-"), signs.count("+"))


def prepare_datacompy(_: Place) -> None:
    """Import it."""
    for module in ("datacompy", "pyarrow", "adbc_driver_postgresql.dbapi"):
        import_module(module)


def datacompy(place: Place) -> None:
    """Both sides as frames, joined on the CID."""
    polars, dbapi = import_module("polars"), import_module("adbc_driver_postgresql.dbapi")
    with dbapi.connect(place.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"select cid {_HELD}")
        ours = polars.DataFrame(cursor.fetch_arrow_table())
    theirs = polars.read_csv(_path(place), has_header=False, new_columns=["cid"])
    theirs = theirs.select(polars.col("cid").str.decode("hex"))
    found = import_module("datacompy").PolarsCompare(ours, theirs, join_columns="cid")
    _check(place, len(found.df1_unq_rows), len(found.df2_unq_rows))


def _path(place: Place) -> Path:
    return Path(place.folder) / f"{place.keys}-of-12345678.cids"


def _check(place: Place, only_ours: int, only_theirs: int) -> None:
    expected = min(20_000, place.keys // 10)
    if (only_ours, only_theirs) != (expected, expected):
        raise AssertionError(f"{only_ours} and {only_theirs} differ, not {expected}")

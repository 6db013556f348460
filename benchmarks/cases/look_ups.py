"""Look-ups of a DICT in another process, over mTLS: signed, checked, within a budget, written down."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.data import entry
from benchmarks.measure import Place
from benchmarks.world import World, world
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.lookup import CONCURRENCY, look_up
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster.sync.connection import connect_dict

CASE = "look-ups, one for 250 keys, 36,000 at most"
OURS = "checked"
AGAINST = {"bare": ("a bare loop of httpx, as many at a time, that checks nothing", 1 / 1.5)}
_made: list[World] = []


def _prepare(place: Place) -> None:
    _made.append(world(place, _count(place)))


prepare_checked = prepare_bare = _prepare


def checked(place: Place) -> None:
    """Ours."""
    [made] = _made
    with connect_dict(made.variables, made.database, made.ispb, None) as connection:
        answers = list(look_up(connection.client, _cids(place)))
    if [answer.outcome for answer in answers] != [Found.FOUND] * _count(place):
        raise AssertionError("an entry was not found")


def bare(place: Place) -> None:
    """The floor."""
    settings = _made[0].variables.dict_settings
    with (
        http_client(settings.url, ssl_context=settings.ssl_context) as http,
        ThreadPoolExecutor(CONCURRENCY) as pool,
    ):
        headers = {"PI-RequestingParticipant": _made[0].ispb}
        paths = (f"cids/entries/{cid.hex()}" for cid in _cids(place))
        answers = list(pool.map(lambda path: http.get(path, headers=headers).status_code, paths))
    if answers != [200] * _count(place):
        raise AssertionError("an entry was not found")


def _count(place: Place) -> int:
    return min(36_000, max(place.keys // 250, 20))


def _cids(place: Place) -> Iterator[bytes]:
    return (entry(number).cid() for number in range(_count(place)))

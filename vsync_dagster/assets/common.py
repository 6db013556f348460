"""What the five assets share: their partitions, their place in the catalogue, and how they fail."""

import functools
import inspect
import logging
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from vsync_dagster.failure import ORDER, UnexpectedError, report_failure
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.partitions import SyncPartition, sync_partitions
from vsync_dagster.preflight import check_startable, not_started
from vsync_dagster.reconcile.errors import TRACEBACK, VsyncError, stack, unforeseen
from vsync_dagster.resources import environment
from vsync_dagster.sync.lease import Lease

_log = logging.getLogger(__name__)


def asset_of_sync(
    *, kinds: set[str], deps: Sequence[dg.AssetsDefinition] = (), pool: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a function one of the sync's assets.

    No backfill policy is set: with any, Dagster runs a range of partitions as one, without a partition key, and its
    per-participant limit no longer applies.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        body = _without_personal_data_in_errors(_with_the_lease(function))
        # Without a docstring: Dagster would look for arguments in it, in four notations, each time that a run starts.
        body.__doc__ = None
        return dg.asset(
            description=inspect.getdoc(function),
            partitions_def=sync_partitions,
            group_name="vsync",
            kinds=kinds,
            deps=deps,
            pool=pool,
            hooks={report_failure},
        )(body)

    return decorate


def partition_of(context: dg.AssetExecutionContext) -> SyncPartition:
    """Return the partition that a run materializes."""
    return SyncPartition.parse(context.partition_key)


def _with_the_lease(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a step work only while its run holds the participant's lease, and wait for a run that does.

    Waiting costs Dagster nothing: its queue starts one run a participant. What comes together is started elsewhere, by
    the command line or by another instance, of which the queue knows nothing.
    """

    @functools.wraps(function)
    def leased(context: dg.AssetExecutionContext, **resources: Any) -> Any:
        variables, partition = environment(), partition_of(context)
        if _is_first_step(context):
            with not_started():
                if "settings" in resources:
                    resources["settings"].check()
            check_startable(variables, partition, datetime.now(UTC))
        lease = Lease(
            Database(variables.database_url),
            Fence(partition.ispb, context.run.run_id),
            socket.gethostname(),
            variables.lease_seconds,
            variables.lease_wait_seconds,
        )
        with lease.held(then_release=_is_last_step(context)):
            return function(context, **resources)

    return leased


def _is_first_step(context: dg.AssetExecutionContext) -> bool:
    return ORDER.index(context.op_def.name) == min(_places(context))


def _is_last_step(context: dg.AssetExecutionContext) -> bool:
    return ORDER.index(context.op_def.name) == max(_places(context))


def _places(context: dg.AssetExecutionContext) -> list[int]:
    """Return which of the five assets the run materializes, by their place in ORDER."""
    steps = context.run.step_keys_to_execute or [node.name for node in context.job_def.nodes]
    return [ORDER.index(name) for name in steps if name in ORDER]


def _without_personal_data_in_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let only errors with a safe text reach Dagster's event log, and nothing of what caused them.

    A database's or a parser's own message quotes the row it stumbled over.
    """

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except VsyncError as error:
            raise _linked(error) from None
        except Exception as error:  # noqa: BLE001
            if environment().variables.get(TRACEBACK) == "1":
                _log.error("an unexpected error:\n%s", stack(error))
            raise _linked(UnexpectedError(unforeseen(error))) from None

    return guarded


def _linked(error: Exception) -> Exception:
    """Have Dagster show below an error where the documents say what to do about it."""
    error.add_note(f"See {environment().message_link(error)}")
    return error

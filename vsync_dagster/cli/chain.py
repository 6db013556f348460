"""`vsync report verify-chain`: whether reports and reviews are as they were written."""

import json
from pathlib import Path
from typing import Any

import click

from vsync_dagster.cli.options import ISPB, database, json_option, require_known
from vsync_dagster.local_db import chains
from vsync_dagster.local_db.chains import Chain, Finding, KnownHead

BROKEN = 1


@click.command("verify-chain")
@click.option("--ispb", type=ISPB, help="Only this participant's.")
@click.option(
    "--heads",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `verify-chain --json` printed before, or events of syncs, one a line: they must still hold.",
)
@json_option
def verify_chain(ispb: str | None, heads: Path | None, as_json: bool) -> int:
    """Find reports and review steps that were changed, taken away or slipped in, and evidence that was.

    Keep what --json prints, or the events that tell of syncs, where the database's owner cannot write, and hand them in
    with --heads the next time: a chain that was written anew as a whole is found by that alone.

    Exit code: 0 all fits, 1 something does not, 2 the database could not be read.
    """
    require_known(ispb)
    known = _known(heads, ispb) if heads else []
    with database().connect(bulk=True) as connection:
        findings = list(chains.verify(connection, ispb, known))
        present = chains.chains(connection, ispb)
    if as_json:
        told = {"findings": [_finding(each) for each in findings], "chains": [_chain(each) for each in present]}
        click.echo(json.dumps(told))
    else:
        for chain in present:
            click.echo(_line(chain))
        for each in findings:
            row = f" {each.row_id}" if each.row_id else ""
            click.echo(f"{each.table_name} of {each.participant_ispb}{row}: {each.problem}")
        click.echo(f"{len(findings)} rows do not fit" if findings else "all rows fit")
    return BROKEN if findings else 0


def _known(path: Path, ispb: str | None) -> list[KnownHead]:
    """Return the heads that a file tells of: one JSON object a line, with a consumer's own fields around or without."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        told = [each for line in lines for each in line.get("data", line).get("chains", ())]
        heads = [
            KnownHead(each["table"], each["participant_ispb"], int(each["number"]), bytes.fromhex(each["hash"]))
            for each in told
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        heads = []
    if not heads:
        raise click.UsageError(f"{path} holds neither what `verify-chain --json` printed nor events of syncs")
    return [head for head in heads if ispb in (None, head.participant_ispb)]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "table": finding.table_name,
        "participant_ispb": finding.participant_ispb,
        "row": finding.row_id,
        "problem": finding.problem,
    }


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "table": chain.table_name,
        "participant_ispb": chain.participant_ispb,
        "number": chain.head_number,
        "hash": chain.head_hash.hex(),
        "begins_after": chain.start_number,
        "signed_by": chain.start_signed_by,
        "signed_at": chain.start_signed_at and chain.start_signed_at.isoformat(),
    }


def _line(chain: Chain) -> str:
    told = f"{chain.participant_ispb}  {chain.table_name:<12}  {chain.start_number + 1} to {chain.head_number}"
    if chain.start_signed_at is None:
        return told
    day = f"{chain.start_signed_at:%Y-%m-%d}"
    return f"{told}; rows to {chain.start_number} were deleted by {chain.start_signed_by}, last on {day}"

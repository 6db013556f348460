"""The command's groups, and how it fails: one line that says what to do, and the exit codes."""

import os
import sys

import click

from vsync_dagster.cli.alerts import alerts
from vsync_dagster.cli.chain import verify_chain
from vsync_dagster.cli.console import console
from vsync_dagster.cli.data import migrate, participants, reports
from vsync_dagster.cli.demo import demo
from vsync_dagster.cli.dev import dev
from vsync_dagster.cli.doctor import doctor
from vsync_dagster.cli.export import export
from vsync_dagster.cli.key_table import key_table
from vsync_dagster.cli.keys import keys
from vsync_dagster.cli.metrics import metrics
from vsync_dagster.cli.options import environment
from vsync_dagster.cli.outbox import outbox
from vsync_dagster.cli.progress import show_progress
from vsync_dagster.cli.retention import retention
from vsync_dagster.cli.review import review
from vsync_dagster.cli.roles import roles
from vsync_dagster.cli.simulator import simulator
from vsync_dagster.cli.sync import sync, verify
from vsync_dagster.reconcile.errors import TRACEBACK, InvalidInputError, VsyncError, stack, unforeseen
from vsync_dagster.reconcile.status import Status

BAD_USAGE = 64  # EX_USAGE of sysexits.h; 1 and 2 are taken by PARTIAL and FAILED


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vsync-dagster")
def cli() -> None:
    """Verify a Pix participant's keys against DICT, repair them, and prove the result.

    \b
    Environment:
      VSYNC_DATABASE_URL             the participant's PostgreSQL
      VSYNC_RETENTION_DATABASE_URL   the same, as the login of `vsync retention`
      VSYNC_DAGSTER_DATABASE_URL     Dagster's storage; default a schema `dagster` in VSYNC_DATABASE_URL
      VSYNC_ENCRYPTION_KEYS          32 bytes each in url-safe base64, comma-separated, newest first
      VSYNC_STORAGE_URL              where snapshots go: a path or an fsspec URL
      VSYNC_PULSAR_URL               the broker; without one, events wait in the outbox
      VSYNC_PULSAR_TOPIC             default persistent://public/default/dict-events
      VSYNC_HOME                     embedded data and defaults, default .vsync/
      VSYNC_BUDGET_WAIT_SECONDS      the longest that a sync waits for DICT's budgets, default 3600
      VSYNC_FIRST_DAY                the first day that has partitions, default 2026-01-01
      VSYNC_DAILY_CRON               when the daily sync runs, in São Paulo, default 0 2 * * *
      VSYNC_WEEKLY_CRON              when FULL syncs run, of whoever is due for the weekly one, default 0 4 * * *
      VSYNC_LEASE_SECONDS            how soon a run whose process died is taken over, default 60
      VSYNC_LEASE_WAIT_SECONDS       how long a run waits for another of its participant, default 3600

    \b
      VSYNC_DICT_ENVIRONMENT         production or homologation: where DICT and its CID files are
      VSYNC_DICT_URL                 instead of it: DICT's API, such as https://host:16522/api/v2/
      VSYNC_DICT_KEYS_CHECK_URL      instead of it: the host of keys/check
      VSYNC_DICT_CLIENT_CERT_FILE    our certificate for connections, its key in VSYNC_DICT_CLIENT_KEY_FILE,
                                     that key's password, if any, in VSYNC_DICT_CLIENT_KEY_PASSWORD
      VSYNC_SIGNING_CERT_FILE        our certificate for signatures, its key in VSYNC_SIGNING_KEY_FILE,
                                     that key's password, if any, in VSYNC_SIGNING_KEY_PASSWORD
      VSYNC_SIGNING_KEY              instead of the key's file: a key in an HSM, such as pkcs11:token=pix;object=key
      VSYNC_SIGNING_MODULE           the HSM's PKCS#11 library
      VSYNC_SIGNING_PIN_FILE         the file with the HSM's PIN
      VSYNC_DICT_CA_FILE             the authorities that DICT's servers are certified by
      VSYNC_DICT_SIGNING_CERT_FILES  the certificates that DICT signs with, parted by commas
      VSYNC_DICT_DOWNLOAD_HOSTS      where CID files may come from; default the environment's
      VSYNC_DICT_DOWNLOAD_BASE       the host that CID file URLs are rewritten to
      VSYNC_DOWNLOAD_FOLDER          where CID files are while they are read, default in VSYNC_HOME
      VSYNC_DOWNLOAD_MIN_RATE        the slowest download of a CID file, in bytes per second, default 1000000
      VSYNC_DICT_GATEWAY             instead of DICT's URL: a gateway that holds keys and speaks to DICT for us
      VSYNC_DICT_GATEWAY_CA_FILE     the authorities that the gateway is certified by
      VSYNC_DICT_GATEWAY_CLIENT_CERT_FILE
                                     our certificate for the gateway, if it asks for one, its key in
                                     VSYNC_DICT_GATEWAY_CLIENT_KEY_FILE, that key's password, if any, in
                                     VSYNC_DICT_GATEWAY_CLIENT_KEY_PASSWORD
      VSYNC_DICT_GATEWAY_ANSWERS     signed (the default): DICT's signatures are verified; or vouched: they are not
      VSYNC_DICT_GATEWAY_HOST        the Host of calls, where it is not the gateway's name
      VSYNC_DICT_INSECURE            1 to verify nothing, for a DICT on this machine

    \b
      VSYNC_ALERT_URLS               whom to tell of alerts: critical=slack://…,warning=mailto://…
      VSYNC_ALERT_REPEAT_HOURS       when what still stands is told again, default 24
      VSYNC_NOT_ANSWERED_WARNING_HOURS, VSYNC_NOT_ANSWERED_CRITICAL_HOURS, VSYNC_NOT_OK_HOURS
                                     when late verifications ring, default 24, 33 and 36
      VSYNC_NOT_READ_WHOLE_HOURS     when FULL syncs that do not come ring, default 336 (two weeks)
      VSYNC_ALERTMANAGER_URL         an Alertmanager that is told too
      VSYNC_DAGSTER_URL              where people reach Dagster's UI, for links
      VSYNC_TRACEBACK                1 to print where in the code an unexpected error was, without its text
      VSYNC_DOCS_URL                 where people reach the documents, for links; default docs/, in the repository
    """


for command in (
    demo,
    dev,
    doctor,
    migrate,
    roles,
    key_table,
    keys,
    participants,
    sync,
    verify,
    reports,
    review,
    console,
    outbox,
    alerts,
    retention,
    metrics,
    simulator,
):
    cli.add_command(command)
for command in (verify_chain, export):
    reports.add_command(command)


def main() -> None:
    """Run the command; an error is one line on stderr."""
    show_progress("INFO")
    try:
        status = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        click.echo(f"See {environment().heading('bad-usage')}", err=True)
        status = BAD_USAGE
    except click.Abort:
        status = 130
    except InvalidInputError as error:
        _echo(error)
        status = BAD_USAGE
    except VsyncError as error:
        _echo(error)
        status = Status.FAILED.exit_code
    except Exception as error:  # noqa: BLE001 - a traceback's last line can quote a key
        _echo(VsyncError(f"unexpected {unforeseen(error)}", code="unexpected"))
        if os.environ.get(TRACEBACK) == "1":
            click.echo(stack(error), err=True)
        status = Status.FAILED.exit_code
    sys.exit(status)


def _echo(error: VsyncError) -> None:
    click.echo(f"vsync: {environment().with_link(error)}", err=True)

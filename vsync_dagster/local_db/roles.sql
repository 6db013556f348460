-- What each role may do. Applied by `vsync roles apply`, or printed by `vsync roles sql` for a DBA to read and run;
-- again after every `vsync migrate`. Applying it again changes nothing.
--
-- The roles are groups without a login, and hold for the whole server: a DBA grants them to logins. They own nothing.
-- The tables belong to whoever runs `vsync migrate`, who is none of them: an owner can disable triggers, and with
-- them what keeps reports as they were written.

do $$
declare
    name text;
begin
    foreach name in array
        array['vsync_application', 'vsync_compliance', 'vsync_auditor', 'vsync_retention', 'vsync_monitoring',
            'vsync_operator']
    loop
        begin
            if not exists (select from pg_roles where rolname = name) then
                execute format('create role %I nologin', name);
            end if;
        exception when duplicate_object or unique_violation then
            null; -- made by somebody else at this moment
        end;
        execute format('grant connect on database %I to %I', current_database(), name);
    end loop;
    -- A batch of fixes is staged in a temporary table.
    execute format('grant temporary on database %I to vsync_application', current_database());
end
$$;

grant usage on schema public
to vsync_application, vsync_compliance, vsync_auditor, vsync_retention, vsync_monitoring,
    vsync_operator;

-- What stands below is all that the roles may do, whatever an earlier version of this file has granted.
revoke all on
    alert_deliveries,
    alert_targets,
    alert_trail,
    alerts,
    cid_events,
    cid_files,
    dict_budget_readings,
    dict_budgets,
    dict_calls,
    entries,
    evidence_chains,
    fix_details,
    fixes,
    integrity_checks,
    key_table,
    looked_up_entries,
    manual_review_queue,
    mass_changes,
    outbox,
    participants,
    retention_log,
    review_trail,
    schema_migrations,
    sync_lease_history,
    sync_leases,
    sync_reports,
    sync_state
from vsync_application, vsync_compliance, vsync_auditor, vsync_retention, vsync_monitoring,
    vsync_operator;
revoke all on function
    review_decide(uuid, text, text, date, text), review_approve(uuid, text), review_reject(uuid, text),
    review_log_key_shown(uuid), review_show_key(uuid), entry_digest(uuid), run_evidence(text), run_evidence(text, bigint), review_item_digest(uuid),
    delete_due_reports(int), delete_due_steps(int), delete_due_items(int), delete_due_calls(int),
    delete_expired_lookups(int), delete_published_events(int, interval),
    delete_resolved_alerts(int, interval), retention_due(interval, interval),
    alert_resolve(text, text), alert_silence(text, text, timestamptz)
from vsync_application, vsync_compliance, vsync_auditor, vsync_retention, vsync_monitoring,
    vsync_operator;


-- vsync_application: the sync. Deletes no key; changes and deletes no report and no row of a trail.

grant select, insert, update on entries to vsync_application;
-- Only the triggers on `entries` write the history of CIDs.
grant select on cid_events to vsync_application;
grant select, insert on dict_calls, mass_changes, sync_lease_history, sync_reports to vsync_application;
-- A run that tries a fix again replaces what it kept of it, unless it was applied.
grant select, insert, update (key_type, entry_id, outcome, error, created_at) on fixes to vsync_application;
grant select, insert, delete, update (key_id, ciphertext, looked_up_at, expires_at) on looked_up_entries
to vsync_application;
-- Only encrypted again with another key; a trigger sees to it.
grant select, insert, update (key_id, ciphertext) on fix_details to vsync_application;
-- Puts rows up for review, and closes what a change has answered. It may not decide, nor propose: the first of the two
-- people whom a deletion takes is a person.
grant select, insert, update (status, reviewed_at, action_taken) on manual_review_queue to vsync_application;
grant select on review_trail to vsync_application;
-- Whether a row under review still is what the item was made for.
grant execute on function entry_digest(uuid) to vsync_application;
grant select, insert, update (published_at, attempts, last_error) on outbox to vsync_application;
grant select, insert, update on cid_files, dict_budget_readings, dict_budgets, sync_leases, sync_state
to vsync_application;
grant select, insert, update (name, via, enabled) on participants to vsync_application;
grant select, insert, update on alert_deliveries, alert_targets, alerts to vsync_application;
grant select on alert_trail to vsync_application;
grant select, insert, update on integrity_checks to vsync_application;
grant select on key_table, schema_migrations to vsync_application;

-- Dagster makes and changes its own tables.
grant usage, create on schema dagster to vsync_application;
grant all on all tables in schema dagster to vsync_application;
grant all on all sequences in schema dagster to vsync_application;


-- vsync_compliance: reads what a person decides about, and what a decision rests on.

grant select on
    cid_events,
    dict_calls,
    evidence_chains,
    fix_details,
    fixes,
    mass_changes,
    outbox,
    participants,
    review_trail,
    sync_lease_history,
    sync_reports,
    sync_state
to vsync_compliance;
-- The only road to a decision, and to a deletion.
grant execute on function
    review_decide(uuid, text, text, date, text), review_approve(uuid, text), review_reject(uuid, text)
to vsync_compliance;
-- The only way to a key: first the step in the trail that names the login, then, in another transaction, the key.
grant execute on function review_log_key_shown(uuid), review_show_key(uuid) to vsync_compliance;


-- vsync_auditor: reads what was done and how it was proved, and no key.

grant select on
    alert_deliveries,
    alert_targets,
    alert_trail,
    alerts,
    cid_events,
    cid_files,
    dict_calls,
    evidence_chains,
    fixes,
    integrity_checks,
    key_table,
    mass_changes,
    outbox,
    participants,
    retention_log,
    review_trail,
    schema_migrations,
    sync_lease_history,
    sync_leases,
    sync_reports,
    sync_state
to vsync_auditor;
-- That there are details, and their digests; not what to decrypt.
grant select (run_id, participant_ispb, kind, cid, key_id, digest, created_at) on fix_details to vsync_auditor;


-- Both: the review queue without its keys, and whether a row still is what was put up, without the owner's data.

grant select (
    id, entry_id, participant_ispb, key_type, masked_key, cid, reason, status, evidence, run_id, decision,
    ask_again_on, assignee, reviewed_by, reviewed_at, action_taken, created_at
) on manual_review_queue to vsync_compliance, vsync_auditor;
grant select (entry_id, key_type, participant_ispb, cid, status, created_at, updated_at, deleted_at) on entries
to vsync_compliance, vsync_auditor;
-- Verifying the chains.
grant execute on function run_evidence(text), run_evidence(text, bigint), review_item_digest(uuid)
to vsync_compliance, vsync_auditor;


-- vsync_retention: deletes what is older than it must be kept.

-- The functions know how old a row must be; the tables themselves are closed to it.
grant execute on function
    delete_due_reports(int), delete_due_steps(int), delete_due_items(int), delete_due_calls(int),
    delete_expired_lookups(int), delete_published_events(int, interval),
    delete_resolved_alerts(int, interval), retention_due(interval, interval)
to vsync_retention;
grant select on retention_log to vsync_retention;


-- vsync_monitoring: `vsync metrics`. Counts and times; no key, no report's text, no call.

grant select (participant_ispb, enabled, created_at) on participants to vsync_monitoring;
grant select (
    participant_ispb, run_id, status, verified, duration_ms, sync_timestamp, dry_run, discrepancies, missing_bacen,
    fixes_failed, entries_created, entries_updated, entries_deleted, compared_by, repaired_by
) on sync_reports to vsync_monitoring;
-- How many CIDs were left out of an OK is counted from the CIDs.
grant select (participant_ispb, key_type, answered_at, verified_at, true_ok_at, excluded_cids, read_whole_at)
on sync_state to vsync_monitoring;
grant select (participant_ispb, status, ask_again_on, created_at) on manual_review_queue to vsync_monitoring;
grant select (id, created_at, published_at) on outbox to vsync_monitoring;
grant select (id, severity, resolved_at) on alerts to vsync_monitoring;
grant select on dict_budgets to vsync_monitoring;
grant select (participant_ispb, tampered) on integrity_checks to vsync_monitoring;
-- When Dagster's daemon last said that it lives. The daemon makes the table when it first runs: apply the roles again then.
grant usage on schema dagster to vsync_monitoring;
do $$
begin
    if to_regclass('dagster.daemon_heartbeats') is not null then
        grant select (daemon_type, timestamp) on dagster.daemon_heartbeats to vsync_monitoring;
    end if;
end
$$;


-- vsync_operator: whoever is called at night. Sees alerts, reports and calls, and no key; resolves and silences alerts by
-- functions that write down who did it and why. A login of a person's own.

grant select on
    alert_deliveries,
    alert_targets,
    alert_trail,
    alerts,
    dict_calls,
    integrity_checks,
    participants,
    sync_leases,
    sync_reports
to vsync_operator;
grant execute on function alert_resolve(text, text), alert_silence(text, text, timestamptz) to vsync_operator;

-- What each scrape of the metrics reads: the latest reports of a participant, and how long syncs took.

create index sync_reports_latest on sync_reports (participant_ispb, sync_timestamp desc) include (status)
    where not dry_run;
create index sync_reports_durations on sync_reports (duration_ms) where not dry_run;

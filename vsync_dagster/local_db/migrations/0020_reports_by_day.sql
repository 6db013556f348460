-- A calendar shows a month of many participants.
create index sync_reports_by_day on sync_reports (sync_day, participant_ispb);

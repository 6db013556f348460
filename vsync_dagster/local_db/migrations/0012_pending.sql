-- What a sync left because DICT's budgets ended before the work did, and from when on another can go on.

alter table sync_reports
    add column pending int not null default 0,
    add column resume_at timestamptz,
    add column plan jsonb;

-- Who is asking DICT for its limits now, and what was learnt. A claim is a row that expires by this server's clock: no
-- transaction and no lock is held while DICT is asked.
create table dict_budget_readings (
    scope_ispb char(8) not null,
    -- LIMITS: the buckets of this ISPB. SHARING: whether the indirect participants of this ISPB are charged to it.
    subject text not null check (subject in ('LIMITS', 'SHARING')),
    claimed_until timestamptz not null default '-infinity',
    -- When DICT last answered; null for never.
    read_at timestamptz,
    shared boolean,
    primary key (scope_ispb, subject)
);

-- All tokens that were ever taken, so that what is taken while DICT answers can be subtracted from its answer.
alter table dict_budgets add spent double precision not null default 0;

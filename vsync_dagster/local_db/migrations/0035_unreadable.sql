-- A difference that is not repaired, because DICT cannot answer for its CID.

alter table fixes drop constraint fixes_outcome_check;
alter table fixes add constraint fixes_outcome_check
    check (outcome in ('APPLIED', 'MOVED', 'INVALID', 'FAILED', 'UNREADABLE')) not valid;
alter table fixes validate constraint fixes_outcome_check;

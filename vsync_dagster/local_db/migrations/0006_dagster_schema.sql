-- Dagster's own tables (runs, events, schedules) live apart from the participant's.

create schema if not exists dagster;

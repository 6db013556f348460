#!/bin/sh
# Run once, by the image of PostgreSQL, when the database is made: the logins that sync, read metrics and delete what need
# be kept no longer, each with the least rights. `vsync roles apply` then says what their roles may do.
set -eu
psql --set=ON_ERROR_STOP=1 --set=sync="$VSYNC_LOGIN_PASSWORD" --set=metrics="$VSYNC_METRICS_PASSWORD" \
  --set=retention="$VSYNC_RETENTION_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role vsync_application nologin;
create role vsync_monitoring nologin;
create role vsync_retention nologin;
create role bank_vsync login password :'sync';
create role bank_vsync_metrics login password :'metrics';
create role bank_vsync_retention login password :'retention';
grant vsync_application to bank_vsync;
grant vsync_monitoring to bank_vsync_metrics;
grant vsync_retention to bank_vsync_retention;
SQL

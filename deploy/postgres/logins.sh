#!/bin/sh
# Run once, by the image of PostgreSQL, when the database is made: the login that syncs, with the least rights.
# `vsync roles apply` then says what its role may do.
set -eu
psql --set=password="$VSYNC_LOGIN_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role vsync_application nologin;
create role bank_vsync login password :'password';
grant vsync_application to bank_vsync;
SQL

-- First step of sql/migrate: one at a time, roles, schemas and the list of what was applied.

-- Another migrate may take its time; a daemon's short transaction may not keep us waiting, nor
-- we the daemons behind us.
set local lock_timeout = '60s';
select pg_advisory_xact_lock(hashtext('bff migrate')) \g /dev/null

\i roles.sql

create schema if not exists bff_private authorization bff_owner;
create schema if not exists bff authorization bff_owner;
set local role bff_owner;
create table if not exists bff_private.schema_version (
	version int primary key,
	name text not null,
	sha256 text not null,
	applied_at timestamptz not null default now(),
	applied_by text not null default session_user
);
comment on table bff_private.schema_version is 'Migrations that were applied, with the checksum of their file';
lock table bff_private.schema_version in exclusive mode;
set local lock_timeout = '5s';

create temp table migration_file (version int, name text, sha256 text) on commit drop;

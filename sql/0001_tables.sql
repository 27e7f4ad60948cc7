-- The tables. All are LOGGED: a session or a refresh token that a crash forgets is a mass logout.
-- Run as bff_owner.

create table bff_private.subject (
	issuer text not null,
	sub text not null,
	subject text not null default '',
	not_before timestamptz not null default '-infinity',
	used_at timestamptz not null default now(),
	primary key (issuer, sub)
);
comment on table bff_private.subject is 'People as a provider knows them; the row that a login and a subject-wide end both lock, so that they cannot miss each other';
comment on column bff_private.subject.subject is 'The value of the provider''s subject_claim at the last login';
comment on column bff_private.subject.not_before is 'A login that began before this is refused';
create index subject_subject on bff_private.subject (subject);

create table bff_private.session (
	id_hash bytea primary key check (octet_length(id_hash) = 32),
	ref text not null unique,
	app text not null,
	provider text not null,
	issuer text not null,
	sub text not null,
	sid text not null,
	subject text not null,
	email text not null,
	name text not null,
	claims json not null check (json_typeof(claims) = 'object'),
	acr text not null,
	auth_time int8 not null,
	created_at timestamptz not null default now(),
	absolute_expires_at timestamptz not null,
	idle interval not null,
	grant_id bytea not null unique,
	client text not null,
	user_agent text not null
);
comment on table bff_private.session is 'Sessions that were not ended; one past a limit is dead at once and swept later. Deleting a row ends it (trigger)';
comment on column bff_private.session.id_hash is 'SHA-256 of the cookie''s secret';
comment on column bff_private.session.ref is 'Random reference, safe to show and to paste';
comment on column bff_private.session.claims is 'Claims kept at login, as the worker reads them';
create index session_subject on bff_private.session (issuer, sub);
create index session_absolute on bff_private.session (absolute_expires_at);
alter table bff_private.session set (autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

-- Apart from session, so that noting activity rewrites forty bytes and no index (HOT).
create table bff_private.session_activity (
	id_hash bytea primary key,
	last_seen timestamptz not null,
	check_at timestamptz not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.session_activity is 'When a session was last used, to the minute';
comment on column bff_private.session_activity.check_at is 'No earlier than this can the session have passed a limit; the sweep moves it on';
create index session_activity_check on bff_private.session_activity (check_at);

create table bff_private.grants (
	grant_id bytea primary key,
	provider text not null,
	issuer text not null,
	sub text not null,
	session_hash bytea not null,
	created_at timestamptz not null default now(),
	generation int8 not null default 1,
	refresh_sealed bytea,
	refresh_generation int8 not null default 1,
	previous_sealed bytea,
	previous_generation int8,
	superseded_at timestamptz,
	id_token_sealed bytea,
	id_token_generation int8 not null default 1,
	attempts int8 not null default 0,
	attempt bytea,
	attempt_at timestamptz,
	lease_owner bytea,
	lease_until timestamptz,
	ended_at timestamptz,
	due_at timestamptz,
	tries int8 not null default 0,
	revoke_owner bytea,
	revoke_until timestamptz
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.grants is 'Delegations at the providers, sealed; those that ended are the queue of revocations';
comment on column bff_private.grants.generation is 'Moves with every commit of a refresh; what a lease compares and swaps on';
comment on column bff_private.grants.refresh_generation is 'The generation refresh_sealed was sealed under; 1 at login';
comment on column bff_private.grants.previous_sealed is 'The superseded refresh token, for the provider''s grace period';
comment on column bff_private.grants.attempts is 'Refreshes begun at this generation whose outcome is not known';
comment on column bff_private.grants.lease_until is 'clock_timestamp() of this server until which lease_owner may use the refresh token';
comment on column bff_private.grants.due_at is 'When to try revoking at the provider; set once the session ended';
create index grants_due on bff_private.grants (due_at) where ended_at is not null;

create table bff_private.token (
	grant_id bytea not null,
	service text not null,
	sealed bytea not null,
	generation int8 not null,
	config bytea,
	expires_at timestamptz not null,
	stored_at timestamptz not null default now(),
	primary key (grant_id, service)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.token is 'Access tokens by grant and service, sealed; of live sessions only';
create index token_expires on bff_private.token (expires_at);

create table bff_private.login (
	state_hash bytea primary key check (octet_length(state_hash) = 32),
	binding_hash bytea not null,
	app text not null,
	provider text not null,
	redirect_uri text not null,
	return_to text not null,
	sealed bytea,
	begun_at timestamptz not null default clock_timestamp(),
	expires_at timestamptz not null,
	used_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.login is 'Logins under way at a provider, by the hash of their state';
comment on column bff_private.login.sealed is 'Nonce and PKCE verifier; null once used';
create index login_binding on bff_private.login (binding_hash, begun_at);
create index login_expires on bff_private.login (expires_at);

create table bff_private.ended (
	id_hash bytea primary key,
	ref text not null,
	app text not null,
	provider text not null,
	issuer text not null,
	sub text not null,
	subject text not null,
	email text not null,
	created_at timestamptz not null,
	reason text not null,
	detail text not null default '',
	at timestamptz not null default now(),
	by text not null default session_user
);
comment on table bff_private.ended is 'Sessions that ended, and why; kept 30 days';
create index ended_at on bff_private.ended (at);
create index ended_ref on bff_private.ended (ref);

create table bff_private.login_log (
	id int8 generated always as identity primary key,
	at timestamptz not null default now(),
	app text not null,
	provider text not null,
	outcome text not null,
	detail text not null,
	subject text not null,
	correlation text not null,
	client text not null
);
comment on table bff_private.login_log is 'Outcomes of logins; kept 30 days';
create index login_log_at on bff_private.login_log (at);

create table bff_private.audit (
	id int8 generated always as identity primary key,
	at timestamptz not null default now(),
	by text not null default session_user,
	application text not null default coalesce(current_setting('application_name', true), ''),
	client inet default inet_client_addr(),
	action text not null,
	reason text not null,
	target text not null,
	ref text,
	app text,
	subject text,
	email text,
	xid xid8 not null default pg_current_xact_id()
);
comment on table bff_private.audit is 'What people did, one row an act and session touched; only ever appended to';
create index audit_at on bff_private.audit (at);
create index audit_ref on bff_private.audit (ref) where ref is not null;

create function bff_private.audit_is_final() returns trigger
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	raise exception using errcode = 'BF001', message = 'the audit log is only ever appended to',
		hint = 'Archive by copying; a superuser who must delete disables the trigger first.';
end $$;
comment on function bff_private.audit_is_final() is 'Trigger: refuses to change or remove audit rows';
create trigger audit_is_final before update or delete or truncate on bff_private.audit
	for each statement execute function bff_private.audit_is_final();

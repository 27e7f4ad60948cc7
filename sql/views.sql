-- What people read. Made anew by sql/migrate each time, as bff_owner: everything in schema bff goes
-- first. A view of yours that stands on one of these belongs into another schema, and stops the
-- migration until it is dropped.
do $$
declare
	x record;
begin
	for x in select c.oid::regclass as name from pg_class c
		where c.relnamespace = 'bff'::regnamespace and c.relkind = 'v' order by c.oid desc
	loop
		execute format('drop view %s', x.name);
	end loop;
	for x in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'bff'::regnamespace
	loop
		execute format('drop function %s', x.name);
	end loop;
	drop type if exists bff.revoked;
	drop function if exists bff_private.doctor(), bff_private.seal_counts();
end $$;

comment on schema bff is 'Backend for Frontend: what people look at and do. Start with: select * from bff.help()';
comment on schema bff_private is 'Backend for Frontend: tables, and the functions of the daemons. People use schema bff';

-- One base table, so that DELETE works on it; the triggers of that table do the rest.
create view bff.sessions as
select s.ref, s.app, s.subject, s.email, s.name, s.created_at,
	(select a.last_seen from bff_private.session_activity a where a.id_hash = s.id_hash) as last_seen,
	date_trunc('second', least(s.absolute_expires_at,
		(select a.last_seen from bff_private.session_activity a where a.id_hash = s.id_hash) + s.idle) - now()) as idle_left,
	s.absolute_expires_at as expires_at, s.client, s.user_agent
from bff_private.session s
where now() < s.absolute_expires_at
and exists (select from bff_private.session_activity a where a.id_hash = s.id_hash and now() < a.last_seen + s.idle);
comment on view bff.sessions is 'Live sessions. DELETE FROM bff.sessions WHERE ... ends them (audited)';
comment on column bff.sessions.ref is 'Reference, safe to paste into a ticket; what revoke_session takes';
comment on column bff.sessions.app is 'The app of bff.conf that made it';
comment on column bff.sessions.subject is 'Whose it is, as the services see it; what revoke_subject takes';
comment on column bff.sessions.email is 'E-mail address at login, if the provider told';
comment on column bff.sessions.name is 'Name at login, if the provider told';
comment on column bff.sessions.created_at is 'When the login was';
comment on column bff.sessions.last_seen is 'Last activity, to the minute';
comment on column bff.sessions.idle_left is 'It ends in this time without activity';
comment on column bff.sessions.expires_at is 'It ends then whatever happens';
comment on column bff.sessions.client is 'Address of the browser at login';
comment on column bff.sessions.user_agent is 'Browser at login, as it said';

create view bff.ended as
select e.at, e.ref, e.app, e.subject, e.email, e.reason,
	case e.reason
		when 'logout' then 'the user logged out'
		when 'revoked' then 'a person ended it with a verb'
		when 'deleted' then 'a person deleted it'
		when 'replaced' then 'the same browser logged in again'
		when 'max_sessions' then 'the user logged in more often than the app allows at once'
		when 'backchannel' then 'the provider asked for it'
		when 'reauthenticate' then 'the provider no longer accepts its grant'
		when 'idle' then 'not used for the app''s idle_timeout'
		when 'expired' then 'the app''s absolute_timeout was over'
		else 'unknown reason' end as meaning,
	e.detail, e.by, date_trunc('second', e.at - e.created_at) as lasted
from bff_private.ended e;
comment on view bff.ended is 'Why was I logged out? Sessions that ended in the last 30 days';
comment on column bff.ended.at is 'When it ended; for idle and expired: when that was noticed';
comment on column bff.ended.ref is 'Reference of the session';
comment on column bff.ended.app is 'The app of bff.conf';
comment on column bff.ended.subject is 'Whose it was';
comment on column bff.ended.email is 'E-mail address at login';
comment on column bff.ended.reason is 'One word';
comment on column bff.ended.meaning is 'The word explained';
comment on column bff.ended.detail is 'What the person gave as reason; everywhere: a logout of all sessions';
comment on column bff.ended.by is 'The database role that did it';
comment on column bff.ended.lasted is 'How long the session lived';

create view bff.logins as
select l.at, l.app, l.provider, l.outcome, l.detail, l.subject, l.correlation, l.client
from bff_private.login_log l;
comment on view bff.logins is 'Why do logins fail? Outcomes of logins in the last 30 days';
comment on column bff.logins.at is 'When';
comment on column bff.logins.app is 'The app of bff.conf';
comment on column bff.logins.provider is 'The provider of bff.conf';
comment on column bff.logins.outcome is 'ok, or the word for what went wrong';
comment on column bff.logins.detail is 'Which check failed, or what the provider answered';
comment on column bff.logins.subject is 'Who, as far as it came to that';
comment on column bff.logins.correlation is 'Correlation id, as in the log';
comment on column bff.logins.client is 'Address of the browser';

create view bff.audit as
select a.id, a.at, a.by, a.application, a.client, a.action, a.reason, a.target, a.ref, a.app, a.subject, a.email
from bff_private.audit a;
comment on view bff.audit is 'What people did: one row an act and session touched; only ever appended to';
comment on column bff.audit.id is 'Ascends';
comment on column bff.audit.at is 'When';
comment on column bff.audit.by is 'The database role that logged in (session_user)';
comment on column bff.audit.application is 'The program, as it calls itself';
comment on column bff.audit.client is 'Its address; null: the local socket';
comment on column bff.audit.action is 'The verb, or delete';
comment on column bff.audit.reason is 'What the person gave as reason';
comment on column bff.audit.target is 'What the act was about, as given';
comment on column bff.audit.ref is 'The session touched; null: the act itself';
comment on column bff.audit.app is 'Its app';
comment on column bff.audit.subject is 'Its subject';
comment on column bff.audit.email is 'Its e-mail address';

create view bff.grants as
select s.ref, coalesce(s.app, e.app) as app, g.provider, g.created_at, g.generation,
	g.refresh_sealed is not null as has_refresh_token, g.attempts,
	case when g.lease_until > now() then g.lease_until end as leased_until,
	g.ended_at, g.tries as revocation_tries, g.due_at as revocation_due
from bff_private.grants g
left join bff_private.session s on s.grant_id = g.grant_id
left join bff_private.ended e on e.id_hash = g.session_hash;
comment on view bff.grants is 'Delegations at the providers, without any token; those that ended wait for their revocation';
comment on column bff.grants.ref is 'Its session; null once that ended';
comment on column bff.grants.app is 'The app of bff.conf';
comment on column bff.grants.provider is 'The provider of bff.conf';
comment on column bff.grants.created_at is 'When the login was';
comment on column bff.grants.generation is '1 at login, one more with each refresh';
comment on column bff.grants.has_refresh_token is 'False: nothing to refresh or revoke';
comment on column bff.grants.attempts is 'Refreshes begun since whose outcome is not known';
comment on column bff.grants.leased_until is 'A refresh is under way until then at most';
comment on column bff.grants.ended_at is 'When its session ended';
comment on column bff.grants.revocation_tries is 'How often the provider was asked to revoke it';
comment on column bff.grants.revocation_due is 'When it will be asked next';

-- Counted by reading everything that is sealed: for people, not for daemons.
create function bff_private.seal_counts() returns table (id int8, refresh_tokens int8, id_tokens int8, access_tokens int8, logins int8)
language sql stable security definer set search_path = bff_private, pg_temp as $$
	select u.id, sum(u.r)::int8, sum(u.i)::int8, sum(u.a)::int8, sum(u.l)::int8 from (
		select sealed_key(g.refresh_sealed), 1, 0, 0, 0 from grants g where g.refresh_sealed is not null
		union all select sealed_key(g.previous_sealed), 1, 0, 0, 0 from grants g where g.previous_sealed is not null
		union all select sealed_key(g.id_token_sealed), 0, 1, 0, 0 from grants g where g.id_token_sealed is not null
		union all select sealed_key(t.sealed), 0, 0, 1, 0 from token t where now() < t.expires_at
		union all select sealed_key(l.sealed), 0, 0, 0, 1 from login l where l.sealed is not null and now() < l.expires_at
		union all select sealed_key(l.parked), 0, 0, 0, 1 from login l where l.parked is not null and now() < l.expires_at
	) u (id, r, i, a, l) group by u.id
$$;
comment on function bff_private.seal_counts() is 'How many values each key sealed';

create view bff.keys as
select k.id, k.state, coalesce(c.refresh_tokens, 0) as refresh_tokens, coalesce(c.id_tokens, 0) as id_tokens,
	coalesce(c.access_tokens, 0) as access_tokens, coalesce(c.logins, 0) as logins,
	(select coalesce(array_agg(h.name order by h.name), '{}') from bff_private.host h
		where bff_private.host_is_live(h.seen_at) and k.id <> all (h.keys)) as missing_on,
	k.added_at, k.promoted_at, k.retired_at
from bff_private.seal_key k left join bff_private.seal_counts() c using (id);
comment on view bff.keys is 'Sealing keys: their states, and what each still seals. The keys themselves are in the brokers'' files';
comment on column bff.keys.id is 'Id, as in the key ring files';
comment on column bff.keys.state is 'pending: opens; primary: seals and opens; decrypt-only: opens, and is being replaced; retired: may leave the files';
comment on column bff.keys.refresh_tokens is 'Refresh tokens sealed under it, superseded ones too, re-sealed in the background once another is primary';
comment on column bff.keys.id_tokens is 'ID tokens sealed under it, re-sealed likewise';
comment on column bff.keys.access_tokens is 'Access tokens sealed under it; they expire';
comment on column bff.keys.logins is 'Logins under way sealed under it; they end within 15 minutes';
comment on column bff.keys.missing_on is 'Running brokers whose file lacks it';
comment on column bff.keys.added_at is 'When a broker first reported it';
comment on column bff.keys.promoted_at is 'When it became primary';
comment on column bff.keys.retired_at is 'When it was retired';

create view bff.hosts as
select h.name, bff_private.host_is_live(h.seen_at) as live, h.build, h.keys, h.started_at, h.seen_at
from bff_private.host h;
comment on view bff.hosts is 'Brokers that reported in the last day';
comment on column bff.hosts.name is 'Host name, what tells machines of one name apart, and socket path';
comment on column bff.hosts.live is 'Seen in the last 30 seconds';
comment on column bff.hosts.build is 'Version of bff-broker';
comment on column bff.hosts.keys is 'Ids of the sealing keys it holds';
comment on column bff.hosts.started_at is 'When it started';
comment on column bff.hosts.seen_at is 'When it last reported';

create view bff.overview as
select (select count(*) from bff.sessions) as sessions,
	(select count(distinct (s.app, s.subject)) from bff.sessions s) as people,
	(select count(*) from bff.sessions s where s.last_seen > now() - interval '5 min') as active_5m,
	(select count(*) from bff.ended e where e.at > now() - interval '1 h') as ended_1h,
	(select count(*) from bff.logins l where l.at > now() - interval '1 h' and l.outcome = 'ok') as logins_1h,
	(select count(*) from bff.logins l where l.at > now() - interval '1 h' and l.outcome <> 'ok') as failed_logins_1h,
	(select count(*) from bff_private.login l where l.used_at is null and now() < l.expires_at) as logins_open,
	(select count(*) from bff_private.grants g where g.ended_at is not null and g.refresh_sealed is not null) as revocations_pending,
	(select count(*) from bff_private.grants g where g.attempts > 0 and g.ended_at is null) as refreshes_unknown,
	(select max(v.version) from bff_private.schema_version v) as schema_version;
comment on view bff.overview is 'One row of figures, without personal data; try \watch 5';
comment on column bff.overview.sessions is 'Live sessions';
comment on column bff.overview.people is 'Subjects with a live session, by app';
comment on column bff.overview.active_5m is 'Sessions used in the last five minutes';
comment on column bff.overview.ended_1h is 'Sessions that ended in the last hour';
comment on column bff.overview.logins_1h is 'Logins in the last hour';
comment on column bff.overview.failed_logins_1h is 'Failed logins in the last hour: see bff.logins';
comment on column bff.overview.logins_open is 'Logins that began and did not come back yet';
comment on column bff.overview.revocations_pending is 'Refresh tokens still to be revoked at their provider';
comment on column bff.overview.refreshes_unknown is 'Grants with a refresh under way, or of unknown outcome';
comment on column bff.overview.schema_version is 'The newest migration applied';

create view bff.schema_version as
select v.version, v.name, v.sha256, v.applied_at, v.applied_by from bff_private.schema_version v;
comment on view bff.schema_version is 'Migrations that were applied';
comment on column bff.schema_version.version is 'Number of the migration';
comment on column bff.schema_version.name is 'Its name';
comment on column bff.schema_version.sha256 is 'Checksum of its file';
comment on column bff.schema_version.applied_at is 'When';
comment on column bff.schema_version.applied_by is 'By which role';

-- The checks behind bff.doctor. A row each; status is ok, warn or fail.
create function bff_private.doctor() returns table (subject text, status text, detail text, hint text)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
declare
	num constant int := current_setting('server_version_num')::int;
	fixed constant int := (array[140021, 150016, 160012, 170008, 180002])[num / 10000 - 13];
	n int8;
	share float8;
	names text;
begin
	subject := 'PostgreSQL version';
	detail := current_setting('server_version');
	status := case when num < 150000 then 'fail' when num < fixed then 'warn' else 'ok' end;
	hint := case status when 'fail' then 'Use PostgreSQL 15 or later.'
		when 'warn' then 'This minor release can lose notifications: update to the newest of its series.' end;
	return next;

	subject := 'primary';
	status := case when pg_is_in_recovery() then 'fail' else 'ok' end;
	detail := case when pg_is_in_recovery() then 'this is a standby' else 'this is a primary' end;
	hint := case status when 'fail' then 'Sessions are never read from a standby: connect to the primary.' end;
	return next;

	subject := 'durability';
	names := concat_ws(', ', case when current_setting('fsync') = 'off' then 'fsync = off' end,
		case when current_setting('full_page_writes') = 'off' then 'full_page_writes = off' end,
		case when current_setting('synchronous_commit') = 'off' then 'synchronous_commit = off' end);
	status := case when names = '' then 'ok' else 'warn' end;
	detail := coalesce(nullif(names, ''), 'commits are durable');
	hint := case status when 'warn' then 'A crash would bring ended sessions back and lose refresh tokens.' end;
	return next;

	subject := 'standby';
	select count(*) into n from pg_stat_get_wal_senders();
	status := case when n > 0 and current_setting('synchronous_standby_names') = '' then 'warn' else 'ok' end;
	detail := format('%s connected, synchronous_standby_names = %L', n, current_setting('synchronous_standby_names'));
	hint := case status when 'warn' then 'A failover to an asynchronous standby brings ended sessions back: make one synchronous.' end;
	return next;

	subject := 'autovacuum';
	status := case when current_setting('autovacuum') = 'on' and current_setting('track_counts') = 'on' then 'ok' else 'fail' end;
	detail := format('autovacuum = %s, track_counts = %s', current_setting('autovacuum'), current_setting('track_counts'));
	hint := case status when 'fail' then 'Turn both on, or the tables grow without end.' end;
	return next;

	subject := 'notification queue';
	share := pg_notification_queue_usage();
	status := case when share < 0.1 then 'ok' when share < 0.5 then 'warn' else 'fail' end;
	detail := format('%s %% full', round((share * 100)::numeric, 2));
	hint := case when status <> 'ok' then 'Some client listens and sits in a transaction: see pg_stat_activity.' end;
	return next;

	subject := 'rights of bff_web';
	select string_agg(p.oid::regprocedure::text, ', ' order by p.oid) into names from pg_proc p
	where p.pronamespace in ('bff'::regnamespace, 'bff_private'::regnamespace)
	and has_function_privilege('bff_web', p.oid, 'execute')
	and p.oid not in ('bff_private.session_get(bytea)'::regprocedure, 'bff_private.session_touch(bytea[])'::regprocedure,
		'bff_private.session_end(bytea)'::regprocedure, 'bff_private.revocations(text)'::regprocedure);
	names := concat_ws(', ', names, (select string_agg(c.oid::regclass::text, ', ' order by c.oid) from pg_class c
		where c.relnamespace in ('bff'::regnamespace, 'bff_private'::regnamespace) and c.relkind in ('r', 'v')
		and has_table_privilege('bff_web', c.oid, 'select, insert, update, delete, truncate')));
	status := case when names = '' then 'ok' else 'fail' end;
	detail := case when names <> '' then 'too much: ' || names when pg_has_role('bff_web', 'bff_poller', 'member')
		then 'three functions, and what ended' else 'three functions' end;
	hint := case status when 'fail' then 'Run sql/migrate again, and see which group bff_web was put into.' end;
	return next;

	subject := 'daemons'' roles';
	select string_agg(r.rolname, ', ') into names from pg_roles r where r.rolname in ('bff_web', 'bff_broker')
	and (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls or not r.rolcanlogin
		or pg_has_role(r.oid, 'bff_owner', 'member'));
	status := case when names is null then 'ok' else 'fail' end;
	detail := coalesce('wrong attributes or membership: ' || names, 'may log in and no more');
	hint := case status when 'fail' then 'They may log in, and hold no attribute and no membership beyond.' end;
	return next;

	subject := 'database';
	status := case when has_database_privilege('public', current_database(), 'connect') then 'warn' else 'ok' end;
	detail := case status when 'warn' then 'every role of the server may connect' else 'open to the roles of bff only' end;
	hint := case status when 'warn' then 'Run sql/migrate again.' end;
	return next;

	subject := 'sweep';
	select count(*) into n from session_activity a where a.check_at < now() - interval '10 min';
	status := case when n = 0 then 'ok' else 'warn' end;
	detail := format('%s sessions not looked at in time', n);
	hint := case status when 'warn' then 'No broker sweeps: is bff-broker running?' end;
	return next;

	subject := 'revocations';
	select count(*) into n from grants g where g.ended_at is not null and g.refresh_sealed is not null
		and g.ended_at < now() - interval '1 h';
	status := case when n = 0 then 'ok' else 'warn' end;
	detail := format('%s refresh tokens of sessions that ended over an hour ago', n);
	hint := case status when 'warn' then 'The provider is out of reach or refuses: see the broker''s log and bff.grants.' end;
	return next;

	subject := 'sealing keys';
	select string_agg(h.name, ', ' order by h.name) into names from host h join seal_key k on k.state = 'primary'
	where host_is_live(h.seen_at) and k.id <> all (h.keys);
	select count(*) into n from seal_key k where k.state = 'decrypt-only';
	status := case when names is not null then 'fail' when n > 0 then 'warn' else 'ok' end;
	detail := coalesce('the primary key is missing on ' || names, format('%s keys to be retired', n));
	hint := case status when 'fail' then 'Put the key into the key ring file there and restart bff-broker.'
		when 'warn' then 'Once bff.keys shows that nothing is sealed under one: select bff.retire_key(id, reason).' end;
	return next;

	subject := 'revalidations';
	select count(*) into n from revalidation q where q.due_at < now() - interval '10 min' or q.tries > 7;
	status := case when n = 0 then 'ok' else 'warn' end;
	detail := format('%s sessions in use that the provider was not asked about in time', n);
	hint := case status when 'warn' then 'The provider is out of reach, or no broker runs: see the broker''s log.' end;
	return next;

	subject := 'schema';
	select max(v.version), string_agg(v.version::text, ',' order by v.version) into n, names from schema_version v;
	status := case when names = (select string_agg(i::text, ',' order by i) from generate_series(1, n) i) then 'ok' else 'fail' end;
	detail := 'migrations ' || names;
	hint := case status when 'fail' then 'bff_private.schema_version was changed by hand.' end;
	return next;
end $$;
comment on function bff_private.doctor() is 'The checks behind bff.doctor';

create view bff.doctor as select d.subject, d.status, d.detail, d.hint from bff_private.doctor() d;
comment on view bff.doctor is 'Is the database fit? One row a check';
comment on column bff.doctor.subject is 'What was looked at';
comment on column bff.doctor.status is 'ok, warn or fail';
comment on column bff.doctor.detail is 'What was found';
comment on column bff.doctor.hint is 'What to do about it';

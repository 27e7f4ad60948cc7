-- Logout by the provider (OIDC Back-Channel Logout 1.0). Run as bff_owner.
--
-- A logout token ends one session of the provider (sid), or all of a person's. What it must not miss
-- is a login under way: both go through a row that they lock, subject(issuer, sub) or
-- logged_out(issuer, sid), and a login that began before that row's not_before is refused. What it
-- must not take is a login that began after it: hence session.begun_at, and the memory of tokens.
-- Whose provider it was, by its issuer too: another may have taken the name since. Brokers of the version before do not
-- look at the new column.
drop function bff_private.logout(bytea, text, bool);
create function bff_private.logout(p_hash bytea, p_app text, p_everywhere bool)
returns table (ended int8, provider text, id_token_sealed bytea, grant_id bytea, generation int8, issuer text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	s session;
begin
	ended := 0;
	select * into s from session x where x.id_hash = p_hash and x.app = p_app;
	if not found then
		return next;
		return;
	end if;
	provider := s.provider;
	issuer := s.issuer;
	grant_id := s.grant_id;
	select g.id_token_sealed, g.id_token_generation into id_token_sealed, generation
	from grants g where g.grant_id = s.grant_id;
	-- Nobody ends everything with a session that is dead.
	if p_everywhere and (select j.state from session_get(p_hash) j) = 'live' then
		perform subject_lock(s.issuer, s.sub);
		perform because('logout', 'everywhere');
		update subject x set not_before = clock_timestamp() where x.issuer = s.issuer and x.sub = s.sub;
		delete from session x where x.issuer = s.issuer and x.sub = s.sub;
	else
		perform because('logout');
		delete from session x where x.id_hash = p_hash;
	end if;
	get diagnostics ended = row_count;
	return next;
end $$;
comment on function bff_private.logout(bytea, text, bool) is 'Ends a session of an app, or all of its subject; always one row';

drop function bff_private.revocation_take(bytea, int8, int8);
create function bff_private.revocation_take(p_owner bytea, p_lease_ms int8, p_max_rows int8)
returns table (grant_id bytea, provider text, generation int8, refresh_sealed bytea, tries int8, issuer text)
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	-- Not while a refresh is in flight: its successor is what will have to be revoked.
	return query
	update grants x set revoke_owner = p_owner, tries = x.tries + 1,
		revoke_until = clock_timestamp() + p_lease_ms * interval '1 ms'
	where x.grant_id in (
		select d.grant_id from grants d
		where d.ended_at is not null and d.due_at <= clock_timestamp() and d.refresh_sealed is not null
		and (d.revoke_until is null or d.revoke_until <= clock_timestamp())
		and (d.lease_until is null or d.lease_until <= clock_timestamp())
		order by d.due_at limit p_max_rows for update skip locked)
	returning x.grant_id, x.provider, x.refresh_generation, x.refresh_sealed, x.tries, x.issuer;
end $$;
comment on function bff_private.revocation_take(bytea, int8, int8) is 'Leases ended grants that are to be revoked at their provider';

create or replace function bff_private.sweep(p_max_rows int8) returns int8
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	n int8;
	total int8 := 0;
begin
	perform because('expired'); -- the trigger says idle where that is what it was
	with due as (
		select a.id_hash, a.last_seen from session_activity a where a.check_at <= now()
		order by a.check_at limit p_max_rows for update skip locked),
	judged as (
		select s.id_hash, least(s.absolute_expires_at, due.last_seen + s.idle) as until
		from due join session s using (id_hash)),
	later as (
		update session_activity a set check_at = j.until from judged j
		where a.id_hash = j.id_hash and now() < j.until),
	-- Whoever ends a session locks it first and its activity then: we must not wait the other way round.
	over as (
		select s.id_hash from judged j join session s using (id_hash) where now() >= j.until
		for update of s skip locked)
	delete from session s using over where s.id_hash = over.id_hash;
	get diagnostics n = row_count;
	total := total + n;

	delete from login l where l.state_hash in (
		select x.state_hash from login x where x.expires_at <= now() limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from token t where (t.grant_id, t.service) in (
		select x.grant_id, x.service from token x where x.expires_at <= now() - interval '1 h'
		limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from grants g where g.grant_id in (
		select x.grant_id from grants x where x.ended_at is not null and x.refresh_sealed is null
		and (x.lease_until is null or x.lease_until <= clock_timestamp()) limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from ended e where e.id_hash in (
		select x.id_hash from ended x where x.at <= now() - interval '30 days' limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from login_log l where l.id in (
		select x.id from login_log x where x.at <= now() - interval '30 days' limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from subject s where (s.issuer, s.sub) in (
		select x.issuer, x.sub from subject x where x.used_at <= now() - interval '90 days'
		and not exists (select from session y where y.issuer = x.issuer and y.sub = x.sub)
		limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	return total;
end $$;
comment on function bff_private.sweep(int8) is 'Ends sessions past their limits and deletes what is past its time; returns how many rows';

alter table bff_private.subject add column sidless_not_before timestamptz not null default '-infinity';
comment on column bff_private.subject.sidless_not_before is 'A login that began before this, and whose ID token names no session of the provider, is refused';

alter table bff_private.session add column begun_at timestamptz;
comment on column bff_private.session.begun_at is 'When its login began; null in sessions of before this migration';
create index session_sid on bff_private.session (issuer, sid) where sid <> '';

create table bff_private.logged_out (
	issuer text not null,
	sid text not null,
	not_before timestamptz not null,
	expires_at timestamptz not null,
	primary key (issuer, sid)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.logged_out is 'Sessions of a provider that it logged out, for as long as a login of one may still be under way';
comment on column bff_private.logged_out.not_before is 'A login of this provider session that began before this is refused';
create index logged_out_expires on bff_private.logged_out (expires_at);

create table bff_private.logout_token (
	issuer text not null,
	jti text not null,
	expires_at timestamptz not null,
	primary key (issuer, jti)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.logout_token is 'Logout tokens that had their effect, for as long as the broker would accept them again';
create index logout_token_expires on bff_private.logout_token (expires_at);

-- The row is made and deleted again, and so never seen; but whoever wants to make it waits for the
-- end of our transaction, and then sees the session that this login made.
create function bff_private.sid_not_before(p_issuer text, p_sid text) returns timestamptz
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	found_at timestamptz;
begin
	loop
		select l.not_before into found_at from logged_out l
		where l.issuer = p_issuer and l.sid = p_sid for share;
		if found then
			return found_at;
		end if;
		insert into logged_out (issuer, sid, not_before, expires_at)
		values (p_issuer, p_sid, '-infinity', '-infinity') on conflict do nothing;
		if found then
			delete from logged_out l where l.issuer = p_issuer and l.sid = p_sid;
			return '-infinity';
		end if;
	end loop;
end $$;
comment on function bff_private.sid_not_before(text, text) is 'Since when a provider session is logged out (-infinity: it is not); its logout waits until the end of the transaction';

-- The same for the name by which people know somebody who logs in, where that is not the sub.
create function bff_private.name_not_before(p_issuer text, p_name text) returns timestamptz
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	found_at timestamptz;
begin
	loop
		select x.not_before into found_at from subject x where x.issuer = p_issuer and x.sub = p_name for share;
		if found then
			return found_at;
		end if;
		insert into subject (issuer, sub) values (p_issuer, p_name) on conflict do nothing;
		if found then
			delete from subject x where x.issuer = p_issuer and x.sub = p_name;
			return '-infinity';
		end if;
	end loop;
end $$;
comment on function bff_private.name_not_before(text, text) is 'Since when a name is revoked that no sub is known for; its revocation waits until the end of the transaction';

create or replace function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text)
returns table (created bool, ref text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	who constant subject := subject_lock(p_issuer, p_sub);
	ended_row bool;
begin
	created := false;
	-- begun_ms is cut to milliseconds: what is not clearly later is refused.
	if who.not_before > to_timestamp(p_begun_ms / 1000.0)
	   or p_subject <> p_sub and name_not_before(p_issuer, p_subject) > to_timestamp(p_begun_ms / 1000.0) then
		return next;
		return;
	end if;
	if p_sid <> '' and sid_not_before(p_issuer, p_sid) > to_timestamp(p_begun_ms / 1000.0)
	   or coalesce(p_sid, '') = '' and who.sidless_not_before > to_timestamp(p_begun_ms / 1000.0) then
		return next;
		return;
	end if;
	if exists (select from ended e where e.id_hash = p_hash) then
		raise exception using errcode = 'unique_violation', message = 'a session of this hash has ended';
	end if;
	update subject x set subject = p_subject, used_at = now() where x.issuer = p_issuer and x.sub = p_sub;

	if p_old_hash is not null then
		perform because('replaced');
		delete from session s where s.id_hash = p_old_hash and s.app = p_app;
	end if;
	if p_max_sessions > 0 then
		perform because('max_sessions');
		delete from session s where s.id_hash in (
			select x.id_hash from session x where x.issuer = p_issuer and x.sub = p_sub and x.app = p_app
			order by x.created_at desc, x.id_hash offset p_max_sessions - 1);
	end if;

	loop
		ref := new_ref();
		exit when not exists (select from session s where s.ref = session_create.ref)
			and not exists (select from ended e where e.ref = session_create.ref);
	end loop;
	insert into session values (p_hash, ref, p_app, p_provider, p_issuer, p_sub, coalesce(p_sid, ''), p_subject,
		coalesce(p_email, ''), claim_text(p_claims::json, 'name'), p_claims::json, coalesce(p_acr, ''),
		p_auth_time, now(), now() + p_absolute_ms * interval '1 ms', p_idle_ms * interval '1 ms', p_grant_id,
		left(coalesce(p_client, ''), 200), left(coalesce(p_user_agent, ''), 400), to_timestamp(p_begun_ms / 1000.0));
	insert into session_activity values (p_hash, now(), now() + least(p_idle_ms, p_absolute_ms) * interval '1 ms');
	insert into grants (grant_id, provider, issuer, sub, session_hash, refresh_sealed, id_token_sealed)
	values (p_grant_id, p_provider, p_issuer, p_sub, p_hash, p_refresh_sealed, p_id_token_sealed);
	if p_access_sealed is not null then
		insert into token (grant_id, service, sealed, generation, expires_at)
		values (p_grant_id, '@session', p_access_sealed, 1, now() + coalesce(p_access_ttl_ms, 0) * interval '1 ms');
	end if;
	created := true;
	return next;
end $$;

create function bff_private.late_cut(p_iat int8, p_begun_skew_ms int8) returns timestamptz
language plpgsql volatile security definer set search_path = bff_private, pg_temp as $$
begin
	return least(clock_timestamp(), to_timestamp(p_iat) + p_begun_skew_ms * interval '1 ms');
end $$;
comment on function bff_private.late_cut(int8, int8) is 'A login that began since then a logout token leaves alone: now, or sooner where the token comes late';

-- p_replayable_until: when the broker refuses this token anyway. p_begun_skew_ms: how far the
-- provider's clock may be behind ours. p_login_ms: how long a login may be under way.
create function bff_private.backchannel_logout(p_issuer text, p_sub text, p_sid text, p_jti text, p_iat int8,
	p_replayable_until int8, p_begun_skew_ms int8, p_login_ms int8)
returns table (ended int8, replayed bool)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	cut timestamptz;
	n int8;
begin
	ended := 0;
	-- A minute more, since the broker goes by its own clock. Of two at once the second waits here,
	-- and answers when the first has committed.
	insert into logout_token (issuer, jti, expires_at)
	values (p_issuer, p_jti, to_timestamp(p_replayable_until) + interval '1 min') on conflict do nothing;
	replayed := not found;
	if replayed then
		return next;
		return;
	end if;
	perform because('backchannel');
	if p_sub <> '' then
		perform subject_lock(p_issuer, p_sub); -- before the row of the sid, as a login does
		cut := late_cut(p_iat, p_begun_skew_ms); -- under the lock
	end if;
	if p_sid <> '' then
		insert into logged_out as l (issuer, sid, not_before, expires_at)
		values (p_issuer, p_sid, clock_timestamp(), clock_timestamp() + p_login_ms * interval '1 ms')
		on conflict (issuer, sid) do update set not_before = greatest(l.not_before, excluded.not_before),
			expires_at = greatest(l.expires_at, excluded.expires_at);
		delete from session s where s.issuer = p_issuer and s.sid = p_sid and s.sid <> ''; -- as the index says
		get diagnostics ended = row_count;
		-- Whose ID token named no session may be of this one.
		update subject x set sidless_not_before = greatest(x.sidless_not_before, cut), used_at = now()
		where x.issuer = p_issuer and x.sub = p_sub;
		delete from session s where s.issuer = p_issuer and s.sub = p_sub and s.sid = ''
		and coalesce(s.begun_at, s.created_at) < cut;
	else
		update subject x set not_before = greatest(x.not_before, cut), used_at = now()
		where x.issuer = p_issuer and x.sub = p_sub;
		delete from session s where s.issuer = p_issuer and s.sub = p_sub
		and coalesce(s.begun_at, s.created_at) < cut;
	end if;
	get diagnostics n = row_count;
	ended := ended + n;
	return next;
end $$;
comment on function bff_private.backchannel_logout(text, text, text, text, int8, int8, int8, int8)
	is 'Ends what a logout token names, once: the sessions of its sid, and those of its sub that have none; without a sid all of its sub; and refuses the logins under way';

-- An outage of the provider, however long the night, is no refusal.
alter table bff_private.grants add column refusals int8 not null default 0;
comment on column bff_private.grants.refusals is 'How often the provider refused to revoke it';

create function bff_private.revocation_retry(p_grant_id bytea, p_owner bytea, p_delay_ms int8, p_refused bool) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	update grants x set revoke_owner = null, revoke_until = null,
		due_at = clock_timestamp() + p_delay_ms * interval '1 ms', refusals = x.refusals + p_refused::int
	where x.grant_id = p_grant_id and x.revoke_owner = p_owner returning x.* into g;
	if not found then
		return false;
	elsif g.refusals < 12 and g.ended_at > now() - interval '7 days' then
		return true;
	end if;
	delete from grants x where x.grant_id = p_grant_id;
	insert into audit (action, reason, target, ref, app, subject, email)
	select 'revocation_given_up', case when g.refusals < 12 then 'the provider was out of reach for 7 days'
			else 'the provider refused ' || g.refusals || ' times' end,
		e.ref, e.ref, e.app, e.subject, e.email
	from ended e where e.id_hash = g.session_hash;
	return false;
end $$;
comment on function bff_private.revocation_retry(bytea, bytea, int8, bool) is 'Puts a revocation off; false: refused too often or tried too long, deleted and noted in the audit log';

create function bff_private.sweep_logouts(p_max_rows int8) returns int8
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	n int8;
	total int8 := 0;
begin
	delete from logged_out l where (l.issuer, l.sid) in (
		select x.issuer, x.sid from logged_out x where x.expires_at <= now() limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	total := total + n;
	delete from logout_token l where (l.issuer, l.jti) in (
		select x.issuer, x.jti from logout_token x where x.expires_at <= now() limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	return total + n;
end $$;
comment on function bff_private.sweep_logouts(int8) is 'Forgets logouts by the provider that can no longer matter; part of sweep';

alter function bff_private.sweep(int8) rename to sweep_rest;
create function bff_private.sweep(p_max_rows int8) returns int8
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	return sweep_rest(p_max_rows) + sweep_logouts(p_max_rows);
end $$;
comment on function bff_private.sweep(int8) is 'Ends sessions past their limits and deletes what is past its time; returns how many rows';
comment on function bff_private.sweep_rest(int8) is 'What sweep does beside sweep_logouts';

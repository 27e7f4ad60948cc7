-- Logins, grants, revocation and housekeeping: what the broker does. Run as bff_owner.
-- Leases run on clock_timestamp(): now() is the start of a transaction that may have waited.

create function bff_private.login_begin(p_state_hash bytea, p_app text, p_provider text, p_binding_hash bytea,
	p_redirect_uri text, p_return_to text, p_sealed bytea, p_lifetime_ms int8, p_max_open int8) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	delete from login l where l.state_hash in (
		select o.state_hash from login o
		where o.binding_hash = p_binding_hash and o.used_at is null
		order by o.begun_at desc offset greatest(p_max_open, 1) - 1);
	insert into login (state_hash, binding_hash, app, provider, redirect_uri, return_to, sealed, expires_at)
	values (p_state_hash, p_binding_hash, p_app, p_provider, p_redirect_uri, p_return_to, p_sealed,
		now() + p_lifetime_ms * interval '1 ms')
	on conflict do nothing;
	return found;
end $$;
comment on function bff_private.login_begin(bytea, text, text, bytea, text, text, bytea, int8, int8) is 'Notes a login that begins; the oldest open ones of the same browser go';

create function bff_private.login_take(p_state_hash bytea, p_binding_hash bytea, p_app text)
returns table (state text, provider text, redirect_uri text, return_to text, sealed bytea, begun_ms int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	l login;
begin
	select * into l from login x
	where x.state_hash = p_state_hash and x.binding_hash = p_binding_hash and x.app = p_app for update;
	if not found then
		state := 'unknown';
		return next;
		return;
	end if;
	provider := l.provider;
	redirect_uri := l.redirect_uri;
	return_to := l.return_to;
	begun_ms := floor(extract(epoch from l.begun_at) * 1000);
	if l.used_at is not null then
		state := 'used';
	elsif clock_timestamp() >= l.expires_at then
		state := 'expired';
	else
		state := 'taken';
		sealed := l.sealed;
		update login x set used_at = clock_timestamp(), sealed = null where x.state_hash = p_state_hash;
	end if;
	return next;
end $$;
comment on function bff_private.login_take(bytea, bytea, text) is 'Takes a login that comes back, once; always one row';

create function bff_private.ms_left(p_until timestamptz) returns int8
language plpgsql volatile security definer set search_path = bff_private, pg_temp as $$
begin
	return coalesce(greatest(0, ceil(extract(epoch from p_until - clock_timestamp()) * 1000)), 0);
end $$;
comment on function bff_private.ms_left(timestamptz) is 'Milliseconds from now until then; 0 if past or null';

create function bff_private.token_session(p_hash bytea, p_service text)
returns table (state text, app text, provider text, grant_id bytea, generation int8, grant_state text,
	refresh_sealed bytea, attempts int8, lease_left_ms int8, token_sealed bytea, token_left_ms int8,
	token_generation int8, sub text, issuer text, id_token_sealed bytea, token_config bytea,
	absolute_left_ms int8, refresh_generation int8, id_token_generation int8)
language plpgsql stable security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	s session;
	g grants;
	t token;
begin
	select j.state, j.absolute_left_ms into state, absolute_left_ms from session_get(p_hash) j;
	if state <> 'live' then
		absolute_left_ms := null;
		return next;
		return;
	end if;
	select * into s from session x where x.id_hash = p_hash;
	select * into g from grants x where x.grant_id = s.grant_id;
	select * into t from token x where x.grant_id = s.grant_id and x.service = p_service;
	app := s.app;
	provider := s.provider;
	sub := s.sub;
	issuer := s.issuer;
	grant_id := s.grant_id;
	generation := coalesce(g.generation, 0);
	grant_state := case when g.grant_id is null then 'none' when g.ended_at is null then 'live' else 'ended' end;
	refresh_sealed := g.refresh_sealed;
	refresh_generation := coalesce(g.refresh_generation, 0);
	id_token_sealed := g.id_token_sealed;
	id_token_generation := coalesce(g.id_token_generation, 0);
	attempts := coalesce(g.attempts, 0);
	lease_left_ms := ms_left(g.lease_until);
	token_sealed := t.sealed;
	token_left_ms := ms_left(t.expires_at);
	token_generation := coalesce(t.generation, 0);
	token_config := t.config;
	return next;
end $$;
comment on function bff_private.token_session(bytea, text) is 'A session, its grant and its token for a service; always one row';

create function bff_private.grant_lease(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea, p_lease_ms int8)
returns table (leased bool, generation int8, attempts int8, lease_left_ms int8, grant_state text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	update grants x set lease_owner = p_owner, attempt = p_attempt, attempt_at = clock_timestamp(),
		lease_until = clock_timestamp() + p_lease_ms * interval '1 ms', attempts = x.attempts + 1
	where x.grant_id = p_grant_id and x.generation = p_generation and x.ended_at is null
	and (x.lease_until is null or x.lease_until <= clock_timestamp())
	returning x.* into g;
	leased := found;
	if not leased then
		select * into g from grants x where x.grant_id = p_grant_id;
	end if;
	generation := coalesce(g.generation, 0);
	attempts := coalesce(g.attempts, 0);
	lease_left_ms := ms_left(g.lease_until);
	grant_state := case when g.grant_id is null then 'none' when g.ended_at is null then 'live' else 'ended' end;
	return next;
end $$;
comment on function bff_private.grant_lease(bytea, int8, bytea, bytea, int8) is 'Leases a grant for one refresh, counted first; always one row, with the grant as it is now';

create function bff_private.grant_commit(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea,
	p_refresh_sealed bytea, p_id_token_sealed bytea, p_session_hash bytea, p_service text, p_token_sealed bytea,
	p_token_ttl_ms int8, p_token_config bytea)
returns table (committed bool, generation int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	-- An ended grant takes its successor, too, which is then due at once and whoever was revoking
	-- the old one finds that it no longer may delete the row.
	update grants x set generation = x.generation + 1, attempts = 0, attempt = null, attempt_at = null,
		lease_owner = null, lease_until = null,
		refresh_sealed = coalesce(p_refresh_sealed, x.refresh_sealed),
		refresh_generation = case when p_refresh_sealed is null then x.refresh_generation else x.generation + 1 end,
		previous_sealed = case when p_refresh_sealed is null then x.previous_sealed else x.refresh_sealed end,
		previous_generation = case when p_refresh_sealed is null then x.previous_generation else x.refresh_generation end,
		superseded_at = case when p_refresh_sealed is null then x.superseded_at else clock_timestamp() end,
		id_token_sealed = coalesce(p_id_token_sealed, x.id_token_sealed),
		id_token_generation = case when p_id_token_sealed is null then x.id_token_generation else x.generation + 1 end,
		due_at = case when x.ended_at is null then null else now() end,
		revoke_owner = null, revoke_until = null
	where x.grant_id = p_grant_id and x.generation = p_generation
	and x.lease_owner = p_owner and x.attempt = p_attempt
	returning x.* into g;
	committed := found;
	if not committed then
		generation := coalesce((select x.generation from grants x where x.grant_id = p_grant_id), 0);
		return next;
		return;
	end if;
	generation := g.generation;
	if p_token_sealed is not null and g.ended_at is null and g.session_hash = p_session_hash then
		insert into token (grant_id, service, sealed, generation, config, expires_at)
		values (p_grant_id, p_service, p_token_sealed, g.generation, p_token_config,
			now() + coalesce(p_token_ttl_ms, 0) * interval '1 ms')
		on conflict (grant_id, service) do update set sealed = excluded.sealed, generation = excluded.generation,
			config = excluded.config, expires_at = excluded.expires_at, stored_at = now();
	end if;
	return next;
end $$;
comment on function bff_private.grant_commit(bytea, int8, bytea, bytea, bytea, bytea, bytea, text, bytea, int8, bytea) is 'Stores what a refresh brought and gives the lease back; false: the lease was lost';

create function bff_private.grant_release(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea, p_consumed bool)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update grants x set lease_owner = null, lease_until = null, attempt = null,
		attempts = case when p_consumed then x.attempts else greatest(x.attempts - 1, 0) end
	where x.grant_id = p_grant_id and x.generation = p_generation
	and x.lease_owner = p_owner and x.attempt = p_attempt;
	return found;
end $$;
comment on function bff_private.grant_release(bytea, int8, bytea, bytea, bool) is 'Gives a lease back without a successor; an attempt that consumed nothing is not counted';

create function bff_private.grant_dead(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	ended bool;
begin
	-- The session first: everybody who ends one locks in this order.
	perform from session s where s.grant_id = p_grant_id for update;
	-- An earlier attempt of unknown outcome may have got a successor that nobody has: asking for the
	-- revocation of the old one then takes the family. Otherwise there is nothing left to revoke.
	update grants x set refresh_sealed = case when x.attempts > 1 then x.refresh_sealed end, lease_owner = null, lease_until = null, attempt = null
	where x.grant_id = p_grant_id and x.generation = p_generation
	and x.lease_owner = p_owner and x.attempt = p_attempt;
	if not found then
		return false;
	end if;
	perform because('reauthenticate');
	delete from session s where s.grant_id = p_grant_id;
	ended := found;
	update grants x set ended_at = coalesce(x.ended_at, now()), due_at = coalesce(x.due_at, now())
	where x.grant_id = p_grant_id;
	return ended;
end $$;
comment on function bff_private.grant_dead(bytea, int8, bytea, bytea) is 'The provider no longer knows the grant: ends it and its session, unless the generation moved on';

create function bff_private.logout(p_hash bytea, p_app text, p_everywhere bool)
returns table (ended int8, provider text, id_token_sealed bytea, grant_id bytea, generation int8)
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

create function bff_private.revocation_take(p_owner bytea, p_lease_ms int8, p_max_rows int8)
returns table (grant_id bytea, provider text, generation int8, refresh_sealed bytea, tries int8)
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
	returning x.grant_id, x.provider, x.refresh_generation, x.refresh_sealed, x.tries;
end $$;
comment on function bff_private.revocation_take(bytea, int8, int8) is 'Leases ended grants that are to be revoked at their provider';

create function bff_private.revocation_done(p_grant_id bytea, p_owner bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	delete from grants x where x.grant_id = p_grant_id and x.revoke_owner = p_owner and x.ended_at is not null;
	return found;
end $$;
comment on function bff_private.revocation_done(bytea, bytea) is 'The provider revoked it: deletes the grant; false: someone else''s, or a successor came in';

create function bff_private.revocation_retry(p_grant_id bytea, p_owner bytea, p_delay_ms int8) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	update grants x set revoke_owner = null, revoke_until = null,
		due_at = clock_timestamp() + p_delay_ms * interval '1 ms'
	where x.grant_id = p_grant_id and x.revoke_owner = p_owner returning x.* into g;
	if g.tries < 12 then
		return true;
	elsif g.tries is not null then
		delete from grants x where x.grant_id = p_grant_id;
		insert into audit (action, reason, target, ref, app, subject, email)
		select 'revocation_given_up', 'the provider refused ' || g.tries || ' times', e.ref, e.ref, e.app, e.subject, e.email
		from ended e where e.id_hash = g.session_hash;
	end if;
	return false;
end $$;
comment on function bff_private.revocation_retry(bytea, bytea, int8) is 'Puts a revocation off; false: tried too often, deleted and noted in the audit log';

create function bff_private.sweep(p_max_rows int8) returns int8
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
		where a.id_hash = j.id_hash and now() < j.until)
	delete from session s using judged j where s.id_hash = j.id_hash and now() >= j.until;
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

create function bff_private.login_note(p_app text, p_provider text, p_outcome text, p_detail text, p_subject text,
	p_correlation text, p_client text) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	insert into login_log (app, provider, outcome, detail, subject, correlation, client)
	values (left(coalesce(p_app, ''), 64), left(coalesce(p_provider, ''), 64), left(coalesce(p_outcome, ''), 64),
		left(coalesce(p_detail, ''), 400), left(coalesce(p_subject, ''), 200), left(coalesce(p_correlation, ''), 64),
		left(coalesce(p_client, ''), 200));
	return true;
end $$;
comment on function bff_private.login_note(text, text, text, text, text, text, text) is 'Notes the outcome of a login for bff.logins';

-- Refreshes of unknown fate, tokens had without a lease, and revalidation. Run as bff_owner.
-- The functions of 0003 stay for the daemons of the version before.

alter table bff_private.grants add column first_attempt_at timestamptz;
comment on column bff_private.grants.first_attempt_at is 'When the first of `attempts` began: a provider''s grace period runs from then at the earliest';

create function bff_private.refresh_lease(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea, p_lease_ms int8)
returns table (leased bool, generation int8, attempts int8, lease_left_ms int8, grant_state text, since_first_ms int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	update grants x set lease_owner = p_owner, attempt = p_attempt, attempt_at = clock_timestamp(),
		lease_until = clock_timestamp() + p_lease_ms * interval '1 ms', attempts = x.attempts + 1,
		first_attempt_at = case when x.attempts = 0 then clock_timestamp()
			else coalesce(x.first_attempt_at, x.attempt_at, x.created_at) end
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
	since_first_ms := coalesce(greatest(0, ceil(extract(epoch from clock_timestamp() - g.first_attempt_at) * 1000)), 0);
	return next;
end $$;
comment on function bff_private.refresh_lease(bytea, int8, bytea, bytea, int8) is 'Leases a grant for one refresh, counted first; always one row, with the grant as it is now';

-- unused: nothing left, or it consumed nothing. unknown: stays counted. suspect: the provider read the request and refused
-- it; some consume the refresh token all the same, so that one repetition is left, however many came before.
create function bff_private.refresh_release(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea, p_fate text)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update grants x set lease_owner = null, lease_until = null, attempt = null,
		attempts = case p_fate when 'unused' then greatest(x.attempts - 1, 0) when 'suspect' then 1 else x.attempts end
	where x.grant_id = p_grant_id and x.generation = p_generation
	and x.lease_owner = p_owner and x.attempt = p_attempt;
	return found;
end $$;
comment on function bff_private.refresh_release(bytea, int8, bytea, bytea, text) is 'Gives a lease back without a successor; says what became of the refresh token: unused, unknown or suspect';

-- Nothing ever reads a superseded refresh token: it is not kept.
create or replace function bff_private.grant_commit(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea,
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
alter table bff_private.grants drop column previous_sealed, drop column previous_generation, drop column superseded_at;

-- The row of the grant is locked first, as a session's end does: the token is either refused, or there to be deleted.
create function bff_private.token_put(p_session_hash bytea, p_grant_id bytea, p_generation int8, p_service text, p_token_sealed bytea,
	p_token_ttl_ms int8, p_token_config bytea, p_refresh_sealed bytea, p_id_token_sealed bytea)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	select * into g from grants x
	where x.grant_id = p_grant_id and x.session_hash = p_session_hash and x.ended_at is null for update;
	if not found or not exists (select from session s where s.grant_id = p_grant_id) then
		return false;
	end if;
	-- Where refresh tokens are not single use, whichever comes in first is as good as the others.
	if (p_refresh_sealed is not null or p_id_token_sealed is not null) and g.generation = p_generation
		and (g.lease_until is null or g.lease_until <= clock_timestamp()) then
		update grants x set generation = x.generation + 1, attempts = 0,
			refresh_sealed = coalesce(p_refresh_sealed, x.refresh_sealed),
			refresh_generation = case when p_refresh_sealed is null then x.refresh_generation else x.generation + 1 end,
			id_token_sealed = coalesce(p_id_token_sealed, x.id_token_sealed),
			id_token_generation = case when p_id_token_sealed is null then x.id_token_generation else x.generation + 1 end
		where x.grant_id = p_grant_id;
	end if;
	insert into token (grant_id, service, sealed, generation, config, expires_at)
	values (p_grant_id, p_service, p_token_sealed, p_generation + 1, p_token_config,
		now() + coalesce(p_token_ttl_ms, 0) * interval '1 ms')
	on conflict (grant_id, service) do update set sealed = excluded.sealed, generation = excluded.generation,
		config = excluded.config, expires_at = excluded.expires_at, stored_at = now();
	return true;
end $$;
comment on function bff_private.token_put(bytea, bytea, int8, text, bytea, int8, bytea, bytea, bytea) is 'Files a token that was had without a lease, sealed under generation + 1; false: the session or its grant is over';

-- ---- revalidation ----

alter table bff_private.session_activity add column revalidate_at timestamptz;
comment on column bff_private.session_activity.revalidate_at is 'When the provider is asked again about this session, if it is in use; null: never';

create table bff_private.revalidation (
	id_hash bytea primary key,
	due_at timestamptz not null default now(),
	tries int8 not null default 0,
	owner bytea,
	lease_until timestamptz
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
comment on table bff_private.revalidation is 'Sessions in use that the provider is to be asked about; the brokers'' queue';
create index revalidation_due on bff_private.revalidation (due_at);

create or replace function bff_private.session_get(p_hash bytea, out state text, out app text, out ref text,
	out subject text, out claims text, out acr text, out auth_time int8,
	out idle_left_ms int8, out absolute_left_ms int8, out touch_due bool)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
begin
	select case when now() >= s.absolute_expires_at then 'expired'
		    when now() >= coalesce(a.last_seen, s.created_at) + s.idle then 'idle' else 'live' end,
		s.app, s.ref, s.subject, s.claims, s.acr, s.auth_time,
		date_part('epoch', coalesce(a.last_seen, s.created_at) + s.idle - now()) * 1000,
		date_part('epoch', s.absolute_expires_at - now()) * 1000,
		a.last_seen < now() - interval '60 s' or coalesce(a.revalidate_at <= now(), false)
	into state, app, ref, subject, claims, acr, auth_time, idle_left_ms, absolute_left_ms, touch_due
	from session s left join session_activity a using (id_hash) where s.id_hash = p_hash;
	if state is null then
		state := end_state(p_hash);
	elsif state <> 'live' then
		select null, null, null, null, null, null, null, null, null
		into app, ref, subject, claims, acr, auth_time, idle_left_ms, absolute_left_ms, touch_due;
	end if;
end $$;

-- revalidate_at moves on so that the next request does not ask for the same again; the queue keeps it until it was done.
create or replace function bff_private.session_touch(p_hashes bytea[]) returns table (touched int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	if cardinality(p_hashes) > 1000 then
		raise exception using errcode = 'BF002', message = 'more than 1000 sessions in one call';
	end if;
	-- What a crash loses is a minute of activity.
	perform set_config('synchronous_commit', 'off', true);
	with due as (
		select a.id_hash, coalesce(a.revalidate_at <= now(), false) as revalidate
		from session_activity a join session s using (id_hash)
		where a.id_hash = any (p_hashes) and (a.last_seen < now() - interval '60 s' or a.revalidate_at <= now())
		and now() < s.absolute_expires_at and now() < a.last_seen + s.idle
		for update of a skip locked -- another worker notes it at this moment, or it is being ended
	),
	queued as (
		insert into revalidation (id_hash) select due.id_hash from due where due.revalidate order by due.id_hash
		on conflict do nothing)
	update session_activity a set last_seen = now(),
		revalidate_at = case when due.revalidate then now() + interval '60 s' else a.revalidate_at end
	from due where a.id_hash = due.id_hash;
	get diagnostics touched = row_count;
	return next;
end $$;
comment on function bff_private.session_touch(bytea[]) is 'Notes activity of live sessions, at most once a minute each, and which of them are to be revalidated; never revives one';

create function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text, p_revalidate_ms int8)
returns table (created bool, ref text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	select c.created, c.ref into created, ref from session_create(p_hash, p_app, p_provider, p_issuer, p_sub, p_sid, p_subject,
		p_email, p_claims, p_acr, p_auth_time, p_idle_ms, p_absolute_ms, p_begun_ms, p_old_hash, p_max_sessions, p_grant_id,
		p_refresh_sealed, p_id_token_sealed, p_access_sealed, p_access_ttl_ms, p_client, p_user_agent) c;
	if created and p_revalidate_ms > 0 then
		update session_activity a set revalidate_at = now() + p_revalidate_ms * interval '1 ms' where a.id_hash = p_hash;
	end if;
	return next;
end $$;
comment on function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8)
	is 'Makes a session as above, to be revalidated so often while it is in use; 0: never';

-- Those of sessions that are over are forgotten on the way.
create function bff_private.revalidation_take(p_owner bytea, p_lease_ms int8, p_max_rows int8)
returns table (id_hash bytea, app text, provider text, issuer text, sub text, grant_id bytea, tries int8)
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	return query
	with due as (
		select q.id_hash from revalidation q
		where q.due_at <= clock_timestamp() and (q.lease_until is null or q.lease_until <= clock_timestamp())
		order by q.due_at limit p_max_rows for update skip locked),
	gone as (
		delete from revalidation q using due where q.id_hash = due.id_hash
		and not exists (select from session s where s.id_hash = due.id_hash and now() < s.absolute_expires_at))
	update revalidation q set owner = p_owner, tries = q.tries + 1,
		lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
	from due join session s using (id_hash)
	where q.id_hash = due.id_hash and now() < s.absolute_expires_at
	returning q.id_hash, s.app, s.provider, s.issuer, s.sub, s.grant_id, q.tries;
end $$;
comment on function bff_private.revalidation_take(bytea, int8, int8) is 'Leases sessions that are to be revalidated';

create function bff_private.revalidation_done(p_hash bytea, p_owner bytea, p_next_ms int8, p_claims text, p_email text)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	-- In the order in which a session ends and a touch notes it.
	perform from session s where s.id_hash = p_hash for update;
	perform from session_activity a where a.id_hash = p_hash for update;
	delete from revalidation q where q.id_hash = p_hash and q.owner = p_owner;
	if not found then
		return false;
	end if;
	if p_claims is not null then
		update session s set claims = p_claims::json, email = coalesce(p_email, ''), name = claim_text(p_claims::json, 'name')
		where s.id_hash = p_hash;
	end if;
	update session_activity a set revalidate_at = case when p_next_ms > 0 then now() + p_next_ms * interval '1 ms' end
	where a.id_hash = p_hash;
	return true;
end $$;
comment on function bff_private.revalidation_done(bytea, bytea, int8, text, text) is 'The provider still knows the session''s grant: notes its claims (null: as they were) and when to ask again (0: never)';

create function bff_private.revalidation_retry(p_hash bytea, p_owner bytea, p_delay_ms int8) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update revalidation q set owner = null, lease_until = null, due_at = clock_timestamp() + p_delay_ms * interval '1 ms'
	where q.id_hash = p_hash and q.owner = p_owner;
	return found;
end $$;
comment on function bff_private.revalidation_retry(bytea, bytea, int8) is 'Puts a revalidation off: the provider could not be asked';

create function bff_private.revalidation_end(p_hash bytea, p_owner bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	-- In the order in which a session ends and a touch notes it.
	perform from session s where s.id_hash = p_hash for update;
	perform from session_activity a where a.id_hash = p_hash for update;
	delete from revalidation q where q.id_hash = p_hash and q.owner = p_owner;
	if not found then
		return false;
	end if;
	perform because('reauthenticate');
	delete from session s where s.id_hash = p_hash;
	return found;
end $$;
comment on function bff_private.revalidation_end(bytea, bytea) is 'The provider no longer vouches for the session: ends it; false: it was over, or another''s turn';

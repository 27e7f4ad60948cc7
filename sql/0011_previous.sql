-- The superseded refresh token of a grant, for a provider's grace period; and commits that a crash does not undo. Run as bff_owner.

-- Whoever turned it off for the whole database did not mean these: a lease is a write-ahead record, and a refresh token is
-- there once.
create function bff_private.durable() returns void
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	if current_setting('synchronous_commit') = 'off' then
		perform set_config('synchronous_commit', 'on', true);
	end if;
end $$;
comment on function bff_private.durable() is 'This transaction''s commit waits for the disk, whatever the database''s default is';

alter table bff_private.grants add column previous_sealed bytea, add column previous_generation int8, add column superseded_at timestamptz;
-- Not sealed anew when the key is rotated: under a retired one it is lost, and a grant that would need it ends as it would have.
comment on column bff_private.grants.previous_sealed is 'The superseded refresh token, for the provider''s grace period; null: none';
comment on column bff_private.grants.previous_generation is 'What previous_sealed was sealed under';
comment on column bff_private.grants.superseded_at is 'When the successor of previous_sealed was committed';

create or replace function bff_private.refresh_lease(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea, p_lease_ms int8)
returns table (leased bool, generation int8, attempts int8, lease_left_ms int8, grant_state text, since_first_ms int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	perform durable();
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

create or replace function bff_private.token_put(p_session_hash bytea, p_grant_id bytea, p_generation int8, p_service text, p_token_sealed bytea,
	p_token_ttl_ms int8, p_token_config bytea, p_refresh_sealed bytea, p_id_token_sealed bytea)
returns bool language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	perform durable();
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

create function bff_private.grant_commit(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea,
	p_refresh_sealed bytea, p_id_token_sealed bytea, p_session_hash bytea, p_service text, p_token_sealed bytea,
	p_token_ttl_ms int8, p_token_config bytea, p_keep_previous bool)
returns table (committed bool, generation int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	g grants;
begin
	perform durable();
	-- An ended grant takes its successor, too, which is then due at once and whoever was revoking
	-- the old one finds that it no longer may delete the row.
	update grants x set generation = x.generation + 1, attempts = 0, attempt = null, attempt_at = null,
		lease_owner = null, lease_until = null,
		refresh_sealed = coalesce(p_refresh_sealed, x.refresh_sealed),
		refresh_generation = case when p_refresh_sealed is null then x.refresh_generation else x.generation + 1 end,
		previous_sealed = case when p_refresh_sealed is null then x.previous_sealed when p_keep_previous then x.refresh_sealed end,
		previous_generation = case when p_refresh_sealed is null then x.previous_generation when p_keep_previous then x.refresh_generation end,
		superseded_at = case when p_refresh_sealed is null then x.superseded_at when p_keep_previous then clock_timestamp() end,
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
comment on function bff_private.grant_commit(bytea, int8, bytea, bytea, bytea, bytea, bytea, text, bytea, int8, bytea, bool) is 'Stores what a refresh brought and gives the lease back, with the refresh token of before if that is to be kept; false: the lease was lost';

-- As brokers of the version before ask for it.
create or replace function bff_private.grant_commit(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea,
	p_refresh_sealed bytea, p_id_token_sealed bytea, p_session_hash bytea, p_service text, p_token_sealed bytea,
	p_token_ttl_ms int8, p_token_config bytea)
returns table (committed bool, generation int8)
language sql security definer rows 1 set search_path = bff_private, pg_temp as $$
	select c.committed, c.generation from grant_commit(p_grant_id, p_generation, p_owner, p_attempt, p_refresh_sealed,
		p_id_token_sealed, p_session_hash, p_service, p_token_sealed, p_token_ttl_ms, p_token_config, false) c
$$;

create function bff_private.previous_take(p_grant_id bytea, p_generation int8, p_owner bytea, p_attempt bytea)
returns table (sealed bytea, generation int8, superseded_ms int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	perform durable();
	return query update grants x set attempts = x.attempts + 1
	where x.grant_id = p_grant_id and x.generation = p_generation and x.ended_at is null
	and x.lease_owner = p_owner and x.attempt = p_attempt and x.previous_sealed is not null
	returning x.previous_sealed, x.previous_generation,
		greatest(0, ceil(extract(epoch from clock_timestamp() - x.superseded_at) * 1000))::int8;
end $$;
comment on function bff_private.previous_take(bytea, int8, bytea, bytea) is 'The superseded refresh token, to be sent under the lease that is held; counted first; no row: there is none, or the lease was lost';

create index grants_superseded on bff_private.grants (superseded_at) where superseded_at is not null;

-- No provider's grace period is longer than a day (common/config.def).
create function bff_private.sweep_previous(p_max_rows int8) returns int8
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	n int8;
begin
	update grants g set previous_sealed = null, previous_generation = null, superseded_at = null where g.grant_id in (
		select x.grant_id from grants x where x.superseded_at <= now() - interval '1 day'
		limit p_max_rows for update skip locked);
	get diagnostics n = row_count;
	return n;
end $$;
comment on function bff_private.sweep_previous(int8) is 'Forgets superseded refresh tokens that no provider honours any more; part of sweep';

create or replace function bff_private.sweep(p_max_rows int8) returns int8
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	return sweep_rest(p_max_rows) + sweep_logouts(p_max_rows) + sweep_previous(p_max_rows);
end $$;
comment on function bff_private.sweep_rest(int8) is 'What sweep does beside sweep_logouts and sweep_previous';

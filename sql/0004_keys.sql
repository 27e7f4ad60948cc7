-- The key ring's states, the hosts that hold its keys, and the re-sealing of what older keys
-- sealed. The keys themselves are in files of the brokers and never come here. Run as bff_owner.

create table bff_private.seal_key (
	id int8 primary key check (id between 1 and 4294967295),
	fingerprint bytea not null check (octet_length(fingerprint) = 8),
	state text not null default 'pending' check (state in ('pending', 'primary', 'decrypt-only', 'retired')),
	added_at timestamptz not null default now(),
	promoted_at timestamptz,
	retired_at timestamptz
);
comment on table bff_private.seal_key is 'States of the keys of the key rings: pending, primary, decrypt-only, retired';
comment on column bff_private.seal_key.fingerprint is 'Derived from the key; tells two keys of one id apart';
create unique index seal_key_primary on bff_private.seal_key ((true)) where state = 'primary';

create table bff_private.host (
	name text primary key,
	build text not null,
	keys int8[] not null,
	started_at timestamptz not null default now(),
	seen_at timestamptz not null default now()
);
comment on table bff_private.host is 'Brokers that reported, with the keys they hold; forgotten after a day';

create function bff_private.host_is_live(p_seen_at timestamptz) returns bool
language sql stable security definer set search_path = bff_private, pg_temp as $$
	select p_seen_at > now() - interval '30 s'
$$;
comment on function bff_private.host_is_live(timestamptz) is 'Whether a host that was last seen then counts as running: brokers report every 5 s';

-- Keys unknown so far come in as pending. The first report of all makes the first key of its file
-- the primary one: there is nothing yet that another host could fail to open.
create function bff_private.keys_report(p_name text, p_build text, p_started bool, p_ids int8[], p_prints bytea[])
returns table (id int8, state text)
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	insert into seal_key (id, fingerprint)
	select n.id, n.print from unnest(p_ids, p_prints) n (id, print)
	where not exists (select from seal_key k where k.id = n.id)
	on conflict do nothing;
	insert into host as h (name, build, keys)
	select left(p_name, 200), left(p_build, 64), coalesce(array_agg(k.id order by k.id), '{}')
	from unnest(p_ids, p_prints) n (id, print) join seal_key k on k.id = n.id and k.fingerprint = n.print
	on conflict (name) do update set build = excluded.build, keys = excluded.keys, seen_at = now(),
		started_at = case when p_started then now() else h.started_at end;
	delete from host h where h.seen_at < now() - interval '1 day';
	if not exists (select from seal_key k where k.state = 'primary') then
		begin
			update seal_key k set state = 'primary', promoted_at = now()
			where k.id = p_ids[1] and k.state = 'pending' and not exists (select from seal_key x where x.state <> 'pending');
		exception when unique_violation then
			null; -- another host's first key became it at this moment
		end;
	end if;
	return query
	select k.id, case when n.print <> k.fingerprint then 'other' else k.state end
	from unnest(p_ids, p_prints) n (id, print) join seal_key k on k.id = n.id
	union all
	select k.id, 'missing' from seal_key k where k.state = 'primary' and k.id <> all (p_ids);
end $$;
comment on function bff_private.keys_report(text, text, bool, int8[], bytea[]) is 'A broker says which keys it holds and learns their states; other: the id is taken by another key; missing: the primary key, which it lacks';

-- The vault's format: one byte version, four bytes key id.
create function bff_private.sealed_key(p_sealed bytea) returns int8
language sql immutable security definer set search_path = bff_private, pg_temp as $$
	select case when octet_length(p_sealed) > 5 and get_byte(p_sealed, 0) = 1 then
		(get_byte(p_sealed, 1)::int8 << 24) | (get_byte(p_sealed, 2) << 16) | (get_byte(p_sealed, 3) << 8) | get_byte(p_sealed, 4) end
$$;
comment on function bff_private.sealed_key(bytea) is 'The id of the key that a value was sealed under';

create function bff_private.reseal_take(p_after bytea, p_max_rows int8)
returns table (grant_id bytea, due bool, refresh_sealed bytea, refresh_generation int8, id_token_sealed bytea,
	id_token_generation int8)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
declare
	now_primary constant int8 := (select k.id from seal_key k where k.state = 'primary');
begin
	return query
	select g.grant_id, sealed_key(g.refresh_sealed) <> now_primary or sealed_key(g.id_token_sealed) <> now_primary,
		case when sealed_key(g.refresh_sealed) <> now_primary then g.refresh_sealed end, g.refresh_generation,
		case when sealed_key(g.id_token_sealed) <> now_primary then g.id_token_sealed end, g.id_token_generation
	from grants g where g.grant_id > p_after order by g.grant_id limit p_max_rows;
end $$;
comment on function bff_private.reseal_take(bytea, int8) is 'The next grants by id, with what of them is not sealed under the primary key';

-- Compare and swap on the sealed bytes: a refresh that committed meanwhile sealed under the primary.
create function bff_private.reseal_put(p_grant_id bytea, p_old_refresh bytea, p_refresh bytea, p_old_id_token bytea,
	p_id_token bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update grants g set
		refresh_sealed = case when g.refresh_sealed = p_old_refresh then p_refresh else g.refresh_sealed end,
		id_token_sealed = case when g.id_token_sealed = p_old_id_token then p_id_token else g.id_token_sealed end
	where g.grant_id = p_grant_id;
	return found;
end $$;
comment on function bff_private.reseal_put(bytea, bytea, bytea, bytea, bytea) is 'Puts re-sealed values in place of the old ones, where those still stand';

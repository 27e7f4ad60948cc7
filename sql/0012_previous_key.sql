-- A superseded refresh token is sealed anew like the others and counts as sealed; what a provider demands outlives the session
-- that its answer to a revalidation ends; session_create is one function again, with the one that brokers of the version
-- before ask for around it. Run as bff_owner.

create or replace function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text, p_revalidate_ms int8, p_state_hash bytea, p_nonce_hash bytea)
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
	insert into session_activity (id_hash, last_seen, check_at, revalidate_at)
	values (p_hash, now(), now() + least(p_idle_ms, p_absolute_ms) * interval '1 ms',
		case when p_revalidate_ms > 0 then now() + p_revalidate_ms * interval '1 ms' end);
	insert into grants (grant_id, provider, issuer, sub, session_hash, refresh_sealed, id_token_sealed, nonce_hash, resources)
	values (p_grant_id, p_provider, p_issuer, p_sub, p_hash, p_refresh_sealed, p_id_token_sealed, p_nonce_hash,
		(select l.resources from login l where l.state_hash = p_state_hash));
	if p_access_sealed is not null then
		insert into token (grant_id, service, sealed, generation, expires_at)
		values (p_grant_id, '@session', p_access_sealed, 1, now() + coalesce(p_access_ttl_ms, 0) * interval '1 ms');
	end if;
	created := true;
	return next;
end $$;
comment on function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8, bytea, bytea)
	is 'Makes a session with its grant, unless it was revoked while its login was under way; revalidate_ms 0: never; the state and the nonce are of its login';

-- Never of any version.
drop function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8);
drop function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8, bytea);

create or replace function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text)
returns table (created bool, ref text)
language sql security definer rows 1 set search_path = bff_private, pg_temp as $$
	select c.created, c.ref from session_create(p_hash, p_app, p_provider, p_issuer, p_sub, p_sid, p_subject, p_email, p_claims,
		p_acr, p_auth_time, p_idle_ms, p_absolute_ms, p_begun_ms, p_old_hash, p_max_sessions, p_grant_id, p_refresh_sealed,
		p_id_token_sealed, p_access_sealed, p_access_ttl_ms, p_client, p_user_agent, 0, null, null) c
$$;

create function bff_private.reseal_next(p_after bytea, p_max_rows int8)
returns table (grant_id bytea, due bool, refresh_sealed bytea, refresh_generation int8, id_token_sealed bytea,
	id_token_generation int8, previous_sealed bytea, previous_generation int8)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
declare
	now_primary constant int8 := (select k.id from seal_key k where k.state = 'primary');
begin
	return query
	select g.grant_id, sealed_key(g.refresh_sealed) <> now_primary or sealed_key(g.id_token_sealed) <> now_primary
			or sealed_key(g.previous_sealed) <> now_primary,
		case when sealed_key(g.refresh_sealed) <> now_primary then g.refresh_sealed end, g.refresh_generation,
		case when sealed_key(g.id_token_sealed) <> now_primary then g.id_token_sealed end, g.id_token_generation,
		case when sealed_key(g.previous_sealed) <> now_primary then g.previous_sealed end, g.previous_generation
	from grants g where g.grant_id > p_after order by g.grant_id limit p_max_rows;
end $$;
comment on function bff_private.reseal_next(bytea, int8) is 'The next grants by id, with what of them is not sealed under the primary key';

-- Compare and swap on the sealed bytes: a refresh that committed meanwhile has moved them on, the refresh token to the place of
-- the superseded one, which takes what it was sealed anew as.
create function bff_private.reseal_store(p_grant_id bytea, p_old_refresh bytea, p_refresh bytea, p_old_id_token bytea,
	p_id_token bytea, p_old_previous bytea, p_previous bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update grants g set
		refresh_sealed = case when g.refresh_sealed = p_old_refresh then p_refresh else g.refresh_sealed end,
		id_token_sealed = case when g.id_token_sealed = p_old_id_token then p_id_token else g.id_token_sealed end,
		previous_sealed = case when g.previous_sealed = p_old_previous then p_previous
			when g.previous_sealed = p_old_refresh then p_refresh else g.previous_sealed end
	where g.grant_id = p_grant_id;
	return found;
end $$;
comment on function bff_private.reseal_store(bytea, bytea, bytea, bytea, bytea, bytea, bytea) is 'Puts re-sealed values in place of the old ones, where those still stand';

alter table bff_private.ended add column challenge text check (octet_length(challenge) <= 4096);
comment on column bff_private.ended.challenge is 'The claims parameter that the provider wants of the next login of whoever had this session; null: none';

create or replace function bff_private.revalidation_end(p_hash bytea, p_owner bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	demand text;
begin
	-- In the order in which a session ends and a touch notes it.
	perform from session s where s.id_hash = p_hash for update;
	perform from session_activity a where a.id_hash = p_hash for update;
	delete from revalidation q where q.id_hash = p_hash and q.owner = p_owner;
	if not found then
		return false;
	end if;
	select g.challenge into demand from session s join grants g on g.grant_id = s.grant_id where s.id_hash = p_hash;
	perform because('reauthenticate');
	delete from session s where s.id_hash = p_hash;
	if not found then
		return false;
	end if;
	update ended e set challenge = demand where e.id_hash = p_hash and demand is not null;
	return true;
end $$;

create or replace function bff_private.login_past(p_hash bytea, p_app text, p_provider text, p_issuer text)
returns table (challenge text, hint text, grant_id bytea, id_token_sealed bytea, id_token_generation int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	s session;
	g grants;
begin
	select * into s from session x
	where x.id_hash = p_hash and x.app = p_app and x.provider = p_provider and x.issuer = p_issuer;
	if not found then
		select e.challenge into challenge from ended e where e.id_hash = p_hash and e.app = p_app
		and e.provider = p_provider and e.issuer = p_issuer and e.challenge is not null for update;
		if found then
			update ended e set challenge = null where e.id_hash = p_hash;
		end if;
	elsif (select j.state from session_get(p_hash) j) = 'live' then
		hint := coalesce(nullif(s.email, ''), nullif(claim_text(s.claims, 'preferred_username'), ''));
		select * into g from grants x where x.grant_id = s.grant_id for update;
		challenge := g.challenge;
		grant_id := g.grant_id;
		id_token_sealed := g.id_token_sealed;
		id_token_generation := g.id_token_generation;
		if challenge is not null then
			update grants x set challenge = null where x.grant_id = s.grant_id;
		end if;
	end if;
	return next;
end $$;
comment on function bff_private.login_past(bytea, text, text, text) is 'What a session of this app and provider brings to a login that begins: a live one, or one that a revalidation ended its challenge; that once; always one row';

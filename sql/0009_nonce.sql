-- What the ID token of a refresh must agree with (OIDC Core 12.2): the login's nonce, which is kept as its hash, and the
-- time of its authentication. Run as bff_owner. The functions of before stay for brokers of the version before.

alter table bff_private.grants add column nonce_hash bytea;
comment on column bff_private.grants.nonce_hash is 'SHA-256 of the login''s nonce; null: of a login before it was kept';

create function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text, p_revalidate_ms int8, p_state_hash bytea, p_nonce_hash bytea)
returns table (created bool, ref text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	select c.created, c.ref into created, ref from session_create(p_hash, p_app, p_provider, p_issuer, p_sub, p_sid, p_subject,
		p_email, p_claims, p_acr, p_auth_time, p_idle_ms, p_absolute_ms, p_begun_ms, p_old_hash, p_max_sessions, p_grant_id,
		p_refresh_sealed, p_id_token_sealed, p_access_sealed, p_access_ttl_ms, p_client, p_user_agent, p_revalidate_ms, p_state_hash) c;
	if created then
		update grants g set nonce_hash = p_nonce_hash where g.grant_id = p_grant_id;
	end if;
	return next;
end $$;
comment on function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8, bytea, bytea)
	is 'Makes a session as above, whose grant remembers the hash of the login''s nonce';

create function bff_private.token_read(p_hash bytea, p_service text)
returns table (state text, app text, provider text, grant_id bytea, generation int8, grant_state text,
	refresh_sealed bytea, attempts int8, lease_left_ms int8, token_sealed bytea, token_left_ms int8,
	token_generation int8, sub text, issuer text, id_token_sealed bytea, token_config bytea,
	absolute_left_ms int8, refresh_generation int8, id_token_generation int8, idle_left_ms int8, resources text, nonce_hash bytea, auth_time int8)
language plpgsql stable security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	s session;
	g grants;
	t token;
begin
	select j.state, j.absolute_left_ms, j.idle_left_ms into state, absolute_left_ms, idle_left_ms from session_get(p_hash) j;
	if state <> 'live' then
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
	resources := array_to_string(g.resources, ' ');
	nonce_hash := g.nonce_hash;
	auth_time := s.auth_time;
	return next;
end $$;
comment on function bff_private.token_read(bytea, text) is 'A session, its grant and its token for a service; always one row';

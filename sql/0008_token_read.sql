-- What a broker reads for a token, with the idle limit as well: for so long may it keep the row.
-- Run as bff_owner. token_session() stays for brokers of the version before.

create function bff_private.token_read(p_hash bytea, p_service text)
returns table (state text, app text, provider text, grant_id bytea, generation int8, grant_state text,
	refresh_sealed bytea, attempts int8, lease_left_ms int8, token_sealed bytea, token_left_ms int8,
	token_generation int8, sub text, issuer text, id_token_sealed bytea, token_config bytea,
	absolute_left_ms int8, refresh_generation int8, id_token_generation int8, idle_left_ms int8)
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
	return next;
end $$;
comment on function bff_private.token_read(bytea, text) is 'A session, its grant and its token for a service; always one row';

-- What a provider demands of the next login before it gives tokens again (Entra's `claims`), and what a session that is
-- live brings to a login. Run as bff_owner.

alter table bff_private.grants add column challenge text check (octet_length(challenge) <= 4096);
comment on column bff_private.grants.challenge is 'The claims parameter that the provider wants of the next login of this session; null: none';

create function bff_private.grant_challenge(p_grant_id bytea, p_challenge text) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update grants g set challenge = p_challenge where g.grant_id = p_grant_id and g.ended_at is null;
	return found;
end $$;
comment on function bff_private.grant_challenge(bytea, text) is 'Keeps what the provider demands of the next login; false: the grant is over';

create function bff_private.login_past(p_hash bytea, p_app text, p_provider text, p_issuer text)
returns table (challenge text, hint text, grant_id bytea, id_token_sealed bytea, id_token_generation int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	s session;
	g grants;
begin
	select * into s from session x
	where x.id_hash = p_hash and x.app = p_app and x.provider = p_provider and x.issuer = p_issuer;
	if found and (select j.state from session_get(p_hash) j) = 'live' then
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
comment on function bff_private.login_past(bytea, text, text, text) is 'What a live session of this app and provider brings to a login that begins, its challenge once; always one row';

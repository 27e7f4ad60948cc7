-- Which resources (RFC 8707) a login asked for, so that a service that came later is not asked for with its grant: some
-- providers refuse that and have spent the refresh token by then. Run as bff_owner. The functions of before stay for the
-- daemons of the version before.

alter table bff_private.login add column resources text[];
comment on column bff_private.login.resources is 'What the authorization request named; null: not noted';
alter table bff_private.grants add column resources text[];
comment on column bff_private.grants.resources is 'What its login asked for; null: not known';

create function bff_private.login_begin(p_state_hash bytea, p_app text, p_provider text, p_binding_hash bytea,
	p_redirect_uri text, p_return_to text, p_sealed bytea, p_lifetime_ms int8, p_max_open int8, p_resources text) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	if not login_begin(p_state_hash, p_app, p_provider, p_binding_hash, p_redirect_uri, p_return_to, p_sealed, p_lifetime_ms,
		p_max_open) then
		return false;
	end if;
	update login l set resources = string_to_array(p_resources, ' ') where l.state_hash = p_state_hash;
	return true;
end $$;
comment on function bff_private.login_begin(bytea, text, text, bytea, text, text, bytea, int8, int8, text) is 'Notes a login that begins as above, with the resources it asks for, by spaces';

create function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text, p_revalidate_ms int8, p_state_hash bytea)
returns table (created bool, ref text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	select c.created, c.ref into created, ref from session_create(p_hash, p_app, p_provider, p_issuer, p_sub, p_sid, p_subject,
		p_email, p_claims, p_acr, p_auth_time, p_idle_ms, p_absolute_ms, p_begun_ms, p_old_hash, p_max_sessions, p_grant_id,
		p_refresh_sealed, p_id_token_sealed, p_access_sealed, p_access_ttl_ms, p_client, p_user_agent, p_revalidate_ms) c;
	update grants g set resources = l.resources from login l
	where created and g.grant_id = p_grant_id and l.state_hash = p_state_hash;
	return next;
end $$;
comment on function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8, bytea)
	is 'Makes a session as above; its grant gets the resources of the login with this state';

-- Responses of the authorization endpoint that come by POST (form_post): put away in the login's
-- row until the browser comes back with its cookies. Run as bff_owner.

alter table bff_private.login add column parked bytea;
comment on column bff_private.login.parked is 'Sealed response that came by POST, until it is taken';

create function bff_private.login_park(p_state_hash bytea, p_app text, p_parked bytea) returns bool
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	update login l set parked = p_parked
	where l.state_hash = p_state_hash and l.app = p_app
	and l.parked is null and l.used_at is null and clock_timestamp() < l.expires_at;
	return found or exists (select from login l where l.state_hash = p_state_hash and l.app = p_app);
end $$;
comment on function bff_private.login_park(bytea, text, bytea) is 'Puts a response away, the first one of a login; false: no such login';

create function bff_private.login_return(p_state_hash bytea, p_binding_hash bytea, p_app text, p_parked bool)
returns table (state text, provider text, redirect_uri text, return_to text, sealed bytea, begun_ms int8, parked bytea)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	l login;
begin
	select * into l from login x
	where x.state_hash = p_state_hash and x.binding_hash = p_binding_hash and x.app = p_app for update;
	if p_parked and l.parked is null and l.used_at is null and clock_timestamp() < l.expires_at then
		state := 'unknown';
		return next;
		return;
	end if;
	select t.state, t.provider, t.redirect_uri, t.return_to, t.sealed, t.begun_ms
	into state, provider, redirect_uri, return_to, sealed, begun_ms
	from login_take(p_state_hash, p_binding_hash, p_app) t;
	if state = 'taken' then
		parked := case when p_parked then l.parked end;
		update login x set parked = null where x.state_hash = p_state_hash;
	end if;
	return next;
end $$;
comment on function bff_private.login_return(bytea, bytea, text, bool) is 'Takes a login that comes back, once, with the response put away for it if that is wanted; always one row';

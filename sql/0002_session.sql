-- Sessions: what the worker may do, how one begins, and the one place where one ends.
-- Run as bff_owner. plpgsql throughout: it keeps its plans over calls, and a STABLE function reads
-- under one snapshot, that of the calling statement.

-- A deletion by one of our functions (all SECURITY DEFINER of bff_owner) brings its reason in
-- transaction-local settings; anybody else's deletion is an act of a person, whatever the settings
-- say: hence two triggers, told apart by current_user, which no setting can forge.
create function bff_private.session_ended() returns trigger
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	is_act constant boolean := tg_argv[0] = 'person' or current_setting('bff.action', true) <> '';
	action constant text := case when tg_argv[0] = 'person' then 'delete' else current_setting('bff.action', true) end;
	reason constant text := case when tg_argv[0] = 'person' then 'deleted' else current_setting('bff.reason', true) end;
	detail constant text := case when tg_argv[0] = 'person' then '' else coalesce(current_setting('bff.detail', true), '') end;
	live int8;
begin
	if not exists (select from gone) then
		return null;
	end if;
	if tg_argv[0] = 'person' and (select count(*) from (select from gone limit 2) g) > 1
	   and current_setting('bff.confirm', true) is distinct from 'all'
	   and not exists (select from session s join session_activity a using (id_hash)
			where now() < s.absolute_expires_at and now() < a.last_seen + s.idle) then
		raise exception using errcode = 'BF003', message = 'this would end every session',
			hint = 'If that is what you want: set bff.confirm = ''all'', and again.';
	end if;

	-- First the grants, then their tokens: a commit of a refresh under way either waits for this
	-- and sees the end, or stored its token before, where the statement after this one sees it.
	update grants g set ended_at = now(), due_at = now()
	from gone where g.grant_id = gone.grant_id and g.ended_at is null;
	delete from token t using gone where t.grant_id = gone.grant_id;

	insert into ended (id_hash, ref, app, provider, issuer, sub, subject, email, created_at, reason, detail)
	select g.id_hash, g.ref, g.app, g.provider, g.issuer, g.sub, g.subject, g.email, g.created_at,
		case when now() >= g.absolute_expires_at then 'expired'
		     when now() >= coalesce(a.last_seen, g.created_at) + g.idle then 'idle'
		     else coalesce(nullif(reason, ''), 'deleted') end, detail
	from gone g left join session_activity a using (id_hash)
	on conflict (id_hash) do nothing;

	select count(*) into live from gone g left join session_activity a using (id_hash)
	where now() < g.absolute_expires_at and now() < coalesce(a.last_seen, g.created_at) + g.idle;
	if live > 64 then
		perform pg_notify('bff_revoked', 'flush');
	elsif live > 0 then
		perform pg_notify('bff_revoked', left(encode(g.id_hash, 'hex'), 16))
		from gone g left join session_activity a using (id_hash)
		where now() < g.absolute_expires_at and now() < coalesce(a.last_seen, g.created_at) + g.idle;
	end if;

	if is_act then
		insert into audit (action, reason, target, ref, app, subject, email)
		select action, detail, case when tg_argv[0] = 'person' then ref
			else coalesce(nullif(current_setting('bff.target', true), ''), ref) end, ref, app, subject, email
		from gone order by created_at;
	end if;
	delete from session_activity a using gone where a.id_hash = gone.id_hash;
	return null;
end $$;
comment on function bff_private.session_ended() is 'Trigger: all that follows from the end of a session, however it ends';
create trigger session_ended_by_function after delete on bff_private.session
	referencing old table as gone for each statement when (current_user = 'bff_owner')
	execute function bff_private.session_ended('function');
create trigger session_ended_by_person after delete on bff_private.session
	referencing old table as gone for each statement when (current_user <> 'bff_owner')
	execute function bff_private.session_ended('person');

create function bff_private.session_no_truncate() returns trigger
language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	raise exception using errcode = 'BF001', message = 'sessions are ended by DELETE, never by TRUNCATE',
		hint = 'TRUNCATE would leave their grants alive at the provider.';
end $$;
comment on function bff_private.session_no_truncate() is 'Trigger: refuses TRUNCATE, which would pass the other triggers by';
create trigger session_no_truncate before truncate on bff_private.session
	for each statement execute function bff_private.session_no_truncate();

-- Sets why the deletions that follow in this transaction happen.
create function bff_private.because(p_reason text, p_detail text default '', p_action text default '', p_target text default '')
returns void language plpgsql security definer set search_path = bff_private, pg_temp as $$
begin
	perform set_config('bff.reason', p_reason, true), set_config('bff.detail', p_detail, true),
		set_config('bff.action', p_action, true), set_config('bff.target', p_target, true);
end $$;
comment on function bff_private.because(text, text, text, text) is 'Sets reason, detail, act and target of the deletions that follow in this transaction';

-- The word for a session that is not in the table.
create function bff_private.end_state(p_hash bytea) returns text
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
declare
	word text := (select e.reason from ended e where e.id_hash = p_hash);
begin
	return case when word is null then 'unknown' when word = 'deleted' then 'revoked' else word end;
end $$;
comment on function bff_private.end_state(bytea) is 'Why a session that is not in the table ended; unknown if there never was one';

-- The hot path of the worker: one statement, and OUT parameters rather than a set.
create function bff_private.session_get(p_hash bytea, out state text, out app text, out ref text,
	out subject text, out claims text, out acr text, out auth_time int8,
	out idle_left_ms int8, out absolute_left_ms int8, out touch_due bool)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
begin
	select case when now() >= s.absolute_expires_at then 'expired'
		    when now() >= coalesce(a.last_seen, s.created_at) + s.idle then 'idle' else 'live' end,
		s.app, s.ref, s.subject, s.claims, s.acr, s.auth_time,
		date_part('epoch', coalesce(a.last_seen, s.created_at) + s.idle - now()) * 1000,
		date_part('epoch', s.absolute_expires_at - now()) * 1000,
		a.last_seen < now() - interval '60 s'
	into state, app, ref, subject, claims, acr, auth_time, idle_left_ms, absolute_left_ms, touch_due
	from session s left join session_activity a using (id_hash) where s.id_hash = p_hash;
	if state is null then
		state := end_state(p_hash);
	elsif state <> 'live' then
		select null, null, null, null, null, null, null, null, null
		into app, ref, subject, claims, acr, auth_time, idle_left_ms, absolute_left_ms, touch_due;
	end if;
end $$;
comment on function bff_private.session_get(bytea) is 'The session of this hash as of now; always one row';

create function bff_private.session_touch(p_hashes bytea[]) returns table (touched int8)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	if cardinality(p_hashes) > 1000 then
		raise exception using errcode = 'BF002', message = 'more than 1000 sessions in one call';
	end if;
	-- What a crash loses is a minute of activity.
	perform set_config('synchronous_commit', 'off', true);
	with due as (
		select a.id_hash from session_activity a join session s using (id_hash)
		where a.id_hash = any (p_hashes) and a.last_seen < now() - interval '60 s'
		and now() < s.absolute_expires_at and now() < a.last_seen + s.idle
		for update of a skip locked -- another worker notes it at this moment, or it is being ended
	)
	update session_activity a set last_seen = now() from due where a.id_hash = due.id_hash;
	get diagnostics touched = row_count;
	return next;
end $$;
comment on function bff_private.session_touch(bytea[]) is 'Notes activity of live sessions, at most once a minute each; never revives one';

create function bff_private.session_end(p_hash bytea) returns table (ended bool)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
begin
	select g.state = 'live' into ended from session_get(p_hash) g;
	perform because('logout');
	delete from session s where s.id_hash = p_hash;
	ended := ended and found;
	return next;
end $$;
comment on function bff_private.session_end(bytea) is 'Ends the session of this hash; false: it was not live';

-- Ten characters of fifty random bits; no l, o, 0, 1.
create function bff_private.new_ref() returns text
language plpgsql volatile security definer set search_path = bff_private, pg_temp as $$
declare
	alphabet constant text := 'abcdefghijkmnpqrstuvwxyz23456789';
	random constant bytea := uuid_send(gen_random_uuid());
	made text := '';
	i int;
begin
	foreach i in array array[0, 1, 2, 3, 4, 5, 10, 11, 12, 13] loop -- the bytes with no fixed bit
		made := made || substr(alphabet, (get_byte(random, i) & 31) + 1, 1);
	end loop;
	return made;
end $$;
comment on function bff_private.new_ref() is 'A new random session reference';

-- A claim that cannot be text (\u0000 is JSON, but not text) must not break the view of operators.
create function bff_private.claim_text(p_claims json, p_claim text) returns text
language plpgsql immutable security definer set search_path = bff_private, pg_temp as $$
begin
	return left(coalesce(p_claims ->> p_claim, ''), 200);
exception when others then
	return '';
end $$;
comment on function bff_private.claim_text(json, text) is 'A claim as text of at most 200 characters; empty where it has none';

-- Locks the subject's row, made if need be. The loop: a sweep may delete it in between.
create function bff_private.subject_lock(p_issuer text, p_sub text) returns bff_private.subject
language plpgsql security definer set search_path = bff_private, pg_temp as $$
declare
	s subject;
begin
	loop
		select * into s from subject x where x.issuer = p_issuer and x.sub = p_sub for update;
		if found then
			return s;
		end if;
		insert into subject (issuer, sub) values (p_issuer, p_sub) on conflict do nothing;
	end loop;
end $$;
comment on function bff_private.subject_lock(text, text) is 'Locks the row of a subject until the end of the transaction';

create function bff_private.session_create(p_hash bytea, p_app text, p_provider text, p_issuer text, p_sub text,
	p_sid text, p_subject text, p_email text, p_claims text, p_acr text, p_auth_time int8,
	p_idle_ms int8, p_absolute_ms int8, p_begun_ms int8, p_old_hash bytea, p_max_sessions int8,
	p_grant_id bytea, p_refresh_sealed bytea, p_id_token_sealed bytea, p_access_sealed bytea,
	p_access_ttl_ms int8, p_client text, p_user_agent text)
returns table (created bool, ref text)
language plpgsql security definer rows 1 set search_path = bff_private, pg_temp as $$
declare
	who constant subject := subject_lock(p_issuer, p_sub);
	ended_row bool;
begin
	created := false;
	-- begun_ms is cut to milliseconds: what is not clearly later is refused.
	if who.not_before > to_timestamp(p_begun_ms / 1000.0) then
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
		left(coalesce(p_client, ''), 200), left(coalesce(p_user_agent, ''), 400));
	insert into session_activity values (p_hash, now(), now() + least(p_idle_ms, p_absolute_ms) * interval '1 ms');
	insert into grants (grant_id, provider, issuer, sub, session_hash, refresh_sealed, id_token_sealed)
	values (p_grant_id, p_provider, p_issuer, p_sub, p_hash, p_refresh_sealed, p_id_token_sealed);
	if p_access_sealed is not null then
		insert into token (grant_id, service, sealed, generation, expires_at)
		values (p_grant_id, '@session', p_access_sealed, 1, now() + coalesce(p_access_ttl_ms, 0) * interval '1 ms');
	end if;
	created := true;
	return next;
end $$;
comment on function bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
	int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text)
	is 'Makes a session and its grant; ends the one it replaces and those over the limit; refused if the subject was ended since the login began';

create function bff_private.need_reason(p_reason text) returns void
language plpgsql immutable security definer set search_path = bff_private, pg_temp as $$
begin
	if coalesce(trim(p_reason), '') = '' then
		raise exception using errcode = 'BF002', message = 'a reason is required',
			hint = 'One line for the audit log, e.g. ''lost laptop''.';
	end if;
end $$;
comment on function bff_private.need_reason(text) is 'Refuses an empty reason';

-- What people do. Made anew by sql/migrate each time, as bff_owner, after views.sql dropped them.
--
-- A verb wants a reason, answers with the sessions it ended, writes the audit rows in the same
-- transaction and may be run twice. Errors: BF001 refused, BF002 an argument is missing or
-- malformed, BF003 wants confirmation, BF004 schema, BF005 no such thing.

create type bff.revoked as (ref text, app text, subject text, email text);
comment on type bff.revoked is 'A session that a verb ended';

create function bff.revoke_session(ref text, reason text) returns setof bff.revoked
language plpgsql security definer set search_path = bff_private, pg_temp as $$
#variable_conflict use_column
declare
	was ended;
begin
	perform need_reason(revoke_session.reason);
	perform because('revoked', revoke_session.reason, 'revoke_session', revoke_session.ref);
	return query delete from session s where s.ref = revoke_session.ref returning s.ref, s.app, s.subject, s.email;
	if found then
		return;
	end if;
	select e.* into was from ended e where e.ref = revoke_session.ref;
	if not found then
		raise exception using errcode = 'BF005', message = format('no session has the reference %L', revoke_session.ref),
			hint = 'select ref, email, created_at from bff.sessions;';
	end if;
	raise notice 'session % ended already at % (%)', was.ref, date_trunc('second', was.at), was.reason;
	insert into audit (action, reason, target) values ('revoke_session', revoke_session.reason, revoke_session.ref);
end $$;
comment on function bff.revoke_session(text, text) is 'Ends the session of this reference: bff.revoke_session(''k3f9...'', ''lost laptop'')';

create function bff.revoke_subject(subject text, reason text) returns setof bff.revoked
language plpgsql security definer set search_path = bff_private, pg_temp as $$
#variable_conflict use_column
declare
	who record;
begin
	perform need_reason(revoke_subject.reason);
	if coalesce(trim(revoke_subject.subject), '') = '' then
		raise exception using errcode = 'BF002', message = 'whose sessions?',
			hint = 'The subject as bff.sessions shows it, or the sub of the provider.';
	end if;
	-- Known to no provider yet: a first login may be under way, and may call the person so.
	insert into subject (issuer, sub)
	select distinct x.issuer, revoke_subject.subject from subject x
	where not exists (select from subject y where revoke_subject.subject in (y.sub, y.subject))
	on conflict do nothing;
	perform because('revoked', revoke_subject.reason, 'revoke_subject', revoke_subject.subject);
	-- The lock first, then its time: a login that began before waits, or is seen below.
	for who in select x.issuer, x.sub from subject x
		where revoke_subject.subject in (x.sub, x.subject) order by x.issuer, x.sub for update
	loop
		update subject x set not_before = clock_timestamp(), used_at = now()
		where x.issuer = who.issuer and x.sub = who.sub;
	end loop;
	insert into audit (action, reason, target) values ('revoke_subject', revoke_subject.reason, revoke_subject.subject);
	return query delete from session s
		where (s.issuer, s.sub) in (select x.issuer, x.sub from subject x where revoke_subject.subject in (x.sub, x.subject))
		returning s.ref, s.app, s.subject, s.email;
end $$;
comment on function bff.revoke_subject(text, text) is 'Ends all sessions of a person, by subject or sub, and any login under way: bff.revoke_subject(''alice'', ''left the company'')';

create function bff.promote_key(id int8, reason text) returns table (key int8, state text)
language plpgsql security definer set search_path = bff_private, pg_temp as $$
#variable_conflict use_column
declare
	k seal_key;
	lacking text;
begin
	perform need_reason(promote_key.reason);
	-- Verbs about keys take turns.
	perform from seal_key x order by x.id for update;
	select * into k from seal_key x where x.id = promote_key.id;
	if not found then
		raise exception using errcode = 'BF005', message = format('no broker has reported a key %s', promote_key.id),
			hint = 'Put it into the key ring file of every host and restart bff-broker there; see bff.keys.';
	end if;
	if k.state = 'retired' then
		raise exception using errcode = 'BF001', message = format('key %s is retired', promote_key.id),
			hint = 'Make a new one with bff-broker -k.';
	end if;
	select string_agg(h.name, ', ' order by h.name) into lacking from host h
	where host_is_live(h.seen_at) and promote_key.id <> all (h.keys);
	if lacking is not null then
		raise exception using errcode = 'BF001', message = format('key %s is missing on: %s', promote_key.id, lacking),
			hint = 'Those hosts could not open what it seals. Put it into their key ring files and restart bff-broker there.';
	end if;
	if k.state <> 'primary' then
		update seal_key x set state = 'decrypt-only' where x.state = 'primary';
		update seal_key x set state = 'primary', promoted_at = now() where x.id = promote_key.id;
	end if;
	insert into audit (action, reason, target) values ('promote_key', promote_key.reason, promote_key.id::text);
	return query select x.id, x.state from seal_key x where x.state in ('primary', 'decrypt-only') order by x.state desc, x.id;
end $$;
comment on function bff.promote_key(int8, text) is 'Makes a key the one that seals, once every running broker has it; the one before only opens from then on: bff.promote_key(7, ''yearly'')';

create function bff.retire_key(id int8, reason text) returns table (key int8, state text)
language plpgsql security definer set search_path = bff_private, pg_temp as $$
#variable_conflict use_column
declare
	k seal_key;
	-- A broker may hold what it sealed so long before it stands here: GRANT_STORE_MAX_MS and a margin.
	settled constant interval := interval '15 min';
	left_over int8;
begin
	perform need_reason(retire_key.reason);
	perform from seal_key x order by x.id for update;
	select * into k from seal_key x where x.id = retire_key.id;
	if not found then
		raise exception using errcode = 'BF005', message = format('there is no key %s', retire_key.id), hint = 'See bff.keys.';
	end if;
	if k.state = 'primary' then
		raise exception using errcode = 'BF001', message = format('key %s is the primary one', retire_key.id),
			hint = 'First promote another: select bff.promote_key(id, reason).';
	end if;
	select refresh_tokens + id_tokens + access_tokens + logins into left_over from seal_counts() c where c.id = retire_key.id;
	if left_over > 0 then
		raise exception using errcode = 'BF001', message = format('key %s still seals %s values', retire_key.id, left_over),
			hint = 'The brokers re-seal them in the background; access tokens and logins expire. See bff.keys.';
	end if;
	if k.state = 'decrypt-only' and (select x.promoted_at from seal_key x where x.state = 'primary') > now() - settled then
		raise exception using errcode = 'BF001', message = format('key %s was primary less than %s ago', retire_key.id, settled),
			hint = 'A broker may still hold something that it sealed. Try again later.';
	end if;
	if k.state <> 'retired' then
		update seal_key x set state = 'retired', retired_at = now() where x.id = retire_key.id;
	end if;
	insert into audit (action, reason, target) values ('retire_key', retire_key.reason, retire_key.id::text);
	return query select x.id, x.state from seal_key x where x.id = retire_key.id;
end $$;
comment on function bff.retire_key(int8, text) is 'Ends a key under which nothing is sealed any more; it may then leave the files: bff.retire_key(3, ''yearly'')';

create function bff.help(topic text default '') returns table (name text, what text, about text)
language sql stable security definer set search_path = bff_private, pg_temp as $$
	select h.name, h.what, h.about from (
		select 1 as place, 'bff.' || c.relname as name, 'view' as what, obj_description(c.oid, 'pg_class') as about
		from pg_class c where c.relnamespace = 'bff'::regnamespace and c.relkind = 'v'
		union all
		select 2, 'bff.' || p.proname || '(' || pg_get_function_arguments(p.oid) || ')', 'verb', obj_description(p.oid, 'pg_proc')
		from pg_proc p where p.pronamespace = 'bff'::regnamespace
		union all
		select 3, 'bff.' || c.relname || '.' || a.attname, 'column', col_description(c.oid, a.attnum)
		from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = 'bff'::regnamespace and c.relkind = 'v' and a.attnum > 0 and help.topic <> ''
		union all
		select 4, r.rolname, 'role', shobj_description(r.oid, 'pg_authid')
		from pg_roles r where r.rolname in ('bff_poller', 'bff_operator', 'bff_auditor', 'bff_monitor')
	) h
	where h.name ilike '%' || help.topic || '%' or h.about ilike '%' || help.topic || '%'
	order by h.place, h.name
$$;
comment on function bff.help(text) is 'This list; with a word: what has to do with it, columns too';

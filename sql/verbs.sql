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
		from pg_roles r where r.rolname in ('bff_operator', 'bff_auditor', 'bff_monitor')
	) h
	where h.name ilike '%' || help.topic || '%' or h.about ilike '%' || help.topic || '%'
	order by h.place, h.name
$$;
comment on function bff.help(text) is 'This list; with a word: what has to do with it, columns too';

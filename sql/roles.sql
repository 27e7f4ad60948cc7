-- The roles, made if missing; run by sql/migrate each time. What each may do is in grants.sql.
do $$
declare
	r record;
begin
	for r in select * from (values
		('bff_owner', 'nologin', 'Owns every object of bff; nobody logs in as it'),
		('bff_web', 'login', 'bff-worker: may execute three functions of bff_private'),
		('bff_broker', 'login', 'bff-broker: may execute its functions of bff_private'),
		('bff_poller', 'nologin', 'For bff_web where the workers poll (revocations = poll): may ask what ended'),
		('bff_operator', 'nologin', 'Group for people who end sessions'),
		('bff_auditor', 'nologin', 'Group for people who read everything in bff and change nothing'),
		('bff_monitor', 'nologin', 'Group for monitoring: figures without personal data')
	) as t (name, kind, comment)
	loop
		if not exists (select from pg_roles where rolname = r.name) then
			begin
				execute format('create role %I %s', r.name, r.kind);
			exception when duplicate_object or unique_violation then
				null; -- the migration of another database of this cluster was first
			end;
			execute format('comment on role %I is %L', r.name, r.comment);
		end if;
	end loop;
	-- Shorter than query_timeout: one call that waits for a row must not cost the others on its
	-- connection. A value set by hand stays.
	for r in select * from (values
		('bff_web', 'lock_timeout', '300ms'), ('bff_broker', 'lock_timeout', '300ms'),
		('bff_web', 'statement_timeout', '5s'), ('bff_broker', 'statement_timeout', '10s'),
		('bff_web', 'idle_in_transaction_session_timeout', '5s'),
		('bff_broker', 'idle_in_transaction_session_timeout', '5s')
	) as t (name, setting, value)
	where not exists (select from pg_db_role_setting d, unnest(d.setconfig) as c
		where d.setrole = (select oid from pg_roles where rolname = t.name) and c like t.setting || '=%')
	loop
		execute format('alter role %I set %I = %L', r.name, r.setting, r.value);
	end loop;
	-- From 16 on membership alone does not allow SET ROLE.
	if current_setting('is_superuser') = 'on' then
		null;
	elsif current_setting('server_version_num')::int >= 160000 then
		execute format('grant bff_owner to %I with set true, inherit true', current_user);
	elsif not pg_has_role(current_user, 'bff_owner', 'member') then
		execute format('grant bff_owner to %I', current_user);
	end if;
end $$;

-- Whatever the owner makes from here on is nobody else's until grants.sql says so.
alter default privileges for role bff_owner revoke execute on functions from public;
alter default privileges for role bff_owner revoke usage on types from public;
do $$
begin
	execute format('grant temporary on database %I to bff_owner', current_database()); -- sql/migrate itself
end $$;

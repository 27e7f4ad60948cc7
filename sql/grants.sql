-- Who may do what: the only place that says so. Run by sql/migrate each time, after everything
-- was made: takes all from everybody, then gives exactly this. Run as bff_owner until `reset role`.

revoke all on schema bff, bff_private from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;
revoke all on all tables in schema bff from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;
revoke all on all tables in schema bff_private from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;
revoke all on all sequences in schema bff_private from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;
revoke all on all functions in schema bff from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;
revoke all on all functions in schema bff_private from public, bff_web, bff_broker, bff_poller, bff_operator, bff_auditor, bff_monitor;

-- The daemons.
grant usage on schema bff_private to bff_web, bff_broker;
grant execute on function bff_private.session_get(bytea), bff_private.session_touch(bytea[]),
	bff_private.session_end(bytea) to bff_web;
-- A membership that is given by hand stays over migrations; most installations LISTEN and need none.
grant usage on schema bff_private to bff_poller;
grant execute on function bff_private.revocations(text) to bff_poller;
-- In the order of broker/broker_sql.def.
grant execute on function
	bff_private.login_begin(bytea, text, text, bytea, text, text, bytea, int8, int8, text),
	bff_private.login_park(bytea, text, bytea),
	bff_private.login_return(bytea, bytea, text, bool),
	bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
		int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text, int8, bytea, bytea),
	bff_private.token_read(bytea, text),
	bff_private.refresh_lease(bytea, int8, bytea, bytea, int8),
	bff_private.grant_commit(bytea, int8, bytea, bytea, bytea, bytea, bytea, text, bytea, int8, bytea, bool),
	bff_private.previous_take(bytea, int8, bytea, bytea),
	bff_private.refresh_release(bytea, int8, bytea, bytea, text),
	bff_private.token_put(bytea, bytea, int8, text, bytea, int8, bytea, bytea, bytea),
	bff_private.grant_dead(bytea, int8, bytea, bytea),
	bff_private.grant_challenge(bytea, text),
	bff_private.login_past(bytea, text, text, text),
	bff_private.logout(bytea, text, bool),
	bff_private.backchannel_logout(text, text, text, text, int8, int8, int8, int8),
	bff_private.revocation_take(bytea, int8, int8),
	bff_private.revocation_done(bytea, bytea),
	bff_private.revocation_retry(bytea, bytea, int8, bool),
	bff_private.revalidation_take(bytea, int8, int8),
	bff_private.revalidation_done(bytea, bytea, int8, text, text),
	bff_private.revalidation_retry(bytea, bytea, int8),
	bff_private.revalidation_end(bytea, bytea),
	bff_private.sweep(int8),
	bff_private.login_note(text, text, text, text, text, text, text),
	bff_private.keys_report(text, text, bool, int8[], bytea[]),
	bff_private.reseal_next(bytea, int8),
	bff_private.reseal_store(bytea, bytea, bytea, bytea, bytea, bytea, bytea)
	to bff_broker;
-- What brokers of the version before ask for; goes with the version after this one.
grant execute on function
	bff_private.login_begin(bytea, text, text, bytea, text, text, bytea, int8, int8),
	bff_private.login_take(bytea, bytea, text),
	bff_private.session_create(bytea, text, text, text, text, text, text, text, text, text, int8,
		int8, int8, int8, bytea, int8, bytea, bytea, bytea, bytea, int8, text, text),
	bff_private.token_session(bytea, text),
	bff_private.grant_lease(bytea, int8, bytea, bytea, int8),
	bff_private.grant_commit(bytea, int8, bytea, bytea, bytea, bytea, bytea, text, bytea, int8, bytea),
	bff_private.grant_release(bytea, int8, bytea, bytea, bool),
	bff_private.revocation_retry(bytea, bytea, int8),
	bff_private.reseal_take(bytea, int8),
	bff_private.reseal_put(bytea, bytea, bytea, bytea, bytea)
	to bff_broker;

-- People. Functions inside a view run with the rights of who asks, hence doctor().
grant usage on schema bff to bff_operator, bff_auditor, bff_monitor;
grant select on bff.overview, bff.doctor, bff.schema_version, bff.keys, bff.hosts to bff_operator, bff_auditor, bff_monitor;
grant select on bff.sessions, bff.ended, bff.logins, bff.audit, bff.grants to bff_operator, bff_auditor;
grant execute on function bff.help(text), bff_private.doctor(), bff_private.seal_counts(),
	bff_private.host_is_live(timestamptz) to bff_operator, bff_auditor, bff_monitor;
grant delete on bff.sessions to bff_operator;
grant execute on function bff.revoke_session(text, text), bff.revoke_subject(text, text),
	bff.promote_key(int8, text), bff.retire_key(int8, text) to bff_operator;

reset role;

-- The database is ours alone: nobody connects to it or makes temporary tables without being named.
do $$
begin
	execute format('revoke all on database %I from public', current_database());
	execute format('grant connect on database %I to bff_owner, bff_web, bff_broker, bff_operator, bff_auditor, bff_monitor',
		current_database());
	execute format('grant temporary on database %I to bff_owner', current_database());
	if pg_has_role(current_user, (select nspowner from pg_namespace where nspname = 'public'), 'member') then
		revoke all on schema public from public;
	end if;
end $$;

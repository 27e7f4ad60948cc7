-- What ended since one last asked: for daemons that cannot LISTEN (a pooler in transaction mode). Run as bff_owner.
--
-- Transactions become visible in another order than they began, so neither a time nor a number can say where one was. A
-- snapshot can: what it did not see yet is new. Rows of before have no xid, and whoever asks first is told nothing of them.

alter table bff_private.ended add column xid xid8;
alter table bff_private.ended alter column xid set default pg_current_xact_id();
comment on column bff_private.ended.xid is 'The transaction that ended it; null: before there was this column';
create index ended_xid on bff_private.ended (xid);

-- The cursor names the server process, too: another server's snapshots mean something else.
create function bff_private.revocations(p_since text, out upto text, out named text)
language plpgsql stable security definer set search_path = bff_private, pg_temp as $$
declare
	server constant text := date_part('epoch', pg_postmaster_start_time())::text;
	since pg_snapshot;
	n int8;
begin
	upto := server || ' ' || pg_current_snapshot()::text;
	if p_since is null or split_part(p_since, ' ', 1) <> server then
		named := 'flush';
		return;
	end if;
	since := split_part(p_since, ' ', 2)::pg_snapshot;
	select count(*), string_agg(left(encode(x.id_hash, 'hex'), 16), ' ') into n, named
	from (select e.id_hash from ended e where e.xid >= pg_snapshot_xmin(since)
		and not pg_visible_in_snapshot(e.xid, since) and e.reason not in ('expired', 'idle') limit 65) x;
	named := case when n > 64 then 'flush' else coalesce(named, '') end;
end $$;
comment on function bff_private.revocations(text) is 'Which sessions ended since the cursor of the call before, as on bff_revoked: the first 16 hex digits of each, or flush; null: only a cursor';

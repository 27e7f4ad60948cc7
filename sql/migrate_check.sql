-- Second step of sql/migrate: is what the database has what these files are?
do $$
declare
	bad record;
	newest int := (select max(version) from pg_temp.migration_file);
begin
	select v.* into bad from bff_private.schema_version v
	where v.version > newest order by v.version limit 1;
	if found then
		raise exception using errcode = 'BF004',
			message = format('the database has migration %s (%s), which is not known here; this is version %s',
				bad.version, bad.name, newest),
			hint = 'Use the sql/migrate of the newer release.';
	end if;
	select v.version, v.name, f.name as file_name into bad
	from bff_private.schema_version v join pg_temp.migration_file f using (version)
	where v.sha256 <> f.sha256 or v.name <> f.name order by version limit 1;
	if found then
		raise exception using errcode = 'BF004',
			message = format('migration %s (%s) was applied from a file with another content', bad.version, bad.file_name),
			hint = 'A released migration is never edited: restore the file, and put changes into a new one.';
	end if;
	select f.version, f.name into bad from pg_temp.migration_file f
	where f.version < (select max(version) from bff_private.schema_version)
	and not exists (select from bff_private.schema_version v where v.version = f.version)
	order by f.version limit 1;
	if found then
		raise exception using errcode = 'BF004',
			message = format('migration %s (%s) is missing below newer ones', bad.version, bad.name),
			hint = 'The table bff_private.schema_version was changed by hand.';
	end if;
end $$;

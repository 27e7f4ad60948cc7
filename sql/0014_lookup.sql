-- The lookup of a session by hash index: of each index one page and no descent, where the primary keys are three levels deep
-- at a million sessions and compare long keys at each; a third as large, too. The keys stay: a hash index is never
-- unique, nor a replica identity. Run as bff_owner; while it is built (seconds a million sessions) sessions are
-- read, but none begins or ends.

create index session_lookup on bff_private.session using hash (id_hash);
create index session_activity_lookup on bff_private.session_activity using hash (id_hash);

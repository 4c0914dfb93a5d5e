-- name: make_seen
-- The catalog that was just read: a fingerprint a table, and the table's place in the list.
CREATE TEMP TABLE seen (fp BIGINT, place INTEGER);

-- name: moved_tables
-- What is only now (a number) and what is only in `seen` (a place). A fingerprint covers the
-- name too, so one join on one integer tells all.
SELECT standing.tid, seen.place
FROM (SELECT tid, fp FROM tbl WHERE valid_to IS NULL) AS standing
FULL JOIN seen USING (fp)
WHERE standing.fp IS NULL OR seen.fp IS NULL;

-- name: make_named
-- What a patch names: a fingerprint and a place for what it puts, neither for what is gone.
CREATE TEMP TABLE named (schema_name VARCHAR, table_name VARCHAR, fp BIGINT, place INTEGER);

-- name: moved_of_patch
-- As `moved_tables`, among the tables that a patch names.
SELECT standing.tid, named.place
FROM named
LEFT JOIN (
  SELECT tid, schema_name, table_name, fp FROM tbl JOIN known USING (tid) WHERE valid_to IS NULL
) AS standing USING (schema_name, table_name)
WHERE standing.fp IS DISTINCT FROM named.fp;

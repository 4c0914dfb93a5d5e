-- name: make_seen
-- The catalog that was just read: a fingerprint a table, and the table's place in the list.
CREATE TEMP TABLE seen (schema_name VARCHAR, table_name VARCHAR, fp BIGINT, place INTEGER);

-- name: moved_tables
-- The tables that differ between now and `seen`: the number of the old side and the place of
-- the new one, NULL where a side does not exist.
SELECT standing.tid, seen.place
FROM (
  SELECT tid, schema_name, table_name, fp FROM tbl JOIN known USING (tid) WHERE valid_to IS NULL
) AS standing
FULL JOIN seen USING (schema_name, table_name)
WHERE standing.fp IS DISTINCT FROM seen.fp
ORDER BY schema_name, table_name;

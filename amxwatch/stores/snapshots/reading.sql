-- name: held
-- The oldest and the newest snapshot's number; NULL in an empty cache.
SELECT min(n), max(n) FROM snapshot;

-- name: origin
-- Where snapshot $n comes from.
SELECT reader, source, ignored FROM snapshot WHERE n = $n;

-- name: baselines
-- The baselines after $start up to $end, in order.
SELECT n FROM snapshot WHERE baseline AND n > $start AND n <= $end ORDER BY n;

-- name: schemas_at
-- The schemas as of snapshot $n, by name.
SELECT name, comment FROM sch
WHERE valid_from <= $n AND (valid_to IS NULL OR valid_to > $n)
ORDER BY name;

-- name: tables_between
-- The numbers of the tables that are not the same at $start and at $end.
SELECT coalesce(a.tid, b.tid) AS tid
FROM (
  SELECT tid, fp FROM tbl WHERE valid_from <= $start AND (valid_to IS NULL OR valid_to > $start)
) AS a
FULL JOIN (
  SELECT tid, fp FROM tbl WHERE valid_from <= $end AND (valid_to IS NULL OR valid_to > $end)
) AS b ON a.tid = b.tid
WHERE a.fp IS DISTINCT FROM b.fp
ORDER BY tid;

-- name: table_number
-- The number of a table's name.
SELECT tid FROM known WHERE schema_name = $schema AND table_name = $table;

-- name: table_moves
-- The snapshots that moved a table, in order, without baselines.
SELECT n
FROM (
  SELECT valid_from AS n FROM tbl WHERE tid = $tid
  UNION
  SELECT valid_to FROM tbl WHERE tid = $tid
)
JOIN snapshot USING (n)
WHERE NOT baseline
ORDER BY n;

-- name: schema_moves
-- The snapshots that moved a schema itself, in order, without baselines.
SELECT n
FROM (
  SELECT valid_from AS n FROM sch WHERE name = $schema
  UNION
  SELECT valid_to FROM sch WHERE name = $schema
)
JOIN snapshot USING (n)
WHERE NOT baseline
ORDER BY n;

-- name: moved_spans
-- Each version's validity of the tables that moved after they came, and of those that came as
-- another went (a rename, perhaps); each name's together, oldest first.
WITH gone AS (
  SELECT DISTINCT t.valid_to AS n
  FROM tbl AS t
  WHERE t.valid_to IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM tbl AS u WHERE u.tid = t.tid AND u.valid_from = t.valid_to)
), moved AS (
  SELECT tid FROM tbl GROUP BY tid
  HAVING count(*) > 1 OR max(valid_to) IS NOT NULL OR min(valid_from) IN (SELECT n FROM gone)
)
SELECT k.schema_name, k.table_name, t.tid, t.valid_from, t.valid_to
FROM tbl AS t
JOIN moved USING (tid)
JOIN known AS k ON k.tid = t.tid
ORDER BY k.schema_name, k.table_name, t.valid_from;

-- name: all_baselines
-- The numbers of all baselines.
SELECT n FROM snapshot WHERE baseline;

-- name: make_wanted
-- The table versions that are to be read whole: a table's number, and as of which snapshot.
CREATE TEMP TABLE wanted (tid INTEGER, n INTEGER);

-- name: wanted_tables
-- The wanted versions; a table that did not exist then has no row.
SELECT w.tid, w.n, t.fp, t.body, t.row_estimate, t.key_names
FROM wanted AS w
JOIN tbl AS t
  ON t.tid = w.tid AND t.valid_from <= w.n AND (t.valid_to IS NULL OR t.valid_to > w.n);

-- name: tables_at
-- Every table as of snapshot $n.
SELECT fp, body, row_estimate, key_names FROM tbl
WHERE valid_from <= $n AND (valid_to IS NULL OR valid_to > $n);

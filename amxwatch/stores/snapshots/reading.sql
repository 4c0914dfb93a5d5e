-- name: newest
-- The newest snapshot's number; NULL in an empty cache.
SELECT max(n) FROM snapshot;

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

-- name: make_wanted
-- The table versions that are to be read whole: a table's number, and as of which snapshot.
CREATE TEMP TABLE wanted (tid INTEGER, n INTEGER);

-- name: want_all
-- Want every table as of snapshot $n.
INSERT INTO wanted
SELECT tid, $n FROM tbl WHERE valid_from <= $n AND (valid_to IS NULL OR valid_to > $n);

-- name: wanted_columns
-- The columns of the wanted versions, each version's together and in order.
SELECT w.tid, w.n, c.name, c.type, c.nullable, c.default_text, c.ordinal, c.comment, c.native_num
FROM wanted AS w
JOIN col AS c
  ON c.tid = w.tid AND c.valid_from <= w.n AND (c.valid_to IS NULL OR c.valid_to > w.n)
ORDER BY w.tid, w.n, c.ordinal;

-- name: wanted_tables
-- The wanted versions without their columns; a table that did not exist then has no row.
SELECT w.tid, w.n, k.schema_name, k.table_name, t.type, t.comment, t.definition, t.row_estimate,
  t.native_id, t.keys, t.fp
FROM wanted AS w
JOIN known AS k ON k.tid = w.tid
JOIN tbl AS t
  ON t.tid = w.tid AND t.valid_from <= w.n AND (t.valid_to IS NULL OR t.valid_to > w.n)
ORDER BY k.schema_name, k.table_name, w.n;

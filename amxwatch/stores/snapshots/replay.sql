-- name: make_put_tbl
-- The table versions that one delta brings.
CREATE TEMP TABLE put_tbl (
  tid INTEGER, type VARCHAR, comment VARCHAR, definition VARCHAR, row_estimate BIGINT,
  native_id BIGINT, keys VARCHAR, fp BIGINT
);

-- name: make_put_col
-- The columns of those versions, all of them, moved or not.
CREATE TEMP TABLE put_col (
  tid INTEGER, ordinal INTEGER, name VARCHAR, type VARCHAR, nullable BOOLEAN,
  default_text VARCHAR, comment VARCHAR, native_num BIGINT
);

-- name: make_put_sch
-- The schema versions that one delta brings.
CREATE TEMP TABLE put_sch (name VARCHAR, comment VARCHAR);

-- name: make_touched_tbl
-- The tables that one delta puts or drops.
CREATE TEMP TABLE touched_tbl (tid INTEGER);

-- name: make_touched_sch
-- The schemas that one delta puts or drops.
CREATE TEMP TABLE touched_sch (name VARCHAR);

-- name: add_snapshot
INSERT INTO snapshot VALUES ($n, $reader, $source, $ignored, $baseline);

-- name: close_schemas
UPDATE sch SET valid_to = $n
WHERE valid_to IS NULL AND name IN (SELECT name FROM touched_sch);

-- name: open_schemas
INSERT INTO sch SELECT name, comment, $n, NULL FROM put_sch;

-- name: close_tables
UPDATE tbl SET valid_to = $n
WHERE valid_to IS NULL AND tid IN (SELECT tid FROM touched_tbl);

-- name: open_tables
INSERT INTO tbl
SELECT tid, type, comment, definition, row_estimate, native_id, keys, fp, $n, NULL FROM put_tbl;

-- name: close_columns
-- Of the touched tables, end each column that does not come again exactly as it stands.
UPDATE col SET valid_to = $n
WHERE valid_to IS NULL
  AND tid IN (SELECT tid FROM touched_tbl)
  AND NOT EXISTS (
    FROM put_col AS p
    WHERE p.tid = col.tid
      AND p.ordinal = col.ordinal
      AND p.name = col.name
      AND p.type = col.type
      AND p.nullable = col.nullable
      AND p.default_text IS NOT DISTINCT FROM col.default_text
      AND p.comment IS NOT DISTINCT FROM col.comment
      AND p.native_num IS NOT DISTINCT FROM col.native_num
  );

-- name: open_columns
-- Begin each column of the delta that is not standing. Runs after close_columns, so that what
-- stands of these tables is what did not move.
INSERT INTO col
SELECT p.tid, p.ordinal, p.name, p.type, p.nullable, p.default_text, p.comment, p.native_num,
  $n, NULL
FROM put_col AS p
ANTI JOIN (
  SELECT tid, ordinal FROM col
  WHERE valid_to IS NULL AND tid IN (SELECT tid FROM touched_tbl)
) AS standing USING (tid, ordinal);

-- name: read_known
-- Every name with its number.
SELECT schema_name, table_name, tid FROM known;

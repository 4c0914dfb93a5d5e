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

-- name: read_known
-- Every name with its number.
SELECT schema_name, table_name, tid FROM known;

-- name: read_some_known
-- The numbers of the names in `wanted_name` that have one.
SELECT schema_name, table_name, tid FROM known JOIN wanted_name USING (schema_name, table_name);

-- name: highest
-- The highest number that a name has.
SELECT coalesce(max(tid), 0) FROM known;

-- name: make_wanted_name
-- The names that one delta puts or drops.
CREATE TEMP TABLE wanted_name (schema_name VARCHAR, table_name VARCHAR);

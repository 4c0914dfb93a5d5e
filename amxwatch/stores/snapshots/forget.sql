-- name: keep_snapshots
INSERT INTO fresh.snapshot FROM cache.snapshot WHERE n >= $oldest ORDER BY n;

-- name: keep_schemas
-- A version that began before stands from the oldest snapshot on.
INSERT INTO fresh.sch
SELECT name, comment, greatest(valid_from, $oldest), valid_to
FROM cache.sch
WHERE valid_to IS NULL OR valid_to > $oldest
ORDER BY name, valid_from;

-- name: keep_tables
INSERT INTO fresh.tbl
SELECT tid, fp, body, row_estimate, key_names, greatest(valid_from, $oldest), valid_to
FROM cache.tbl
WHERE valid_to IS NULL OR valid_to > $oldest
ORDER BY tid, valid_from;

-- name: keep_names
INSERT INTO fresh.known
FROM cache.known WHERE tid IN (SELECT tid FROM fresh.tbl) ORDER BY tid;

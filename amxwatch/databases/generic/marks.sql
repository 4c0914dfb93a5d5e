-- Each query returns one row that moves whenever the catalog may have moved: a cheap gate.
-- Named by the family of the dialect. A query that is refused makes the gate read everything.

-- name: clickhouse
-- Exact: the statement that would make each table again holds its columns and comments.
SELECT
  count(),
  sum(cityHash64(database, name, engine, create_table_query)),
  (SELECT sum(cityHash64(name, comment)) FROM system.databases)
FROM system.tables
WHERE NOT is_temporary
  AND database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')

-- name: snowflake
-- LAST_ALTERED moves with DDL, comments and rows; what was undropped has its old one, so names count.
SELECT
  COUNT(*),
  MAX(last_altered),
  SUM(HASH(table_schema, table_name, table_type, comment, last_altered)),
  (SELECT COUNT(*) FROM information_schema.columns),
  (SELECT SUM(HASH(table_schema, table_name, column_name, ordinal_position, column_default,
    is_nullable, data_type, character_maximum_length, numeric_precision, numeric_scale, comment))
   FROM information_schema.columns)
FROM information_schema.tables

-- name: mssql
-- modify_date is blind to comments and some renames; the checksums see those.
SELECT
  (SELECT COUNT(*) FROM sys.objects WHERE is_ms_shipped = 0),
  (SELECT MAX(modify_date) FROM sys.objects WHERE is_ms_shipped = 0),
  (SELECT CHECKSUM_AGG(BINARY_CHECKSUM(object_id, schema_id, name)) FROM sys.objects),
  (SELECT CHECKSUM_AGG(BINARY_CHECKSUM(object_id, column_id, name, user_type_id, max_length,
    precision, scale, is_nullable, default_object_id)) FROM sys.columns),
  (SELECT CHECKSUM_AGG(BINARY_CHECKSUM(class, major_id, minor_id, name, CAST(value AS nvarchar(4000))))
   FROM sys.extended_properties),
  (SELECT CHECKSUM_AGG(BINARY_CHECKSUM(schema_id, name)) FROM sys.schemas)

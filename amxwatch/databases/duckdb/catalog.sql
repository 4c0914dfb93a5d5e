-- name: schemas
-- Schemas of the file: name. Of the built-in ones only main is the user's.
SELECT schema_name FROM duckdb_schemas()
WHERE database_name = current_database() AND (NOT internal OR schema_name = 'main');

-- name: relations
-- Tables and views of the file: schema, name, kind, comment, rows (null: unknown), CREATE VIEW.
SELECT schema_name, table_name, 'table', comment, estimated_size, NULL FROM duckdb_tables()
WHERE database_name = current_database() AND NOT internal AND NOT temporary
UNION ALL
SELECT schema_name, view_name, 'view', comment, NULL, sql FROM duckdb_views()
WHERE database_name = current_database() AND NOT internal AND NOT temporary;

-- name: columns
-- Columns of the file, in order: schema, table, name, type, nullable, default, whether it is
-- generated, comment.
SELECT schema_name, table_name, column_name, data_type, is_nullable, column_default,
  is_generated, comment
FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal
ORDER BY schema_name, table_name, column_index;

-- name: keys
-- Keys of the file: schema, table, kind, columns, name, other table (of the same schema, as
-- DuckDB has no foreign keys between schemas), other columns.
SELECT schema_name, table_name, constraint_type, constraint_column_names, constraint_name,
  referenced_table, referenced_column_names
FROM duckdb_constraints()
WHERE database_name = current_database()
  AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY', 'UNIQUE');

-- name: comments
-- Live comments of the tables and views with these names, and of their columns: schema, table,
-- column ('' for the table itself), comment. Parameters: names.
SELECT schema_name, table_name, '', comment FROM duckdb_tables()
WHERE database_name = current_database() AND list_contains($names, table_name)
UNION ALL
SELECT schema_name, view_name, '', comment FROM duckdb_views()
WHERE database_name = current_database() AND list_contains($names, view_name)
UNION ALL
SELECT schema_name, table_name, column_name, comment FROM duckdb_columns()
WHERE database_name = current_database() AND list_contains($names, table_name);

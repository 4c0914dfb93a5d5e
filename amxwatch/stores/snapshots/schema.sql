-- name: make_meta
-- What wrote this file: the format's number, and a fingerprint that tells whether the ones in
-- `tbl` can be compared with fresh ones.
CREATE TABLE meta (format INTEGER NOT NULL, canary BIGINT NOT NULL);

-- name: make_snapshot
-- One row a snapshot, numbered by the ledger without gaps.
CREATE TABLE snapshot (
  n INTEGER NOT NULL,
  reader VARCHAR NOT NULL,
  source VARCHAR NOT NULL,
  ignored VARCHAR[] NOT NULL,
  baseline BOOLEAN NOT NULL
);

-- name: make_sch
-- Versions of schemas. A version stands from `valid_from` up to, not including, `valid_to`;
-- NULL there is the version of now.
CREATE TABLE sch (
  name VARCHAR NOT NULL, comment VARCHAR, valid_from INTEGER NOT NULL, valid_to INTEGER
);

-- name: make_known
-- A short number for each name that a table ever had; joins on it are quick.
CREATE TABLE known (tid INTEGER NOT NULL, schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL);

-- name: make_tbl
-- Versions of tables and views. `body` is the table whole with its columns and keys (see
-- fingerprint.py), but for its row estimate and the names of its keys (JSON); `fp` stands for
-- it. One row a table, and not one a column: ten times fewer to write, read and join.
CREATE TABLE tbl (
  tid INTEGER NOT NULL,
  fp BIGINT NOT NULL,
  body BLOB NOT NULL,
  row_estimate BIGINT,
  key_names VARCHAR,
  valid_from INTEGER NOT NULL,
  valid_to INTEGER
);

-- name: count_tables
-- How many tables of anybody the file holds: none means that nothing was ever committed to it.
SELECT count(*) FROM duckdb_tables()
WHERE database_name = current_database() AND NOT temporary AND NOT internal;

-- name: read_meta
-- The one row of `meta`.
SELECT format, canary FROM meta;

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
-- Versions of tables and views. `fp` covers the columns too: it moves when anything in the
-- table does, but for its row estimate and the names of its keys. `keys` is JSON.
CREATE TABLE tbl (
  tid INTEGER NOT NULL,
  type VARCHAR NOT NULL,
  comment VARCHAR,
  definition VARCHAR,
  row_estimate BIGINT,
  native_id BIGINT,
  keys VARCHAR NOT NULL,
  fp BIGINT NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_to INTEGER
);

-- name: make_col
-- Versions of columns, by the table's number. A column that stays as it is keeps its row
-- through all versions of its table.
CREATE TABLE col (
  tid INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  name VARCHAR NOT NULL,
  type VARCHAR NOT NULL,
  nullable BOOLEAN NOT NULL,
  default_text VARCHAR,
  comment VARCHAR,
  native_num BIGINT,
  valid_from INTEGER NOT NULL,
  valid_to INTEGER
);

-- name: count_tables
-- How many tables of anybody the file holds: none means that nothing was ever committed to it.
SELECT count(*) FROM duckdb_tables() WHERE NOT temporary AND NOT internal;

-- name: read_meta
-- The one row of `meta`.
SELECT format, canary FROM meta;

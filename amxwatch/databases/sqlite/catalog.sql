-- name: fingerprint
-- What the catalog is made of: the statements that made it. Only DDL changes them.
SELECT type, name, sql FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\';

-- name: relations
-- Tables and views: name, kind, CREATE statement, what SQLite calls it (table, view, virtual),
-- without rowid, strict. SQLite's own and the tables that a virtual table keeps its content in
-- are left out.
SELECT m.name, m.type, m.sql, t.type, t.wr, t.strict
FROM sqlite_master AS m
JOIN pragma_table_list AS t ON t.name = m.name AND t.schema = 'main'
WHERE m.type IN ('table', 'view') AND t.type <> 'shadow'
  AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\';

-- name: columns
-- Columns of the named relations, in order: relation, name, type, not null, default, place in
-- the primary key from 1 (0: none), hidden (2: virtual, 3: stored generated). Parameter: names
-- as JSON.
SELECT wanted.value, x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden
FROM json_each(?) AS wanted JOIN pragma_table_xinfo(wanted.value) AS x
WHERE x.hidden <> 1
ORDER BY wanted.key, x.cid;

-- name: foreign_keys
-- Foreign keys of the named tables: table, number, column, other table, other column (null: its
-- primary key). Parameter: names as JSON.
SELECT wanted.value, x.id, x."from", x."table", x."to"
FROM json_each(?) AS wanted JOIN pragma_foreign_key_list(wanted.value) AS x
ORDER BY wanted.key, x.id, x.seq;

-- name: unique_keys
-- Unique constraints of the named tables: table, number, column. Parameter: names as JSON.
SELECT wanted.value, x.seq, i.name
FROM json_each(?) AS wanted
JOIN pragma_index_list(wanted.value) AS x
JOIN pragma_index_info(x.name) AS i
WHERE x.origin = 'u'
ORDER BY wanted.key, x.seq, i.seqno;

-- name: modules
-- The virtual table modules that this build of SQLite knows.
SELECT name FROM pragma_module_list;

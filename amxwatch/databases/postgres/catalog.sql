-- name: settings
-- Sets what holds for this transaction only. Parameters: names, values.
SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value);

-- name: source
-- Says which database this is, by what stays when the server moves to another host.
SELECT system_identifier::text, current_database() FROM pg_catalog.pg_control_system();

-- name: moment
-- Names the set of transactions whose work is visible. While the name stands still nothing was
-- committed in the whole server; on a standby it proves nothing, so it is null there.
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_snapshot()::text END;

-- name: fingerprint
-- Hashes all that `schemas`, `relations`, `columns`, `keys` and `definitions` depend on, and
-- names the moment at which it looked. Content is hashed where maintenance rewrites rows
-- (TRUNCATE, VACUUM, REFRESH move xmin in pg_class), xmin where only DDL writes them. Names of
-- types, functions and the like count because defaults and views are spelled with them.
WITH kept AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relispartition
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
), hashes (part, hash) AS (
  SELECT 'namespace', hash_record_extended(ROW(oid, nspname), 0)
  FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%%'
  UNION ALL
  SELECT 'class', hash_record_extended(ROW(k.*), 0) FROM kept AS k
  UNION ALL
  SELECT 'attribute', hash_record_extended(
    ROW(attrelid, attnum, attname, atttypid, atttypmod, attnotnull, attidentity, attgenerated), 0)
  FROM pg_catalog.pg_attribute
  WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM kept)
  UNION ALL
  SELECT 'default', hash_record_extended(ROW(oid, adrelid, adnum, xmin::text), 0)
  FROM pg_catalog.pg_attrdef WHERE adrelid IN (SELECT oid FROM kept)
  UNION ALL
  SELECT 'constraint', hash_record_extended(ROW(oid, xmin::text), 0)
  FROM pg_catalog.pg_constraint
  WHERE contype IN ('p', 'f', 'u') AND conrelid IN (SELECT oid FROM kept)
  UNION ALL
  SELECT 'rule', hash_record_extended(ROW(oid, xmin::text), 0)
  FROM pg_catalog.pg_rewrite WHERE ev_class IN (SELECT oid FROM kept)
  UNION ALL
  SELECT 'comment', hash_record_extended(ROW(objoid, classoid, objsubid, xmin::text), 0)
  FROM pg_catalog.pg_description
  WHERE classoid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass)
  UNION ALL
  SELECT 'type', hash_record_extended(ROW(t.oid, t.typname, t.typnamespace), 0)
  FROM pg_catalog.pg_type AS t
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
  UNION ALL
  SELECT 'label', hash_record_extended(ROW(oid, enumlabel), 0) FROM pg_catalog.pg_enum
  UNION ALL
  SELECT 'function', hash_record_extended(ROW(oid, proname, pronamespace), 0)
  FROM pg_catalog.pg_proc WHERE oid >= 16384
  UNION ALL
  SELECT 'operator', hash_record_extended(ROW(oid, oprname, oprnamespace), 0)
  FROM pg_catalog.pg_operator WHERE oid >= 16384
  UNION ALL
  SELECT 'collation', hash_record_extended(ROW(oid, collname, collnamespace), 0)
  FROM pg_catalog.pg_collation WHERE oid >= 16384
  UNION ALL
  SELECT 'text search', hash_record_extended(ROW(oid, cfgname, cfgnamespace), 0)
  FROM pg_catalog.pg_ts_config WHERE oid >= 16384
  UNION ALL
  SELECT 'extension', hash_record_extended(ROW(classid, objid), 0)
  FROM pg_catalog.pg_depend
  WHERE deptype = 'e'
    AND classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass)
)
SELECT
  (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_snapshot()::text END),
  md5(current_database() || string_agg(line, ';' ORDER BY line))
FROM (SELECT part || ':' || count(*) || ':' || sum(hash) FROM hashes GROUP BY part) AS s (line);

-- name: schemas
-- All schemas of users: oid, name, comment.
SELECT n.oid, n.nspname, d.description
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objsubid = 0
WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e');

-- name: relations
-- Tables and views of these schemas: oid, schema oid, name, kind, comment, rows (-1: unknown).
-- Partitions are left out, as their parent stands for them; so is what an extension owns.
SELECT c.oid, c.relnamespace, c.relname, c.relkind::text, d.description, c.reltuples::bigint
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND c.relnamespace = ANY (%s::oid[])
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- name: columns
-- Live columns of these relations, in order: relation oid, attnum, name, type, not null, default,
-- identity, generated, comment.
SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
  a.attnotnull, pg_catalog.pg_get_expr(f.adbin, f.adrelid), a.attidentity::text,
  a.attgenerated::text, d.description
FROM pg_catalog.pg_attribute AS a
JOIN unnest(%s::oid[]) AS kept (oid) ON kept.oid = a.attrelid
LEFT JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = a.attrelid AND d.classoid = 'pg_catalog.pg_class'::regclass
  AND d.objsubid = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum;

-- name: keys
-- Primary, foreign and unique constraints of these relations: relation oid, kind, name, columns,
-- and of a foreign key the other schema, table and columns. PostgreSQL keeps further copies of a
-- foreign key to a partitioned table, one a partition; conparentid tells them.
SELECT k.conrelid, k.contype::text, k.conname,
  ARRAY(
    SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (num, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.num
    ORDER BY u.place)::text[],
  n.nspname, c.relname,
  ARRAY(
    SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS u (num, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.num
    ORDER BY u.place)::text[]
FROM pg_catalog.pg_constraint AS k
JOIN unnest(%s::oid[]) AS kept (oid) ON kept.oid = k.conrelid
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'f', 'u') AND k.conparentid = 0;

-- name: definitions
-- The SELECT of these views: oid, text. It is spelled as of now, not as of the transaction.
SELECT view.oid, pg_catalog.pg_get_viewdef(view.oid, true) FROM unnest(%s::oid[]) AS view (oid);

-- name: comments
-- Live kinds and comments of named objects. Parameters: schemas, tables, columns ('' for none).
-- Gives place in the lists (from 1), kind of relation ('' for a schema), comment. What does not
-- exist gives no row; a cast to name cuts at 63 bytes, so the whole text is compared too.
SELECT wanted.place, '', d.description
FROM unnest(%(schemas)s::text[], %(tables)s::text[]) WITH ORDINALITY AS wanted (s, t, place)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.s::name AND n.nspname::text = wanted.s
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objsubid = 0
WHERE wanted.t = ''
UNION ALL
SELECT wanted.place, c.relkind::text, d.description
FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[])
  WITH ORDINALITY AS wanted (s, t, a, place)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.s::name AND n.nspname::text = wanted.s
JOIN pg_catalog.pg_class AS c
  ON c.relnamespace = n.oid AND c.relname = wanted.t::name AND c.relname::text = wanted.t
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = c.oid AND a.attname = wanted.a::name AND a.attname::text = wanted.a
  AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass
  AND d.objsubid = coalesce(a.attnum, 0)
WHERE wanted.t <> '' AND (wanted.a = '' OR a.attnum IS NOT NULL);

-- name: size
-- Kind and estimated rows of one relation. Parameters: schema, table.
SELECT c.relkind::text, c.reltuples::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname::text = %s AND c.relname::text = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f');

-- name: grants
-- Gives the GRANT for each owner of a relation or schema whose rights we lack.
SELECT DISTINCT format('GRANT %I TO %I;', pg_get_userbyid(owned.owner), current_user)
FROM (
  SELECT n.nspname, n.nspowner AS owner FROM pg_catalog.pg_namespace AS n
  UNION ALL
  SELECT n.nspname, c.relowner FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
) AS owned
WHERE owned.nspname !~ '^pg_' AND owned.nspname <> 'information_schema'
  AND NOT pg_has_role(owned.owner, 'USAGE')
  -- A stand-in for the database's owner, of which nobody can be made a member.
  AND pg_get_userbyid(owned.owner) <> 'pg_database_owner'
ORDER BY 1;

-- name: settings
-- Sets what holds for this transaction only. Parameters: names, values.
SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value);

-- name: source
-- Says which database this is, by what stays when the server moves to another host.
SELECT system_identifier::text, current_database() FROM pg_catalog.pg_control_system();

-- name: schemas
-- All schemas of users, but those that extensions own: oid, name, comment.
SELECT n.oid, n.nspname, d.description
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_description AS d
  ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objsubid = 0
WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.refclassid = 'pg_catalog.pg_extension'::regclass AND e.deptype = 'e'
      AND e.classid = 'pg_catalog.pg_namespace'::regclass AND e.objid = n.oid)
ORDER BY n.nspname COLLATE "C";

-- name: relations
-- Tables and views of these schemas: oid, schema oid, name, kind, rows (-1: unknown). Partitions
-- are left out, as their parent stands for them; so is what an extension owns. Parameters here
-- and in the next four: schemas, and relations or null for all.
SELECT c.oid, c.relnamespace, c.relname, c.relkind::text, c.reltuples::int8
FROM pg_catalog.pg_class AS c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND c.relnamespace = ANY (%(schemas)s::oid[])
  AND (%(oids)s::oid[] IS NULL OR c.oid = ANY (%(oids)s::oid[]))
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.refclassid = 'pg_catalog.pg_extension'::regclass AND e.deptype = 'e'
      AND e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid);

-- name: columns
-- Live columns: relation, attnum, name, type, and its modifier (high half) with what else there
-- is to a column: whether it has an expression and may not be null, identity, generated.
-- Types are spelled later, each once. Parameters also: the first and the last relation wanted.
WITH kept AS MATERIALIZED (
  SELECT c.oid FROM pg_catalog.pg_class AS c
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND c.relnamespace = ANY (%(schemas)s::oid[])
    AND (%(oids)s::oid[] IS NULL OR c.oid = ANY (%(oids)s::oid[]))
    AND c.oid BETWEEN %(first)s AND %(last)s
)
SELECT a.attrelid, a.attnum, a.attname, a.atttypid,
  (a.atttypmod::int8 << 32) | ((a.atthasdef::int4 << 17) | (a.attnotnull::int4 << 16)
    | (a.attidentity::int4 << 8) | a.attgenerated::int4)::int8
FROM pg_catalog.pg_attribute AS a
JOIN kept ON kept.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid BETWEEN %(first)s AND %(last)s;

-- name: types
-- Spells types. Parameters: types, modifiers. Gives them back with the spelling.
SELECT kind, modifier, pg_catalog.format_type(kind, modifier)
FROM unnest(%s::oid[], %s::int4[]) AS wanted (kind, modifier);

-- name: expressions
-- Defaults and generation expressions: relation, attnum, text. Many are the same (now(), 0), and
-- are spelled once; those that name columns once a relation.
WITH found AS MATERIALIZED (
  SELECT f.oid, f.adrelid, f.adnum, f.adbin::text AS code,
    CASE WHEN strpos(f.adbin::text, '{VAR ') > 0 THEN f.adrelid ELSE 0 END AS owner
  FROM pg_catalog.pg_attrdef AS f
  JOIN pg_catalog.pg_class AS c ON c.oid = f.adrelid
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND c.relnamespace = ANY (%(schemas)s::oid[])
    AND (%(oids)s::oid[] IS NULL OR f.adrelid = ANY (%(oids)s::oid[]))
), spelled AS (
  SELECT code, owner, pg_catalog.pg_get_expr(
    (SELECT adbin FROM pg_catalog.pg_attrdef WHERE oid = min(found.oid)), min(adrelid)) AS text
  FROM found GROUP BY code, owner
)
SELECT found.adrelid, found.adnum, spelled.text FROM found JOIN spelled USING (code, owner);

-- name: remarks
-- Comments on relations and columns: relation, attnum (0: the relation itself), text.
SELECT d.objoid, d.objsubid, d.description
FROM pg_catalog.pg_description AS d
JOIN pg_catalog.pg_class AS c ON c.oid = d.objoid
WHERE d.classoid = 'pg_catalog.pg_class'::regclass
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND c.relnamespace = ANY (%(schemas)s::oid[])
  AND (%(oids)s::oid[] IS NULL OR d.objoid = ANY (%(oids)s::oid[]));

-- name: keys
-- Primary, foreign and unique constraints: relation, kind, name, attnums, and of a foreign key the
-- other relation and its attnums. PostgreSQL keeps further copies of a foreign key to a
-- partitioned table, one a partition; conparentid tells them.
SELECT k.conrelid, k.contype::text, k.conname, k.conkey, k.confrelid, k.confkey
FROM pg_catalog.pg_constraint AS k
WHERE k.contype IN ('p', 'f', 'u') AND k.conparentid = 0
  AND k.connamespace = ANY (%(schemas)s::oid[])
  AND (%(oids)s::oid[] IS NULL OR k.conrelid = ANY (%(oids)s::oid[]));

-- name: referenced
-- Names of relations that foreign keys point at, and of their columns: relation, schema, name,
-- attnum, column.
SELECT c.oid, n.nspname, c.relname, a.attnum, a.attname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = ANY (%s::oid[]);

-- name: reads
-- What these views name in their FROM: view, schema, relation. A partition counts as its topmost
-- parent; what is the system's or an extension's is left out.
SELECT DISTINCT r.ev_class, n.nspname, c.relname
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d
  ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
  AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
JOIN pg_catalog.pg_class AS named ON named.oid = d.refobjid
JOIN pg_catalog.pg_class AS c ON c.oid = CASE WHEN named.relispartition
  THEN pg_catalog.pg_partition_root(named.oid)::oid ELSE named.oid END
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.ev_class = ANY (%(views)s::oid[]) AND r.rulename = '_RETURN'
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.refclassid = 'pg_catalog.pg_extension'::regclass AND e.deptype = 'e'
      AND e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid);

-- name: definitions
-- The SELECT of these views: oid, text. It is spelled as of now, not as of the transaction.
SELECT view.oid, pg_catalog.pg_get_viewdef(view.oid, true) FROM unnest(%s::oid[]) AS view (oid);

-- name: dependents
-- Relations that are spelled with the names of these, or of partitions under them: views, foreign
-- keys, defaults, columns of their row type.
WITH RECURSIVE touched (oid) AS (
  SELECT * FROM unnest(%s::oid[])
  UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN touched ON touched.oid = i.inhparent
), named (classid, objid) AS (
  SELECT 'pg_catalog.pg_class'::regclass::oid, oid FROM touched
  UNION ALL
  SELECT 'pg_catalog.pg_type'::regclass::oid, unnest(ARRAY[t.oid, t.typarray])
  FROM touched JOIN pg_catalog.pg_class AS c ON c.oid = touched.oid
  JOIN pg_catalog.pg_type AS t ON t.oid = c.reltype
), found (oid) AS (
  SELECT CASE d.classid
    WHEN 'pg_catalog.pg_class'::regclass THEN d.objid
    WHEN 'pg_catalog.pg_rewrite'::regclass THEN
      (SELECT ev_class FROM pg_catalog.pg_rewrite WHERE oid = d.objid)
    WHEN 'pg_catalog.pg_attrdef'::regclass THEN
      (SELECT adrelid FROM pg_catalog.pg_attrdef WHERE oid = d.objid)
    WHEN 'pg_catalog.pg_constraint'::regclass THEN
      (SELECT conrelid FROM pg_catalog.pg_constraint WHERE oid = d.objid)
    END
  FROM named JOIN pg_catalog.pg_depend AS d
    ON d.refclassid = named.classid AND d.refobjid = named.objid
)
SELECT DISTINCT oid FROM found WHERE oid IS NOT NULL;

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
SELECT found.place, found.kind, (
  SELECT d.description FROM pg_catalog.pg_description AS d
  WHERE d.objoid = found.oid AND d.classoid = 'pg_catalog.pg_class'::regclass
    AND d.objsubid = found.number)
FROM (
  SELECT wanted.place, c.relkind::text AS kind, c.oid, CASE WHEN wanted.a = '' THEN 0 ELSE (
    SELECT a.attnum FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attname = wanted.a::name AND a.attname::text = wanted.a
      AND NOT a.attisdropped) END AS number
  FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[])
    WITH ORDINALITY AS wanted (s, t, a, place)
  JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.s::name AND n.nspname::text = wanted.s
  JOIN pg_catalog.pg_class AS c
    ON c.relnamespace = n.oid AND c.relname = wanted.t::name AND c.relname::text = wanted.t
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  WHERE wanted.t <> ''
  OFFSET 0
) AS found
WHERE found.number >= 0;

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

-- name: moment
-- Names the server's start and the set of transactions whose work is visible. While both stand
-- still nothing was committed in the whole server. On a standby the second proves nothing, so it
-- is null there.
SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
    ELSE pg_catalog.pg_current_snapshot()::text END;

-- name: environment
-- Hashes what tables and views are spelled with, relations and schemas apart: types, labels,
-- functions, operators, collations, text search; and what extensions own, as that is left out.
-- Types of rows and arrays are named after what they are made of, so they say nothing new.
SELECT pg_catalog.concat_ws(',',
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, typname, typnamespace), 0))
    FROM pg_catalog.pg_type
    WHERE oid >= 16384 AND typtype <> 'c' AND (
      typelem = 0 OR typsubscript <> 'pg_catalog.array_subscript_handler'::regproc)),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, enumtypid, enumlabel), 0))
    FROM pg_catalog.pg_enum),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, proname, pronamespace), 0))
    FROM pg_catalog.pg_proc WHERE oid >= 16384),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, oprname, oprnamespace), 0))
    FROM pg_catalog.pg_operator WHERE oid >= 16384),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, collname, collnamespace), 0))
    FROM pg_catalog.pg_collation WHERE oid >= 16384),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, cfgname, cfgnamespace), 0))
    FROM pg_catalog.pg_ts_config WHERE oid >= 16384),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(oid, dictname, dictnamespace), 0))
    FROM pg_catalog.pg_ts_dict WHERE oid >= 16384),
  (SELECT pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(d.classid, d.objid, n.nspname), 0))
    FROM pg_catalog.pg_depend AS d
    LEFT JOIN pg_catalog.pg_namespace AS n
      ON d.classid = 'pg_catalog.pg_namespace'::regclass AND n.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
      AND d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass)));

-- name: buckets
-- Hashes each relation of these schemas with all that is its own, by bucket: bucket, hash of all,
-- and hashes of which relations, constraints and comments there are. Parameters: schemas, number
-- of buckets less one. Content is hashed where maintenance rewrites rows or writing the same again
-- does, xmin where only DDL writes rows (freezing keeps it).
WITH kept AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relispartition
  FROM pg_catalog.pg_class AS c
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    AND c.relnamespace = ANY (%(schemas)s::oid[])
), hashes (bucket, hash, relations, keys, comments) AS (
  SELECT k.oid::int8 & %(mask)s, bit_xor(hash_record_extended(ROW(k.*), 0)),
    bit_xor(hashoidextended(k.oid, 0)), 0::int8, 0::int8
  FROM kept AS k GROUP BY 1
  UNION ALL
  SELECT a.attrelid::int8 & %(mask)s,
    bit_xor(hashnameextended(a.attname, hashint4extended(a.atttypmod, hashoidextended(a.atttypid,
      (a.attrelid::int8 << 32) | ((a.attnum::int4 << 16) | (a.attnotnull::int4 << 15)
      | (a.attidentity::int4 << 8) | a.attgenerated::int4)::int8)))),
    0, 0, 0
  FROM pg_catalog.pg_attribute AS a
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM kept) GROUP BY 1
  UNION ALL
  SELECT f.adrelid::int8 & %(mask)s,
    bit_xor(hash_record_extended(ROW(f.oid, f.adrelid, f.adnum, f.xmin::text), 0)), 0, 0, 0
  FROM pg_catalog.pg_attrdef AS f WHERE f.adrelid IN (SELECT oid FROM kept) GROUP BY 1
  UNION ALL
  SELECT k.conrelid::int8 & %(mask)s,
    bit_xor(hash_record_extended(ROW(k.oid, k.conrelid, k.xmin::text), 0)),
    0, bit_xor(hashoidextended(k.oid, 0)), 0
  FROM pg_catalog.pg_constraint AS k
  WHERE k.contype IN ('p', 'f', 'u') AND k.connamespace = ANY (%(schemas)s::oid[]) GROUP BY 1
  UNION ALL
  SELECT r.ev_class::int8 & %(mask)s,
    bit_xor(hash_record_extended(ROW(r.oid, r.ev_class, r.xmin::text), 0)), 0, 0, 0
  FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class IN (SELECT oid FROM kept) GROUP BY 1
  UNION ALL
  SELECT d.objoid::int8 & %(mask)s,
    bit_xor(hashtextextended(d.description, (d.objoid::int8 << 16) | d.objsubid)),
    0, 0, bit_xor(hashoidextended(d.objoid, d.objsubid + 1))
  FROM pg_catalog.pg_description AS d
  WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objoid IN (SELECT oid FROM kept)
  GROUP BY 1
)
SELECT bucket::int4, bit_xor(hash), bit_xor(relations), bit_xor(keys), bit_xor(comments)
FROM hashes GROUP BY 1;

-- name: some buckets
-- As `buckets`, for some of them only, through the indexes. Parameters also: their relations.
WITH kept AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relispartition
  FROM pg_catalog.pg_class AS c
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    AND c.relnamespace = ANY (%(schemas)s::oid[])
    AND c.oid = ANY (%(members)s::oid[])
), hashes (bucket, hash, relations, keys, comments) AS (
  SELECT k.oid, hash_record_extended(ROW(k.*), 0), hashoidextended(k.oid, 0), 0::int8, 0::int8
  FROM kept AS k
  UNION ALL
  SELECT a.attrelid,
    hashnameextended(a.attname, hashint4extended(a.atttypmod, hashoidextended(a.atttypid,
      (a.attrelid::int8 << 32) | ((a.attnum::int4 << 16) | (a.attnotnull::int4 << 15)
      | (a.attidentity::int4 << 8) | a.attgenerated::int4)::int8))),
    0, 0, 0
  FROM pg_catalog.pg_attribute AS a
  WHERE a.attnum > 0 AND NOT a.attisdropped
    AND a.attrelid = ANY (ARRAY(SELECT oid FROM kept))
  UNION ALL
  SELECT f.adrelid, hash_record_extended(ROW(f.oid, f.adrelid, f.adnum, f.xmin::text), 0), 0, 0, 0
  FROM pg_catalog.pg_attrdef AS f WHERE f.adrelid = ANY (ARRAY(SELECT oid FROM kept))
  UNION ALL
  SELECT k.conrelid, hash_record_extended(ROW(k.oid, k.conrelid, k.xmin::text), 0),
    0, hashoidextended(k.oid, 0), 0
  FROM pg_catalog.pg_constraint AS k
  WHERE k.contype IN ('p', 'f', 'u') AND k.connamespace = ANY (%(schemas)s::oid[])
    AND k.conrelid = ANY (ARRAY(SELECT oid FROM kept))
  UNION ALL
  SELECT r.ev_class, hash_record_extended(ROW(r.oid, r.ev_class, r.xmin::text), 0), 0, 0, 0
  FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = ANY (ARRAY(SELECT oid FROM kept))
  UNION ALL
  SELECT d.objoid, hashtextextended(d.description, (d.objoid::int8 << 16) | d.objsubid),
    0, 0, hashoidextended(d.objoid, d.objsubid + 1)
  FROM pg_catalog.pg_description AS d
  WHERE d.classoid = 'pg_catalog.pg_class'::regclass
    AND d.objoid = ANY (ARRAY(SELECT oid FROM kept))
)
SELECT (bucket::int8 & %(mask)s)::int4, bit_xor(hash), bit_xor(relations), bit_xor(keys),
  bit_xor(comments)
FROM hashes GROUP BY 1;

-- name: suspects
-- Finds the relations of buckets with a row that was not visible at an earlier moment, and hashes
-- which relations, constraints and comments there are, so that a row that is gone is noticed too.
-- Parameters: schemas, number of buckets less one, the oldest transaction open at that moment.
-- Rows that a younger one wrote may be new; that of a watermark at the newest would miss those
-- that were open then and committed since.
WITH since AS MATERIALIZED (
  SELECT pg_catalog.age(%(horizon)s::xid) AS age
), kept AS MATERIALIZED (
  SELECT c.oid, pg_catalog.age(c.xmin) <= (SELECT age FROM since) AS is_young
  FROM pg_catalog.pg_class AS c
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    AND c.relnamespace = ANY (%(schemas)s::oid[])
), young (oid) AS (
  SELECT oid FROM kept WHERE is_young
  UNION ALL
  SELECT attrelid FROM pg_catalog.pg_attribute
  WHERE attnum > 0 AND pg_catalog.age(xmin) <= (SELECT age FROM since)
  UNION ALL
  SELECT adrelid FROM pg_catalog.pg_attrdef
  WHERE pg_catalog.age(xmin) <= (SELECT age FROM since)
  UNION ALL
  SELECT conrelid FROM pg_catalog.pg_constraint
  WHERE contype IN ('p', 'f', 'u') AND pg_catalog.age(xmin) <= (SELECT age FROM since)
  UNION ALL
  SELECT ev_class FROM pg_catalog.pg_rewrite
  WHERE pg_catalog.age(xmin) <= (SELECT age FROM since)
  UNION ALL
  SELECT objoid FROM pg_catalog.pg_description
  WHERE classoid = 'pg_catalog.pg_class'::regclass
    AND pg_catalog.age(xmin) <= (SELECT age FROM since)
)
SELECT
  ARRAY(SELECT oid FROM kept WHERE oid::int8 & %(mask)s IN (
    SELECT oid::int8 & %(mask)s FROM young WHERE oid IN (SELECT oid FROM kept))),
  (SELECT bit_xor(hashoidextended(oid, 0)) FROM kept),
  (SELECT bit_xor(hashoidextended(oid, 0)) FROM pg_catalog.pg_constraint
    WHERE contype IN ('p', 'f', 'u') AND connamespace = ANY (%(schemas)s::oid[])),
  (SELECT bit_xor(hashoidextended(objoid, objsubid + 1)) FROM pg_catalog.pg_description
    WHERE classoid = 'pg_catalog.pg_class'::regclass AND objoid IN (SELECT oid FROM kept));

-- name: relations by bucket
-- Hashes which relations there are. Parameters: schemas, number of buckets less one.
SELECT (oid::int8 & %(mask)s)::int4, bit_xor(hashoidextended(oid, 0))
FROM pg_catalog.pg_class
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relnamespace = ANY (%(schemas)s::oid[])
GROUP BY 1;

-- name: keys by bucket
-- Hashes which constraints there are. Parameters: schemas, number of buckets less one.
SELECT (conrelid::int8 & %(mask)s)::int4, bit_xor(hashoidextended(oid, 0))
FROM pg_catalog.pg_constraint
WHERE contype IN ('p', 'f', 'u') AND connamespace = ANY (%(schemas)s::oid[])
GROUP BY 1;

-- name: comments by bucket
-- Hashes which relations and columns have a comment. Parameters: schemas, number of buckets less
-- one.
SELECT (d.objoid::int8 & %(mask)s)::int4, bit_xor(hashoidextended(d.objoid, d.objsubid + 1))
FROM pg_catalog.pg_description AS d
JOIN pg_catalog.pg_class AS c ON c.oid = d.objoid
WHERE d.classoid = 'pg_catalog.pg_class'::regclass
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  AND c.relnamespace = ANY (%(schemas)s::oid[])
GROUP BY 1;

-- name: members
-- Relations of these buckets, with all that a name may be taken from. Parameters: schemas, number
-- of buckets less one, buckets.
SELECT oid FROM pg_catalog.pg_class
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relnamespace = ANY (%(schemas)s::oid[])
  AND oid::int8 & %(mask)s = ANY (%(buckets)s::int8[]);

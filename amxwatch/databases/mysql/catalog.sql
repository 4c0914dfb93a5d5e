-- name: server
-- What the server is, and its number of this connection.
SELECT CONCAT(VERSION(), ' ', @@version_comment), CONNECTION_ID();

-- name: identity_mysql
-- The server's own number, which lasts as long as its data folder.
SELECT @@server_uuid;

-- name: identity_mariadb
-- MariaDB's server_uid follows its network card, so the place in the URL has to do.
SELECT '';

-- name: status
-- Counters of statements that may move a catalog or the rights to see it, by anybody, since the
-- server started; and what tells whether they were reset, or somebody is at work just now.
SHOW GLOBAL STATUS WHERE Variable_name REGEXP
'^(Com_(alter|create|drop|rename|grant|revoke|flush|install|uninstall)_?|Uptime|Threads_running$)';

-- name: processes
-- Who does what; all of it only with the PROCESS privilege.
SHOW FULL PROCESSLIST;

-- name: process_privilege
-- One row where we may see what others run.
SELECT 1 FROM information_schema.USER_PRIVILEGES
WHERE PRIVILEGE_TYPE = 'PROCESS' AND GRANTEE = CONCAT(
  '''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''',
  SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''');

-- name: schemas_mariadb
-- The databases: name, comment.
SELECT SCHEMA_NAME, SCHEMA_COMMENT FROM information_schema.SCHEMATA
WHERE SCHEMA_NAME $CHOSEN ORDER BY SCHEMA_NAME;

-- name: schemas_mysql
-- The databases: name, and no comment, as MySQL has none.
SELECT SCHEMA_NAME, '' FROM information_schema.SCHEMATA
WHERE SCHEMA_NAME $CHOSEN ORDER BY SCHEMA_NAME;

-- name: relations
-- Tables and views: schema, name, type, engine, options, comment, estimated rows (last, because
-- it moves by itself). Sequences and the like are left out.
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS LIKE '%partitioned%',
  TABLE_COMMENT, TABLE_ROWS
FROM information_schema.TABLES
WHERE TABLE_SCHEMA $CHOSEN AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')
ORDER BY TABLE_SCHEMA, TABLE_NAME;

-- name: columns
-- Columns in their order: schema, table, name, type, nullable, default, extra, expression of a
-- generated column, collation, comment.
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA,
  GENERATION_EXPRESSION, COLLATION_NAME, COLUMN_COMMENT
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA $CHOSEN
ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;

-- name: keys
-- Columns of primary, unique and foreign keys, in the key's order: schema, table, key, column,
-- and of a foreign key the other schema, table and column.
SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME,
  REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA $CHOSEN
ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, ORDINAL_POSITION;

-- name: definitions
-- The SELECT of views, names in full; empty without the right to it.
SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION
FROM information_schema.VIEWS
WHERE TABLE_SCHEMA $CHOSEN ORDER BY TABLE_SCHEMA, TABLE_NAME;

-- name: spatial_mariadb
-- The reference system of spatial columns, which neither COLUMNS nor SHOW CREATE TABLE tells.
SELECT G_TABLE_SCHEMA, G_TABLE_NAME, G_GEOMETRY_COLUMN, SRID
FROM information_schema.GEOMETRY_COLUMNS
WHERE G_TABLE_SCHEMA $CHOSEN AND SRID <> 0
ORDER BY G_TABLE_SCHEMA, G_TABLE_NAME, G_GEOMETRY_COLUMN;

-- name: spatial_mysql
-- The reference system of spatial columns.
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, SRS_ID
FROM information_schema.ST_GEOMETRY_COLUMNS
WHERE TABLE_SCHEMA $CHOSEN AND SRS_ID IS NOT NULL
ORDER BY TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME;

-- name: grants
-- Our rights, roles and PUBLIC included.
SHOW GRANTS;

-- name: user
-- Who we are to the server, and in which roles.
SELECT CURRENT_USER(), CURRENT_ROLE();

-- name: roles_mysql
-- Our rights with those of our roles, which MySQL tells only when the roles are named.
SHOW GRANTS FOR CURRENT_USER() USING $ROLES;

-- name: one_relation
-- Name, type and comment of one table or view.
SELECT TABLE_NAME, TABLE_TYPE, TABLE_COMMENT FROM information_schema.TABLES
WHERE TABLE_SCHEMA = $SCHEMA AND TABLE_NAME = $TABLE;

-- name: some_columns
-- Names and comments of the columns of one table or view.
SELECT COLUMN_NAME, COLUMN_COMMENT FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = $SCHEMA AND TABLE_NAME = $TABLE;

-- name: one_reference_system
-- The reference system of one spatial column of MariaDB's.
SELECT SRID FROM information_schema.GEOMETRY_COLUMNS
WHERE G_TABLE_SCHEMA = $SCHEMA AND G_TABLE_NAME = $TABLE AND G_GEOMETRY_COLUMN = $COLUMN;

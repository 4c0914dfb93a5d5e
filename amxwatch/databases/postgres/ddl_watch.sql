-- name: state
-- What there is of our event triggers: names of those that fire, schemas that hold our function,
-- its source where there is one, the schema to put it into (null: none will do), and how many
-- prepared transactions the server admits.
SELECT
  ARRAY(SELECT evtname::text FROM pg_catalog.pg_event_trigger
    WHERE evtname IN ('amxwatch_ddl', 'amxwatch_drop') AND evtenabled IN ('O', 'A')
      AND evtfoid IN (SELECT oid FROM pg_catalog.pg_proc WHERE proname = 'amxwatch_ddl')
    ORDER BY evtname),
  ARRAY(SELECT evtname::text FROM pg_catalog.pg_event_trigger
    WHERE evtname IN ('amxwatch_ddl', 'amxwatch_drop') ORDER BY evtname),
  ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.proname = 'amxwatch_ddl' AND p.pronargs = 0
      AND p.prorettype = 'pg_catalog.event_trigger'::regtype
    ORDER BY n.nspname),
  (SELECT min(p.prosrc) FROM pg_catalog.pg_proc AS p
    WHERE p.proname = 'amxwatch_ddl' AND p.pronargs = 0
      AND p.prorettype = 'pg_catalog.event_trigger'::regtype),
  (SELECT n.nspname::text FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    ORDER BY n.nspname <> 'public', n.nspname LIMIT 1),
  pg_catalog.current_setting('max_prepared_transactions')::int;

-- name: source
-- The body of our function. Whatever fails in it is passed over. NOTIFY itself fails only at the
-- end of a transaction, where nothing can be caught, for two reasons that are looked at first:
-- its queue is full, or the transaction is to be prepared. Temporary objects are nobody's news;
-- of what belongs to a table alone it is not always said that it is temporary.
BEGIN
  IF tg_tag IN ('REFRESH MATERIALIZED VIEW', 'GRANT', 'REVOKE', 'CREATE INDEX', 'REINDEX')
    OR current_setting('max_prepared_transactions')::int > 0
    OR pg_notification_queue_usage() > 0.5
  THEN
    RETURN;
  END IF;
  IF tg_event = 'sql_drop' THEN
    PERFORM FROM pg_event_trigger_dropped_objects()
    WHERE NOT is_temporary AND object_type NOT IN ('rule', 'default value', 'trigger', 'policy');
  ELSE
    PERFORM FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp';
  END IF;
  IF FOUND THEN
    PERFORM pg_notify('amxwatch_ddl', tg_tag);
  END IF;
EXCEPTION WHEN OTHERS THEN
  NULL;
END

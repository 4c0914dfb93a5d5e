-- Texts of views, for families whose dialects do not tell them: name and SELECT, by schema.

-- name: clickhouse
SELECT name, as_select FROM system.tables WHERE database = :schema AND as_select != ''

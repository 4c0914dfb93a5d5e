-- What the demo changes in front of the user, one statement at a time.
CREATE TABLE shop.shipment (
  shipment_id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES shop.orders (order_id),
  warehouse_id INTEGER NOT NULL REFERENCES shop.warehouse (warehouse_id),
  carrier_cd VARCHAR NOT NULL,
  shpd_at TIMESTAMP,
  dlvrd_at TIMESTAMP,
  trk_no VARCHAR
);
INSERT INTO shop.shipment
SELECT i, i, 1 + i % 3, ['DHL', 'UPS', 'PTT'][1 + i % 3], TIMESTAMP '2026-02-01' + to_hours((i % 900)::INTEGER),
       CASE WHEN i % 8 = 0 THEN NULL ELSE TIMESTAMP '2026-02-03' + to_hours((i % 900)::INTEGER) END, 'T' || lpad(i::VARCHAR, 9, '0')
FROM range(1, 3001) AS r(i);
ALTER TABLE shop.product_review ADD COLUMN vrfd_purch BOOLEAN;
ALTER TABLE shop.fx_rate ALTER COLUMN rate_to_eur TYPE DECIMAL(20, 10);
ALTER TABLE shop.customer_address RENAME COLUMN pstl_cd TO postal_code;
CREATE OR REPLACE VIEW shop.customer_value AS
SELECT c.customer_id, c.sgmnt, count(o.order_id) AS ord_cnt, coalesce(sum(o.tot_amt), 0) AS lftm_amt, max(o.ord_ts) AS last_ord_ts
FROM shop.customer AS c LEFT JOIN shop.orders AS o ON o.customer_id = c.customer_id AND o.stts <> 'cancelled' GROUP BY ALL;

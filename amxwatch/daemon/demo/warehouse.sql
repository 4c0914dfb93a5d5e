-- The demo's warehouse: a small online shop. All names and figures are made up here.
CREATE SCHEMA shop;

CREATE TABLE shop.category (
  category_id INTEGER PRIMARY KEY,
  parent_category_id INTEGER REFERENCES shop.category (category_id),
  nm VARCHAR NOT NULL
);
INSERT INTO shop.category VALUES
  (1, NULL, 'Kitchen'), (2, NULL, 'Garden'), (3, NULL, 'Office');
INSERT INTO shop.category VALUES
  (4, 1, 'Knives'), (5, 1, 'Pans'), (6, 2, 'Tools'), (7, 2, 'Seeds'), (8, 3, 'Paper'), (9, 3, 'Lamps');

CREATE TABLE shop.supplier (
  supplier_id INTEGER PRIMARY KEY,
  supplier_nm VARCHAR NOT NULL,
  cntry_cd VARCHAR NOT NULL,
  lead_tm_days INTEGER
);
INSERT INTO shop.supplier
SELECT i, ['North', 'South', 'East', 'West'][1 + i % 4] || ' ' || ['Trading', 'Works', 'Supply'][1 + i % 3] || ' ' || i,
       ['DE', 'FR', 'TR', 'JP', 'BR'][1 + i % 5], CASE WHEN i % 7 = 0 THEN NULL ELSE 2 + i % 20 END
FROM range(1, 41) AS r(i);

CREATE TABLE shop.product (
  product_id INTEGER PRIMARY KEY,
  sku VARCHAR NOT NULL UNIQUE,
  category_id INTEGER NOT NULL REFERENCES shop.category (category_id),
  supplier_id INTEGER NOT NULL REFERENCES shop.supplier (supplier_id),
  product_nm VARCHAR NOT NULL,
  unit_prc DECIMAL(10, 2) NOT NULL,
  wt_g INTEGER,
  is_actv BOOLEAN NOT NULL DEFAULT TRUE,
  dscntd_dt DATE
);
INSERT INTO shop.product
SELECT i, 'SKU-' || lpad(i::VARCHAR, 5, '0'), 1 + i % 9, 1 + i % 40,
       ['Oak', 'Steel', 'Linen', 'Copper', 'Glass'][1 + i % 5] || ' ' || ['Board', 'Lamp', 'Spade', 'Pan', 'Pad'][1 + (i // 5) % 5],
       round(3 + (i * 7919 % 9700) / 100.0, 2), CASE WHEN i % 9 = 0 THEN NULL ELSE 50 + i * 37 % 4000 END,
       i % 11 <> 0, CASE WHEN i % 11 = 0 THEN DATE '2026-01-01' + (i % 200)::INTEGER ELSE NULL END
FROM range(1, 401) AS r(i);

CREATE TABLE shop.customer (
  customer_id INTEGER PRIMARY KEY,
  eml VARCHAR NOT NULL UNIQUE,
  full_nm VARCHAR NOT NULL,
  lang_cd VARCHAR NOT NULL,
  sgmnt VARCHAR NOT NULL,
  created_at TIMESTAMP NOT NULL,
  mktg_opt_in BOOLEAN NOT NULL
);
INSERT INTO shop.customer
SELECT i, 'customer' || i || '@example.com',
       ['Ada', 'Bela', 'Cem', 'Dora', 'Emre', 'Fay'][1 + i % 6] || ' ' || ['Ak', 'Berg', 'Costa', 'Diaz', 'Ito'][1 + i % 5],
       ['en', 'de', 'tr', 'fr'][1 + i % 4], ['new', 'regular', 'vip'][1 + (i * 31 % 10) // 4],
       TIMESTAMP '2024-01-01' + to_hours((i * 17 % 20000)::INTEGER), i % 3 <> 0
FROM range(1, 2001) AS r(i);

CREATE TABLE shop.customer_address (
  address_id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES shop.customer (customer_id),
  addr_typ VARCHAR NOT NULL,
  city VARCHAR NOT NULL,
  pstl_cd VARCHAR NOT NULL,
  cntry_cd VARCHAR NOT NULL
);
INSERT INTO shop.customer_address
SELECT i, 1 + i % 2000, ['billing', 'shipping'][1 + i % 2], ['Berlin', 'Lyon', 'Izmir', 'Osaka', 'Recife'][1 + i % 5],
       lpad((10000 + i * 13 % 89999)::VARCHAR, 5, '0'), ['DE', 'FR', 'TR', 'JP', 'BR'][1 + i % 5]
FROM range(1, 3001) AS r(i);

CREATE TABLE shop.warehouse (
  warehouse_id INTEGER PRIMARY KEY,
  wh_cd VARCHAR NOT NULL UNIQUE,
  city VARCHAR NOT NULL,
  cpcty_m3 DECIMAL(12, 1)
);
INSERT INTO shop.warehouse VALUES (1, 'BER1', 'Berlin', 12500), (2, 'LYS1', 'Lyon', 8200), (3, 'IZM1', 'Izmir', 9100);

CREATE TABLE shop.inventory (
  warehouse_id INTEGER NOT NULL REFERENCES shop.warehouse (warehouse_id),
  product_id INTEGER NOT NULL REFERENCES shop.product (product_id),
  qty_on_hand INTEGER NOT NULL,
  reord_lvl INTEGER,
  counted_at TIMESTAMP,
  PRIMARY KEY (warehouse_id, product_id)
);
INSERT INTO shop.inventory
SELECT 1 + i % 3, 1 + i // 3, i * 53 % 400, CASE WHEN i % 4 = 0 THEN NULL ELSE 20 END, TIMESTAMP '2026-03-01' + to_days((i % 90)::INTEGER)
FROM range(0, 1200) AS r(i);

CREATE TABLE shop.orders (
  order_id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES shop.customer (customer_id),
  ord_ts TIMESTAMP NOT NULL,
  stts VARCHAR NOT NULL,
  chnl VARCHAR NOT NULL,
  ccy_cd VARCHAR NOT NULL,
  tot_amt DECIMAL(12, 2) NOT NULL,
  dscnt_pct DECIMAL(5, 2)
);
INSERT INTO shop.orders
SELECT i, 1 + i * 7 % 2000, TIMESTAMP '2025-06-01' + to_minutes((i * 61 % 400000)::INTEGER),
       ['placed', 'paid', 'shipped', 'delivered', 'cancelled'][1 + (i * 13 % 17) % 5], ['web', 'app', 'phone'][1 + i % 3],
       ['EUR', 'TRY', 'USD'][1 + i % 3], round(8 + (i * 104729 % 40000) / 100.0, 2), CASE WHEN i % 5 = 0 THEN i % 30 ELSE NULL END
FROM range(1, 6001) AS r(i);

CREATE TABLE shop.order_item (
  order_id INTEGER NOT NULL REFERENCES shop.orders (order_id),
  line_no INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES shop.product (product_id),
  qty INTEGER NOT NULL,
  unit_prc DECIMAL(10, 2) NOT NULL,
  PRIMARY KEY (order_id, line_no)
);
INSERT INTO shop.order_item
SELECT 1 + i // 2, 1 + i % 2, 1 + i * 11 % 400, 1 + i % 4, round(3 + (i * 7919 % 9700) / 100.0, 2)
FROM range(0, 12000) AS r(i);

CREATE TABLE shop.payment (
  payment_id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES shop.orders (order_id),
  pmt_mthd VARCHAR NOT NULL,
  amt DECIMAL(12, 2) NOT NULL,
  paid_at TIMESTAMP,
  ext_ref VARCHAR
);
INSERT INTO shop.payment
SELECT i, i, ['card', 'transfer', 'wallet'][1 + i % 3], round(8 + (i * 104729 % 40000) / 100.0, 2),
       CASE WHEN i % 6 = 0 THEN NULL ELSE TIMESTAMP '2025-06-01' + to_minutes((i * 61 % 400000)::INTEGER) END, md5(i::VARCHAR)
FROM range(1, 5501) AS r(i);

CREATE TABLE shop.product_review (
  review_id INTEGER PRIMARY KEY,
  product_id INTEGER NOT NULL REFERENCES shop.product (product_id),
  customer_id INTEGER NOT NULL REFERENCES shop.customer (customer_id),
  rtng INTEGER NOT NULL CHECK (rtng BETWEEN 1 AND 5),
  created_at TIMESTAMP NOT NULL
);
INSERT INTO shop.product_review
SELECT i, 1 + i * 3 % 400, 1 + i * 19 % 2000, 1 + (i * 7 % 5), TIMESTAMP '2025-07-01' + to_hours((i % 8000)::INTEGER)
FROM range(1, 1501) AS r(i);

CREATE TABLE shop.fx_rate (
  ccy_cd VARCHAR NOT NULL,
  eff_dt DATE NOT NULL,
  rate_to_eur DECIMAL(18, 8) NOT NULL,
  PRIMARY KEY (ccy_cd, eff_dt)
);
INSERT INTO shop.fx_rate
SELECT ccy, DATE '2026-01-01' + d::INTEGER, round(base * (1 + (d * 37 % 100) / 2000.0), 6)
FROM (VALUES ('EUR', 1.0), ('USD', 0.92), ('TRY', 0.024)) AS c(ccy, base), range(0, 120) AS r(d);

CREATE VIEW shop.daily_sales AS
SELECT o.ord_ts::DATE AS sales_dt, o.ccy_cd, count(*) AS ord_cnt, sum(o.tot_amt) AS grs_amt
FROM shop.orders AS o WHERE o.stts <> 'cancelled' GROUP BY ALL;

CREATE VIEW shop.customer_value AS
SELECT c.customer_id, c.sgmnt, count(o.order_id) AS ord_cnt, coalesce(sum(o.tot_amt), 0) AS lftm_amt, max(o.ord_ts) AS last_ord_ts
FROM shop.customer AS c LEFT JOIN shop.orders AS o USING (customer_id) GROUP BY ALL;

-- Some descriptions were written by people; they are never overwritten.
COMMENT ON TABLE shop.orders IS 'One row for each order that a customer placed, whatever became of it.';
COMMENT ON COLUMN shop.orders.stts IS 'Where the order stands; cancelled orders stay in the table.';
COMMENT ON TABLE shop.customer IS 'People who have an account with the shop.';
COMMENT ON COLUMN shop.customer_address.pstl_cd IS 'Postal code as the customer typed it, without the country.';

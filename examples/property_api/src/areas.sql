-- Nearest-rank percentiles per area: rows are numbered by each measure, and the row at rank
-- ceil(p * n) is picked. `market_position` is where the area's listings stand among all of the
-- kind, 0 the cheapest square metre and 1 the dearest.
WITH measured AS (
    SELECT id, area, price, days_listed, price * 1.0 / floor_area AS per_m2
    FROM listing
    WHERE kind = ?1
),
ranked AS (
    SELECT area, price, days_listed, per_m2,
        count(*) OVER (PARTITION BY area) AS n,
        row_number() OVER (PARTITION BY area ORDER BY price, id) AS by_price,
        row_number() OVER (PARTITION BY area ORDER BY per_m2, id) AS by_per_m2,
        row_number() OVER (PARTITION BY area ORDER BY days_listed, id) AS by_days,
        percent_rank() OVER (ORDER BY per_m2) AS position
    FROM measured
)
SELECT area AS name,
    count(*) AS listings,
    max(price) FILTER (WHERE by_price = (n + 9) / 10) AS price_low,
    max(price) FILTER (WHERE by_price = (n + 1) / 2) AS price_median,
    max(price) FILTER (WHERE by_price = (9 * n + 9) / 10) AS price_high,
    round(max(per_m2) FILTER (WHERE by_per_m2 = (n + 1) / 2), 2) AS per_m2_median,
    max(days_listed) FILTER (WHERE by_days = (n + 1) / 2) AS days_listed_median,
    round(avg(position), 4) AS market_position
FROM ranked
GROUP BY area
ORDER BY area

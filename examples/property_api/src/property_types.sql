-- Nearest-rank percentiles per property type, and the area where that type is dearest by its
-- median price for a square metre.
WITH measured AS (
    SELECT id, area, property_type, price, floor_area, bedrooms, price * 1.0 / floor_area AS per_m2
    FROM listing
    WHERE kind = ?1
),
ranked AS (
    SELECT area, property_type, price, floor_area, bedrooms, per_m2,
        count(*) OVER (PARTITION BY property_type) AS n,
        row_number() OVER (PARTITION BY property_type ORDER BY price, id) AS by_price,
        row_number() OVER (PARTITION BY property_type ORDER BY per_m2, id) AS by_per_m2,
        row_number() OVER (PARTITION BY property_type ORDER BY floor_area, id) AS by_size,
        count(*) OVER (PARTITION BY property_type, area) AS n_here,
        row_number() OVER (PARTITION BY property_type, area ORDER BY per_m2, id) AS by_per_m2_here
    FROM measured
),
dearest AS (
    SELECT property_type, area,
        row_number() OVER (PARTITION BY property_type ORDER BY per_m2 DESC, area) AS place
    FROM ranked
    WHERE by_per_m2_here = (n_here + 1) / 2
)
SELECT property_type AS name,
    count(*) AS listings,
    max(price) FILTER (WHERE by_price = (n + 9) / 10) AS price_low,
    max(price) FILTER (WHERE by_price = (n + 1) / 2) AS price_median,
    max(price) FILTER (WHERE by_price = (9 * n + 9) / 10) AS price_high,
    round(max(per_m2) FILTER (WHERE by_per_m2 = (n + 1) / 2), 2) AS per_m2_median,
    max(floor_area) FILTER (WHERE by_size = (n + 1) / 2) AS floor_area_median,
    round(avg(bedrooms), 2) AS bedrooms_mean,
    (SELECT dearest.area FROM dearest
     WHERE dearest.property_type = ranked.property_type AND dearest.place = 1) AS dearest_area
FROM ranked
GROUP BY property_type
ORDER BY property_type

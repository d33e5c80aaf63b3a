-- Kernel-weighted quantiles of the price for a square metre: every listing of the kind is
-- evidence, weighed by its likeness to the subject, and a quantile is where the running sum of
-- the weights, in order of price, passes its share of the total. The power keeps the many that
-- are unlike from outweighing the few that are like. `evidence` is Kish's effective sample size.
WITH compared AS (
    SELECT id, price * 1.0 / floor_area AS per_m2,
        1.0 / (1.0
            + ((east - ?2) * (east - ?2) + (north - ?3) * (north - ?3)) / 4.0
            + (bedrooms - ?4) * (bedrooms - ?4)
            + (floor_area - ?5) * (floor_area - ?5) / 400.0
            + 4.0 * (property_type <> ?6)
            + days_listed / 90.0) AS likeness
    FROM listing
    WHERE kind = ?1
),
weighed AS (
    SELECT id, per_m2, likeness * likeness * likeness * likeness AS weight FROM compared
),
running AS (
    SELECT per_m2, weight,
        sum(weight) OVER (ORDER BY per_m2, id ROWS UNBOUNDED PRECEDING) AS passed,
        sum(weight) OVER () AS total
    FROM weighed
)
SELECT
    min(per_m2) FILTER (WHERE passed >= 0.1 * total) AS low,
    min(per_m2) FILTER (WHERE passed >= 0.5 * total) AS median,
    min(per_m2) FILTER (WHERE passed >= 0.9 * total) AS high,
    sum(weight) * sum(weight) / sum(weight * weight) AS evidence
FROM running

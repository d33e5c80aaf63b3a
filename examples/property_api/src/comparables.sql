-- The listings of the kind that are most like the subject; the distance is that of valuation.sql.
SELECT id, area, property_type, bedrooms, floor_area, price, days_listed
FROM listing
WHERE kind = ?1
ORDER BY ((east - ?2) * (east - ?2) + (north - ?3) * (north - ?3)) / 4.0
    + (bedrooms - ?4) * (bedrooms - ?4)
    + (floor_area - ?5) * (floor_area - ?5) / 400.0
    + 4.0 * (property_type <> ?6)
    + days_listed / 90.0, id
LIMIT 10

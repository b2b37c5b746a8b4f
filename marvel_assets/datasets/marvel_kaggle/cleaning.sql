-- The columns of raw_characters come as `cells`: trimmed, and NULL where missing. What is declared beside this file is
-- done afterwards: closed lists whatever their case, what a missing cell stands for, numbers, rejections, the split.
-- Of letters beyond ASCII two become ASCII in small letters: İ, on which engines differ, and the sign for kelvin, a k.
SELECT
    source_row,
    PageID AS Id,
    Height_m AS Height,
    Weight_kg AS Weight,
    Universe,
    Identity,
    Gender,
    Marital_Status,
    CASE WHEN Teams IS NULL OR lower(Teams) IN ('false', '0', '0.0') THEN 0 ELSE 1 END AS Teams,
    -- The first match wins, by substring: 'Inhuman' is Human.
    CASE
        WHEN origin_text LIKE '%human%' THEN 'Human'
        WHEN origin_text LIKE '%mutate%' OR origin_text LIKE '%mutant%' THEN 'Mutant'
        WHEN origin_text LIKE '%asgardian%' THEN 'Asgardian'
        WHEN origin_text LIKE '%alien%' THEN 'Alien'
        WHEN origin_text LIKE '%symbiote%' THEN 'Symbiote'
        WHEN origin_text LIKE '%robot%' THEN 'Robot'
        WHEN origin_text LIKE '%cosmic being%' THEN 'Cosmic Being'
        ELSE 'Other'
    END AS Origin,
    CASE WHEN origin_text LIKE '%magic%' THEN 1 ELSE 0 END AS Magic,
    CASE WHEN origin_text LIKE '%mutate%' OR origin_text LIKE '%mutant%' THEN 1 ELSE 0 END AS Mutant,
    Alive
FROM (SELECT *, lower(replace(Origin, 'İ', '?')) AS origin_text FROM cells) AS lowered

-- The columns of raw_characters come as `cells`: trimmed, and NULL where missing. Every value repeats what its column is
-- called ("Secret Identity", "Hazel Eyes"), which is taken off here.
SELECT
    source_row,
    page_id AS Id,
    APPEARANCES AS Appearances,
    first_year AS Year,
    regexp_replace(ID, ' Identity$', '') AS Identity,
    regexp_replace(ALIGN, ' Characters$', '') AS Align,
    regexp_replace(EYE, ' Eyes$', '') AS Eye,
    regexp_replace(HAIR, ' Hair$', '') AS Hair,
    regexp_replace(SEX, ' Characters$', '') AS Sex,
    regexp_replace(GSM, ' Characters$', '') AS GSM,
    ALIVE AS Alive
FROM cells

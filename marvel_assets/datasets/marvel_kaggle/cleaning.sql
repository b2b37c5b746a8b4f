-- The cleaning, in the dialect that DuckDB and Spark SQL share: one row for each row of raw_characters. A row that is
-- rejected has a rejected_column. What stands in braces comes from columns.py, put in by cleaning.py: {missing}, the
-- texts that count as a missing cell; {blanks}, what is trimmed; {spelled(column)}, a value of a closed list whatever
-- its case; {is_number(column)}; {no_team}; {test_hash_bound}, the bound of the test ids.
WITH trimmed AS (
    SELECT
        source_row,
        -- Ids are compared to the letter.
        PageID,
        trim(BOTH {blanks} FROM Height_m) AS Height_m,
        trim(BOTH {blanks} FROM Weight_kg) AS Weight_kg,
        trim(BOTH {blanks} FROM Universe) AS Universe,
        trim(BOTH {blanks} FROM Identity) AS Identity,
        trim(BOTH {blanks} FROM Gender) AS Gender,
        trim(BOTH {blanks} FROM Marital_Status) AS Marital_Status,
        trim(BOTH {blanks} FROM Teams) AS Teams,
        trim(BOTH {blanks} FROM Origin) AS Origin,
        trim(BOTH {blanks} FROM Alive) AS Alive
    FROM raw_characters
),
present AS (
    SELECT
        source_row,
        CASE WHEN PageID IN {missing} THEN NULL ELSE PageID END AS Id,
        CASE WHEN Height_m IN {missing} THEN NULL ELSE Height_m END AS height_text,
        CASE WHEN Weight_kg IN {missing} THEN NULL ELSE Weight_kg END AS weight_text,
        CASE WHEN Universe IS NULL OR Universe IN {missing} THEN 'Unknown' ELSE Universe END AS Universe,
        CASE WHEN Identity IS NULL OR Identity IN {missing} THEN 'Unknown' ELSE {spelled(Identity)} END AS Identity,
        CASE WHEN {spelled(Gender)} IN ('Male', 'Female') THEN {spelled(Gender)} ELSE 'Other' END AS Gender,
        CASE
            WHEN Marital_Status IS NULL OR Marital_Status IN {missing} THEN 'Unknown'
            ELSE {spelled(Marital_Status)}
        END AS Marital_Status,
        CASE WHEN Teams IS NULL OR Teams IN {missing} OR lower(Teams) IN {no_team} THEN 0 ELSE 1 END AS Teams,
        -- Of letters beyond ASCII two become ASCII: İ, on which engines differ, and the sign for kelvin, a k.
        CASE
            WHEN Origin IS NULL OR Origin IN {missing} THEN ''
            ELSE lower(replace(Origin, 'İ', '?'))
        END AS origin_text,
        coalesce({spelled(Alive)}, '') AS alive_text
    FROM trimmed
),
judged AS (
    SELECT
        *,
        CASE
            WHEN Identity NOT IN ('Public', 'Secret', 'Unknown') THEN 'Identity'
            WHEN Marital_Status NOT IN ('Single', 'Married', 'Widowed', 'Engaged', 'Unknown') THEN 'Marital_Status'
            WHEN alive_text NOT IN ('Alive', 'Dead') THEN 'Alive'
            WHEN Id IS NULL THEN 'Id'
        END AS unusable_column
    FROM present
),
doubled AS (
    SELECT Id, min(source_row) AS first_row
    FROM judged
    WHERE unusable_column IS NULL
    GROUP BY Id
    HAVING count(*) > 1
),
ruled AS (
    SELECT
        source_row,
        Id,
        CASE WHEN {is_number(height_text)} THEN height_text END AS height_text,
        CASE WHEN {is_number(weight_text)} THEN weight_text END AS weight_text,
        Universe,
        Identity,
        Gender,
        Marital_Status,
        Teams,
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
        alive_text,
        coalesce(unusable_column, CASE WHEN source_row > first_row THEN 'Id' END) AS rejected_column
    FROM judged
    LEFT JOIN doubled USING (Id)
)
SELECT
    source_row,
    Id,
    try_cast(height_text AS DOUBLE) AS Height,
    try_cast(weight_text AS DOUBLE) AS Weight,
    Universe,
    Identity,
    Gender,
    Marital_Status,
    Teams,
    Origin,
    Magic,
    Mutant,
    CASE WHEN alive_text = 'Alive' THEN 1 ELSE 0 END AS Alive,
    -- A fifth of all ids, whatever else the table holds: no character ever moves from train to test.
    CASE WHEN rejected_column IS NULL THEN CASE WHEN md5(Id) < '{test_hash_bound}' THEN 'test' ELSE 'train' END END AS split,
    rejected_column,
    CASE rejected_column
        WHEN 'Identity' THEN 'Identity is "' || substr(Identity, 1, 80) || '", expected Public, Secret or nothing'
        WHEN 'Marital_Status' THEN 'Marital Status is "' || substr(Marital_Status, 1, 80)
            || '", expected Single, Married, Widowed, Widow, Engaged or nothing'
        WHEN 'Alive' THEN 'Alive is "' || substr(alive_text, 1, 80) || '", expected Alive or Dead'
        WHEN 'Id' THEN CASE
            WHEN Id IS NULL THEN 'PageID is missing'
            ELSE 'PageID "' || substr(Id, 1, 80) || '" stands on an earlier usable row'
        END
    END AS reason,
    -- Of texts alone, so that every engine finds the same digest.
    md5(concat_ws(
        chr(31), coalesce(Id, chr(30)), coalesce(height_text, chr(30)), coalesce(weight_text, chr(30)), Universe,
        Identity, Gender, Marital_Status, Teams, Origin, Magic, Mutant, alive_text
    )) AS row_digest
FROM ruled

-- What the indexes on payloads are made of.

-- The geographic point of {"lon": …, "lat": …}, NULL for anything else. Numbers beyond any map are left out: they might not
-- fit a float, and nothing may keep a payload from being written.
CREATE FUNCTION vecferry.geo_point(value jsonb) RETURNS point
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jsonb_typeof(value -> 'lon') = 'number' AND jsonb_typeof(value -> 'lat') = 'number'
            AND abs((value -> 'lon')::numeric) <= 1000 AND abs((value -> 'lat')::numeric) <= 1000
        THEN point((value -> 'lon')::float8, (value -> 'lat')::float8)
    END
$$;

-- What an index holds of tokens: a token may be longer than an index entry.
CREATE FUNCTION vecferry.token_hashes(tokens text[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(SELECT hashtext(token) FROM unnest(tokens) AS given(token));

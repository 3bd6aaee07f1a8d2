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

-- What is given. The planner knows the result where it knows the argument; where it plans for any, it takes it to be dear.
CREATE FUNCTION vecferry.is_planned_for(given boolean) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1e12 AS $$
BEGIN
    RETURN given;
END $$;

-- True, or an error where a collection's name or alias does not stand for this row of the catalogue (its id and `xmin`),
-- or its stage has another epoch.
CREATE FUNCTION vecferry.check_unchanged(wanted text, expected bigint, stamp text, epoch bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    PERFORM FROM vecferry.collections AS c
    WHERE c.id = expected AND c.xmin::text = stamp AND c.id = coalesce(
        (SELECT own.id FROM vecferry.collections AS own WHERE own.name = wanted),
        (SELECT alias.collection FROM vecferry.aliases AS alias WHERE alias.name = wanted)
    ) AND (SELECT k.epoch FROM vecferry.control AS k WHERE k.generation = expected)
        IS NOT DISTINCT FROM check_unchanged.epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the collection has changed';
    END IF;
    RETURN true;
END
$$;

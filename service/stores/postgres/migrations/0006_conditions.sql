-- What filters need beyond jsonpath. Every function takes whatever a payload may hold and answers NULL or nothing
-- where a value is not of the kind asked for. None depends on the server's locale or version: what counts as a letter
-- and how it is lowered stands here, as Qdrant has it (Unicode 17), so that an index on them stays right.

-- A number as a double: the nearest one, as Qdrant reads it. NULL for anything else.
CREATE FUNCTION vecferry.number(value jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'number' AND abs(value::numeric) <= 1.7976931348623157e308
    THEN value::double precision END;

-- The moment that a string spells, in one of the spellings that Qdrant takes. NULL for anything else.
-- The four patterns are what chrono reads: RFC 3339 with room for blanks, `%Y-%m-%dT%H:%M:%S%.f%#z` with T or blank,
-- the same without a zone or seconds, and the date alone.
-- In microseconds since 1970, rounded down, as an index of moments holds it: second 60 is the next minute. Or in half
-- microseconds, which order moments as Qdrant does without an index: second 60 is odd, just before the next minute.
CREATE FUNCTION vecferry.moment(value jsonb, halves boolean) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    given text;
    part text[];
    year bigint;
    month bigint;
    day bigint;
    days bigint;
    seconds bigint;
    fraction text;
BEGIN
    IF jsonb_typeof(value) IS DISTINCT FROM 'string' THEN
        RETURN NULL;
    END IF;
    given := value #>> '{}';
    -- year, month, day, hour, minute, second, fraction, zone, its hour, its minute
    IF given COLLATE "C" ~ (
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-5][0-9])?)?$'
    ) THEN
        -- What nearly every string looks like is cut by position, which takes a tenth of the time.
        part := ARRAY[left(given, 4), substr(given, 6, 2), substr(given, 9, 2), substr(given, 12, 2),
            substr(given, 15, 2), substr(given, 18, 2), substring(substr(given, 20) FROM '^[.]([0-9]+)'),
            NULL, NULL, NULL];
        IF char_length(given) = 10 THEN
            part[4:7] := ARRAY[NULL, NULL, NULL, NULL]::text[];
        ELSIF substr(given, char_length(given) - 5, 1) IN ('+', '-') THEN
            part[8:10] := ARRAY[right(given, 6), left(right(given, 5), 2), right(given, 2)];
        END IF;
    ELSE
        -- One blank for all but the space, which alone may stand for the T in the first form.
        given := translate(
            given, E'\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009'
            '\u200a\u2028\u2029\u202f\u205f\u3000', repeat(E'\t', 23)
        );
        part := coalesce(
            regexp_match(given, '^[ \t]*([0-9]{1,4}|[+-]0*[0-9]{1,6})[ \t]*-[ \t]*([0-9]{1,2})[ \t]*-[ \t]*([0-9]{1,2})'
                '[tT ][ \t]*([0-9]{1,2})[ \t]*:[ \t]*([0-9]{1,2})[ \t]*:[ \t]*([0-9]{1,2})(?:[.]([0-9]+))?[ \t]*'
                '([uU][tT][cC]|[zZ]|[+\u2212-]([0-9]{2})[: \t]*([0-5][0-9]))[ \t]*$'),
            regexp_match(given, '^[ \t]*([0-9]{1,4}|[+-]0*[0-9]{1,6})-[ \t]*([0-9]{1,2})-[ \t]*([0-9]{2}|[0-9](?![0-9]))'
                '(?:T|[ \t]*)[ \t]*([0-9]{1,2}):[ \t]*([0-9]{1,2}):[ \t]*([0-9]{1,2})(?:[.]([0-9]+))?[ \t]*'
                '([uU][tT][cC]|[zZ]|[+\u2212-]([0-9]{2})[: \t]*([0-5][0-9])?)$'),
            regexp_match(given, '^[ \t]*([0-9]{1,4}|[+-]0*[0-9]{1,6})-[ \t]*([0-9]{1,2})-[ \t]*([0-9]{2}|[0-9](?![0-9]))'
                '(?:T|[ \t]*)[ \t]*([0-9]{1,2}):[ \t]*([0-9]{1,2})(?::[ \t]*([0-9]{1,2})(?:[.]([0-9]+))?)?$'),
            regexp_match(given, '^[ \t]*([0-9]{1,4}|[+-]0*[0-9]{1,6})-[ \t]*([0-9]{1,2})-[ \t]*([0-9]{1,2})$')
        );
    END IF;
    IF part IS NULL THEN
        RETURN NULL;
    END IF;
    year := part[1]::bigint;
    month := part[2]::bigint;
    day := part[3]::bigint;
    IF year NOT BETWEEN -262143 AND 262142 OR month NOT BETWEEN 1 AND 12 OR day < 1
        OR coalesce(part[4]::int, 0) > 23 OR coalesce(part[5]::int, 0) > 59 OR coalesce(part[6]::int, 0) > 60
        OR coalesce(abs(part[9]::int), 0) > 23
    THEN
        RETURN NULL;
    END IF;
    IF day > 28 AND (day > CASE
        WHEN month = 2 THEN CASE WHEN year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29 ELSE 28 END
        WHEN month IN (4, 6, 9, 11) THEN 30
        ELSE 31
    END) THEN
        RETURN NULL;
    END IF;
    -- Days since 1970 of the proleptic Gregorian calendar, years beginning in March; 2400 years of 400 · n shift the
    -- year above zero, where division rounds down.
    IF month <= 2 THEN
        year := year - 1;
    END IF;
    year := year + 400000;
    days := year * 365 + year / 4 - year / 100 + year / 400
        + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719468 - 146097000;
    seconds := days * 86400 + coalesce(part[4]::bigint, 0) * 3600 + coalesce(part[5]::bigint, 0) * 60
        + coalesce(part[6]::bigint, 0);
    fraction := rpad(left(coalesce(part[7], ''), 6), 6, '0');
    IF part[9] IS NOT NULL THEN
        seconds := seconds - CASE WHEN left(part[8], 1) = '+' THEN 1 ELSE -1 END
            * (part[9]::bigint * 3600 + coalesce(part[10]::bigint, 0) * 60);
    END IF;
    IF NOT halves THEN
        RETURN seconds * 1000000 + fraction::bigint;
    ELSIF part[6]::int = 60 THEN
        RETURN seconds * 2000000 - 1;
    END IF;
    RETURN seconds * 2000000 + fraction::bigint * 2;
END
$body$;

-- As `moment`, in microseconds.
CREATE FUNCTION vecferry.datetime_micros(value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN vecferry.moment(value, false);

-- The UUID that a string spells: hyphenated, bare, in braces or as a URN. NULL for anything else.
CREATE FUNCTION vecferry.uuid(value jsonb) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(value) = 'string' AND (value #>> '{}') COLLATE "C" ~ (
        '^([0-9A-Fa-f]{32}|([Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}'
        '|[{][0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}[}])$'
    ) THEN right(translate(value #>> '{}', '{}-', ''), 32)::uuid
END;

-- Metres between a place and a point {"lon", "lat"} on a sphere with the earth's mean radius (haversine). NULL when it
-- is no point. The sines are kept off zero because a product that underflows is an error in Postgres.
CREATE FUNCTION vecferry.geo_distance(lon double precision, lat double precision, point jsonb)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    other_lon double precision := vecferry.number(point -> 'lon');
    other_lat double precision := vecferry.number(point -> 'lat');
    across double precision;
    along double precision;
    chord double precision;
BEGIN
    IF other_lon IS NULL OR other_lat IS NULL THEN
        RETURN NULL;
    END IF;
    across := greatest(abs(sin(radians(other_lat - lat) / 2)), 1e-100);
    along := greatest(abs(sin(radians(other_lon - lon) / 2)), 1e-100);
    chord := across * across + cos(radians(lat)) * cos(radians(other_lat)) * (along * along);
    -- Beyond a pole it may be rounded to less than nothing: no distance, and so in no circle.
    RETURN CASE WHEN chord < 0 THEN 'NaN' ELSE 2 * 6371008.8 * asin(least(1, sqrt(chord))) END;
END
$body$;

-- A double times 2^1074, which makes it a whole number without loss.
CREATE FUNCTION vecferry.scaled(value double precision) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT sign(value)::numeric * ((bits & 4503599627370495) + CASE WHEN exponent > 0 THEN 4503599627370496 ELSE 0 END)
        * 2::numeric ^ (greatest(exponent, 1) - 1)
    FROM (SELECT ('x' || encode(float8send(value), 'hex'))::bit(64)::bigint) AS stored(bits),
        LATERAL (SELECT (bits >> 52) & 2047) AS upper(exponent)
);

-- On which side of the line from (x1, y1) to (x2, y2) the place (x, y) stands: 1 left, -1 right, 0 on it. Exact:
-- doubles decide where their rounding error cannot change the sign (Shewchuk's bound), whole numbers everywhere else.
CREATE FUNCTION vecferry.side_of_line(
    x double precision, y double precision, x1 double precision, y1 double precision, x2 double precision,
    y2 double precision
) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    from_x CONSTANT double precision := x1 - x;
    from_y CONSTANT double precision := y1 - y;
    to_x CONSTANT double precision := x2 - x;
    to_y CONSTANT double precision := y2 - y;
    det double precision;
BEGIN
    -- Products of such factors neither overflow nor underflow.
    IF abs(from_x) BETWEEN 1e-100 AND 1e100 AND abs(from_y) BETWEEN 1e-100 AND 1e100
        AND abs(to_x) BETWEEN 1e-100 AND 1e100 AND abs(to_y) BETWEEN 1e-100 AND 1e100
    THEN
        det := from_x * to_y - from_y * to_x;
        IF abs(det) > 4e-16 * (abs(from_x * to_y) + abs(from_y * to_x)) THEN
            RETURN sign(det);
        END IF;
    END IF;
    RETURN sign(
        (vecferry.scaled(x1) - vecferry.scaled(x)) * (vecferry.scaled(y2) - vecferry.scaled(y))
        - (vecferry.scaled(y1) - vecferry.scaled(y)) * (vecferry.scaled(x2) - vecferry.scaled(x))
    );
END
$body$;

-- Where a point {"lon", "lat"} stands to a closed ring: 1 inside, 0 on it, -1 outside, NULL when it is no point.
-- It is inside when the ring winds around it, however often (the rule of the Rust crate `geo`).
CREATE FUNCTION vecferry.side_of_ring(lons double precision[], lats double precision[], point jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    lon CONSTANT double precision := vecferry.number(point -> 'lon');
    lat CONSTANT double precision := vecferry.number(point -> 'lat');
    winding integer := 0;
    side integer;
BEGIN
    IF lon IS NULL OR lat IS NULL THEN
        RETURN NULL;
    END IF;
    FOR edge IN 1 .. cardinality(lons) - 1 LOOP
        -- Edges that the parallel through the point does not meet.
        CONTINUE WHEN CASE WHEN lats[edge] <= lat THEN lats[edge + 1] < lat ELSE lats[edge + 1] > lat END;
        side := vecferry.side_of_line(lon, lat, lons[edge], lats[edge], lons[edge + 1], lats[edge + 1]);
        IF side = 0 THEN
            IF lon BETWEEN least(lons[edge], lons[edge + 1]) AND greatest(lons[edge], lons[edge + 1]) THEN
                RETURN 0;
            END IF;
        ELSIF lats[edge] <= lat AND lats[edge + 1] > lat AND side > 0 THEN
            winding := winding + 1;
        ELSIF lats[edge] > lat AND side < 0 THEN
            winding := winding - 1;
        END IF;
    END LOOP;
    RETURN CASE WHEN winding = 0 THEN -1 ELSE 1 END;
END
$body$;

-- Addition modulo 2^64 on the two's complement; Postgres' own refuses to overflow.
CREATE FUNCTION vecferry.wrapping_add(a bigint, b bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((((a >> 32) & 4294967295) + ((b >> 32) & 4294967295)
    + (((a & 4294967295) + (b & 4294967295)) >> 32)) << 32) | (((a & 4294967295) + (b & 4294967295)) & 4294967295);

-- The hash that Qdrant's slices are made of: SipHash-2-4 with the key zero, over the 8 little-endian bytes of an integer
-- or the 16 bytes of a UUID; `key` is the point's key, whose first byte tells which (0: big-endian integer follows).
CREATE FUNCTION vecferry.point_hash(key bytea) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    v0 bigint := x'736f6d6570736575'::bigint;
    v1 bigint := x'646f72616e646f6d'::bigint;
    v2 bigint := x'6c7967656e657261'::bigint;
    v3 bigint := x'7465646279746573'::bigint;
    blocks bigint[] := '{}';
    word bigint;
    result bigint;
BEGIN
    IF get_byte(key, 0) = 0 THEN
        blocks := ARRAY[('x' || encode(substring(key FROM 10), 'hex'))::bit(64)::bigint, 8::bigint << 56];
    ELSE
        FOR half IN 0 .. 1 LOOP
            word := 0;
            FOR digit IN 0 .. 7 LOOP
                word := word | (get_byte(key, 1 + 8 * half + digit)::bigint << (8 * digit));
            END LOOP;
            blocks := blocks || word;
        END LOOP;
        blocks := blocks || (16::bigint << 56);
    END IF;
    FOR at IN 1 .. cardinality(blocks) + 2 LOOP
        -- Two rounds per block, four after the last one.
        IF at <= cardinality(blocks) THEN
            word := blocks[at];
            v3 := v3 # word;
        ELSIF at = cardinality(blocks) + 1 THEN
            v2 := v2 # 255;
        END IF;
        FOR round IN 1 .. 2 LOOP
            v0 := vecferry.wrapping_add(v0, v1);
            v2 := vecferry.wrapping_add(v2, v3);
            v1 := ((v1 << 13) | ((v1 >> 51) & 8191)) # v0;
            v3 := ((v3 << 16) | ((v3 >> 48) & 65535)) # v2;
            v0 := (v0 << 32) | ((v0 >> 32) & 4294967295);
            v2 := vecferry.wrapping_add(v2, v1);
            v0 := vecferry.wrapping_add(v0, v3);
            v1 := ((v1 << 17) | ((v1 >> 47) & 131071)) # v2;
            v3 := ((v3 << 21) | ((v3 >> 43) & 2097151)) # v0;
            v2 := (v2 << 32) | ((v2 >> 32) & 4294967295);
        END LOOP;
        IF at <= cardinality(blocks) THEN
            v0 := v0 # word;
        END IF;
    END LOOP;
    result := v0 # v1 # v2 # v3;
    RETURN CASE WHEN result < 0 THEN result + 18446744073709551616 ELSE result END;
END
$body$;

-- The strings among the values at a path, an array as its elements, one a line: every tokenizer ends a token there.
CREATE FUNCTION vecferry.texts(payload jsonb, path jsonpath) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(string_agg(element.v #>> '{}', E'\n'), '')
    FROM jsonb_path_query(payload, path) AS found(v), jsonb_array_elements(
        CASE jsonb_typeof(found.v) WHEN 'array' THEN found.v ELSE jsonb_build_array(found.v) END
    ) AS element(v)
    WHERE jsonb_typeof(element.v) = 'string'
);

-- The character classes go into the functions below as literals.
DO $do$
DECLARE
    -- Letters and digits beyond ASCII: alphabetic characters and numbers of every kind.
    alphanumeric CONSTANT text := '
        aa b2-b3 b5 b9-ba bc-be c0-d6 d8-f6 f8-2c1 2c6-2d1 2e0-2e4 2ec 2ee 345 363-374 376-377 37a-37d 37f 386 388-38a
        38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 559 560-588 5b0-5bd 5bf 5c1-5c2 5c4-5c5 5c7 5d0-5ea 5ef-5f2 610-61a
        620-657 659-669 66e-6d3 6d5-6dc 6e1-6e8 6ed-6fc 6ff 710-73f 74d-7b1 7c0-7ea 7f4-7f5 7fa 800-817 81a-82c 840-858
        860-86a 870-887 889-88f 897 8a0-8c9 8d4-8df 8e3-8e9 8f0-93b 93d-94c 94e-950 955-963 966-96f 971-983 985-98c
        98f-990 993-9a8 9aa-9b0 9b2 9b6-9b9 9bd-9c4 9c7-9c8 9cb-9cc 9ce 9d7 9dc-9dd 9df-9e3 9e6-9f1 9f4-9f9 9fc a01-a03
        a05-a0a a0f-a10 a13-a28 a2a-a30 a32-a33 a35-a36 a38-a39 a3e-a42 a47-a48 a4b-a4c a51 a59-a5c a5e a66-a75 a81-a83
        a85-a8d a8f-a91 a93-aa8 aaa-ab0 ab2-ab3 ab5-ab9 abd-ac5 ac7-ac9 acb-acc ad0 ae0-ae3 ae6-aef af9-afc b01-b03
        b05-b0c b0f-b10 b13-b28 b2a-b30 b32-b33 b35-b39 b3d-b44 b47-b48 b4b-b4c b56-b57 b5c-b5d b5f-b63 b66-b6f b71-b77
        b82-b83 b85-b8a b8e-b90 b92-b95 b99-b9a b9c b9e-b9f ba3-ba4 ba8-baa bae-bb9 bbe-bc2 bc6-bc8 bca-bcc bd0 bd7
        be6-bf2 c00-c0c c0e-c10 c12-c28 c2a-c39 c3d-c44 c46-c48 c4a-c4c c55-c56 c58-c5a c5c-c5d c60-c63 c66-c6f c78-c7e
        c80-c83 c85-c8c c8e-c90 c92-ca8 caa-cb3 cb5-cb9 cbd-cc4 cc6-cc8 cca-ccc cd5-cd6 cdc-cde ce0-ce3 ce6-cef cf1-cf3
        d00-d0c d0e-d10 d12-d3a d3d-d44 d46-d48 d4a-d4c d4e d54-d63 d66-d78 d7a-d7f d81-d83 d85-d96 d9a-db1 db3-dbb dbd
        dc0-dc6 dcf-dd4 dd6 dd8-ddf de6-def df2-df3 e01-e3a e40-e46 e4d e50-e59 e81-e82 e84 e86-e8a e8c-ea3 ea5 ea7-eb9
        ebb-ebd ec0-ec4 ec6 ecd ed0-ed9 edc-edf f00 f20-f33 f40-f47 f49-f6c f71-f83 f88-f97 f99-fbc 1000-1036 1038
        103b-1049 1050-109d 10a0-10c5 10c7 10cd 10d0-10fa 10fc-1248 124a-124d 1250-1256 1258 125a-125d 1260-1288
        128a-128d 1290-12b0 12b2-12b5 12b8-12be 12c0 12c2-12c5 12c8-12d6 12d8-1310 1312-1315 1318-135a 1369-137c
        1380-138f 13a0-13f5 13f8-13fd 1401-166c 166f-167f 1681-169a 16a0-16ea 16ee-16f8 1700-1713 171f-1733 1740-1753
        1760-176c 176e-1770 1772-1773 1780-17b3 17b6-17c8 17d7 17dc 17e0-17e9 17f0-17f9 1810-1819 1820-1878 1880-18aa
        18b0-18f5 1900-191e 1920-192b 1930-1938 1946-196d 1970-1974 1980-19ab 19b0-19c9 19d0-19da 1a00-1a1b 1a20-1a5e
        1a61-1a74 1a80-1a89 1a90-1a99 1aa7 1abf-1ac0 1acc-1ace 1b00-1b33 1b35-1b43 1b45-1b4c 1b50-1b59 1b80-1ba9
        1bac-1be5 1be7-1bf1 1c00-1c36 1c40-1c49 1c4d-1c7d 1c80-1c8a 1c90-1cba 1cbd-1cbf 1ce9-1cec 1cee-1cf3 1cf5-1cf6
        1cfa 1d00-1dbf 1dd3-1df4 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4
        1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2070-2071 2074-2079
        207f-2089 2090-209c 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2139 213c-213f 2145-2149
        214e 2150-2189 2460-249b 24b6-24ff 2776-2793 2c00-2ce4 2ceb-2cee 2cf2-2cf3 2cfd 2d00-2d25 2d27 2d2d 2d30-2d67
        2d6f 2d80-2d96 2da0-2da6 2da8-2dae 2db0-2db6 2db8-2dbe 2dc0-2dc6 2dc8-2dce 2dd0-2dd6 2dd8-2dde 2de0-2dff 2e2f
        3005-3007 3021-3029 3031-3035 3038-303c 3041-3096 309d-309f 30a1-30fa 30fc-30ff 3105-312f 3131-318e 3192-3195
        31a0-31bf 31f0-31ff 3220-3229 3248-324f 3251-325f 3280-3289 32b1-32bf 3400-4dbf 4e00-a48c a4d0-a4fd a500-a60c
        a610-a62b a640-a66e a674-a67b a67f-a6ef a717-a71f a722-a788 a78b-a7dc a7f1-a805 a807-a827 a830-a835 a840-a873
        a880-a8c3 a8c5 a8d0-a8d9 a8f2-a8f7 a8fb a8fd-a92a a930-a952 a960-a97c a980-a9b2 a9b4-a9bf a9cf-a9d9 a9e0-a9fe
        aa00-aa36 aa40-aa4d aa50-aa59 aa60-aa76 aa7a-aabe aac0 aac2 aadb-aadd aae0-aaef aaf2-aaf5 ab01-ab06 ab09-ab0e
        ab11-ab16 ab20-ab26 ab28-ab2e ab30-ab5a ab5c-ab69 ab70-abea abf0-abf9 ac00-d7a3 d7b0-d7c6 d7cb-d7fb f900-fa6d
        fa70-fad9 fb00-fb06 fb13-fb17 fb1d-fb28 fb2a-fb36 fb38-fb3c fb3e fb40-fb41 fb43-fb44 fb46-fbb1 fbd3-fd3d
        fd50-fd8f fd92-fdc7 fdf0-fdfb fe70-fe74 fe76-fefc ff10-ff19 ff21-ff3a ff41-ff5a ff66-ffbe ffc2-ffc7 ffca-ffcf
        ffd2-ffd7 ffda-ffdc 10000-1000b 1000d-10026 10028-1003a 1003c-1003d 1003f-1004d 10050-1005d 10080-100fa
        10107-10133 10140-10178 1018a-1018b 10280-1029c 102a0-102d0 102e1-102fb 10300-10323 1032d-1034a 10350-1037a
        10380-1039d 103a0-103c3 103c8-103cf 103d1-103d5 10400-1049d 104a0-104a9 104b0-104d3 104d8-104fb 10500-10527
        10530-10563 10570-1057a 1057c-1058a 1058c-10592 10594-10595 10597-105a1 105a3-105b1 105b3-105b9 105bb-105bc
        105c0-105f3 10600-10736 10740-10755 10760-10767 10780-10785 10787-107b0 107b2-107ba 10800-10805 10808
        1080a-10835 10837-10838 1083c 1083f-10855 10858-10876 10879-1089e 108a7-108af 108e0-108f2 108f4-108f5
        108fb-1091b 10920-10939 10940-10959 10980-109b7 109bc-109cf 109d2-10a03 10a05-10a06 10a0c-10a13 10a15-10a17
        10a19-10a35 10a40-10a48 10a60-10a7e 10a80-10a9f 10ac0-10ac7 10ac9-10ae4 10aeb-10aef 10b00-10b35 10b40-10b55
        10b58-10b72 10b78-10b91 10ba9-10baf 10c00-10c48 10c80-10cb2 10cc0-10cf2 10cfa-10d27 10d30-10d39 10d40-10d65
        10d69 10d6f-10d85 10e60-10e7e 10e80-10ea9 10eab-10eac 10eb0-10eb1 10ec2-10ec7 10efa-10efc 10f00-10f27
        10f30-10f45 10f51-10f54 10f70-10f81 10fb0-10fcb 10fe0-10ff6 11000-11045 11052-1106f 11071-11075 11080-110b8
        110c2 110d0-110e8 110f0-110f9 11100-11132 11136-1113f 11144-11147 11150-11172 11176 11180-111bf 111c1-111c4
        111ce-111da 111dc 111e1-111f4 11200-11211 11213-11234 11237 1123e-11241 11280-11286 11288 1128a-1128d
        1128f-1129d 1129f-112a8 112b0-112e8 112f0-112f9 11300-11303 11305-1130c 1130f-11310 11313-11328 1132a-11330
        11332-11333 11335-11339 1133d-11344 11347-11348 1134b-1134c 11350 11357 1135d-11363 11380-11389 1138b 1138e
        11390-113b5 113b7-113c0 113c2 113c5 113c7-113ca 113cc-113cd 113d1 113d3 11400-11441 11443-11445 11447-1144a
        11450-11459 1145f-11461 11480-114c1 114c4-114c5 114c7 114d0-114d9 11580-115b5 115b8-115be 115d8-115dd
        11600-1163e 11640 11644 11650-11659 11680-116b5 116b8 116c0-116c9 116d0-116e3 11700-1171a 1171d-1172a
        11730-1173b 11740-11746 11800-11838 118a0-118f2 118ff-11906 11909 1190c-11913 11915-11916 11918-11935
        11937-11938 1193b-1193c 1193f-11942 11950-11959 119a0-119a7 119aa-119d7 119da-119df 119e1 119e3-119e4
        11a00-11a32 11a35-11a3e 11a50-11a97 11a9d 11ab0-11af8 11b60-11b67 11bc0-11be0 11bf0-11bf9 11c00-11c08
        11c0a-11c36 11c38-11c3e 11c40 11c50-11c6c 11c72-11c8f 11c92-11ca7 11ca9-11cb6 11d00-11d06 11d08-11d09
        11d0b-11d36 11d3a 11d3c-11d3d 11d3f-11d41 11d43 11d46-11d47 11d50-11d59 11d60-11d65 11d67-11d68 11d6a-11d8e
        11d90-11d91 11d93-11d96 11d98 11da0-11da9 11db0-11ddb 11de0-11de9 11ee0-11ef6 11f00-11f10 11f12-11f3a
        11f3e-11f40 11f50-11f59 11fb0 11fc0-11fd4 12000-12399 12400-1246e 12480-12543 12f90-12ff0 13000-1342f
        13441-13446 13460-143fa 14400-14646 16100-1612e 16130-16139 16800-16a38 16a40-16a5e 16a60-16a69 16a70-16abe
        16ac0-16ac9 16ad0-16aed 16b00-16b2f 16b40-16b43 16b50-16b59 16b5b-16b61 16b63-16b77 16b7d-16b8f 16d40-16d6c
        16d70-16d79 16e40-16e96 16ea0-16eb8 16ebb-16ed3 16f00-16f4a 16f4f-16f87 16f8f-16f9f 16fe0-16fe1 16fe3
        16ff0-16ff6 17000-18cd5 18cff-18d1e 18d80-18df2 1aff0-1aff3 1aff5-1affb 1affd-1affe 1b000-1b122 1b132
        1b150-1b152 1b155 1b164-1b167 1b170-1b2fb 1bc00-1bc6a 1bc70-1bc7c 1bc80-1bc88 1bc90-1bc99 1bc9e 1ccf0-1ccf9
        1d2c0-1d2d3 1d2e0-1d2f3 1d360-1d378 1d400-1d454 1d456-1d49c 1d49e-1d49f 1d4a2 1d4a5-1d4a6 1d4a9-1d4ac
        1d4ae-1d4b9 1d4bb 1d4bd-1d4c3 1d4c5-1d505 1d507-1d50a 1d50d-1d514 1d516-1d51c 1d51e-1d539 1d53b-1d53e
        1d540-1d544 1d546 1d54a-1d550 1d552-1d6a5 1d6a8-1d6c0 1d6c2-1d6da 1d6dc-1d6fa 1d6fc-1d714 1d716-1d734
        1d736-1d74e 1d750-1d76e 1d770-1d788 1d78a-1d7a8 1d7aa-1d7c2 1d7c4-1d7cb 1d7ce-1d7ff 1df00-1df1e 1df25-1df2a
        1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e030-1e06d 1e08f 1e100-1e12c 1e137-1e13d
        1e140-1e149 1e14e 1e290-1e2ad 1e2c0-1e2eb 1e2f0-1e2f9 1e4d0-1e4eb 1e4f0-1e4f9 1e5d0-1e5ed 1e5f0-1e5fa
        1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1e7e0-1e7e6 1e7e8-1e7eb 1e7ed-1e7ee 1e7f0-1e7fe 1e800-1e8c4 1e8c7-1e8cf
        1e900-1e943 1e947 1e94b 1e950-1e959 1ec71-1ecab 1ecad-1ecaf 1ecb1-1ecb4 1ed01-1ed2d 1ed2f-1ed3d 1ee00-1ee03
        1ee05-1ee1f 1ee21-1ee22 1ee24 1ee27 1ee29-1ee32 1ee34-1ee37 1ee39 1ee3b 1ee42 1ee47 1ee49 1ee4b 1ee4d-1ee4f
        1ee51-1ee52 1ee54 1ee57 1ee59 1ee5b 1ee5d 1ee5f 1ee61-1ee62 1ee64 1ee67-1ee6a 1ee6c-1ee72 1ee74-1ee77
        1ee79-1ee7c 1ee7e 1ee80-1ee89 1ee8b-1ee9b 1eea1-1eea3 1eea5-1eea9 1eeab-1eebb 1f100-1f10c 1f130-1f149
        1f150-1f169 1f170-1f189 1fbf0-1fbf9 20000-2a6df 2a700-2b81d 2b820-2cead 2ceb0-2ebe0 2ebf0-2ee5d 2f800-2fa1d
        30000-3134a 31350-33479';
    -- Characters with a lower case, first-last/step+distance. U+0130 becomes two characters and is not among them.
    lowered CONSTANT text := '
        c0-d6/1+32 d8-de/1+32 100-12e/2+1 132-136/2+1 139-147/2+1 14a-176/2+1 178-121 179-17d/2+1 181+210 182-184/2+1
        186+206 187+1 189-18a/1+205 18b+1 18e+79 18f+202 190+203 191+1 193+205 194+207 196+211 197+209 198+1 19c+211
        19d+213 19f+214 1a0-1a4/2+1 1a6+218 1a7+1 1a9+218 1ac+1 1ae+218 1af+1 1b1-1b2/1+217 1b3-1b5/2+1 1b7+219 1b8+1
        1bc+1 1c4+2 1c5+1 1c7+2 1c8+1 1ca+2 1cb-1db/2+1 1de-1ee/2+1 1f1+2 1f2-1f4/2+1 1f6-97 1f7-56 1f8-21e/2+1 220-130
        222-232/2+1 23a+10795 23b+1 23d-163 23e+10792 241+1 243-195 244+69 245+71 246-24e/2+1 370-372/2+1 376+1 37f+116
        386+38 388-38a/1+37 38c+64 38e-38f/1+63 391-3a1/1+32 3a3-3ab/1+32 3cf+8 3d8-3ee/2+1 3f4-60 3f7+1 3f9-7 3fa+1
        3fd-3ff/1-130 400-40f/1+80 410-42f/1+32 460-480/2+1 48a-4be/2+1 4c0+15 4c1-4cd/2+1 4d0-52e/2+1 531-556/1+48
        10a0-10c5/1+7264 10c7+7264 10cd+7264 13a0-13ef/1+38864 13f0-13f5/1+8 1c89+1 1c90-1cba/1-3008 1cbd-1cbf/1-3008
        1e00-1e94/2+1 1e9e-7615 1ea0-1efe/2+1 1f08-1f0f/1-8 1f18-1f1d/1-8 1f28-1f2f/1-8 1f38-1f3f/1-8 1f48-1f4d/1-8
        1f59-1f5f/2-8 1f68-1f6f/1-8 1f88-1f8f/1-8 1f98-1f9f/1-8 1fa8-1faf/1-8 1fb8-1fb9/1-8 1fba-1fbb/1-74 1fbc-9
        1fc8-1fcb/1-86 1fcc-9 1fd8-1fd9/1-8 1fda-1fdb/1-100 1fe8-1fe9/1-8 1fea-1feb/1-112 1fec-7 1ff8-1ff9/1-128
        1ffa-1ffb/1-126 1ffc-9 2126-7517 212a-8383 212b-8262 2132+28 2160-216f/1+16 2183+1 24b6-24cf/1+26 2c00-2c2f/1+48
        2c60+1 2c62-10743 2c63-3814 2c64-10727 2c67-2c6b/2+1 2c6d-10780 2c6e-10749 2c6f-10783 2c70-10782 2c72+1 2c75+1
        2c7e-2c7f/1-10815 2c80-2ce2/2+1 2ceb-2ced/2+1 2cf2+1 a640-a66c/2+1 a680-a69a/2+1 a722-a72e/2+1 a732-a76e/2+1
        a779-a77b/2+1 a77d-35332 a77e-a786/2+1 a78b+1 a78d-42280 a790-a792/2+1 a796-a7a8/2+1 a7aa-42308 a7ab-42319
        a7ac-42315 a7ad-42305 a7ae-42308 a7b0-42258 a7b1-42282 a7b2-42261 a7b3+928 a7b4-a7c2/2+1 a7c4-48 a7c5-42307
        a7c6-35384 a7c7-a7c9/2+1 a7cb-42343 a7cc-a7da/2+1 a7dc-42561 a7f5+1 ff21-ff3a/1+32 10400-10427/1+40
        104b0-104d3/1+40 10570-1057a/1+39 1057c-1058a/1+39 1058c-10592/1+39 10594-10595/1+39 10c80-10cb2/1+64
        10d50-10d65/1+32 118a0-118bf/1+32 16e40-16e5f/1+32 16ea0-16eb8/1+27 1e900-1e921/1+34';
    -- What takes the place of characters beyond ASCII when an index folds them (as Lucene's ASCIIFoldingFilter).
    folded CONSTANT text := '
        !=ff01 !!=203c !?=2049 "=ab,bb,201c-201e,2033,2036,275d-275e,276e-276f,ff02 #=ff03 $=ff04 %=2052,ff05 &=ff06
        ''=2018-201b,2032,2035,2039-203a,275b-275c,ff07 (=207d,208d,2768,276a,ff08 ((=2e28 (1)=2474 (10)=247d (11)=247e
        (12)=247f (13)=2480 (14)=2481 (15)=2482 (16)=2483 (17)=2484 (18)=2485 (19)=2486 (2)=2475 (20)=2487 (3)=2476
        (4)=2477 (5)=2478 (6)=2479 (7)=247a (8)=247b (9)=247c (a)=249c (b)=249d (c)=249e (d)=249f (e)=24a0 (f)=24a1
        (g)=24a2 (h)=24a3 (i)=24a4 (j)=24a5 (k)=24a6 (l)=24a7 (m)=24a8 (n)=24a9 (o)=24aa (p)=24ab (q)=24ac (r)=24ad
        (s)=24ae (t)=24af (u)=24b0 (v)=24b1 (w)=24b2 (x)=24b3 (y)=24b4 (z)=24b5 )=207e,208e,2769,276b,ff09 ))=2e29
        *=204e,ff0a +=207a,208a,ff0b ,=ff0c -=2010-2014,207b,208b,ff0d .=ff0e /=2044,ff0f 0=2070,2080,24ea,24ff,ff10
        1=b9,2081,2460,24f5,2776,2780,278a,ff11 1.=2488 10=2469,24fe,277f,2789,2793 10.=2491 11=246a,24eb 11.=2492
        12=246b,24ec 12.=2493 13=246c,24ed 13.=2494 14=246d,24ee 14.=2495 15=246e,24ef 15.=2496 16=246f,24f0 16.=2497
        17=2470,24f1 17.=2498 18=2471,24f2 18.=2499 19=2472,24f3 19.=249a 2=b2,2082,2461,24f6,2777,2781,278b,ff12
        2.=2489 20=2473,24f4 20.=249b 3=b3,2083,2462,24f7,2778,2782,278c,ff13 3.=248a
        4=2074,2084,2463,24f8,2779,2783,278d,ff14 4.=248b 5=2075,2085,2464,24f9,277a,2784,278e,ff15 5.=248c
        6=2076,2086,2465,24fa,277b,2785,278f,ff16 6.=248d 7=2077,2087,2466,24fb,277c,2786,2790,ff17 7.=248e
        8=2078,2088,2467,24fc,277d,2787,2791,ff18 8.=248f 9=2079,2089,2468,24fd,277e,2788,2792,ff19 9.=2490 :=ff1a
        ;=204f,ff1b <=276c,2770,ff1c ==207c,208c,ff1d >=276d,2771,ff1e ?=ff1f ?!=2048 ??=2047 @=ff20
        A=c0-c5,100,102,104,1cd,1de,1e0,1fa,200,202,226,23a,1d00,1e00,1ea0,1ea2,1ea4,1ea6,1ea8,1eaa,1eac
        A=1eae,1eb0,1eb2,1eb4,1eb6,24b6,ff21 AA=a732 AE=c6,1e2,1fc,1d01 AO=a734 AU=a736 AV=a738,a73a AY=a73c
        B=181-182,243,299,1d03,1e02,1e04,1e06,24b7,ff22 C=c7,106,108,10a,10c,187,23b,297,1d04,1e08,24b8,ff23
        D=d0,10e,110,189-18b,1d05-1d06,1e0a,1e0c,1e0e,1e10,1e12,24b9,a779,ff24 DZ=1c4,1f1 Dz=1c5,1f2
        E=c8-cb,112,114,116,118,11a,18e,190,204,206,228,246,1d07,1e14,1e16,1e18,1e1a,1e1c,1eb8,1eba,1ebc
        E=1ebe,1ec0,1ec2,1ec4,1ec6,24ba,2c7b,ff25 F=191,1e1e,24bb,a730,a77b,a7fb,ff26
        G=11c,11e,120,122,193,1e4,1e6,1f4,262,29b,1e20,24bc,a77d-a77e,ff27
        H=124,126,21e,29c,1e22,1e24,1e26,1e28,1e2a,24bd,2c67,2c75,ff28 HV=1f6
        I=cc-cf,128,12a,12c,12e,130,196-197,1cf,208,20a,26a,1d7b,1e2c,1e2e,1ec8,1eca,24be,a7fe,ff29 IJ=132
        J=134,248,1d0a,24bf,ff2a K=136,198,1e8,1d0b,1e30,1e32,1e34,24c0,2c69,a740,a742,a744,ff2b
        L=139,13b,13d,13f,141,23d,29f,1d0c,1e36,1e38,1e3a,1e3c,24c1,2c60,2c62,a746,a748,a780,ff2c LJ=1c7 LL=1efa Lj=1c8
        M=19c,1d0d,1e3e,1e40,1e42,24c2,2c6e,a7fd,a7ff,ff2d
        N=d1,143,145,147,14a,19d,1f8,220,274,1d0e,1e44,1e46,1e48,1e4a,24c3,ff2e NJ=1ca Nj=1cb
        O=d2-d6,d8,14c,14e,150,186,19f-1a0,1d1,1ea,1ec,1fe,20c,20e,22a,22c,22e,230,1d0f-1d10,1e4c,1e4e,1e50
        O=1e52,1ecc,1ece,1ed0,1ed2,1ed4,1ed6,1ed8,1eda,1edc,1ede,1ee0,1ee2,24c4,a74a,a74c,ff2f OE=152,276 OO=a74e
        OU=222,1d15 P=1a4,1d18,1e54,1e56,24c5,2c63,a750,a752,a754,ff30 Q=24a,24c6,a756,a758,ff31
        R=154,156,158,210,212,24c,280-281,1d19-1d1a,1e58,1e5a,1e5c,1e5e,24c7,2c64,a75a,a782,ff32
        S=15a,15c,15e,160,218,1e60,1e62,1e64,1e66,1e68,24c8,a731,a785,ff33 SS=1e9e
        T=162,164,166,1ac,1ae,21a,23e,1d1b,1e6a,1e6c,1e6e,1e70,24c9,a786,ff34 TH=de,a766 TZ=a728
        U=d9-dc,168,16a,16c,16e,170,172,1af,1d3,1d5,1d7,1d9,1db,214,216,244,1d1c,1d7e,1e72,1e74,1e76,1e78
        U=1e7a,1ee4,1ee6,1ee8,1eea,1eec,1eee,1ef0,24ca,ff35 V=1b2,245,1d20,1e7c,1e7e,1efc,24cb,a75e,a768,ff36 VY=a760
        W=174,1f7,1d21,1e80,1e82,1e84,1e86,1e88,24cc,2c72,ff37 X=1e8a,1e8c,24cd,ff38
        Y=dd,176,178,1b3,232,24e,28f,1e8e,1ef2,1ef4,1ef6,1ef8,1efe,24ce,ff39
        Z=179,17b,17d,1b5,21c,224,1d22,1e90,1e92,1e94,24cf,2c6b,a762,ff3a [=2045,2772,ff3b \=ff3c ]=2046,2773,ff3d
        ^=2038,ff3e _=ff3f
        a=e0-e5,101,103,105,1ce,1df,1e1,1fb,201,203,227,250,259-25a,1d8f,1d95,1e01,1e9a,1ea1,1ea3,1ea5,1ea7
        a=1ea9,1eab,1ead,1eaf,1eb1,1eb3,1eb5,1eb7,2090,2094,24d0,2c65,2c6f,ff41 aa=a733 ae=e6,1e3,1fd,1d02 ao=a735
        au=a737 av=a739,a73b ay=a73d b=180,183,253,1d6c,1d80,1e03,1e05,1e07,24d1,ff42
        c=e7,107,109,10b,10d,188,23c,255,1e09,2184,24d2,a73e-a73f,ff43
        d=f0,10f,111,18c,221,256-257,1d6d,1d81,1d91,1e0b,1e0d,1e0f,1e11,1e13,24d3,a77a,ff44 db=238 dz=1c6,1f3,2a3,2a5
        e=e8-eb,113,115,117,119,11b,1dd,205,207,229,247,258,25b-25e,29a,1d08,1d92-1d94,1e15,1e17,1e19,1e1b
        e=1e1d,1eb9,1ebb,1ebd,1ebf,1ec1,1ec3,1ec5,1ec7,2091,24d4,2c78,ff45 f=192,1d6e,1d82,1e1f,1e9b,24d5,a77c,ff46
        ff=fb00 ffi=fb03 ffl=fb04 fi=fb01 fl=fb02
        g=11d,11f,121,123,1e5,1e7,1f5,260-261,1d77,1d79,1d83,1e21,24d6,a77f,ff47
        h=125,127,21f,265-266,2ae-2af,1e23,1e25,1e27,1e29,1e2b,1e96,24d7,2c68,2c76,ff48 hv=195
        i=ec-ef,129,12b,12d,12f,131,1d0,209,20b,268,1d09,1d62,1d7c,1d96,1e2d,1e2f,1ec9,1ecb,2071,24d8,ff49 ij=133
        j=135,1f0,237,249,25f,284,29d,24d9,2c7c,ff4a k=137,199,1e9,29e,1d84,1e31,1e33,1e35,24da,2c6a,a741,a743,a745,ff4b
        l=13a,13c,13e,140,142,19a,234,26b-26d,1d85,1e37,1e39,1e3b,1e3d,24db,2c61,a747,a749,a781,ff4c lj=1c9 ll=1efb
        ls=2aa lz=2ab m=26f-271,1d6f,1d86,1e3f,1e41,1e43,24dc,ff4d
        n=f1,144,146,148-149,14b,19e,1f9,235,272-273,1d70,1d87,1e45,1e47,1e49,1e4b,207f,24dd,ff4e nj=1cc
        o=f2-f6,f8,14d,14f,151,1a1,1d2,1eb,1ed,1ff,20d,20f,22b,22d,22f,231,254,275,1d16-1d17,1d97,1e4d,1e4f
        o=1e51,1e53,1ecd,1ecf,1ed1,1ed3,1ed5,1ed7,1ed9,1edb,1edd,1edf,1ee1,1ee3,2092,24de,2c7a,a74b,a74d o=ff4f
        oe=153,1d14 oo=a74f ou=223 p=1a5,1d71,1d7d,1d88,1e55,1e57,24df,a751,a753,a755,a7fc,ff50
        q=138,24b,2a0,24e0,a757,a759,ff51 qp=239
        r=155,157,159,211,213,24d,27c-27f,1d63,1d72-1d73,1d89,1e59,1e5b,1e5d,1e5f,24e1,a75b,a783,ff52
        s=15b,15d,15f,161,17f,219,23f,282,1d74,1d8a,1e61,1e63,1e65,1e67,1e69,1e9c-1e9d,24e2,a784,ff53 ss=df st=fb06
        t=163,165,167,1ab,1ad,21b,236,287-288,1d75,1e6b,1e6d,1e6f,1e71,1e97,24e3,2c66,ff54 tc=2a8 th=fe,1d7a,a767 ts=2a6
        tz=a729 u=f9-fc,169,16b,16d,16f,171,173,1b0,1d4,1d6,1d8,1da,1dc,215,217,289,1d64,1d99,1e73,1e75,1e77,1e79
        u=1e7b,1ee5,1ee7,1ee9,1eeb,1eed,1eef,1ef1,24e4,ff55 ue=1d6b
        v=28b-28c,1d65,1d8c,1e7d,1e7f,24e5,2c71,2c74,a75f,ff56 vy=a761
        w=175,1bf,28d,1e81,1e83,1e85,1e87,1e89,1e98,24e6,2c73,ff57 x=1d8d,1e8b,1e8d,2093,24e7,ff58
        y=fd,ff,177,1b4,233,24f,28e,1e8f,1e99,1ef3,1ef5,1ef7,1ef9,1eff,24e8,ff59
        z=17a,17c,17e,1b6,21d,225,240,290-291,1d76,1d8e,1e91,1e93,1e95,24e9,2c6c,a763,ff5a {=2774,ff5b }=2775,ff5d
        ~=2053,ff5e';
    class text;
    cased text;
    ignorable CONSTANT text := E'\u00b7\u0300-\u036f\u2019''.:';
    capitals text;
    small text;
    folding jsonb;
BEGIN
    SELECT string_agg(chr(span.first) || '-' || chr(span.last), '' ORDER BY span.first)
    INTO class
    FROM regexp_split_to_table(trim(E'\n ' FROM alphanumeric), '\s+') AS word, LATERAL (
        SELECT ('x' || lpad(split_part(word, '-', 1), 8, '0'))::bit(32)::int,
            ('x' || lpad(coalesce(nullif(split_part(word, '-', 2), ''), split_part(word, '-', 1)), 8, '0'))::bit(32)::int
    ) AS span(first, last);

    SELECT string_agg(chr(c), '' ORDER BY c), string_agg(chr(c + distance), '' ORDER BY c)
    INTO capitals, small
    FROM regexp_split_to_table(trim(E'\n ' FROM lowered), '\s+') AS word,
        regexp_match(word, '^([0-9a-f]+)(?:-([0-9a-f]+)/(\d))?([+-]\d+)$') AS part,
        LATERAL (SELECT part[4]::int) AS d(distance),
        generate_series(
            ('x' || lpad(part[1], 8, '0'))::bit(32)::int,
            ('x' || lpad(coalesce(part[2], part[1]), 8, '0'))::bit(32)::int,
            coalesce(part[3]::int, 1)
        ) AS c;

    cased := 'A-Za-z' || capitals || small;

    SELECT jsonb_object_agg(chr(c), part[1])
    INTO folding
    FROM regexp_split_to_table(trim(E'\n ' FROM folded), '\s+') AS word,
        regexp_match(word, '^(.+)=([0-9a-f,-]+)$') AS part,
        regexp_split_to_table(part[2], ',') AS span,
        generate_series(
            ('x' || lpad(split_part(span, '-', 1), 8, '0'))::bit(32)::int,
            ('x' || lpad(coalesce(nullif(split_part(span, '-', 2), ''), split_part(span, '-', 1)), 8, '0'))::bit(32)::int
        ) AS c;

    -- The pieces between characters that are neither letter nor digit; some may be empty.
    EXECUTE format($create$
        CREATE FUNCTION vecferry.words(value text) RETURNS text[]
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN octet_length(value) = char_length(value)
            THEN regexp_split_to_array(value COLLATE "C", '[^0-9A-Za-z]+')
            ELSE regexp_split_to_array(value COLLATE "C", %L) END
    $create$, '[^0-9A-Za-z' || class || ']+');

    -- The lower case of a text without U+0130 and capital sigma. Only the capitals that are there are looked for: their
    -- table is long, and every letter of the text would be sought in it.
    EXECUTE format($create$
        CREATE FUNCTION vecferry.lowered_simply(value text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (
            SELECT lower(translate(value, capitals, translate(capitals, %2$L, %3$L)) COLLATE "C")
            FROM (SELECT regexp_replace(value COLLATE "C", %1$L, '', 'g') OFFSET 0) AS found(capitals)
        )
    $create$, '[^' || capitals || ']+', capitals, small);

    -- The lower case of one token. A sigma that ends a word is another letter.
    EXECUTE format($create$
        CREATE FUNCTION vecferry.lowered(token text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN octet_length(token) = char_length(token) THEN lower(token COLLATE "C")
            ELSE replace(
                vecferry.lowered_simply(regexp_replace(token COLLATE "C", %1$L, E'\u03c2', 'g')), E'\u0130', E'i\u0307'
            )
        END
    $create$, format('(?<=[%1$s][%2$s]*)\u03a3(?![%2$s]*[%1$s])', cased, ignorable));

    EXECUTE format($create$
        CREATE FUNCTION vecferry.folded(token text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN octet_length(token) = char_length(token) THEN token ELSE (
            SELECT string_agg(coalesce(%L::jsonb ->> c, c), '' ORDER BY n)
            FROM regexp_split_to_table(token COLLATE "C", '') WITH ORDINALITY AS letter(c, n)
        ) END
    $create$, folding);
END
$do$;

-- The tokens of a text in order, as a text index makes them: 'word', 'whitespace' or 'prefix'; folded, lowered, without
-- stop words and without tokens of fewer or more than so many characters. `sought` are the tokens of a query: it asks
-- for the longest prefix only, and its beginnings of stop words count.
CREATE FUNCTION vecferry.tokens(
    value text, tokenizer text, lowercase boolean, folding boolean, stopwords text[], shortest integer, longest integer,
    sought boolean
) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
DECLARE
    plain CONSTANT boolean := octet_length(value) = char_length(value);
    -- Lowered before the text is cut, which is quicker. Afterwards where a letter's place in its token matters, where
    -- one becomes a letter and a mark, and where letters are folded before.
    at_once CONSTANT boolean := lowercase AND NOT folding AND value COLLATE "C" !~ E'[\u0130\u03a3]';
    prefixes CONSTANT boolean := tokenizer = 'prefix';
    found text[];
BEGIN
    IF value IS NULL THEN
        RETURN '{}';
    END IF;
    IF plain AND lowercase THEN
        value := lower(value COLLATE "C");
    ELSIF at_once THEN
        value := vecferry.lowered_simply(value);
    END IF;
    IF tokenizer = 'whitespace' THEN
        found := regexp_split_to_array(
            value COLLATE "C", '[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+'
        );
    ELSE
        found := vecferry.words(value);
    END IF;
    IF NOT plain AND folding THEN
        found := ARRAY(SELECT vecferry.folded(t) FROM unnest(found) WITH ORDINALITY AS token(t, n) ORDER BY n);
    END IF;
    IF NOT plain AND lowercase AND NOT at_once THEN
        found := ARRAY(SELECT vecferry.lowered(t) FROM unnest(found) WITH ORDINALITY AS token(t, n) ORDER BY n);
    END IF;
    found := array_remove(found, '');
    IF cardinality(stopwords) > 0 AND NOT (prefixes AND sought) THEN
        found := ARRAY(
            SELECT t FROM unnest(found) WITH ORDINALITY AS token(t, n) WHERE t <> ALL (stopwords) ORDER BY n
        );
    END IF;
    IF shortest IS NOT NULL OR (longest IS NOT NULL AND NOT prefixes) THEN
        found := ARRAY(
            SELECT t FROM unnest(found) WITH ORDINALITY AS token(t, n)
            WHERE char_length(t) >= coalesce(shortest, 0)
                AND (prefixes OR char_length(t) <= coalesce(longest, char_length(t)))
            ORDER BY n
        );
    END IF;
    IF prefixes AND sought THEN
        found := ARRAY(
            SELECT left(t, coalesce(longest, char_length(t)))
            FROM unnest(found) WITH ORDINALITY AS token(t, n) ORDER BY n
        );
    ELSIF prefixes THEN
        found := ARRAY(
            SELECT left(t, size)
            FROM unnest(found) WITH ORDINALITY AS token(t, n), generate_series(
                coalesce(shortest, 1), least(char_length(t), coalesce(longest, char_length(t)))
            ) AS size
            ORDER BY n, size
        );
    END IF;
    RETURN found;
END
$body$;

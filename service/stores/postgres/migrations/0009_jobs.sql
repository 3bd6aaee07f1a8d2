-- Backfills and verifications as jobs: ranges of ids with stored boundaries, claimed by any number of workers.

CREATE TABLE vecferry.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind IN ('backfill', 'verify')),
    generation bigint NOT NULL REFERENCES vecferry.collections (id) ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'preparing'
        CHECK (state IN ('preparing', 'running', 'finishing', 'done', 'failed', 'cancelled')),
    -- What an operator may change while it runs.
    options jsonb NOT NULL DEFAULT '{}',
    total bigint,
    -- Who prepares or finishes it. The lease is measured by this database's clock, and by no other.
    owner uuid,
    attempt bigint NOT NULL DEFAULT 0,
    heard_at timestamptz,
    note text,
    error text,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX jobs_open ON vecferry.jobs (kind, generation)
    WHERE state IN ('preparing', 'running', 'finishing');
CREATE INDEX jobs_by_generation ON vecferry.jobs (generation, kind, created_at);

-- The boundaries stand with the progress: a resumed job never draws them anew.
CREATE TABLE vecferry.job_ranges (
    job uuid NOT NULL REFERENCES vecferry.jobs ON DELETE CASCADE,
    number integer NOT NULL,
    first_key bytea CHECK (octet_length(first_key) = 17),
    until_key bytea CHECK (octet_length(until_key) = 17),
    -- Where to read on; null at the range's beginning.
    cursor bytea CHECK (octet_length(cursor) = 17),
    done boolean NOT NULL DEFAULT false,
    owner uuid,
    -- Grows with every claim. A page commits only under the attempt and cursor that are stored here.
    attempt bigint NOT NULL DEFAULT 0,
    heard_at timestamptz,
    note text,
    scanned bigint NOT NULL DEFAULT 0,
    written bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    -- What the kind of job keeps with the range: a verification's digests.
    state jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (job, number)
) WITH (fillfactor = 50);

-- What a verification found to differ and has not yet judged, and what it confirmed.
CREATE TABLE vecferry.job_suspects (
    job uuid NOT NULL REFERENCES vecferry.jobs ON DELETE CASCADE,
    key bytea NOT NULL CHECK (octet_length(key) = 17),
    kinds text[] NOT NULL,
    confirmed boolean,
    PRIMARY KEY (job, key)
);

-- Points that the target cannot hold. As the intents they go with the generation's tables, not with the catalogue's row:
-- whoever lists an id holds other locks by then, and must not wait for a drop that waits for those.
CREATE TABLE vecferry.quarantine (
    generation bigint NOT NULL,
    key bytea NOT NULL CHECK (octet_length(key) = 17),
    reason text NOT NULL,
    found_by text NOT NULL CHECK (found_by IN ('backfill', 'resync')),
    found_at timestamptz NOT NULL DEFAULT now(),
    refused_at timestamptz NOT NULL DEFAULT now(),
    waived_by text,
    waived_at timestamptz,
    PRIMARY KEY (generation, key)
);
-- What was refused before there was a quarantine.
INSERT INTO vecferry.quarantine (generation, key, reason, found_by)
    SELECT DISTINCT ON (i.generation, key) i.generation, substr(i.keys, at, 17) AS key,
        coalesce(i.error, 'refused'), 'resync'
    FROM vecferry.intents AS i, generate_series(1, octet_length(i.keys), 17) AS at
    WHERE i.failures > 0 AND i.behind = 'target';

-- Finished verifications. They outlive the collection: they are documents.
CREATE TABLE vecferry.receipts (
    id uuid PRIMARY KEY,
    collection text NOT NULL,
    generation bigint NOT NULL,
    clean boolean NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX receipts_by_collection ON vecferry.receipts (collection, created_at);

-- What this instance's clients waited at the 99th percentile lately: throttles of other processes look at it.
ALTER TABLE vecferry.instances ADD COLUMN client_p99_ms real;

-- Runs of the version before: what was copied is taken over as one range.
INSERT INTO vecferry.jobs (kind, generation, state, total, error, created_at, updated_at, ended_at)
    SELECT 'backfill', generation, CASE state WHEN 'done' THEN 'done' ELSE 'failed' END, total,
        CASE state WHEN 'done' THEN NULL ELSE coalesce(error, 'interrupted by an upgrade; start it again') END,
        started_at, updated_at, updated_at
    FROM vecferry.backfills;
INSERT INTO vecferry.job_ranges (job, number, cursor, done, scanned, written)
    SELECT j.id, 0, b.cursor, b.state = 'done', b.scanned, b.copied
    FROM vecferry.backfills b JOIN vecferry.jobs j ON j.generation = b.generation;
DROP TABLE vecferry.backfills;

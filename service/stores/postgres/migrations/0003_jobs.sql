-- The progress of backfills: one row per generation of a collection, gone when its tables are dropped.

CREATE TABLE vecferry.backfills (
    generation bigint PRIMARY KEY REFERENCES vecferry.collections (id) ON DELETE CASCADE,
    -- Grows with every run. A page commits only under the attempt and cursor that are stored here.
    attempt bigint NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
    -- The 17-byte key to read on from; null at the beginning.
    cursor bytea CHECK (octet_length(cursor) = 17),
    copied bigint NOT NULL DEFAULT 0,
    scanned bigint NOT NULL DEFAULT 0,
    total bigint,
    error text,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Stages, registered instances, the ledger and the audit log.

-- One row: the number of the newest control change. Instances poll it and confirm what they have reached.
CREATE TABLE vecferry.revision (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value bigint NOT NULL
);
INSERT INTO vecferry.revision (value) VALUES (1);

CREATE TABLE vecferry.control (
    name text PRIMARY KEY,
    -- The target's tables; a re-created collection gets new ones, so this is the generation.
    generation bigint UNIQUE REFERENCES vecferry.collections (id) ON DELETE SET NULL,
    stage text NOT NULL
        CHECK (stage IN ('off', 'dualwrite', 'shadow', 'ramp', 'live', 'rampdown', 'complete')),
    percent smallint NOT NULL DEFAULT 100 CHECK (percent BETWEEN 0 AND 100),
    epoch bigint NOT NULL DEFAULT 1,
    backfilled boolean NOT NULL DEFAULT false,
    -- A freeze ends by itself: whoever holds it may have died.
    frozen_until timestamptz,
    frozen_by uuid,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vecferry.instances (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    -- No request that was decided under an older revision runs in this instance any more.
    revision bigint NOT NULL DEFAULT 0
);

-- The ledger: ids that may differ between the stores. A row is deleted only by the resync that made them equal.
CREATE TABLE vecferry.intents (
    id uuid PRIMARY KEY,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    owner uuid NOT NULL,
    behind text NOT NULL CHECK (behind IN ('source', 'target')),
    -- The client was told that the write is done: until this is settled the store behind may not answer it.
    owed boolean NOT NULL,
    -- 17 bytes per id, concatenated.
    keys bytea NOT NULL,
    cause text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX intents_by_generation ON vecferry.intents (generation);
CREATE INDEX intents_by_owner ON vecferry.intents (owner, created_at);

CREATE TABLE vecferry.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    collection text NOT NULL,
    stage_before text,
    stage text,
    percent smallint,
    epoch bigint,
    actor text NOT NULL
);

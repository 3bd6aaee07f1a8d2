-- The ledger as people use it: what was tried and why it failed; attempts of reverse pushes; changes of whole collections.

ALTER TABLE vecferry.intents
    -- How often a store refused what the intent stands for; a store that is merely away does not count.
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN error text,
    ADD COLUMN failed_at timestamptz,
    -- A dead letter: refused so often that only an operator, or a newer write of its ids, has it tried again.
    ADD COLUMN dead boolean NOT NULL DEFAULT false,
    -- The instance whose push to the source may be under way (R8).
    ADD COLUMN attempt_by uuid;
CREATE INDEX intents_dead ON vecferry.intents (generation) WHERE dead;
CREATE INDEX intents_attempted ON vecferry.intents (generation) WHERE attempt_by IS NOT NULL;

-- The `*` intents (R10): a change of a whole collection that may have reached one store only.
CREATE TABLE vecferry.collection_intents (
    id uuid PRIMARY KEY,
    -- One change of a collection at a time, whichever instance makes it.
    name text NOT NULL UNIQUE,
    generation bigint,
    owner uuid NOT NULL,
    behind text NOT NULL CHECK (behind IN ('source', 'target')),
    cause text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    error text,
    failed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

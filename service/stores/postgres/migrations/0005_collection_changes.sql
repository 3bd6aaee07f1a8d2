-- Changes of whole collections in both directions, payload schemas, and what dropped collections leave behind.

ALTER TABLE vecferry.collections
    -- field → the `field_schema` that made its payload index.
    ADD COLUMN payload_schema jsonb NOT NULL DEFAULT '{}';

ALTER TABLE vecferry.collection_intents
    DROP CONSTRAINT collection_intents_name_key,
    -- The collection itself is made or dropped; otherwise only its description changes, which never excludes another.
    ADD COLUMN replaces boolean NOT NULL DEFAULT false;
-- While the source is right one change at a time makes or drops a collection. While Postgres is right its own
-- transactions order them, and what is left to do in the source adds up.
CREATE UNIQUE INDEX collection_intents_exclusive ON vecferry.collection_intents (name)
    WHERE replaces AND behind = 'target';
CREATE INDEX collection_intents_by_name ON vecferry.collection_intents (name);

-- The tables and intents of dropped generations. They go in a transaction of their own, because a resync that waits for
-- Qdrant may hold them for long, and no client shall wait for that.
CREATE TABLE vecferry.leftovers (
    generation bigint PRIMARY KEY,
    vectors integer NOT NULL
);

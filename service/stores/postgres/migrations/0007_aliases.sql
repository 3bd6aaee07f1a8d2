-- Aliases of the collections that are kept here. They are in force where Postgres is right; elsewhere a copy of Qdrant's.

CREATE TABLE vecferry.aliases (
    name text PRIMARY KEY,
    -- A dropped collection takes its aliases along.
    collection bigint NOT NULL REFERENCES vecferry.collections (id) ON DELETE CASCADE
);
CREATE INDEX aliases_by_collection ON vecferry.aliases (collection);

ALTER TABLE vecferry.collection_intents
    -- Named vectors that were made or removed: the store behind makes them anew, whatever it holds under these names.
    ADD COLUMN vectors text[] NOT NULL DEFAULT '{}';

-- Tables of named vectors that were removed. They go in transactions of their own, as those of dropped generations do.
CREATE TABLE vecferry.leftover_tables (
    name text PRIMARY KEY
);

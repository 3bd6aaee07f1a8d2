-- The catalog of collections, and the schema that holds their data tables.
-- A collection `id` has the tables points_<id> and vectors_<id>_<n>, n being the place in `vectors`.

CREATE SCHEMA vecferry_data;

CREATE TABLE vecferry.collections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    config jsonb NOT NULL,
    vectors text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One number for each change to points, whatever the collection.
CREATE SEQUENCE vecferry.operations MINVALUE 0 START 0;

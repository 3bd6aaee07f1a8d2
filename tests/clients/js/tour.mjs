// A tour through @qdrant/js-client-rest against the server whose URL is the only argument.
// Ends with a line of JSON per check that failed, and with status 1 when there is one.
import assert from 'node:assert/strict';
import { QdrantClient } from '@qdrant/js-client-rest';

const client = new QdrantClient({ url: process.argv[2] });
const NAME = 'js-tour';
const UUID = '00000000-0000-0000-0000-00000000000a';
const ids = (hits) => hits.map((hit) => hit.id);
// The client has no method any more for what its older releases, and many tools, still send.
const post = async (path, body) => {
  const answer = await fetch(`${process.argv[2]}/collections/${NAME}/points/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await answer.json()).result;
};

const checks = {
  async 'create, describe, exists, list'() {
    await client.createCollection(NAME, {
      vectors: { a: { size: 2, distance: 'Dot' } },
      sparse_vectors: { s: {} },
    });
    const info = await client.getCollection(NAME);
    assert.equal(info.config.params.vectors.a.size, 2);
    assert.equal((await client.collectionExists(NAME)).exists, true);
    const { collections } = await client.getCollections();
    assert.ok(collections.some((each) => each.name === NAME));
  },
  async 'payload index and named vector'() {
    const field = { field_name: 'k', field_schema: 'keyword', wait: true };
    assert.equal((await client.createPayloadIndex(NAME, field)).status, 'completed');
    await client.createPayloadIndex(NAME, { field_name: 'n', field_schema: 'integer', wait: true });
    const vector = { dense: { size: 2, distance: 'Euclid' } };
    await client.createVectorName(NAME, 'b', vector);
    assert.equal((await client.getCollection(NAME)).config.params.vectors.b.size, 2);
    await client.deleteVectorName(NAME, 'b');
  },
  async upsert() {
    const points = [
      { id: 1, vector: { a: [1, 0], s: { indices: [1], values: [1] } }, payload: { k: 'x', n: 1 } },
      { id: 2, vector: { a: [0.6, 0.8] }, payload: { k: 'y', n: 2 } },
      { id: UUID, vector: { a: [0, 1] }, payload: { k: 'x', n: 3 } },
    ];
    assert.equal((await client.upsert(NAME, { wait: true, points })).status, 'completed');
    const batch = { ids: [4], vectors: { a: [[0.5, 0.5]] }, payloads: [{ k: 'z', n: 4 }] };
    await client.upsert(NAME, { wait: true, batch });
  },
  async 'query, its batch and its groups'() {
    const wanted = { query: [1, 0], using: 'a', limit: 2, with_payload: true };
    const { points } = await client.query(NAME, wanted);
    assert.deepEqual(ids(points), [1, 2]);
    assert.equal(points[0].payload.k, 'x');
    const [first, second] = await client.queryBatch(NAME, { searches: [wanted, { limit: 1 }] });
    assert.deepEqual([ids(first.points), ids(second.points)], [[1, 2], [1]]);
    const grouped = { ...wanted, group_by: 'k', group_size: 2, limit: 2 };
    const { groups } = await client.queryGroups(NAME, grouped);
    assert.deepEqual(groups.map((group) => [group.id, ids(group.hits)]), [['x', [1, UUID]], ['y', [2]]]);
    const fused = {
      prefetch: [{ query: [1, 0], using: 'a' }, { query: { indices: [1], values: [1] }, using: 's' }],
      query: { fusion: 'rrf' },
    };
    assert.equal((await client.query(NAME, fused)).points[0].id, 1);
  },
  async 'recommend and discover'() {
    const recommend = { query: { recommend: { positive: [1], negative: [UUID] } }, using: 'a', limit: 1 };
    assert.deepEqual(ids((await client.query(NAME, recommend)).points), [4]);
    const discover = { discover: { target: [1, 0], context: [{ positive: 1, negative: UUID }] } };
    assert.equal((await client.query(NAME, { query: discover, using: 'a', limit: 1 })).points.length, 1);
  },
  async 'the endpoints of older clients'() {
    const search = { vector: { name: 'a', vector: [1, 0] }, limit: 2 };
    assert.deepEqual(ids(await post('search', search)), [1, 2]);
    assert.deepEqual((await post('search/batch', { searches: [search] })).map(ids), [[1, 2]]);
    const { groups } = await post('search/groups', { ...search, group_by: 'k', group_size: 1 });
    assert.deepEqual(groups.map((group) => group.id), ['x', 'y']);
    assert.deepEqual(ids(await post('recommend', { positive: [1], using: 'a', limit: 1 })), [2]);
    assert.equal((await post('discover', { target: [1, 0], using: 'a', limit: 2 })).length, 2);
  },
  async 'scroll, retrieve, count'() {
    const page = await client.scroll(NAME, { limit: 3, with_payload: false });
    assert.deepEqual([ids(page.points), page.next_page_offset], [[1, 2, 4], UUID]);
    const ordered = await client.scroll(NAME, { order_by: { key: 'n', direction: 'desc' } });
    assert.deepEqual(ids(ordered.points), [4, UUID, 2, 1]);
    const [point] = await client.retrieve(NAME, { ids: [UUID], with_vector: true });
    assert.deepEqual(point.vector, { a: [0, 1] });
    const filter = { must: [{ key: 'k', match: { value: 'x' } }] };
    assert.equal((await client.count(NAME, { filter, exact: true })).count, 2);
  },
  async 'facet and distance matrix'() {
    const { hits } = await client.facet(NAME, { key: 'k' });
    assert.deepEqual(hits[0], { value: 'x', count: 2 });
    const { pairs } = await client.searchMatrixPairs(NAME, { using: 'a', sample: 4, limit: 1 });
    assert.equal(pairs.length, 4);
    const offsets = await client.searchMatrixOffsets(NAME, { using: 'a', sample: 4, limit: 1 });
    assert.equal(offsets.scores.length, 4);
  },
  async 'payload and vector updates'() {
    await client.setPayload(NAME, { payload: { m: 1 }, points: [1], wait: true });
    await client.overwritePayload(NAME, { payload: { z: 1 }, points: [2], wait: true });
    await client.deletePayload(NAME, { keys: ['n'], points: [1], wait: true });
    await client.clearPayload(NAME, { points: [4], wait: true });
    const after = await client.retrieve(NAME, { ids: [1, 2, 4], with_payload: true });
    assert.deepEqual(after.map((each) => each.payload), [{ k: 'x', m: 1 }, { z: 1 }, {}]);
    await client.updateVectors(NAME, { points: [{ id: 1, vector: { a: [0, 2] } }], wait: true });
    await client.deleteVectors(NAME, { points: [1], vector: ['s'], wait: true });
    const [point] = await client.retrieve(NAME, { ids: [1], with_vector: true });
    assert.deepEqual(point.vector, { a: [0, 2] });
    const operations = [{ delete: { points: [4] } }, { clear_payload: { points: [2] } }];
    assert.equal((await client.batchUpdate(NAME, { operations, wait: true })).length, 2);
  },
  async aliases() {
    const actions = [{ create_alias: { collection_name: NAME, alias_name: 'js-alias' } }];
    assert.equal(await client.updateCollectionAliases({ actions }), true);
    assert.equal((await client.count('js-alias')).count, 3);
    const { aliases } = await client.getCollectionAliases(NAME);
    assert.deepEqual(aliases, [{ alias_name: 'js-alias', collection_name: NAME }]);
    await client.updateCollectionAliases({ actions: [{ delete_alias: { alias_name: 'js-alias' } }] });
    assert.deepEqual((await client.getAliases()).aliases, []);
  },
  async 'collection updates and the service'() {
    assert.equal(await client.updateCollection(NAME, { params: { replication_factor: 1 } }), true);
    assert.match((await client.versionInfo()).version, /^1\.\d+\.\d+/);
    assert.equal((await client.collectionClusterInfo(NAME)).shard_count, 1);
    assert.deepEqual((await client.getOptimizations(NAME)).running, []);
  },
  async errors() {
    await assert.rejects(client.getCollection('nowhere'), (error) => error.status === 404);
    const wrong = { query: [1, 0, 0], using: 'a' };
    await assert.rejects(client.query(NAME, wrong), (error) => error.status === 400);
  },
  async 'delete points, drop the collection'() {
    await client.delete(NAME, { points: [1], wait: true });
    assert.equal((await client.count(NAME)).count, 2);
    await client.deletePayloadIndex(NAME, 'k', { wait: true });
    assert.equal(await client.deleteCollection(NAME), true);
  },
};

let failed = false;
for (const [check, run] of Object.entries(checks)) {
  try {
    await run();
  } catch (error) {
    failed = true;
    const data = error.data === undefined ? '' : ` ${JSON.stringify(error.data)}`;
    console.log(JSON.stringify({ check, error: `${error.message}${data}` }));
  }
}
process.exit(failed ? 1 : 0);

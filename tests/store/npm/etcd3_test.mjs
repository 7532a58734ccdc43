// The etcd3 client of npm against the store whose address is the argument. Started by ../npm_test.py.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
const { Etcd3, EtcdLeaseInvalidError, EtcdLockFailedError, EtcdUserNotFoundError, Range } = createRequire(import.meta.url)('etcd3');

const hosts = process.argv[2];
const client = new Etcd3({ hosts });

// A promise of the first event of that name.
const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));
async function until(condition) {
  const end = Date.now() + 20000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `not within 20 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const tests = {
  async keys() {
    await client.put('foo').value('bar');
    assert.equal(await client.get('foo').string(), 'bar');
    assert.equal(await client.get('nothing').string(), null);
    assert.equal(await client.get('foo').exists(), true);
    await client.put('json').value('{"a":[1,2]}');
    assert.deepEqual(await client.get('json').json(), { a: [1, 2] });
    await client.put('number').value(42);
    assert.equal(await client.get('number').number(), 42);
    for (const n of [1, 2, 3]) await client.put(`p/${n}`).value(`${4 - n}`);
    assert.deepEqual(await client.getAll().prefix('p/').strings(), { 'p/1': '3', 'p/2': '2', 'p/3': '1' });
    assert.deepEqual(await client.getAll().prefix('p/').sort('Value', 'Ascend').keys(), ['p/3', 'p/2', 'p/1']);
    assert.equal(await client.getAll().prefix('p/').count(), 3);
    assert.deepEqual(await client.getAll().prefix('p/').limit(1).keys(), ['p/1']);
    const revision = (await client.put('foo').value('newer')).header.revision;
    assert.equal(await client.get('foo').revision(Number(revision) - 1).string(), 'bar');
    const before = await client.put('foo').value('newest').getPrevious();
    assert.equal(before.value.toString(), 'newer');
    assert.equal((await client.delete().key('foo').getPrevious()).length, 1);
    assert.equal((await client.delete().prefix('p/')).deleted, '3');
    assert.equal((await client.delete().all()).deleted, '2');
    await assert.rejects(client.put('').value('x'), /key is not provided/);
  },

  async namespaces() {
    const space = client.namespace('space/');
    await space.put('a').value('1');
    await client.put('b').value('2');
    assert.deepEqual(await space.getAll().strings(), { a: '1' });
    assert.equal(await client.get('space/a').string(), '1');
    const inner = space.namespace('inner/');
    await inner.put('c').value('3');
    assert.deepEqual(await space.getAll().keys(), ['a', 'inner/c']);
    assert.equal((await space.delete().all()).deleted, '2');
    assert.equal(await client.get('b').string(), '2');
  },

  async ifThenElse() {
    await client.put('k').value('1');
    let result = await client.if('k', 'Value', '==', '1').then(client.put('k').value('2')).else(client.get('k')).commit();
    assert.equal(result.succeeded, true);
    result = await client.if('k', 'Value', '==', '1').and('k', 'Version', '>', 0)
      .then(client.put('k').value('3')).else(client.get('k'), client.delete().key('none')).commit();
    assert.equal(result.succeeded, false);
    assert.equal(result.responses[0].response_range.kvs[0].value.toString(), '2');
    assert.equal(result.responses[1].response_delete_range.deleted, '0');
    result = await client.if('none', 'Create', '==', 0).then(client.put('none').value('x')).commit();
    assert.equal(result.succeeded, true);
  },

  async leases() {
    const lease = client.lease(100);
    await lease.put('leased').value('1');
    const id = await lease.grant();
    assert.equal((await client.leaseClient.leaseTimeToLive({ ID: id, keys: true })).keys.toString(), 'leased');
    const before = (await lease.keepaliveOnce()).TTL;
    assert.equal(before, '100');
    await lease.revoke();
    assert.equal(await client.get('leased').string(), null);
    // Kept alive by the client past its end, then not.
    const short = client.lease(2);
    await short.put('short').value('1');
    const shortId = await short.grant();
    await once(short, 'keepaliveSucceeded');
    await once(short, 'keepaliveSucceeded');
    assert.equal(await client.get('short').string(), '1');
    const lost = once(short, 'lost');
    await client.leaseClient.leaseRevoke({ ID: shortId });
    assert.ok((await lost) instanceof EtcdLeaseInvalidError);
    const forgotten = client.lease(1, { autoKeepAlive: false });
    await forgotten.put('forgotten').value('1');
    await until(async () => (await client.get('forgotten').string()) === null);
  },

  async locks() {
    const order = [];
    const first = client.lock('lock').ttl(30);
    await first.acquire();
    await assert.rejects(client.lock('lock').ttl(30).acquire(), EtcdLockFailedError);
    order.push('first');
    await first.release();
    await client.lock('lock').do(async () => order.push('second'));
    assert.deepEqual(order, ['first', 'second']);
  },

  async elections() {
    const one = client.election('race', 30);
    const observer = await one.observe();
    const campaign = one.campaign('one');
    await once(campaign, 'elected');
    await until(() => observer.leader() === 'one');
    const other = client.election('race', 30).campaign('two');
    const elected = once(other, 'elected');
    assert.equal(await one.leader(), 'one');
    const change = once(observer, 'change');
    await campaign.proclaim('uno');
    assert.equal(await change, 'uno');
    await campaign.resign();
    await elected;
    await until(() => observer.leader() === 'two');
    await other.resign();
    await observer.cancel();
  },

  async watches() {
    const watcher = await client.watch().key('w').create();
    const put = once(watcher, 'put');
    await client.put('w').value('1');
    assert.equal((await put).value.toString(), '1');
    const deleted = once(watcher, 'delete');
    await client.delete().key('w');
    assert.equal((await deleted).key.toString(), 'w');
    await watcher.cancel();
    const revision = (await client.put('p/a').value('1')).header.revision;
    const seen = [];
    const many = await client.watch().prefix('p/').startRevision(revision).withPreviousKV().create();
    many.on('data', (answer) => answer.events.forEach((e) => seen.push(`${e.type} ${e.kv.key} ${e.prev_kv?.value ?? ''}`)));
    await client.put('p/a').value('2');
    await client.delete().prefix('p/');
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ['Put p/a ', 'Put p/a 1', 'Delete p/a 2']);
    const only = await client.watch().prefix('p/').only('delete').create();
    const kinds = [];
    only.on('put', () => kinds.push('put')).on('delete', () => kinds.push('delete'));
    await client.put('p/b').value('1');
    await client.delete().key('p/b');
    await until(() => kinds.length === 1);
    assert.deepEqual(kinds, ['delete']);
    await Promise.all([many.cancel(), only.cancel()]);
  },

  async softwareTransactionalMemory() {
    // Both in one revision: this client's snapshot isolation wants all that is read to be no older than the oldest.
    await client.stm().transact(async (tx) => {
      await tx.put('from').value(100);
      await tx.put('to').value(0);
    });
    const move = () => client.stm({ retries: 50 }).transact(async (tx) => {
      const from = await tx.get('from').number();
      const to = await tx.get('to').number();
      await tx.put('from').value(from - 1);
      await tx.put('to').value(to + 1);
    });
    await Promise.all(Array.from({ length: 10 }, move));
    assert.equal(await client.get('from').number(), 90);
    assert.equal(await client.get('to').number(), 10);
  },

  async clusterAndMaintenance() {
    const { members } = await client.cluster.memberList({});
    assert.equal(members[0].name, 'default');
    const status = await client.maintenance.status();
    assert.match(status.version, /^\d+\.\d+\.\d+$/);
    assert.equal(status.leader, members[0].ID);
    await client.maintenance.defragment();
    const { alarms } = await client.maintenance.alarm({ action: 'Get', memberID: 0, alarm: 'None' });
    assert.equal(alarms.length, 0);
    const { header } = await client.put('c').value('1');
    await client.kv.compact({ revision: header.revision, physical: true });
    await assert.rejects(client.get('c').revision(Number(header.revision) - 1).string(), /has been compacted/);
  },

  async users() {
    const role = client.role('reader');
    await role.create();
    await role.grant({ permission: 'Read', range: Range.prefix('open/') });
    assert.equal((await role.permissions()).length, 1);
    const root = client.user('root');
    await root.create('secret');
    await client.role('root').create();
    await root.addRole('root');
    const alice = client.user('alice');
    await alice.create('wonder');
    await alice.addRole('reader');
    assert.deepEqual((await client.getUsers()).map((user) => user.name).sort(), ['alice', 'root']);
    assert.deepEqual((await alice.roles()).map((each) => each.name), ['reader']);
    await client.put('open/a').value('1');
    await client.put('shut').value('1');
    await client.auth.authEnable();
    const asRoot = new Etcd3({ hosts, auth: { username: 'root', password: 'secret' } });
    try {
      const asAlice = new Etcd3({ hosts, auth: { username: 'alice', password: 'wonder' } });
      assert.equal(await asAlice.get('open/a').string(), '1');
      await assert.rejects(asAlice.get('shut').string(), /permission denied/);
      await assert.rejects(asAlice.put('open/a').value('2'), /permission denied/);
      asAlice.close();
      await assert.rejects(client.get('open/a').string(), /user name is empty/);
      const wrong = new Etcd3({ hosts, auth: { username: 'alice', password: 'no' } });
      await assert.rejects(wrong.get('open/a').string(), /authentication failed/);
      wrong.close();
      await assert.rejects(asRoot.user('nobody').roles(), EtcdUserNotFoundError);
    } finally {
      await asRoot.auth.authDisable();
      asRoot.close();
    }
    assert.equal(await client.get('open/a').string(), '1');
    await Promise.all([alice.delete(), client.role('reader').delete()]);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  if (process.argv.length > 3 && !process.argv.slice(3).includes(name)) continue;
  try {
    await Promise.race([test(), new Promise((_, reject) => setTimeout(() => reject(new Error('no end within 40 s')), 40000).unref())]);
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}:`, error);
  }
}
client.close();
process.exit(failed ? 1 : 0);

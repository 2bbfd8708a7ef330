// Posters, and miners and auditors that cheat, beside nodes that work and audit.
//
// Usage: node jobs.mjs ws://127.0.0.1:PORT http://127.0.0.1:PORT[,http://127.0.0.1:PORT] CASE...
//
// The second address is the endpoint for matrices of the node where posters keep their own; the third, if it is another, of the one that gives
// results. Cases, which go on side by side, each with a poster
// and a cheat of its own:
//   paid        a job is claimed, multiplied, audited, opened by auditors and paid without its poster; money to the unit
//   wrong       a result with one wrong entry among 2^20: the bond is lost, the job is done by another
//   vanished    whoever claims it does nothing: it is late, and the job is done by another
//   withheld    a result that nobody can fetch: auditors say so, and the job is done by another
//   unfetchable a poster keeps its matrices to itself: nobody claims, and it takes its money back
//   copied      an auditor (//Dave, whose node does not audit) copies another's seal, and cannot open it
//   made-up     a fraud proof that proves nothing costs its fee, and changes nothing
// At the end it tells what each call cost in transaction fees, and who got what of each job, as the chain's events say.
// Exit status 1, with the reason on stderr, if anything is not as it must be.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { include } from './include.mjs';
import { keepAt, rootOf } from './matrices.mjs';

const LIMIT_MS = 400_000;
const LAB = 10n ** 12n;
const K = 256;
/** Of most jobs: rows of A, columns of B. */
const SMALL = [64, 48];
const TILE = 16;

const [, , url, endpoints, ...cases] = process.argv;
const [endpoint, results = endpoint] = endpoints.split(',');
const provider = new WsProvider(url);
const api = await ApiPromise.create({ provider, noInitWarn: true });
const ask = (method, ...params) => provider.send(method, params);
const keyring = new Keyring({ type: 'sr25519' });
const [giver, dave, second] = ['//Eve', '//Dave', '//Bob//worker'].map((uri) => keyring.addFromUri(uri));

const account = async (who) => (await api.query.system.account(who.address)).data;
const all = async (who) => {
  const { free, reserved } = await account(who);
  return free.toBigInt() + reserved.toBigInt();
};

async function until(what, condition) {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert(Date.now() < limit, `waited ${LIMIT_MS} ms for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
}

/** Entries in -63..=63, the same for the same seed. */
function matrix(rows, seed) {
  const entries = new Int8Array(rows * K);
  let state = seed;
  for (let at = 0; at < entries.length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    entries[at] = ((state >>> 8) % 127) - 63;
  }
  return entries;
}

/** C = A·B, int32 in tiles of 16×16. */
function product(a, bt) {
  const [m, n] = [a.length / K, bt.length / K];
  const c = new Int32Array(m * n);
  for (let row = 0; row < m; row += 1) {
    for (let column = 0; column < n; column += 1) {
      let sum = 0;
      for (let at = 0; at < K; at += 1) sum += a[row * K + at] * bt[column * K + at];
      const tile = Math.floor(row / TILE) * (n / TILE) + Math.floor(column / TILE);
      c[tile * TILE * TILE + (row % TILE) * TILE + (column % TILE)] = sum;
    }
  }
  return c;
}

const keep = (matrix) => keepAt(endpoint, matrix);

async function fetched(root, bytes) {
  const path = `${results}/v1/artifacts/${root.slice(2)}`;
  const got = await fetch(`${path}/fetch?bytes=${bytes}`, { method: 'POST' });
  assert.equal(got.status, 201, await got.text());
  return new Int32Array(await (await fetch(path)).arrayBuffer());
}

/** A job of one product, posted; its matrices are kept by nobody yet. */
async function post({ poster, at }, { fee = 2n * LAB, open = 1_000, shape: [m, n] = SMALL } = {}) {
  // Others than those of any job of this chain: they are nowhere yet.
  const { posted } = await ask('jobs_market');
  const [a, bt] = [matrix(m, 16 * posted + at), matrix(n, 16 * posted + at + 1_000_000)];
  const batch = { root_b: rootOf(bt), n, k: K, left: [{ root: rootOf(a), m }] };
  const { events } = await include(api, api.tx.jobs.post(batch, fee, open), poster);
  const job = events.find(({ event }) => event.method === 'Posted').event.data.job.toNumber();
  return { job, a, bt, fee };
}

const get = (job) => ask('jobs_get', job);
const at = (job, stage) => until(`job ${job} to be ${stage}`, async () => {
  const info = await get(job);
  return info.stage === stage ? info : null;
});

/** Waits until a job is paid; its result, which must be right. */
async function done({ job, a, bt }, { cheat } = {}) {
  const info = await at(job, 'settled');
  assert.notEqual(info.worker, cheat?.address);
  const exact = product(a, bt);
  const c = await fetched(info.products[0].c, exact.byteLength);
  assert(c.every((entry, at) => entry === exact[at]) && c.length === exact.length, 'the product');
  return info;
}

/** Claims a job before anybody else can: its matrices are nowhere yet. */
async function claimed(posted, { cheat }) {
  await include(api, api.tx.jobs.claim(posted.job), cheat);
  assert.equal((await get(posted.job)).worker, cheat.address);
}

const failed = async (job, { cheat }, reason) => until(`job ${job} to fail`, async () => {
  // The job is open again, or somebody else's by now.
  const info = await get(job);
  return info.worker !== cheat.address ? info : null;
}).then((info) => {
  assert.deepEqual([info.failed, info.lastFailure], [1, reason]);
  console.log(`job ${job}: a claim failed, ${reason}; now ${info.stage}`);
});

/** The cheat's claim fails for a tenth of its bond, and the job is done by another. */
async function losesATenth(posted, who, reason) {
  const before = await all(who.cheat);
  await failed(posted.job, who, reason);
  assert.equal(before - await all(who.cheat), 2n * posted.fee / 10n, 'a tenth of the bond');
  await done(posted, who);
}

const scenarios = {
  async paid(who) {
    const { poster } = who;
    const before = await all(poster);
    const posted = await post(who, { fee: 4n * LAB });
    await Promise.all([keep(posted.a), keep(posted.bt)]);
    const submitted = await at(posted.job, 'submitted');
    await until('all auditors to open', async () => (await get(posted.job)).auditors?.filter(({ said }) => said === 'opened').length >= 3);
    const info = await done(posted, who);
    assert.equal(info.worker, submitted.worker);
    const { settledAt } = info;
    const hash = await api.rpc.chain.getBlockHash(settledAt);
    const events = await (await api.at(hash)).query.system.events();
    const settled = events.find(({ event }) => event.method === 'Settled' && event.data.job.toNumber() === posted.job).event.data;
    const [first, auditors, burned] = ['first', 'auditors', 'burned'].map((part) => settled.paid[part].toBigInt());
    assert.equal(first, posted.fee * 85n / 100n, 'the worker');
    assert(auditors > 0n && auditors <= posted.fee * 5n / 100n, `the auditors: ${auditors}`);
    assert.equal(first + auditors + burned, posted.fee, 'what was paid is what was held');
    await include(api, api.tx.jobs.forget(posted.job), poster);
    assert.equal((await account(poster)).reserved.toBigInt(), 0n, 'the deposit is back');
    assert(before - await all(poster) >= posted.fee);
  },

  async wrong(who) {
    const { cheat } = who;
    const posted = await post(who, { shape: [1_024, 1_024] });
    const bond = 2n * posted.fee;
    await claimed(posted, who);
    const c = product(posted.a, posted.bt);
    assert.equal(c.length, 2 ** 20);
    c[1_000_003] += 1;
    await Promise.all([keep(posted.a), keep(posted.bt), keep(c)]);
    const before = await all(cheat);
    await include(api, api.tx.jobs.submit(posted.job, [rootOf(c)]), cheat);
    await failed(posted.job, who, 'wrong');
    const lost = before - await all(cheat);
    assert(lost >= bond && lost < bond + LAB, `the whole bond: ${lost}`);
    await done(posted, who);
  },

  async vanished(who) {
    const posted = await post(who);
    await claimed(posted, who);
    await Promise.all([keep(posted.a), keep(posted.bt)]);
    await losesATenth(posted, who, 'late');
  },

  async withheld(who) {
    const { cheat } = who;
    const posted = await post(who);
    await claimed(posted, who);
    await Promise.all([keep(posted.a), keep(posted.bt)]);
    await include(api, api.tx.jobs.submit(posted.job, [`0x${'77'.repeat(32)}`]), cheat);
    await losesATenth(posted, who, 'unavailable');
  },

  async unfetchable(who) {
    const { poster } = who;
    const before = await all(poster);
    const posted = await post(who, { open: 30 });
    const best = async () => (await api.rpc.chain.getHeader()).number.toNumber();
    const { deadline } = await get(posted.job);
    await until('its deadline', async () => await best() > deadline);
    assert.equal((await get(posted.job)).stage, 'open', 'nobody claims what cannot be fetched');
    await include(api, api.tx.jobs.poke(posted.job), poster);
    await assert.rejects(get(posted.job));
    assert(before - await all(poster) < LAB, 'all but fees is back');
  },

  async copied(who) {
    const posted = await post(who);
    await Promise.all([keep(posted.a), keep(posted.bt)]);
    await at(posted.job, 'submitted');
    const committee = () => api.query.jobs.committees(posted.job);
    const sealed = await until('another auditor to attest', async () => {
      const seats = (await committee()).unwrapOr(null)?.seats ?? [];
      return seats.find(({ auditor, said }) => said.isSealed && auditor.toString() !== dave.address);
    });
    await include(api, api.tx.jobs.attest(posted.job, dave.address, { Holds: sealed.said.asSealed }), dave);
    // The other opens; its secret and its answers are known to all now.
    const isOpening = ({ method, data }) => method === 'Revealed'
      && data.job.toNumber() === posted.job && data.auditor.toString() === sealed.auditor.toString();
    const number = async () => (await api.rpc.chain.getHeader()).number.toNumber();
    let next = await number();
    const opened = await until('it to open', async () => {
      const best = await number();
      // Every block: several come within a moment. The newest are looked at again, since others may take their places.
      for (; next <= best; next += 1) {
        const state = await api.at(await api.rpc.chain.getBlockHash(next));
        const found = (await state.query.system.events()).map(({ event }) => event).find(isOpening);
        if (found) return found;
      }
      next = best - 3;
      return null;
    });
    const { secret, answers } = opened.data;
    await assert.rejects(include(api, api.tx.jobs.reveal(posted.job, dave.address, secret, answers), dave), /WrongOpening/);
    const before = await all(dave);
    await done(posted, who);
    assert.equal(await all(dave), before, 'a copier is not paid');
  },

  async 'made-up'(who) {
    const { cheat } = who;
    const posted = await post(who);
    await Promise.all([keep(posted.a), keep(posted.bt)]);
    const { worker } = await at(posted.job, 'submitted');
    const strip = (entries) => [...entries.subarray(0, TILE * K)];
    const proof = {
      row: 0, column: 0, entry: 0, a: strip(posted.a), aPath: [], b: strip(posted.bt), bPath: [], leaf: Array(TILE * TILE).fill(7), leafPath: [],
    };
    const before = await all(cheat);
    await assert.rejects(include(api, api.tx.jobs.proveFraud(posted.job, 0, proof), cheat), /ProofDoesNotOpen/);
    assert(await all(cheat) < before, 'its fee is lost');
    const { stage, worker: still } = await get(posted.job);
    assert.deepEqual([stage, still], ['submitted', worker]);
    await done(posted, who);
  },
};

const lab = (amount) => (Number(amount) / Number(LAB)).toFixed(6);

/** What the events of a job's end say, in LAB. */
const ends = {
  Settled: ({ paid: { first, auditors, burned } }) => `worker ${lab(first)}, auditors ${lab(auditors)}, burned ${lab(burned)}`,
  FraudProved: ({ reward, burned }) => `a wrong entry: who proved it ${lab(reward)}, burned ${lab(burned)}`,
  Failed: ({ failure, lost }) => `${failure}: the worker lost ${lab(lost)}`,
  Refunded: ({ refund }) => `${refund}: the poster has all of it back`,
};

const fees = {};
const outcomes = [];

/** Notes what the market's calls cost in a block, and what became of jobs. */
async function note({ hash }) {
  const [{ block }, events] = await Promise.all([api.rpc.chain.getBlock(hash), (await api.at(hash)).query.system.events()]);
  for (const { phase, event: { section, method, data } } of events) {
    if (section === 'jobs' && ends[method]) outcomes.push(`job ${data.job}: ${ends[method](data)}`);
    if (method === 'TransactionFeePaid') {
      const call = block.extrinsics[phase.asApplyExtrinsic.toNumber()].method;
      if (call.section === 'jobs') (fees[call.method] ??= []).push(data.actualFee.toBigInt());
    }
  }
}

function tellCosts() {
  outcomes.forEach((outcome) => console.log(outcome));
  for (const [call, paid] of Object.entries(fees).sort()) {
    paid.sort((one, other) => (one < other ? -1 : 1));
    console.log(`jobs.${call}: ${paid.length} times, ${lab(paid[0])} to ${lab(paid.at(-1))} LAB`);
  }
}

// All have money of their own, and no node that works for them.
const people = cases.map((name, at) => ({
  name, at, poster: keyring.addFromUri(`//Eve//${name}`), cheat: keyring.addFromUri(`//Charlie//${name}`),
}));
const gift = (to) => api.tx.balances.transferKeepAlive(to.address, 100n * LAB);
const gifts = [second, ...people.flatMap(({ poster, cheat }) => [poster, cheat])].map(gift);
await include(api, api.tx.utility.batchAll(gifts), giver);
const began = Date.now();
// As they become final: the state of old blocks is not kept.
let noted = Promise.resolve();
const stop = await api.derive.chain.subscribeFinalizedHeads((head) => { noted = noted.then(() => note(head)); });
await Promise.all(people.map(async (who) => {
  await scenarios[who.name](who);
  console.log(`${who.name}: as it must be, after ${((Date.now() - began) / 1_000).toFixed(0)} s`);
}));
// What was audited makes a price.
const { goingRate } = await ask('jobs_market');
assert(people.every(({ name }) => name === 'unfetchable') || BigInt(goingRate) > 0n);
stop();
await noted;
tellCosts();
await api.disconnect();
process.exit(0);

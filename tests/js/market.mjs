// A poster and a worker on the market of jobs, through @polkadot/api and the jobs_ methods.
//
// Usage: node market.mjs ws://127.0.0.1:PORT
//
// Jobs are posted, raised, claimed, submitted, accepted, cancelled and left to run out, by accounts of three signature schemes; after each step
// what the node tells of them must be so. Prints what jobs_explain said on the way. Exit status 1, with the reason on stderr, if anything
// is not as it must be.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { include } from './include.mjs';

const LIMIT_MS = 120_000;
const LAB = 10n ** 12n;
const FEE = 2n * LAB;

const provider = new WsProvider(process.argv[2]);
const api = await ApiPromise.create({ provider, noInitWarn: true });
const ask = (method, ...params) => provider.send(method, params);
const keyring = new Keyring({ type: 'sr25519' });
const [poster, worker] = [keyring.addFromUri('//Dave'), keyring.addFromUri('//Charlie')];
const free = async (who) => (await api.query.system.account(who.address)).data.free.toBigInt();

const hash = (byte) => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`;
const batch = { root_b: hash(1), n: 1024, k: 1024, left: [{ root: hash(2), m: 1024 }, { root: hash(3), m: 512 }] };
const MACS = 1024n * 1024n * (1024n + 512n);

/** What jobs_subscribe said, newest last. */
const told = [];

async function explained(job, pattern) {
  const { summary, because, next } = await ask('jobs_explain', job);
  console.log(`${summary} ${[...because, ...next].join(' ')}`);
  assert.match([summary, ...because, ...next].join(' '), pattern);
}

async function refused(code, method, ...params) {
  await assert.rejects(ask(method, ...params), ({ message }) => message.startsWith(`${code}: `), `${method} must say ${code}`);
}

/** Resolves once a condition holds in a new block. */
async function until(what, condition) {
  const limit = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    assert(Date.now() < limit, `waited ${LIMIT_MS} ms for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}

async function post(fee = FEE) {
  const { events } = await include(api, api.tx.jobs.post(batch, fee, 1_000), poster);
  const posted = events.find(({ event }) => event.method === 'Posted').event.data;
  return posted.job.toNumber();
}

async function paidJob() {
  const market = await ask('jobs_market');
  assert.equal(market.goingRate, null, 'nothing was settled yet');
  const job = await post();
  const unsubscribe = await provider.subscribe('jobs_change', 'jobs_subscribe', [[job]], (error, change) => { told.push(error ?? change); });
  const open = await ask('jobs_get', job);
  assert.equal(open.stage, 'open');
  assert.equal(open.poster, poster.address);
  assert.deepEqual([BigInt(open.fee), BigInt(open.macs), open.n, open.k], [FEE, MACS, 1024, 1024]);
  assert.deepEqual(open.products.map(({ a, m, c }) => [a, m, c]), [[hash(2), 1024, null], [hash(3), 512, null]]);
  await explained(job, /waits for a worker.*no going rate/);

  await include(api, api.tx.jobs.raise(job, LAB), poster);
  await include(api, api.tx.jobs.claim(job), worker);
  const claimed = await ask('jobs_get', job);
  assert.deepEqual([claimed.stage, claimed.worker, BigInt(claimed.fee), BigInt(claimed.bond)], ['claimed', worker.address, FEE + LAB, 2n * (FEE + LAB)]);
  assert.deepEqual((await ask('jobs_worker', worker.address)).open, 1);
  await explained(job, /Somebody works on it/);

  await include(api, api.tx.jobs.submit(job, [hash(4), hash(5)]), worker);
  const submitted = await ask('jobs_get', job);
  assert.equal(submitted.stage, 'submitted');
  assert.deepEqual(submitted.products.map(({ c }) => c), [hash(4), hash(5)]);
  assert.equal(submitted.window.ends - submitted.window.since, market.challengeWindow);
  await explained(job, /being audited/);
  await until('an auditor', async () => (await ask('jobs_get', job)).auditors?.length === 1);

  const before = await free(worker);
  await include(api, api.tx.jobs.accept(job), poster);
  const paid = (FEE + LAB) * BigInt(market.workerSharePpb) / 1_000_000_000n;
  assert.equal(await free(worker) - before, paid + 2n * (FEE + LAB), 'the share of the fee, and the bond');
  await explained(job, /done and paid/);
  assert.equal((await ask('jobs_market')).goingRate, null, 'only its poster has seen it');

  await include(api, api.tx.jobs.forget(job), poster);
  await refused(-32060, 'jobs_get', job);
  await refused(-32060, 'jobs_explain', job);
  await until('the end of what is told', () => told.at(-1)?.info === null);
  const stages = told.map(({ info }) => info?.stage ?? 'gone');
  assert.deepEqual([...new Set(stages)], ['open', 'claimed', 'submitted', 'settled', 'gone']);
  await provider.unsubscribe('jobs_change', 'jobs_unsubscribe', unsubscribe).catch(() => {});
}

async function lateJob() {
  const job = await post();
  await explained(job, /no going rate/);
  const { block } = await include(api, api.tx.jobs.claim(job), worker);
  const { number } = await api.rpc.chain.getHeader(block);
  const { claimedUntil, agreed } = await ask('jobs_get', job);
  assert.equal(agreed.failureSharePpb, 100_000_000);
  await explained(job, /of the bond is lost/);
  assert(claimedUntil > number.toNumber());
  const best = async () => (await api.rpc.chain.getHeader()).number.toNumber();
  await until('the end of the claim', async () => await best() > claimedUntil);
  await explained(job, /late.*jobs\.poke/);
  const held = async () => (await api.query.balances.holds(worker.address)).reduce((sum, { amount }) => sum + amount.toBigInt(), 0n);
  assert.equal(await held(), 2n * FEE);
  // Anyone's, and for nothing.
  const anyone = keyring.addFromUri('//Eve');
  const had = await free(anyone);
  await include(api, api.tx.jobs.poke(job), anyone);
  assert.equal(await free(anyone), had);
  assert.equal(await held(), 0n);
  const again = await ask('jobs_get', job);
  assert.deepEqual([again.stage, again.failed, again.lastFailure], ['open', 1, 'late']);
  await explained(job, /One claim of it failed: its worker was late/);
  await include(api, api.tx.jobs.cancel(job), poster);
}

async function lists() {
  const posted = [];
  for (let at = 0; at < 3; at += 1) posted.unshift(await post());
  await include(api, api.tx.jobs.claim(posted[1]), worker);
  const first = await ask('jobs_list', null, null, 2);
  assert.deepEqual(first.jobs.map(({ job }) => job), posted.slice(0, 2));
  const second = await ask('jobs_list', null, first.below, 2);
  assert.deepEqual(second.jobs.map(({ job }) => job), [posted[2]]);
  const ofWorker = await ask('jobs_list', { worker: worker.address, stage: 'claimed' });
  assert.deepEqual(ofWorker.jobs.map(({ job }) => job), [posted[1]]);
  await refused(-32050, 'jobs_list', null, null, 101);
  await refused(-32050, 'jobs_list', null, null, 0);
  await refused(-32602, 'jobs_list', { colour: 'red' });
  await refused(-32602, 'jobs_worker', 'nobody');
  await assert.rejects(provider.subscribe('jobs_change', 'jobs_subscribe', [Array(17).fill(0)], () => {}), /-32050/);
}

await paidJob();
await lateJob();
await lists();
await api.disconnect();
process.exit(0);

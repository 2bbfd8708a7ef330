// What ten thousand open jobs do to a chain: blocks, transactions and lists beside ten of them and beside ten thousand.
//
// Usage: node open-jobs.mjs ws://127.0.0.1:PORT http://127.0.0.1:PORT/metrics [OPEN_JOBS]
//
// Prints a table. Exit status 1, with the reason on stderr, if a list does not show every job, or a job cannot be done beside them.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { include } from './include.mjs';

const LAB = 10n ** 12n;
const FEE = LAB / 50n;
const EACH = 100; // jobs that a transaction posts
const AT_A_TIME = 5; // such transactions under way
const JOBS = 12; // that are done while the chain is looked at
const OPEN_BLOCKS = 100_000;
const MS = 1_000;

const [address, metricsUrl, open = '10000'] = process.argv.slice(2);
const provider = new WsProvider(address);
const api = await ApiPromise.create({ provider, noInitWarn: true });
const ask = (method, ...params) => provider.send(method, params);
const keyring = new Keyring({ type: 'sr25519' });
const [poster, worker, crowd] = ['//Dave', '//Charlie', '//Eve'].map((uri) => keyring.addFromUri(uri));
const hash = (byte) => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`;
const batch = { root_b: hash(1), n: 1024, k: 1024, left: [{ root: hash(2), m: 1024 }] };
const post = (fee) => api.tx.jobs.post(batch, fee, OPEN_BLOCKS);
const best = async () => (await api.rpc.chain.getHeader()).number.toNumber();

/** Sum and count of a histogram of the node's. */
async function histogram(name) {
  const text = await (await fetch(metricsUrl)).text();
  const value = (part) => {
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}_${part}`));
    assert(lines.length > 0, `the node does not tell ${name}`);
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  return { sum: value('sum'), count: value('count') };
}

/** Milliseconds that something takes, the median of a few. */
async function took(what) {
  const times = [];
  for (let round = 0; round < 9; round += 1) {
    const began = performance.now();
    await what();
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[4];
}

/** How many jobs are open, by all pages of the list; and how many pages that takes. */
async function listed() {
  let [count, pages, below] = [0, 0, null];
  do {
    const page = await ask('jobs_list', { stage: 'open' }, below, 100);
    [count, pages, below] = [count + page.jobs.length, pages + 1, page.below];
  } while (below !== null);
  return { count, pages };
}

/** A job, from posting to payment. */
async function done() {
  const { events } = await include(api, post(2n * FEE), poster);
  const job = events.find(({ event }) => event.method === 'Posted').event.data.job.toNumber();
  await include(api, api.tx.jobs.claim(job), worker);
  await include(api, api.tx.jobs.submit(job, [hash(3)]), worker);
  await include(api, api.tx.jobs.accept(job), poster);
}

async function figures() {
  const [before, first, began] = [await histogram('substrate_proposer_block_constructed'), await best(), Date.now()];
  for (let job = 0; job < JOBS; job += 1) await done();
  const [after, last, ended] = [await histogram('substrate_proposer_block_constructed'), await best(), Date.now()];
  const { count, pages } = await listed();
  const market = await took(() => ask('jobs_market'));
  const page = await took(() => ask('jobs_list', { stage: 'open' }, null, 100));
  return {
    'open jobs': count,
    'pages of 100': pages,
    'ms to build a block': ((after.sum - before.sum) / (after.count - before.count) * MS).toFixed(2),
    's between blocks': ((ended - began) / MS / (last - first)).toFixed(2),
    'blocks for a job': ((last - first) / JOBS).toFixed(1),
    'ms for jobs_market': market.toFixed(1),
    'ms for a page': page.toFixed(1),
  };
}

async function postMany(count) {
  let nonce = (await api.rpc.system.accountNextIndex(crowd.address)).toNumber();
  for (let left = count; left > 0;) {
    const sent = [];
    for (; left > 0 && sent.length < AT_A_TIME; nonce += 1) {
      const each = Math.min(left, EACH);
      left -= each;
      const call = api.tx.utility.batchAll(Array.from({ length: each }, () => post(FEE)));
      sent.push(include(api, call, crowd, { nonce }));
    }
    await Promise.all(sent);
    console.log(`${count - left} jobs posted, block ${await best()}`);
  }
}

await postMany(10);
const few = await figures();
assert.equal(few['open jobs'], 10);
await postMany(Number(open) - 10);
const many = await figures();
assert.equal(many['open jobs'], Number(open));
console.table({ few, many });
await api.disconnect();
process.exit(0);

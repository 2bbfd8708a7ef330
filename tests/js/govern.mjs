// What whoever governs a chain does in the runbook, through @polkadot/api and //Alice's sudo key.
//
// Usage: node govern.mjs ws://127.0.0.1:PORT upgrade FILE.wasm
//        node govern.mjs ws://127.0.0.1:PORT recover STASH...
//
// `upgrade` sets the chain's code, and waits for the block that has it. `recover` takes the stake of validators that are
// gone for good out of the elections, waits until the chain has elected others, and notes that finality has stalled, so
// that the change is forced. Exit status 1, with the reason on stderr, if anything is not as it must be.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { include } from './include.mjs';

const LIMIT_MS = 300_000;
/** Blocks between the note of a stall and the change that it forces. */
const DELAY = 2;

/** Resolves once `condition` gives a value for the state of a best block. */
function until(api, what, condition) {
  return new Promise((resolve, reject) => {
    let stop;
    const timer = setTimeout(() => finish(reject, new Error(`waited ${LIMIT_MS} ms for ${what}`)), LIMIT_MS);
    const finish = (settle, value) => {
      clearTimeout(timer);
      stop?.();
      settle(value);
    };
    api.rpc.chain
      .subscribeNewHeads(async (header) => {
        try {
          const value = await condition(await api.at(header.hash), header);
          if (value) finish(resolve, value);
        } catch (error) {
          finish(reject, error);
        }
      })
      .then((unsubscribe) => { stop = unsubscribe; }, (error) => finish(reject, error));
  });
}

/** Makes `call` as root; resolves when it is in a best block. */
async function asRoot(api, root, call) {
  const sudo = api.tx.sudo.sudoUncheckedWeight(call, { refTime: 0, proofSize: 0 });
  const { block, events } = await include(api, sudo, root, { limitMs: LIMIT_MS });
  const done = events.find(({ event }) => event.method === 'Sudid');
  assert(done, 'sudo tells what became of the call');
  assert(!done.event.data[0].isErr, `the call failed: ${done.event.data[0]}`);
  return block;
}

async function upgrade(api, root, [file]) {
  const code = readFileSync(file);
  const before = (await api.rpc.state.getStorageHash('0x3a636f6465')).toHex();
  await asRoot(api, root, api.tx.system.setCodeWithoutChecks(`0x${code.toString('hex')}`));
  const number = await until(api, 'the new code', async (_, header) => {
    const now = await api.rpc.state.getStorageHash('0x3a636f6465', header.hash);
    const upgraded = header.digest.logs.some((log) => log.isRuntimeEnvironmentUpdated);
    assert(!upgraded || now.toHex() !== before, 'a header that notes an upgrade has new code');
    return now.toHex() !== before && header.number.toNumber();
  });
  console.log(JSON.stringify({ upgraded: number }));
}

async function recover(api, root, gone) {
  assert(gone.length > 0, 'name the stashes that are gone');
  for (const stash of gone) {
    const spans = await api.query.staking.slashingSpans(stash);
    const count = spans.isSome ? spans.unwrap().prior.length + 1 : 0;
    await asRoot(api, root, api.tx.staking.forceUnstake(stash, count));
  }
  await until(api, 'an election without them', async (at) => {
    const validators = (await at.query.session.validators()).map(String);
    return validators.length > 0 && gone.every((stash) => !validators.includes(stash));
  });
  const finalised = (await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).number.toNumber();
  await asRoot(api, root, api.tx.grandpa.noteStalled(DELAY, finalised));
  console.log(JSON.stringify({ stalledAt: finalised }));
}

async function main([url, task, ...rest]) {
  const tasks = { upgrade, recover };
  assert(/^wss?:\/\//.test(url ?? '') && tasks[task], 'usage: node govern.mjs ws://… upgrade FILE | recover STASH...');
  const provider = new WsProvider(url, 500, {}, 60_000);
  const api = await ApiPromise.create({ provider, noInitWarn: true, throwOnConnect: true });
  const root = new Keyring({ type: 'sr25519', ss58Format: api.registry.chainSS58 }).addFromUri('//Alice');
  await tasks[task](api, root, rest);
  await api.disconnect();
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

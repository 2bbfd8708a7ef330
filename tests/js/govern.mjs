// What whoever governs a chain does in the runbook, through @polkadot/api and //Alice's sudo key.
//
// Usage: node govern.mjs ws://127.0.0.1:PORT upgrade FILE.wasm
//        node govern.mjs ws://127.0.0.1:PORT recover STASH...
//        node govern.mjs ws://127.0.0.1:PORT rekey ws://127.0.0.1:PORT URI...
//
// `upgrade` sets the chain's code, which must be of a higher version, and sees that signatures count for one version only.
// `recover` goes by docs/runbook.md: takes validators that
// are gone for good out of the elections, has others elected soon, waits until the lost ones are out of the next session, and
// notes that finality has stalled, so that the change is forced; before that once in vain. `rekey` has the second node make a new key for each of these
// validators, who name it as theirs; they vote with it from the session after next. Exit status 1, with the reason on stderr,
// if anything is not as it must be.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { describe, include } from './include.mjs';

const LIMIT_MS = 300_000;
/** Blocks between the note of a stall and the change that it forces. */
const DELAY = 10;

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

/** Sends `call` as root; resolves to the best block that has it, and whether that tells what became of it. Rejects if the call failed. */
async function sentAsRoot(api, root, call) {
  const sudo = api.tx.sudo.sudoUncheckedWeight(call, { refTime: 0, proofSize: 0 });
  const { block, events } = await include(api, sudo, root, { limitMs: LIMIT_MS });
  const result = events.find(({ event }) => event.method === 'Sudid')?.event.data[0];
  if (result?.isErr) throw new Error(`the call failed: ${describe(api, result.asErr)}`);
  return { block, isTold: result !== undefined };
}

/** Makes `call` as root, where it must succeed; resolves to the best block that has it. */
async function asRoot(api, root, call) {
  const { block, isTold } = await sentAsRoot(api, root, call);
  assert(isTold, 'sudo tells what became of the call');
  return block;
}

/** Resolves once the state of a best block has a runtime of a higher version than this, and the client has taken it up. */
async function upgraded(api, version) {
  await until(api, 'a higher version', async () => api.runtimeVersion.specVersion.toNumber() > version);
}

async function upgrade(api, root, [file]) {
  const code = readFileSync(file).toString('hex');
  const user = new Keyring({ type: 'sr25519' }).addFromUri('//Ferdie');
  const remark = api.tx.system.remarkWithEvent('0x00');
  // Only what it is signed for can be wrong with this: it never expires, and is the account's next.
  const [version, options] = [api.runtimeVersion.specVersion.toNumber(), { era: 0, nonce: await api.rpc.system.accountNextIndex(user.address) }];
  const old = (await remark.signAsync(user, options)).toHex();
  // Its events are the old runtime's. The client reads them by the new one's types if it hears of that first; the new version tells all.
  const { block } = await sentAsRoot(api, root, api.tx.system.setCode(`0x${code}`));
  await upgraded(api, version);
  await assert.rejects(api.rpc.author.submitExtrinsic(old), /1010: Invalid Transaction.*bad signature/, 'a signature for the version before');
  const { events } = await include(api, remark, user, { ...options, limitMs: LIMIT_MS });
  assert(events.some(({ event }) => event.method === 'Remarked'), 'the same, signed for this version');
  console.log(JSON.stringify({ block: block.toHex(), version: api.runtimeVersion.specVersion.toNumber() }));
}

/** Notes that finality stalls after the last final block; its number. */
async function noteStall(api, root) {
  const finalised = (await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).number.toNumber();
  await asRoot(api, root, api.tx.grandpa.noteStalled(DELAY, finalised));
  return finalised;
}

async function recover(api, root, gone) {
  assert(gone.length > 0, 'name the stashes that are gone');
  // Too early, as it may happen: a change is forced to authorities among whom they still are, and another has to follow.
  await noteStall(api, root);
  for (const stash of gone) {
    const call = api.tx.sudo.sudoAs(stash, api.tx.staking.chill());
    const { events } = await include(api, call, root, { limitMs: LIMIT_MS });
    const done = events.find(({ event }) => event.method === 'SudoAsDone');
    assert(done && !done.event.data[0].isErr, `${stash} is not out of the elections`);
  }
  await asRoot(api, root, api.tx.staking.forceNewEra());
  await until(api, 'the next session to be without them', async (at) => {
    const next = (await at.query.session.queuedKeys()).map(([stash]) => stash.toString());
    return next.length > 0 && gone.every((stash) => !next.includes(stash));
  });
  console.log(JSON.stringify({ stalledAt: await noteStall(api, root) }));
}

async function rekey(api, _, [machine, ...uris]) {
  assert(uris.length > 0, 'name the validators');
  const provider = new WsProvider(machine, 500, {}, 60_000);
  await provider.isReady;
  const keyring = new Keyring({ type: 'sr25519' });
  for (const uri of uris) {
    const stash = keyring.addFromUri(uri);
    const owner = `0x${Buffer.from(stash.publicKey).toString('hex')}`;
    const { keys, proof } = await provider.send('author_rotateKeysWithOwner', [owner]);
    await include(api, api.tx.session.setKeys(keys, proof), stash, { limitMs: LIMIT_MS });
    console.log(JSON.stringify({ uri, keys }));
  }
  await provider.disconnect();
}

async function main([url, task, ...rest]) {
  const tasks = { upgrade, recover, rekey };
  assert(/^wss?:\/\//.test(url ?? '') && tasks[task], 'usage: node govern.mjs ws://… upgrade FILE | recover STASH... | rekey ws://… URI...');
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

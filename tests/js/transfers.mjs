// Transfers through @polkadot/api, unmodified as wallets use it: connects, reads balances, signs with sr25519, ed25519
// and ECDSA, waits for inclusion in a best block and checks every balance, fee and the total issuance to the unit.
//
// Usage: node transfers.mjs ws://127.0.0.1:PORT     The node must mine a dev chain, on which //Alice has tokens.
// Prints one line of JSON per transfer. Exit status 1, with the reason on stderr, if anything is not as it must be.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { include } from './include.mjs';

const SCHEMES = ['sr25519', 'ed25519', 'ecdsa'];

/** Free balance of `address` in the state after `block`, as a BigInt. */
async function free(api, block, address) {
  const at = await api.at(block);
  return (await at.query.system.account(address)).data.free.toBigInt();
}

/** One transfer to a fresh account, with every effect checked against the states before and after its block. */
async function transfer(api, { sender, recipient, amount, tip }) {
  const call = api.tx.balances.transferKeepAlive(recipient, amount);
  const { block, events } = await include(api, call, sender, { tip });
  const { parentHash } = await api.rpc.chain.getHeader(block);

  const find = (section, method) => events.find(({ event }) => event.section === section && event.method === method);
  assert(find('system', 'ExtrinsicSuccess'), 'no ExtrinsicSuccess event');
  const paid = find('transactionPayment', 'TransactionFeePaid');
  assert(paid, 'no TransactionFeePaid event');
  const fee = paid.event.data.actualFee.toBigInt();
  assert.equal(paid.event.data.tip.toBigInt(), tip, 'the tip of the event is not the one that was signed');
  assert(fee > tip, `the fee ${fee} must be above the tip ${tip}`);

  const moved = async (address) => (await free(api, block, address)) - (await free(api, parentHash, address));
  assert.equal(await moved(sender.address), -(amount + fee), 'the sender must lose amount and fee, no more, no less');
  assert.equal(await moved(recipient), amount, 'the recipient must get the amount');
  return { block: block.toHex(), parentHash, fee };
}

/** What the transactions of `block` took out of the total issuance, which only the subsidy adds to. */
async function burnedIn(api, block, parent) {
  const read = async (hash) => {
    const { query } = await api.at(hash);
    const [issuance, minted] = await Promise.all([query.balances.totalIssuance(), query.rewards.minted()]);
    return issuance.toBigInt() - minted.toBigInt();
  };
  return (await read(parent)) - (await read(block));
}

async function main(url) {
  const provider = new WsProvider(url, 500, {}, 30_000);
  const api = await ApiPromise.create({ provider, noInitWarn: true, throwOnConnect: true });
  try {
    const unit = 10n ** BigInt(api.registry.chainDecimals[0]);
    const alice = new Keyring({ type: 'sr25519', ss58Format: api.registry.chainSS58 }).addFromUri('//Alice');
    const { data } = await api.query.system.account(alice.address);
    assert(data.free.toBigInt() > 1000n * unit, `//Alice has ${data.free}, too little for the test`);
    console.log(JSON.stringify({ chain: (await api.rpc.system.chain()).toString(), alice: data.free.toString() }));

    for (const [index, type] of SCHEMES.entries()) {
      const keyring = new Keyring({ type, ss58Format: api.registry.chainSS58 });
      const sender = keyring.addFromUri(`//Labora//sender//${type}`);
      const recipient = keyring.addFromUri(`//Labora//recipient//${type}`).address;
      await transfer(api, { sender: alice, recipient: sender.address, amount: 100n * unit, tip: 0n });

      const tip = BigInt(index) * (unit / 1000n);
      const sent = await transfer(api, { sender, recipient, amount: 7n * unit + BigInt(index), tip });
      const burned = await burnedIn(api, sent.block, sent.parentHash);
      assert.equal(burned, sent.fee - tip, 'exactly the fee without the tip must be burned');
      console.log(JSON.stringify({ type, block: sent.block, fee: sent.fee.toString(), tip: tip.toString(), burned: burned.toString() }));
    }
  } finally {
    await api.disconnect();
  }
}

const url = process.argv[2];
if (!/^wss?:\/\//.test(url ?? '')) {
  console.error('usage: node transfers.mjs ws://127.0.0.1:PORT');
  process.exit(2);
}
main(url).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

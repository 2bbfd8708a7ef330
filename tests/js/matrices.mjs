// Matrices, as the programs beside this one name them and have them kept.

import assert from 'node:assert/strict';
import { blake3 } from '@noble/hashes/blake3';

const bytesOf = (matrix) => new Uint8Array(matrix.buffer);

/** The BLAKE3 hash of a matrix's bytes, as calls take it. */
export const rootOf = (matrix) => `0x${Buffer.from(blake3(bytesOf(matrix))).toString('hex')}`;

/** Has a node's endpoint keep a matrix. */
export async function keepAt(endpoint, matrix) {
  const answer = await fetch(`${endpoint}/v1/artifacts/${rootOf(matrix).slice(2)}`, {
    method: 'PUT', body: bytesOf(matrix), headers: { 'content-type': 'application/octet-stream' },
  });
  assert.equal(answer.status, 201, await answer.text());
}

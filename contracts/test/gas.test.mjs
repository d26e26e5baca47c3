// What a contract on another chain pays to rely on a receipt; the figures are printed, and held below a bound.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { measure } from "../gas.mjs";
import { startChain } from "../harness/chain.mjs";

/** Two pairings take 102,900 and mapping a hash 11,000 (EIP-2537); hashes, roots and decoding are to take less. */
const MAX_EXECUTION_GAS = 200_000;
/** Of each further header. */
const MAX_HEADER_GAS = 8_000;

let chain;
before(async () => {
  chain = await startChain();
});
after(() => chain.stop());

test("verification is affordable", async (context) => {
  const figures = await measure(chain);
  for (const [what, { gas, execution }] of Object.entries(figures)) {
    context.diagnostic(`${what}: ${gas} gas${execution ? `, ${execution} of them execution` : ""}`);
  }
  const execution = (headers) => figures[`verify, headers: ${headers}`].execution;
  assert.ok(execution(1) <= MAX_EXECUTION_GAS);
  assert.ok((execution(4) - execution(1)) / 3 <= MAX_HEADER_GAS);
});

// What a contract on another chain pays to rely on a receipt, and what checks and disputes cost here; the figures are printed,
// and held below bounds.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { measureChecks } from "../check_gas.mjs";
import { measure } from "../gas.mjs";
import { startChain } from "../harness/chain.mjs";

/** Two pairings take 102,900 and mapping a hash 11,000 (EIP-2537); hashes, roots and decoding are to take less. */
const MAX_EXECUTION_GAS = 200_000;
/** Of each further header. */
const MAX_HEADER_GAS = 8_000;
/** A transaction has 16,777,216 (EIP-7825); the longest list is to leave most of it. */
const MAX_DRAW_GAS = 4_000_000;
/** A whole check, and a whole dispute over 500 steps, of a block's 40,000,000. */
const MAX_CHECK_GAS = 1_600_000;
const MAX_DISPUTE_GAS = 3_000_000;

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

test("checks and disputes are affordable, and the longest list can be drawn from", async (context) => {
  const figures = await measureChecks(chain);
  for (const [what, calls] of Object.entries(figures)) context.diagnostic(`${what}: ${JSON.stringify(calls)}`);
  assert.ok(figures.check.sum <= MAX_CHECK_GAS);
  assert.ok(figures["dispute over 500 steps"].sum <= MAX_DISPUTE_GAS);
  assert.ok(figures["begin with 512 servers"].sum <= MAX_DRAW_GAS);
});

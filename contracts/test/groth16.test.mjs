// A contract as assay-zkml generates it, with a proof of a random model as large as its class. The file is what
// `cargo run -p assay-zkml --features groth16 --example groth16 -- contracts/test/groth16` writes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { measure } from "../groth16.mjs";
import { startChain } from "../harness/chain.mjs";

/** What issue 3 allows for a model that EZKL's verifier charges 607,000 gas for. */
const MOST_GAS = 260_000;

let chain;
before(async () => {
  chain = await startChain();
});
after(() => chain.stop());

for (const name of ["16-4", "64-32-10"]) {
  test(`a proof of class ${name} is accepted within ${MOST_GAS} gas, and no forged one is`, async () => {
    const file = new URL(`groth16/assay-groth16-${name}.json`, import.meta.url);
    const { gas, refused } = await measure(chain, file);
    assert.ok(gas <= MOST_GAS, `${gas} gas`);
    assert.ok(refused > 70);
  });
}

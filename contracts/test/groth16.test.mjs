// Contracts as `assay zk groth16 solidity` prints them, with proofs of runs of this repository's own models. The files are what
//
//   assay zk groth16 setup CLASS --out KEYS --key KEY
//   assay zk groth16 commit ../models/MODEL --secret SECRET
//   assay zk groth16 prove ../models/MODEL --input ROW --keys KEYS --secret SECRET --out test/groth16/MODEL.proof.json
//   assay zk groth16 solidity --json --key KEY > test/groth16/MODEL.verifier.json
//
// wrote, ROW being the first of the revision's zk/test.npy. That their outputs are those of the exact execution of the
// quantised model is tested where the command is, in crates/assay/tests/it/zk_groth16.rs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { measure } from "../groth16.mjs";
import { startChain } from "../harness/chain.mjs";

/** What is allowed for a model that EZKL's verifier charges about 600,000 gas for (`make bench-zkml` measures both). */
const MOST_GAS = 260_000;

const MODELS = { "risk-logreg": "assay-groth16-16-4", "digits-mlp-64-32-10": "assay-groth16-64-32-10" };

let chain;
before(async () => {
  chain = await startChain();
});
after(() => chain.stop());

for (const [name, sizeClass] of Object.entries(MODELS)) {
  test(`a run of ${name} is checked within ${MOST_GAS} gas, and no forged one is accepted`, async () => {
    const file = (kind) => new URL(`groth16/${name}.${kind}.json`, import.meta.url);
    const found = await measure(chain, file("proof"), file("verifier"));
    assert.deepEqual([found.model, found.class], [name, sizeClass]);
    assert.ok(found.gas <= MOST_GAS, `${found.gas} gas`);
    assert.ok(found.refused > 70);
  });
}

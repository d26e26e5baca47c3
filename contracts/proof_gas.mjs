// What checking a proof of the same model costs on a stock chain, as anvil counts it: EZKL's own verifier beside ours. Prints
// JSON, a list with one entry for each model.
//
// node proof_gas.mjs FOLDER...: each is named after its model and has, of ours, proof.json and verifier.json as
// groth16.mjs takes them, and of EZKL, where it got so far, evm.sol and calldata.bin as ezkl_bench.py leaves them.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import solc from "solc";
import { hexToBytes, toHex } from "viem";
import { measure } from "./groth16.mjs";
import { bob, startChain } from "./harness/chain.mjs";

/** EZKL's generated contract is compiled without the pipeline that ours have, on which its assembly may run out of stack. */
const SETTINGS = [{ viaIR: false }, { viaIR: false, optimizer: { enabled: true, runs: 1 } }];
const NAME = "Halo2Verifier";
/** `true` as a function returns it. */
const TRUE = toHex(1, { size: 32 });

/** The creation code of EZKL's contract under some settings, or why there is none. */
function compileTheirs(content, settings) {
  const sources = { "evm.sol": { content } };
  const outputSelection = { "*": { "*": ["evm.bytecode.object"] } };
  const input = { language: "Solidity", sources, settings: { evmVersion: "prague", ...settings, outputSelection } };
  const { contracts, errors = [] } = JSON.parse(solc.compile(JSON.stringify(input)));
  const bytecode = contracts?.["evm.sol"]?.[NAME]?.evm.bytecode.object;
  if (bytecode) return `0x${bytecode}`;
  throw new Error(errors.find((error) => error.severity === "error")?.message ?? `there is no ${NAME}`);
}

/** Gas of a transaction to EZKL's contract with its own calldata; that it says yes to it, and no to a changed proof. */
async function call(chain, bytecode, data) {
  const { client } = chain;
  const contract = await chain.deploy(bob, { abi: [], bytecode });
  const to = contract.address;
  assert.equal((await client.call({ to, data })).data, TRUE, "EZKL's verifier does not accept EZKL's proof");
  const forged = hexToBytes(data);
  // A byte of the proof's first commitment: a selector, two offsets and a length come before it.
  forged[4 + 3 * 32 + 40] ^= 1;
  const said = await client.call({ to, data: toHex(forged) }).then(({ data: answer }) => answer, () => "reverted");
  assert.notEqual(said, TRUE, "EZKL's verifier accepts a changed proof");
  const hash = await client.sendTransaction({ account: bob, to, data });
  const { gasUsed, status } = await client.waitForTransactionReceipt({ hash });
  assert.equal(status, "success");
  const deployment = Number(contract.deployment.gasUsed);
  return { gas: Number(gasUsed), calldata_bytes: data.length / 2 - 1, deployment_gas: deployment };
}

/** EZKL's least gas over the settings, or the reasons for which there is none. */
async function measureTheirs(chain, folder) {
  const [source, calldata] = ["evm.sol", "calldata.bin"].map((name) => join(folder, name));
  if (!existsSync(source) || !existsSync(calldata)) return { failed: "it left no contract and call" };
  const data = toHex(readFileSync(calldata));
  const found = [];
  const reasons = [];
  for (const settings of SETTINGS) {
    try {
      const bytecode = compileTheirs(readFileSync(source, "utf8"), settings);
      found.push({ ...(await call(chain, bytecode, data)), settings });
    } catch (error) {
      reasons.push(error.message.split("\n")[0]);
    }
  }
  found.sort((a, b) => a.gas - b.gas);
  return found[0] ?? { failed: reasons.join("; ") };
}

const chain = await startChain();
try {
  const entries = [];
  for (const folder of process.argv.slice(2)) {
    const ours = await measure(chain, join(folder, "proof.json"), join(folder, "verifier.json"));
    entries.push({ model: basename(folder), ezkl: await measureTheirs(chain, folder), ours });
  }
  console.log(JSON.stringify(entries, null, 2));
} finally {
  await chain.stop();
}

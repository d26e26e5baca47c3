// What checking a Groth16 proof costs on a stock chain, as anvil counts it, and that forged ones are refused there.
//
// node groth16.mjs PROOF.json VERIFIER.json: what `assay zk groth16 prove --out PROOF.json` wrote, and what
// `assay zk groth16 solidity --json` printed for the key of the same setup.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { encodeFunctionData, hexToBytes, toHex } from "viem";
import { compile } from "./compile.mjs";
import { bob, startChain } from "./harness/chain.mjs";

/** The order of BN254's groups and the field of their coordinates (EIP-196). */
const ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
const FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

function flipped(proof, index) {
  const bytes = hexToBytes(proof);
  bytes[index] ^= 1;
  return toHex(bytes);
}

/** The proof with a coordinate replaced by the same plus the field's size, where 256 bits hold it. */
function aliased(proof, place) {
  const bytes = hexToBytes(proof);
  const value = BigInt(toHex(bytes.slice(32 * place, 32 * place + 32)));
  bytes.set(hexToBytes(toHex(value + FIELD, { size: 32 })), 32 * place);
  return toHex(bytes);
}

/** Holds a deployed verifier to refuse what it must; returns how many calls were refused. */
async function refuse(contract, { proof, publicInputs }) {
  const inputs = publicInputs.map(BigInt);
  let count = 0;
  const check = async (error, bytes, values) => {
    await contract.refuses(bob, error, "verify", bytes, values);
    count += 1;
  };
  for (let index = 0; index < 256; index += 5) await check("InvalidProof", flipped(proof, index), inputs);
  for (let place = 0; place < 8; place += 1) await check("InvalidProof", aliased(proof, place), inputs);
  await check("InvalidProof", toHex(new Uint8Array(256)), inputs);
  await check(["ProofLength", 255n], proof.slice(0, -2), inputs);
  await check(["ProofLength", 257n], `${proof}00`, inputs);
  await check(["InputCount", BigInt(inputs.length - 1)], proof, inputs.slice(1));
  await check(["InputCount", BigInt(inputs.length + 1)], proof, [...inputs, 0n]);
  for (const [index, value] of inputs.entries()) {
    await check("InvalidProof", proof, inputs.with(index, (value + 1n) % ORDER));
    await check(["InputNotReduced", BigInt(index)], proof, inputs.with(index, value + ORDER));
  }
  return count;
}

/** Deploys a verifier; measures a call that it accepts and tries those that it must refuse. */
export async function measure(chain, proofFile, verifierFile) {
  const { name: model, proof, publicInputs, class: sizeClass } = JSON.parse(readFileSync(proofFile));
  const { name, source } = JSON.parse(readFileSync(verifierFile));
  const compiled = compile({ "Verifier.sol": source })["Verifier.sol"][name];
  const deployable = { abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` };
  const contract = await chain.deploy(bob, deployable);
  // Its own errors, which are in no artefact of genesis.
  contract.abi = compiled.abi;
  const args = [proof, publicInputs.map(BigInt)];
  await contract.read("verify", ...args);
  const data = encodeFunctionData({ abi: compiled.abi, functionName: "verify", args });
  const hash = await chain.client.sendTransaction({ account: bob, to: contract.address, data });
  const { gasUsed, status } = await chain.client.waitForTransactionReceipt({ hash });
  assert.equal(status, "success");
  return {
    model,
    class: sizeClass,
    gas: Number(gasUsed),
    calldata_bytes: data.length / 2 - 1,
    deployment_gas: Number(contract.deployment.gasUsed),
    refused: await refuse(contract, { proof, publicInputs }),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const chain = await startChain();
  try {
    const { gas, calldata_bytes, deployment_gas, refused } = await measure(chain, ...process.argv.slice(2));
    console.log(`gas ${gas} in all, ${calldata_bytes} bytes of calldata; deployment ${deployment_gas}`);
    console.log(`forged calls refused on chain: ${refused}`);
  } finally {
    await chain.stop();
  }
}

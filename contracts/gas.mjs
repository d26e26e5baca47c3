// What verification costs on a stock chain at Prague's rules, as anvil counts it: prints JSON, one entry for each
// transaction with its gas in all and without what every transaction pays for being one (EIP-2028).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { encodeFunctionData, hexToBytes } from "viem";
import { artifact, bob, startChain } from "./harness/chain.mjs";
import { lightClientArguments } from "./harness/proofs.mjs";

const VECTORS = new URL("../vectors/proof/receipt-proof.json", import.meta.url);
const TRANSACTION_GAS = 21_000;

/** What a transaction with this data pays before anything runs. */
function intrinsicGas(data) {
  return hexToBytes(data).reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), TRANSACTION_GAS);
}

/** The gas of a transaction that calls `functionName` of `contract`. */
async function gasOf(contract, functionName, ...args) {
  const { gasUsed } = await contract.send(bob, functionName, ...args);
  const data = encodeFunctionData({ abi: contract.abi, functionName, args });
  return { gas: Number(gasUsed), execution: Number(gasUsed) - intrinsicGas(data), calldata_bytes: data.length / 2 - 1 };
}

/** The gas of deploying a light client, of verifying each frozen proof, and of acting on the first. */
export async function measure(chain) {
  const { accept, network } = JSON.parse(readFileSync(VECTORS));
  const client = await chain.deploy(bob, artifact("LightClient"), lightClientArguments(network));
  const figures = { deployment: { gas: Number(client.deployment.gasUsed) } };
  for (const { proof } of accept) {
    figures[`verify, headers: ${proof.headers.length}`] = await gasOf(client, "verify", proof);
  }
  const [{ revision }] = await client.read("verify", accept[0].proof);
  const consumer = await chain.deploy(bob, artifact("ForeignConsumer"), [client.address, revision, 1]);
  figures["consumer acts, headers: 1"] = await gasOf(consumer, "act", accept[0].proof);
  return figures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const chain = await startChain();
  try {
    console.log(JSON.stringify(await measure(chain), null, 2));
  } finally {
    await chain.stop();
  }
}

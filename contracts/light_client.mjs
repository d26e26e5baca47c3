// Prints the creation code of a light client of one network: node light_client.mjs NETWORK.json. Whoever deploys it
// need not be believed: the contract's networkId() is bound to the network's key, and its code to artifacts/.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { encodeDeployData } from "viem";
import { artifact } from "./harness/chain.mjs";
import { lightClientArguments } from "./harness/proofs.mjs";

/** The creation code with what the constructor takes, for a network as its file has it. */
export function creationCode(network) {
  const { abi, bytecode } = artifact("LightClient");
  return encodeDeployData({ abi, bytecode, args: lightClientArguments(network) });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path] = process.argv.slice(2);
  if (path === undefined) {
    console.error("usage: node light_client.mjs NETWORK.json");
    process.exitCode = 3;
  } else {
    console.log(creationCode(JSON.parse(readFileSync(path, "utf8"))));
  }
}

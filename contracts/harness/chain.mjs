// A chain with the contracts of genesis on it: anvil from npm, with code and storage set as genesis sets them.
//
// The receipt verifier is a precompile of Assay's own validators, which anvil has not: MockVerifier.sol stands at its
// address here. The precompile itself is tested with the chain crate.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  BaseError,
  ContractFunctionRevertedError,
  concat,
  createTestClient,
  encodeAbiParameters,
  encodeErrorResult,
  encodeFunctionResult,
  http,
  keccak256,
  pad,
  publicActions,
  toFunctionSelector,
  toHex,
  walletActions,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { compile } from "../compile.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const CONTRACTS = join(HERE, "..");
/** Anvil's public test phrase; its accounts have ether at block 0. */
const PHRASE = "test test test test test test test test test test test junk";

export const VERIFIER = "0x000000000000000000000000000000000000a551";
export const PROOF_VERIFIER = "0x000000000000000000000000000000000000a552";
export const NETWORK_ID = keccak256(toHex("a network for tests"));
/** Microcredits that genesis gives to each of alice, bob and carol. */
export const ENDOWMENT = 10_000_000_000n;
export const MIN_BOND = 1_000_000_000n;

export const [alice, bob, carol, nodeA, nodeB, stranger] = [0, 1, 2, 3, 4, 5].map((addressIndex) =>
  mnemonicToAccount(PHRASE, { addressIndex }),
);

export function artifact(name) {
  return JSON.parse(readFileSync(join(CONTRACTS, "artifacts", `${name}.json`), "utf8"));
}

const NAMES = ["Credit", "ModelRegistry", "NodeRegistry", "Settlement", "Proofs", "Hubs", "Checks", "Disputes"];
const OTHERS = ["IReceiptVerifier", "IProofVerifier", "ExampleConsumer", "ForeignConsumer", "LightClient"];
const ARTIFACTS = Object.fromEntries([...NAMES, ...OTHERS].map((name) => [name, artifact(name)]));

/** Every error of every contract once: a call of one contract can fail in another. */
const ERRORS = [
  ...new Map(
    Object.values(ARTIFACTS)
      .flatMap(({ abi }) => abi.filter((item) => item.type === "error"))
      .map((item) => [toFunctionSelector(`${item.name}(${item.inputs.map((input) => input.type)})`), item]),
  ).values(),
];

function withErrors(abi) {
  return [...abi.filter((item) => item.type !== "error"), ...ERRORS];
}

/** The storage key of `mapping(address => ...)` at `slot`. */
export function mappingSlot(key, slot) {
  return keccak256(encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [pad(key, { size: 32 }), slot]));
}

/** Anvil as the lockfile has it, which is for Linux on x86-64; elsewhere the one on the path. */
function anvilPath() {
  const pinned = join(CONTRACTS, "node_modules", ".bin", "anvil");
  return existsSync(pinned) ? pinned : "anvil";
}

async function startAnvil(rules) {
  const anvil = anvilPath();
  const child = spawn(anvil, ["--port", "0", "--hardfork", rules], { stdio: ["ignore", "pipe", "inherit"] });
  const failed = new Promise((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`anvil ended with status ${code}`)));
  });
  failed.catch(() => {});
  const lines = createInterface({ input: child.stdout });
  const listening = new Promise((resolve) => {
    lines.on("line", (line) => {
      const found = line.match(/^Listening on (\S+)$/);
      if (found) resolve(`http://${found[1]}`);
    });
  });
  return { child, url: await Promise.race([listening, failed]) };
}

async function writeGenesis(client) {
  for (const name of NAMES) {
    await client.setCode({ address: ARTIFACTS[name].address, bytecode: ARTIFACTS[name].deployedBytecode });
  }
  const word = (value) => toHex(value, { size: 32 });
  const holders = [alice, bob, carol];
  const credit = ARTIFACTS.Credit.address;
  for (const { address } of holders) {
    await client.setStorageAt({ address: credit, index: mappingSlot(address, 0n), value: word(ENDOWMENT) });
  }
  const supply = word(ENDOWMENT * BigInt(holders.length));
  await client.setStorageAt({ address: credit, index: word(1n), value: supply });
  await client.setStorageAt({ address: ARTIFACTS.Settlement.address, index: word(0n), value: NETWORK_ID });
}

/** What a test works with: one contract at an address. */
class Contract {
  constructor(client, abi, address) {
    Object.assign(this, { client, abi: withErrors(abi), address });
  }

  /** The same contract elsewhere. */
  at(address) {
    return new Contract(this.client, this.abi, address);
  }

  /** Calls without a transaction. */
  read(functionName, ...args) {
    return this.client.readContract({ abi: this.abi, address: this.address, functionName, args });
  }

  /** Sends a transaction that must succeed; returns its receipt. */
  async send(account, functionName, ...args) {
    const call = { account, abi: this.abi, address: this.address, functionName, args };
    await this.client.simulateContract(call);
    const receipt = await this.client.waitForTransactionReceipt({ hash: await this.client.writeContract(call) });
    assert.equal(receipt.status, "success");
    return receipt;
  }

  /** Holds a call of `account` to fail with the named error and, where given, its arguments. */
  async refuses(account, error, functionName, ...args) {
    const [name, ...expected] = [error].flat();
    const call = { account, abi: this.abi, address: this.address, functionName, args };
    const failure = await this.client.simulateContract(call).then(
      () => assert.fail(`${functionName} was accepted, expected ${name}`),
      (thrown) => thrown,
    );
    const revert = failure instanceof BaseError && failure.walk((e) => e instanceof ContractFunctionRevertedError);
    if (!revert) throw failure;
    assert.equal(revert.data?.errorName, name, revert.message);
    if (expected.length > 0) assert.deepEqual(revert.data.args, expected);
  }

  /** The arguments of this contract's events called `eventName` in a transaction receipt. */
  async events(receipt, eventName) {
    const { blockNumber: fromBlock, transactionHash } = receipt;
    const { address, abi } = this;
    const logs = await this.client.getContractEvents({ address, abi, eventName, fromBlock, toBlock: fromBlock });
    return logs.filter((log) => log.transactionHash === transactionHash).map((log) => log.args);
  }
}

async function mock(client, name, address) {
  const file = `${name}.sol`;
  const contract = compile({ [file]: readFileSync(join(HERE, file), "utf8") })[file][name];
  await client.setCode({ address, bytecode: `0x${contract.evm.deployedBytecode.object}` });
}

/** Starts a chain with these rules; `stop` ends it. `snapshot` and `rewind` keep tests apart. */
export async function startChain(rules = "prague") {
  const { child, url } = await startAnvil(rules);
  const transport = http(url);
  const client = createTestClient({ chain: foundry, mode: "anvil", transport, pollingInterval: 20, cacheTime: 0 })
    .extend(publicActions)
    .extend(walletActions);
  await writeGenesis(client);
  const contract = ({ abi, address }) => new Contract(client, abi, address);
  let saved;
  return {
    client,
    credit: contract(ARTIFACTS.Credit),
    models: contract(ARTIFACTS.ModelRegistry),
    nodes: contract(ARTIFACTS.NodeRegistry),
    settlement: contract(ARTIFACTS.Settlement),
    proofs: contract(ARTIFACTS.Proofs),
    hubs: contract(ARTIFACTS.Hubs),
    checks: contract(ARTIFACTS.Checks),
    disputes: contract(ARTIFACTS.Disputes),
    snapshot: async () => {
      saved = await client.snapshot();
    },
    rewind: async () => {
      await client.revert({ id: saved });
      saved = await client.snapshot();
    },
    /** Seconds of the newest block. */
    now: async () => (await client.getBlock()).timestamp,
    /** Mines a block `seconds` later. */
    pass: async (seconds) => {
      await client.increaseTime({ seconds });
      await client.mine({ blocks: 1 });
    },
    deploy: async (account, { abi, bytecode }, args) => {
      const hash = await client.deployContract({ account, abi: withErrors(abi), bytecode, args });
      const deployment = await client.waitForTransactionReceipt({ hash });
      assert.equal(deployment.status, "success");
      return Object.assign(contract({ abi, address: deployment.contractAddress }), { deployment });
    },
    /** Puts the mocks where validators have the precompiles. */
    mockVerifier: () => mock(client, "MockVerifier", VERIFIER),
    mockProofVerifier: () => mock(client, "MockProofVerifier", PROOF_VERIFIER),
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", resolve);
        child.kill();
      }),
  };
}

const verifierAbi = ARTIFACTS.IReceiptVerifier.abi;

/** Bytes at which the mock verifier returns this from `functionName`. */
export function verifierReturns(functionName, result) {
  return concat(["0x00", encodeFunctionResult({ abi: verifierAbi, functionName, result })]);
}

/** Bytes at which the mock verifier reverts with this error. */
export function verifierReverts(errorName, args) {
  return concat(["0x01", encodeErrorResult({ abi: verifierAbi, errorName, args })]);
}

/** Registers `node` under `operator` with the least bond, as a fixture. */
export async function registerNode(chain, operator, node, bond = MIN_BOND) {
  await chain.credit.send(operator, "approve", chain.nodes.address, bond);
  const endpoint = "http://127.0.0.1:9000";
  const signature = await signRegistration(node, { operator: operator.address, endpoint });
  return chain.nodes.send(operator, "register", node.address, endpoint, DOMAINS, bond, signature);
}

export const DOMAINS = {
  asn: 64512,
  country: toHex("NL"),
  teeVendor: 0,
  dataCentre: toHex("ams-1", { size: 32 }),
  build: keccak256(toHex("a build")),
};

/** Signs typed data in the domain of a contract of this network, whose parts `changes` replaces. */
function signIn(contract, account, { primaryType, fields, message, changes = {} }) {
  return account.signTypedData({
    domain: {
      name: "Assay",
      version: "1",
      chainId: foundry.id,
      verifyingContract: ARTIFACTS[contract].address,
      salt: NETWORK_ID,
      ...changes,
    },
    types: { [primaryType]: Object.entries(fields).map(([name, type]) => ({ name, type })) },
    primaryType,
    message,
  });
}

/** The node key's agreement to be registered, with any part replaced by `changes`. */
export function signRegistration(node, { operator, endpoint, nodeAddress = node.address, domain }) {
  const fields = { node: "address", operator: "address", endpoint: "string" };
  const message = { node: nodeAddress, operator, endpoint };
  return signIn("NodeRegistry", node, { primaryType: "Registration", fields, message, changes: domain });
}

/** The hub key's agreement to be registered with `message`. */
export function signHub(hub, message, changes) {
  const fields = { hub: "address", operator: "address", endpoint: "string", policy: "bytes32" };
  return signIn("Hubs", hub, { primaryType: "HubRegistration", fields, message, changes });
}

/** The publisher's delegation to a hub. */
export function signDelegation(publisher, message, changes) {
  const fields = {
    publisher: "address",
    hub: "address",
    scope: "uint8",
    notAfter: "uint64",
    salt: "uint64",
    seal: "bytes32",
  };
  return signIn("ModelRegistry", publisher, { primaryType: "Delegation", fields, message, changes });
}

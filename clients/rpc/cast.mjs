// cast (Foundry), unmodified, as the program that people run.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { required, run } from "./check.mjs";

/** cast as the lockfile has it, which is for Linux on x86-64; elsewhere the one on the path. */
const PINNED = fileURLToPath(new URL("node_modules/.bin/cast", import.meta.url));
const CAST = existsSync(PINNED) ? PINNED : "cast";
const RPC_URL = required("RPC_URL");
const PRIVATE_KEY = required("PRIVATE_KEY");
const { bytecode } = JSON.parse(readFileSync(new URL("Counter.json", import.meta.url)));
const ADD = "add(uint256,uint256)";
const TAG = BigInt(Date.now());
const execute = promisify(execFile);

/** What later checks know from earlier ones. */
const seen = {};

/** Standard output of `cast ...args`. */
async function cast(...args) {
  const env = { ...process.env, ETH_RPC_URL: RPC_URL, NO_COLOR: "1" };
  return (await execute(CAST, args.map(String), { env })).stdout.trim();
}

/** Standard error of a `cast` that must fail. */
async function fails(...args) {
  const error = await cast(...args).then(() => assert.fail(`cast ${args[0]} succeeded`), (thrown) => thrown);
  if (error.stderr === undefined) throw error;
  return error.stderr;
}

/** The receipt of a transaction by PRIVATE_KEY. */
async function send(...args) {
  return JSON.parse(await cast("send", "--json", "--private-key", PRIVATE_KEY, ...args));
}

const topic = (value) => `0x${value.toString(16).padStart(64, "0")}`;

await run("cast", {
  "chain id": async () => assert.equal(BigInt(await cast("chain-id")), BigInt(JSON.parse(await cast("rpc", "eth_chainId")))),
  "block number and block": async () => {
    const number = await cast("block-number");
    const block = JSON.parse(await cast("block", number, "--json"));
    assert.equal(BigInt(block.number), BigInt(number));
    assert.ok(BigInt(await cast("base-fee")) >= 0n);
    assert.match(await cast("client"), /./);
    await fails("block", BigInt(number) + 1_000_000n);
  },
  "balance": async () => {
    seen.account = await cast("wallet", "address", "--private-key", PRIVATE_KEY);
    assert.ok(BigInt(await cast("balance", seen.account)) > 0n, "PRIVATE_KEY is not funded");
  },
  "EIP-1559 transfer": async () => {
    const to = JSON.parse(await cast("wallet", "new", "--json"))[0].address;
    const nonce = BigInt(await cast("nonce", seen.account));
    const receipt = await send(to, "--value", 1_000);
    assert.deepEqual([receipt.status, receipt.type, BigInt(receipt.gasUsed)], ["0x1", "0x2", 21_000n]);
    assert.equal(await cast("balance", to), "1000");
    const sent = JSON.parse(await cast("tx", receipt.transactionHash, "--json"));
    assert.deepEqual([BigInt(sent.nonce), BigInt(sent.value)], [nonce, 1_000n]);
    assert.equal(BigInt(await cast("nonce", seen.account)), nonce + 1n);
  },
  "deployment": async () => {
    const receipt = await send("--create", bytecode);
    assert.equal(receipt.status, "0x1");
    seen.address = receipt.contractAddress;
    seen.deployedAt = BigInt(receipt.blockNumber);
    assert.match(await cast("code", seen.address), /^0x[0-9a-f]{2,}$/);
  },
  "transaction, event and receipt": async () => {
    const receipt = await send(seen.address, ADD, 7, TAG);
    assert.deepEqual([receipt.status, receipt.logs.length], ["0x1", 1]);
    assert.equal(receipt.logs[0].topics[2], topic(TAG));
    const again = JSON.parse(await cast("receipt", receipt.transactionHash, "--json"));
    assert.equal(again.blockHash, receipt.blockHash);
  },
  "calls and storage": async () => {
    assert.equal(await cast("call", seen.address, "total()(uint256)"), "7");
    assert.equal(await cast("call", seen.address, "addedBy(address)(uint256)", seen.account), "7");
    assert.equal(BigInt(await cast("storage", seen.address, 0)), 7n);
  },
  "revert with its data": async () => {
    const data = (await cast("abi-encode", "--packed", "f(uint256,uint256)", 101, 100)).slice(2);
    const selector = await cast("sig", "TooMuch(uint256,uint256)");
    const failure = await fails("call", seen.address, ADD, 101, TAG);
    assert.ok(failure.includes(`${selector}${data}`), failure);
    await fails("send", "--private-key", PRIVATE_KEY, seen.address, ADD, 101, TAG);
  },
  "a reverted transaction has a receipt": async () => {
    const nonce = await cast("nonce", seen.account);
    const args = ["--private-key", PRIVATE_KEY, "--gas-limit", 100_000, seen.address, ADD, 101, TAG];
    const failure = await cast("send", "--json", ...args).then(JSON.parse, (error) => error);
    const receipt = failure instanceof Error ? JSON.parse(failure.stdout) : failure;
    assert.equal(receipt.status, "0x0");
    assert.equal(BigInt(await cast("nonce", seen.account)), BigInt(nonce) + 1n);
  },
  "gas estimate holds": async () => {
    const gas = await cast("estimate", "--from", seen.account, seen.address, ADD, 1, TAG + 1n);
    const receipt = await send(seen.address, ADD, 1, TAG + 1n, "--gas-limit", gas);
    assert.equal(receipt.status, "0x1");
    assert.ok(BigInt(receipt.gasUsed) <= BigInt(gas));
  },
  "fees and fee history": async () => {
    assert.ok(BigInt(await cast("gas-price")) >= 0n);
    const history = JSON.parse(await cast("rpc", "eth_feeHistory", "0x2", "latest", "[50]"));
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  },
  "logs by topics and block range": async () => {
    const event = "Added(address indexed,uint256 indexed,uint256,uint256)";
    const logs = async (from, to, ...topics) => {
      const range = ["--from-block", from, "--to-block", to];
      const found = JSON.parse(await cast("logs", "--json", "--address", seen.address, ...range, event, ...topics));
      return found.map((log) => BigInt(log.topics[2]));
    };
    assert.deepEqual(await logs(seen.deployedAt, "latest"), [TAG, TAG + 1n]);
    assert.deepEqual(await logs(seen.deployedAt, "latest", seen.account, TAG + 1n), [TAG + 1n]);
    assert.deepEqual(await logs(seen.deployedAt, "latest", seen.account, TAG + 2n), []);
    assert.deepEqual(await logs(0, seen.deployedAt - 1n), []);
  },
  "an unknown method is -32601": async () => assert.match(await fails("rpc", "assay_noSuchMethod"), /-32601/),
  "transactions that cannot run are refused": async () => {
    const [{ private_key: poor }] = JSON.parse(await cast("wallet", "new", "--json"));
    const gas = ["--gas-limit", 21_000];
    const refusals = [
      await fails("send", "--private-key", poor, ...gas, seen.account, "--value", 1),
      await fails("send", "--private-key", PRIVATE_KEY, "--nonce", 0, ...gas, seen.account, "--value", 1),
      await fails("publish", "0x02c0"),
    ];
    for (const refusal of refusals) assert.match(refusal, /error code -\d+/);
  },
});

// ethers 6, unmodified, over HTTP (with batches) and WebSocket.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, isError } from "ethers";
import { required, run, until, within } from "./check.mjs";

const { abi, bytecode } = JSON.parse(readFileSync(new URL("Counter.json", import.meta.url)));
const provider = new JsonRpcProvider(required("RPC_URL"), undefined, { cacheTimeout: -1 });
provider.pollingInterval = 100;
const socket = new WebSocketProvider(required("WS_URL"));
const wallet = new Wallet(required("PRIVATE_KEY"), provider);
const TAG = BigInt(Date.now());

/** What later checks know from earlier ones. */
const seen = {};

async function add(amount, tag) {
  const receipt = await (await seen.counter.add(amount, tag)).wait();
  assert.equal(receipt.status, 1);
  return receipt;
}

/** The custom error with which `call` fails. */
async function revertOf(call) {
  const error = await call.then(() => assert.fail("the call was accepted"), (thrown) => thrown);
  if (!isError(error, "CALL_EXCEPTION")) throw error;
  return [seen.counter.interface.parseError(error.data).name, ...seen.counter.interface.parseError(error.data).args];
}

/** Adds under `tag` until an event arrives at a listener, which nobody tells when it is in place. */
async function heard(contract, tag) {
  const filter = contract.filters.Added(null, tag);
  let event;
  await contract.on(filter, (...args) => {
    event ??= args.at(-1);
  });
  try {
    await until(async () => (await add(1n, tag), event));
  } finally {
    await contract.off(filter);
  }
  return event;
}

await run("ethers", {
  "chain id": async () => {
    const { chainId } = await provider.getNetwork();
    assert.equal(BigInt(await provider.send("eth_chainId", [])), chainId);
    assert.equal(BigInt(await provider.send("net_version", [])), chainId);
  },
  "block number and block": async () => {
    const number = await provider.getBlockNumber();
    const block = await provider.getBlock(number, true);
    assert.equal(block.number, number);
    assert.equal(block.prefetchedTransactions.length, block.length);
    assert.equal((await provider.getBlock(block.hash)).parentHash, block.parentHash);
    assert.equal(await provider.getBlock(number + 1_000_000), null);
  },
  "balance": async () => {
    assert.ok((await provider.getBalance(wallet.address)) > 0n, "PRIVATE_KEY is not funded");
  },
  "EIP-1559 transfer": async () => {
    const to = Wallet.createRandom().address;
    const sent = await wallet.sendTransaction({ to, value: 1_000n });
    const receipt = await sent.wait();
    assert.deepEqual([receipt.status, receipt.type, receipt.gasUsed], [1, 2, 21_000n]);
    assert.equal(await provider.getBalance(to), 1_000n);
    const found = await provider.getTransaction(sent.hash);
    assert.deepEqual([found.from, found.to, found.nonce, found.signature.serialized], [
      wallet.address,
      to,
      sent.nonce,
      sent.signature.serialized,
    ]);
  },
  "legacy transfer": async () => {
    const sent = await wallet.sendTransaction({ to: wallet.address, value: 1n, type: 0 });
    assert.deepEqual([(await sent.wait()).status, (await provider.getTransaction(sent.hash)).type], [1, 0]);
  },
  "deployment": async () => {
    const counter = await new ContractFactory(abi, bytecode, wallet).deploy();
    await counter.waitForDeployment();
    seen.counter = new Contract(await counter.getAddress(), abi, wallet);
    seen.deployedAt = (await counter.deploymentTransaction().wait()).blockNumber;
    assert.notEqual(await provider.getCode(seen.counter.target), "0x");
  },
  "transaction, event and receipt": async () => {
    const receipt = await add(7n, TAG);
    assert.deepEqual([...receipt.logs[0].args], [wallet.address, TAG, 7n, 7n]);
    const again = await provider.getTransactionReceipt(receipt.hash);
    assert.deepEqual([again.blockHash, again.logs.length, again.to], [receipt.blockHash, 1, seen.counter.target]);
  },
  "calls and storage": async () => {
    assert.equal(await seen.counter.total(), 7n);
    assert.equal(await seen.counter.addedBy(wallet.address), 7n);
    assert.equal(BigInt(await provider.getStorage(seen.counter.target, 0)), 7n);
  },
  "revert with its data": async () => {
    assert.deepEqual(await revertOf(seen.counter.add.staticCall(101n, TAG)), ["TooMuch", 101n, 100n]);
    assert.deepEqual(await revertOf(seen.counter.add.estimateGas(101n, TAG)), ["TooMuch", 101n, 100n]);
  },
  "a reverted transaction has a receipt": async () => {
    const sent = await seen.counter.add(101n, TAG, { gasLimit: 100_000n });
    const error = await sent.wait().then(() => assert.fail("it succeeded"), (thrown) => thrown);
    assert.ok(isError(error, "CALL_EXCEPTION"), error);
    assert.equal(error.receipt.status, 0);
  },
  "gas estimate holds": async () => {
    const gasLimit = await seen.counter.add.estimateGas(1n, TAG + 1n);
    const receipt = await (await seen.counter.add(1n, TAG + 1n, { gasLimit })).wait();
    assert.equal(receipt.status, 1);
    assert.ok(receipt.gasUsed <= gasLimit);
  },
  "fees and fee history": async () => {
    const fees = await provider.getFeeData();
    assert.ok(fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
    const history = await provider.send("eth_feeHistory", ["0x2", "latest", [50]]);
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  },
  "logs by topics and block range": async () => {
    const query = async (filter, from = seen.deployedAt, to = "latest") =>
      (await seen.counter.queryFilter(filter, from, to)).map((log) => log.args.tag);
    const { Added } = seen.counter.filters;
    assert.deepEqual(await query(Added()), [TAG, TAG + 1n]);
    assert.deepEqual(await query(Added(null, TAG + 1n)), [TAG + 1n]);
    assert.deepEqual(await query(Added(wallet.address, [TAG, TAG + 1n])), [TAG, TAG + 1n]);
    assert.deepEqual(await query(Added(Wallet.createRandom().address)), []);
    assert.deepEqual(await query(Added(), 0, seen.deployedAt - 1), []);
  },
  "a JSON-RPC batch": async () => {
    const sizes = [];
    const listen = ({ action, payload }) => {
      if (action === "sendRpcPayload" && Array.isArray(payload)) sizes.push(payload.length);
    };
    await provider.on("debug", listen);
    const calls = Array.from({ length: 20 }, () => seen.counter.total());
    const [number, ...totals] = await Promise.all([provider.getBlockNumber(), ...calls]);
    await provider.off("debug", listen);
    assert.ok(number > 0);
    assert.deepEqual(new Set(totals), new Set([8n]));
    assert.ok(Math.max(...sizes) > 1, "nothing was batched");
  },
  "a batch with an unknown method fails in that part alone": async () => {
    const [good, bad] = await Promise.allSettled([provider.send("eth_blockNumber", []), provider.send("assay_none", [])]);
    assert.equal(good.status, "fulfilled");
    assert.ok(isError(bad.reason, "UNSUPPORTED_OPERATION") || bad.reason.error?.code === -32601, bad.reason);
  },
  "a filter reports changes once": async () => {
    const topics = await seen.counter.filters.Added(null, TAG + 2n).getTopicFilter();
    const id = await provider.send("eth_newFilter", [{ address: seen.counter.target, topics }]);
    await add(2n, TAG + 2n);
    const changes = await until(async () => {
      const found = await provider.send("eth_getFilterChanges", [id]);
      return found.length > 0 ? found : undefined;
    });
    assert.equal(changes.length, 1);
    assert.equal((await provider.send("eth_getFilterChanges", [id])).length, 0);
    assert.equal((await provider.send("eth_getFilterLogs", [id])).length, 1);
    assert.equal(await provider.send("eth_uninstallFilter", [id]), true);
  },
  "events by polling": async () => {
    const event = await heard(seen.counter, TAG + 3n);
    assert.equal(event.args.tag, TAG + 3n);
  },
  "blocks by polling": async () => {
    const number = new Promise((resolve) => provider.once("block", resolve));
    await until(async () => (await add(1n, TAG + 4n), Promise.race([number, undefined])));
    assert.ok((await number) > seen.deployedAt);
  },
  "WebSocket subscription to new heads": async () => {
    const number = new Promise((resolve) => socket.once("block", resolve));
    await until(async () => (await add(1n, TAG + 5n), Promise.race([number, undefined])));
    assert.equal((await provider.getBlock(await number)).number, await number);
  },
  "WebSocket subscription to logs": async () => {
    const event = await heard(seen.counter.connect(socket), TAG + 6n);
    assert.deepEqual([event.args.tag, event.args.amount], [TAG + 6n, 1n]);
  },
  "an unknown method is -32601": async () => {
    const error = await provider.send("assay_noSuchMethod", []).then(() => assert.fail("accepted"), (thrown) => thrown);
    assert.equal(error.error.code, -32601);
  },
  "transactions that cannot run are refused": async () => {
    const poor = Wallet.createRandom(provider);
    const fees = { gasLimit: 21_000n, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, type: 2 };
    const send = (signer, extra) => signer.sendTransaction({ to: wallet.address, value: 1n, ...fees, ...extra });
    await assert.rejects(send(poor, { nonce: 0 }), { code: "INSUFFICIENT_FUNDS" });
    await assert.rejects(send(wallet, { nonce: 0 }), { code: "NONCE_EXPIRED" });
  },
  "the WebSocket closes": () => within(socket.destroy(), "close"),
});

// viem, unmodified, over HTTP and WebSocket.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  http,
  parseAbiItem,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { required, run, until, within } from "./check.mjs";

const RPC_URL = required("RPC_URL");
const WS_URL = required("WS_URL");
const account = privateKeyToAccount(required("PRIVATE_KEY"));
const { abi, bytecode } = JSON.parse(readFileSync(new URL("Counter.json", import.meta.url)));
const ADDED = parseAbiItem(
  "event Added(address indexed account, uint256 indexed tag, uint256 amount, uint256 total)",
);
const TAG = BigInt(Date.now());

const id = await createPublicClient({ transport: http(RPC_URL) }).getChainId();
const chain = defineChain({
  id,
  name: "under test",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [RPC_URL], webSocket: [WS_URL] } },
});
const client = createPublicClient({ chain, transport: http(RPC_URL), pollingInterval: 100, cacheTime: 0 });
const wallet = createWalletClient({ account, chain, transport: http(RPC_URL) });
const socket = createPublicClient({ chain, transport: webSocket(WS_URL, { reconnect: false }) });

/** What later checks know from earlier ones. */
const seen = {};
const mined = (hash) => client.waitForTransactionReceipt({ hash });
const at = () => ({ address: seen.address, abi });

async function add(amount, tag) {
  const { request } = await client.simulateContract({ ...at(), account, functionName: "add", args: [amount, tag] });
  const receipt = await mined(await wallet.writeContract(request));
  assert.equal(receipt.status, "success");
  return receipt;
}

/** The decoded custom error with which `call` fails. */
async function revertOf(call) {
  const error = await call.then(() => assert.fail("the call was accepted"), (thrown) => thrown);
  const revert = error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
  if (!revert) throw error;
  return [revert.data?.errorName, revert.data?.args];
}

/** The JSON-RPC code with which `call` fails. */
async function codeOf(call) {
  const error = await call.then(() => assert.fail("the request was accepted"), (thrown) => thrown);
  const coded = error instanceof BaseError && error.walk((e) => typeof e.code === "number");
  if (!coded) throw error;
  return coded.code;
}

/** Resolves with what `start(resolve, reject)` delivers; it returns the function that ends the watch. */
async function firstOf(start, trigger) {
  let stop;
  const delivered = new Promise((resolve, reject) => {
    stop = start(resolve, reject);
  });
  try {
    const [value] = await within(Promise.all([delivered, trigger()]), "a watch");
    return value;
  } finally {
    stop();
  }
}

await run("viem", {
  "chain id": async () => {
    assert.equal(await client.getChainId(), id);
    assert.equal(await client.request({ method: "net_version" }), String(id));
  },
  "block number and latest block": async () => {
    const number = await client.getBlockNumber();
    const block = await client.getBlock();
    assert.ok(block.number >= number);
    assert.equal(typeof block.baseFeePerGas, "bigint");
    assert.equal((await client.getBlock({ blockHash: block.hash })).number, block.number);
    assert.ok(block.number === 0n || (await client.getBlock({ blockNumber: block.number - 1n })).hash === block.parentHash);
  },
  "a block that is not there": async () => {
    const far = client.getBlock({ blockNumber: (await client.getBlockNumber()) + 1_000_000n });
    await assert.rejects(far, { name: "BlockNotFoundError" });
  },
  "balance": async () => {
    assert.ok((await client.getBalance({ address: account.address })) > 0n, "PRIVATE_KEY is not funded");
  },
  "EIP-1559 transfer": async () => {
    const { address: to } = privateKeyToAccount(generatePrivateKey());
    const nonce = await client.getTransactionCount({ address: account.address });
    const hash = await wallet.sendTransaction({ to, value: 1_000n });
    const receipt = await mined(hash);
    assert.deepEqual([receipt.status, receipt.type, receipt.gasUsed], ["success", "eip1559", 21_000n]);
    assert.equal(receipt.from.toLowerCase(), account.address.toLowerCase());
    assert.equal(await client.getBalance({ address: to }), 1_000n);
    const sent = await client.getTransaction({ hash });
    assert.deepEqual([sent.nonce, sent.value, sent.blockHash, sent.typeHex], [nonce, 1_000n, receipt.blockHash, "0x2"]);
    assert.equal(await client.getTransactionCount({ address: account.address }), nonce + 1);
  },
  "deployment": async () => {
    const receipt = await mined(await wallet.deployContract({ abi, bytecode }));
    assert.equal(receipt.status, "success");
    seen.address = receipt.contractAddress;
    seen.deployedAt = receipt.blockNumber;
    const code = await client.getCode({ address: seen.address });
    assert.ok(bytecode.includes(code.slice(2)), "the code is not what was deployed");
  },
  "transaction, event and receipt": async () => {
    const receipt = await add(7n, TAG);
    const [log] = await client.getContractEvents({ ...at(), eventName: "Added", blockHash: receipt.blockHash });
    assert.deepEqual(log.args, { account: account.address, tag: TAG, amount: 7n, total: 7n });
    assert.equal(log.transactionHash, receipt.transactionHash);
    assert.equal(receipt.logs.length, 1);
    assert.equal(receipt.logs[0].logIndex, log.logIndex);
  },
  "calls and storage": async () => {
    assert.equal(await client.readContract({ ...at(), functionName: "total" }), 7n);
    const byMe = { ...at(), functionName: "addedBy", args: [account.address] };
    assert.equal(await client.readContract(byMe), 7n);
    assert.equal(BigInt(await client.getStorageAt({ address: seen.address, slot: "0x0" })), 7n);
  },
  "revert with its data": async () => {
    const call = { ...at(), account, functionName: "add", args: [101n, TAG] };
    assert.deepEqual(await revertOf(client.simulateContract(call)), ["TooMuch", [101n, 100n]]);
    assert.deepEqual(await revertOf(client.estimateContractGas(call)), ["TooMuch", [101n, 100n]]);
  },
  "a reverted transaction has a receipt": async () => {
    const hash = await wallet.writeContract({ ...at(), functionName: "add", args: [101n, TAG], gas: 100_000n });
    const receipt = await mined(hash);
    assert.deepEqual([receipt.status, receipt.logs], ["reverted", []]);
    assert.equal(await client.readContract({ ...at(), functionName: "total" }), 7n);
  },
  "gas estimate holds": async () => {
    const call = { ...at(), account, functionName: "add", args: [1n, TAG + 1n] };
    const gas = await client.estimateContractGas(call);
    assert.ok(gas > 21_000n && gas < 200_000n, `${gas}`);
    const receipt = await mined(await wallet.writeContract({ ...call, gas }));
    assert.equal(receipt.status, "success");
    assert.ok(receipt.gasUsed <= gas);
  },
  "fees and fee history": async () => {
    const fees = await client.estimateFeesPerGas();
    assert.ok(fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
    const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [25, 75] });
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.ok(history.reward.every((block) => block.length === 2));
    assert.ok((await client.getGasPrice()) >= 0n);
  },
  "logs by topics and block range": async () => {
    const logs = (args, range = {}) =>
      client.getLogs({ address: seen.address, event: ADDED, args, fromBlock: seen.deployedAt, ...range });
    assert.deepEqual((await logs({})).map((log) => log.args.tag), [TAG, TAG + 1n]);
    assert.deepEqual((await logs({ tag: TAG + 1n })).map((log) => log.args.amount), [1n]);
    assert.equal((await logs({ tag: [TAG, TAG + 1n], account: account.address })).length, 2);
    assert.equal((await logs({ tag: TAG + 2n })).length, 0);
    assert.equal((await logs({}, { fromBlock: 0n, toBlock: seen.deployedAt - 1n })).length, 0);
  },
  "a filter reports changes once": async () => {
    const filter = await client.createContractEventFilter({ ...at(), eventName: "Added", args: { tag: TAG + 3n } });
    await add(1n, TAG + 4n);
    await add(3n, TAG + 3n);
    const changes = await until(async () => {
      const found = await client.getFilterChanges({ filter });
      return found.length > 0 ? found : undefined;
    });
    assert.deepEqual(changes.map((log) => log.args.amount), [3n]);
    assert.deepEqual(await client.getFilterChanges({ filter }), []);
    assert.equal(await client.uninstallFilter({ filter }), true);
    assert.equal(await client.uninstallFilter({ filter }), false);
  },
  "a block filter reports new blocks": async () => {
    const filter = await client.createBlockFilter();
    const { blockHash } = await add(1n, TAG + 5n);
    await until(async () => ((await client.getFilterChanges({ filter })).includes(blockHash) ? true : undefined));
  },
  "watching by polling": async () => {
    const start = (onEvent, onError) =>
      client.watchContractEvent({
        ...at(),
        eventName: "Added",
        args: { tag: TAG + 6n },
        onLogs: ([log]) => onEvent(log),
        onError,
      });
    // A watch sees what comes after its filter is there, of which nobody tells: add until it speaks.
    let heard = false;
    const repeat = () => until(async () => (await add(1n, TAG + 6n), heard ? true : undefined));
    const log = await firstOf((resolve, reject) => start((event) => ((heard = true), resolve(event)), reject), repeat);
    assert.equal(log.args.amount, 1n);
  },
  "WebSocket requests": async () => {
    assert.equal(await socket.getChainId(), id);
    assert.equal(await socket.readContract({ ...at(), functionName: "LIMIT" }), 100n);
  },
  "WebSocket subscription to new heads": async () => {
    let stop;
    const head = new Promise((resolve, reject) => {
      const subscribed = socket.transport.subscribe({ params: ["newHeads"], onData: resolve, onError: reject });
      stop = subscribed.then(({ unsubscribe }) => unsubscribe);
    });
    const unsubscribe = await stop;
    await add(1n, TAG + 7n);
    const { result } = await within(head, "new heads");
    const block = await client.getBlock({ blockNumber: BigInt(result.number) });
    assert.deepEqual([result.hash, result.parentHash], [block.hash, block.parentHash]);
    await unsubscribe();
  },
  "WebSocket subscription to logs": async () => {
    let heard = false;
    const start = (resolve, onError) => {
      const onLogs = ([log]) => ((heard = true), resolve(log));
      return socket.watchContractEvent({ ...at(), eventName: "Added", args: { tag: TAG + 8n }, onLogs, onError });
    };
    const log = await firstOf(start, () => until(async () => (await add(2n, TAG + 8n), heard ? true : undefined)));
    assert.deepEqual([log.args.amount, log.args.tag], [2n, TAG + 8n]);
  },
  "an unknown method is -32601": async () => {
    assert.equal(await codeOf(client.request({ method: "assay_noSuchMethod" })), -32601);
  },
  "an unknown method is -32601 over WebSocket too": async () => {
    assert.equal(await codeOf(socket.request({ method: "assay_noSuchMethod" })), -32601);
  },
  "transactions that cannot run are refused": async () => {
    const poor = privateKeyToAccount(generatePrivateKey());
    const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, gas: 21_000n, type: "eip1559", to: account.address };
    const raw = (signer, changes) => signer.signTransaction({ ...fees, chainId: id, nonce: 0, value: 1n, ...changes });
    const send = async (...args) => codeOf(client.sendRawTransaction({ serializedTransaction: await raw(...args) }));
    assert.ok((await send(poor, {})) < 0, "without funds");
    assert.ok((await send(account, { nonce: 0 })) < 0, "an old nonce");
    const nonce = await client.getTransactionCount({ address: account.address });
    assert.ok((await send(account, { nonce, chainId: id + 1 })) < 0, "another chain's signature");
    assert.ok((await send(account, { nonce, gas: 20_999n })) < 0, "gas below the intrinsic cost");
  },
});

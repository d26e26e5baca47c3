// The frozen vectors that Rust reads too: the contracts compute the same ids, roots and commitments, and
// refuse what a contract can be asked. What has no Solidity form (JSON, binary framing) is for the others.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { hexToBigInt, slice, toHex, zeroHash } from "viem";
import { artifact, bob, mappingSlot, startChain } from "../harness/chain.mjs";
import { RECEIPT_TYPES, REVISION } from "../harness/receipts.mjs";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url)));
let chain;
let consumer;
before(async () => {
  chain = await startChain();
  consumer = await chain.deploy(bob, artifact("ExampleConsumer"), [REVISION, 1]);
});
after(() => chain.stop());

/** Settlement as a vector's domain has it: at that address, on that chain, of that network. */
async function settlementIn({ chainId, network, settlement: address }) {
  const { client } = chain;
  await client.setCode({ address, bytecode: artifact("Settlement").deployedBytecode });
  await client.setStorageAt({ address, index: toHex(0, { size: 32 }), value: network });
  await client.request({ method: "anvil_setChainId", params: [Number(chainId)] });
  return chain.settlement.at(address);
}

/** Cases of `file`, with a floor so that a file that lost its cases is noticed. */
function cases(file, kind, reasons) {
  const found = vectors(file)[kind].filter(({ reason }) => !reasons || reasons.includes(reason));
  assert.ok(found.length > 0, `${file} has no ${kind} cases${reasons ? ` for ${reasons}` : ""}`);
  return found;
}

/** Runs `check` on each case and says which one failed. */
async function each(list, check) {
  for (const vector of list) {
    await check(vector).catch((error) => {
      throw new Error(`${vector.name}: ${error.message}`, { cause: error });
    });
  }
}

/** What `call` returns, or the name of the contract's error. */
async function outcome(call) {
  return call.catch((error) => {
    const revert = error.walk?.((e) => e.name === "ContractFunctionRevertedError");
    if (!revert) throw error;
    return revert.data.errorName;
  });
}

test("receipts have the ids of the vectors", () =>
  each(cases("receipt", "accept"), async ({ domain, receipt, id, separator }) => {
    const settlement = await settlementIn(domain);
    assert.equal(await settlement.read("domainSeparator"), separator);
    assert.equal(await settlement.read("receiptId", receipt), id);
  }));

test("changed receipts, and those of another domain, have other ids", () =>
  each(cases("receipt", "reject", ["id-mismatch"]), async ({ domain, receipt, id }) => {
    const settlement = await settlementIn(domain);
    assert.notEqual(await settlement.read("receiptId", receipt), id);
  }));

/** Bytes of each type in the binary form, which is one version byte, the fields in order, and the signature. */
const WIDTHS = { bytes32: 32, uint128: 16, uint64: 8, uint8: 1, address: 20 };

function decode(bytes) {
  let at = 1;
  const receipt = {};
  for (const { name, type } of RECEIPT_TYPES.Receipt) {
    const raw = slice(bytes, at, at + WIDTHS[type], { strict: true });
    receipt[name] = type.startsWith("uint") ? hexToBigInt(raw) : raw;
    at += WIDTHS[type];
  }
  return { receipt, signature: slice(bytes, at) };
}

/** What verifyReceipt says of signed bytes that are a settled batch of their own. */
async function verdict({ domain, bytes }) {
  const settlement = await settlementIn(domain);
  const { receipt, signature } = decode(bytes);
  const id = await settlement.read("receiptId", receipt);
  const root = await settlement.read("batchRootOf", id, receipt.node, 0, 1, []);
  const index = mappingSlot(root, 2n);
  await chain.client.setStorageAt({ address: domain.settlement, index, value: toHex(1, { size: 32 }) });
  return outcome(settlement.read("verifyReceipt", receipt, signature, 0, 1, []));
}

test("signed receipts verify", () =>
  each(cases("signed-receipt", "accept"), async (vector) => {
    assert.deepEqual(await verdict(vector), [1, vector.id]);
  }));

test("wrong and uncanonical signatures are refused", () =>
  each(cases("signed-receipt", "reject", ["wrong-signer", "signature"]), async (vector) => {
    assert.equal(await verdict(vector), "BadSignature");
  }));

const pathRoot = ({ id, node, path }) =>
  outcome(chain.settlement.read("batchRootOf", id, node, path.index, path.size, path.siblings));

test("paths lead to the batch roots of the vectors", () =>
  each(cases("batch-path", "accept"), async (vector) => assert.equal(await pathRoot(vector), vector.root)));

test("wrong paths lead elsewhere or nowhere", () =>
  each(cases("batch-path", "reject", ["path"]), async (vector) => assert.notEqual(await pathRoot(vector), vector.root)));

function commitmentOf({ disclosure: { name, salt, bytes, path } }) {
  const field = { name, salt, index: path.index, size: path.size, path: path.siblings };
  return outcome(consumer.read("commitmentOf", field, bytes));
}

test("disclosed fields belong to the commitments of the vectors", () =>
  each(cases("disclosure", "accept"), async (vector) => assert.equal(await commitmentOf(vector), vector.commitment)));

test("other fields, values and places do not", () =>
  each(cases("disclosure", "reject", ["disclosure", "path", "out-of-bounds"]), async (vector) =>
    assert.notEqual(await commitmentOf(vector), vector.commitment),
  ));

/** What the registry says to the hub that a token's delegation is shown to, with a move of a model's first branch. */
async function commitWith({ domain, hub, now_ms, delegation, signature }) {
  const { client, models } = chain;
  await client.setStorageAt({ address: chain.settlement.address, index: toHex(0, { size: 32 }), value: domain.network });
  await client.request({ method: "anvil_setChainId", params: [Number(domain.chainId)] });
  const timestamp = BigInt(now_ms) / 1000n;
  if ((await chain.now()) !== timestamp) {
    await client.setNextBlockTimestamp({ timestamp });
    await client.mine({ blocks: 1 });
  }
  assert.equal(domain.settlement, models.address);
  const digests = { parent: zeroHash, revision: REVISION, commit: REVISION };
  const args = [delegation, signature, { kind: 0, name: "digits", ref: "main", ...digests }];
  const { abi, address } = models;
  const call = client.simulateContract({ account: hub, abi, address, functionName: "commitFor", args });
  return outcome(call.then(() => "committed"));
}

test("the registry takes the delegations of the vectors' tokens, and their digests", () =>
  each(cases("hub/token", "accept"), async (vector) => {
    assert.equal(await commitWith(vector), "committed");
    assert.equal(await chain.models.read("delegationDigest", vector.delegation), vector.digest);
  }));

test("the registry refuses the others for what is wrong with them", async () => {
  const errors = {
    "wrong-signer": "BadSignature",
    "other-hub": "OtherHub",
    expired: "Expired",
    "from-the-future": "FromTheFuture",
    "read-only": "NotWritable",
  };
  for (const [reason, error] of Object.entries(errors)) {
    const known = cases("hub/token", "reject", [reason]);
    // Where the hub itself was changed, the chain sees that another one calls.
    await each(known, async (vector) => {
      const changed = vector.delegation.hub.toLowerCase() !== vector.hub.toLowerCase();
      assert.equal(await commitWith(vector), changed ? "OtherHub" : error);
    });
  }
});

// Settlement's own rules: batches once, sequences without gap, equivocation slashed, receipts checked without precompile.
// MockVerifier.sol answers for the receipt verifier here; what it answers is part of each test.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, pad, toHex, zeroHash } from "viem";
import {
  MIN_BOND,
  NETWORK_ID,
  alice,
  bob,
  nodeA,
  nodeB,
  registerNode,
  startChain,
  verifierReturns,
  verifierReverts,
} from "../harness/chain.mjs";
import { DOMAIN, REVISION, batchRoot, receipt, receiptId, signReceipt, treePath } from "../harness/receipts.mjs";

const digest = (text) => keccak256(toHex(text));
let chain;
before(async () => {
  chain = await startChain();
  await chain.mockVerifier();
  await registerNode(chain, alice, nodeA);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

const span = (firstSequence, count, previous, last, revision = REVISION) => ({
  revision,
  firstSequence,
  count,
  previous,
  last,
});

/** A batch of nodeA as the verifier would describe it. */
function batch(root, ...spans) {
  const count = spans.reduce((sum, s) => sum + s.count, 0);
  return verifierReturns("verifyBatch", [nodeA.address, digest(root), count, spans]);
}

const stream = (node, revision = REVISION) => chain.settlement.read("streams", node.address, revision);
const [h4, h6] = [digest("receipt 4"), digest("receipt 6")];

test("a batch settles, is announced, and moves its streams on", async () => {
  const other = digest("another revision");
  const spans = [span(0n, 5, zeroHash, h4), span(0n, 2, zeroHash, h6, other)];
  const mined = await chain.settlement.send(bob, "settle", batch("root", ...spans));
  const announced = { node: nodeA.address, root: digest("root"), count: 7 };
  assert.deepEqual(await chain.settlement.events(mined, "BatchSettled"), [announced]);
  assert.equal(await chain.settlement.read("batches", digest("root")), mined.blockNumber);
  assert.equal(await chain.settlement.read("isSettled", digest("root")), true);
  assert.deepEqual(await stream(nodeA), [5n, h4]);
  assert.deepEqual(await stream(nodeA, other), [2n, h6]);
  assert.deepEqual(await stream(nodeB), [0n, zeroHash]);
});

test("the next batch continues the stream, and one batch may have two runs of it", async () => {
  await chain.settlement.send(bob, "settle", batch("one", span(0n, 5, zeroHash, h4)));
  await chain.settlement.send(bob, "settle", batch("two", span(5n, 1, h4, digest("5")), span(6n, 1, digest("5"), h6)));
  assert.deepEqual(await stream(nodeA), [7n, h6]);
});

test("a batch settles once", async () => {
  const bytes = batch("one", span(0n, 5, zeroHash, h4));
  await chain.settlement.send(bob, "settle", bytes);
  await chain.settlement.refuses(alice, ["AlreadySettled", digest("one")], "settle", bytes);
});

test("a run that does not continue its stream is refused", async () => {
  await chain.settlement.send(bob, "settle", batch("one", span(0n, 5, zeroHash, h4)));
  const cases = [
    ["a gap", 5n, span(6n, 1, h4, h6)],
    ["a repetition", 5n, span(0n, 5, zeroHash, h4)],
    ["an overlap", 5n, span(4n, 2, digest("receipt 3"), h6)],
    ["a fork", 5n, span(5n, 2, digest("other head"), h6)],
    ["a start without a beginning", 0n, span(1n, 1, h4, h6, digest("new revision"))],
    ["a beginning with a predecessor", 0n, span(0n, 1, h4, h6, digest("new revision"))],
  ];
  for (const [what, expected, bad] of cases) {
    const error = ["NotContiguous", bad.revision, expected, bad.firstSequence];
    await chain.settlement.refuses(bob, error, "settle", batch(what, bad));
  }
});

test("one bad run keeps the whole batch out", async () => {
  const bytes = batch("one", span(0n, 5, zeroHash, h4), span(9n, 1, h4, h6));
  await chain.settlement.refuses(bob, ["NotContiguous", REVISION, 5n, 9n], "settle", bytes);
  assert.deepEqual(await stream(nodeA), [0n, zeroHash]);
  assert.equal(await chain.settlement.read("isSettled", digest("one")), false);
});

test("a sequence cannot wrap around", async () => {
  const last = 2n ** 64n - 1n;
  const slot = keccak256(`0x${pad(nodeA.address, { size: 32 }).slice(2)}${toHex(1n, { size: 32 }).slice(2)}`);
  const index = keccak256(`0x${REVISION.slice(2)}${slot.slice(2)}`);
  const address = chain.settlement.address;
  await chain.client.setStorageAt({ address, index, value: toHex(last, { size: 32 }) });
  assert.deepEqual(await stream(nodeA), [last, zeroHash]);
  const call = { account: bob, address, abi: chain.settlement.abi, functionName: "settle" };
  await assert.rejects(chain.client.simulateContract({ ...call, args: [batch("end", span(last, 1, zeroHash, h4))] }), /overflow/i);
});

test("what the verifier refuses comes through with index and reason", async () => {
  const bad = verifierReverts("BadReceipt", [17n, 4]);
  await chain.settlement.refuses(bob, ["BadReceipt", 17n, 4], "settle", bad);
  await chain.settlement.refuses(bob, ["MalformedBatch", 9], "settle", verifierReverts("MalformedBatch", [9]));
  const good = verifierReturns("verifyReceipt", [h4, nodeA.address, REVISION, 3n]);
  await chain.settlement.refuses(bob, "MalformedBatch", "slashEquivocation", good, verifierReverts("MalformedBatch", [1]));
  await chain.settlement.refuses(bob, "BadReceipt", "slashEquivocation", verifierReverts("BadReceipt", [0n, 2]), good);
});

test("an answer of the verifier that is too short settles nothing", async () => {
  const { abi, address } = chain.settlement;
  for (const answer of ["0x00", `0x00${"00".repeat(31)}`]) {
    const call = { account: bob, abi, address, functionName: "settle", args: [answer] };
    await assert.rejects(chain.client.simulateContract(call), /revert/i);
  }
});

/** A signed receipt as the verifier would describe it. */
const said = ({ id = h4, node = nodeA, revision = REVISION, sequence = 3n }) =>
  verifierReturns("verifyReceipt", [id, node.address, revision, sequence]);

test("two receipts under one number cost the bond, and the reporter gets a tenth", async () => {
  const args = [said({}), said({ id: h6 })];
  const mined = await chain.settlement.send(bob, "slashEquivocation", ...args);
  const what = { node: nodeA.address, revision: REVISION, sequence: 3n, first: h4, second: h6, reporter: bob.address };
  assert.deepEqual(await chain.settlement.events(mined, "EquivocationSlashed"), [what]);
  assert.equal((await chain.nodes.read("nodeOf", nodeA.address)).status, 3);
  const paid = await chain.credit.events(mined, "Transfer");
  assert.deepEqual(paid.at(-1), { from: chain.nodes.address, to: bob.address, value: MIN_BOND / 10n });
  await chain.settlement.refuses(bob, ["WrongStatus", nodeA.address, 3], "slashEquivocation", ...args);
});

test("receipts that do not contradict each other cost nothing", async () => {
  const innocent = [
    {},
    { id: h6, sequence: 4n },
    { id: h6, revision: digest("another revision") },
    { id: h6, node: nodeB },
  ];
  for (const other of innocent) {
    await chain.settlement.refuses(bob, "NotEquivocation", "slashEquivocation", said({}), said(other));
  }
});

test("a key without a bond cannot be slashed", async () => {
  const pair = [said({ node: nodeB }), said({ node: nodeB, id: h6 })];
  await chain.settlement.refuses(bob, ["WrongStatus", nodeB.address, 0], "slashEquivocation", ...pair);
});

/** Five settled receipts of nodeA, the third of which is asked about. */
async function settled() {
  const receipts = [0n, 1n, 2n, 3n, 4n].map((sequence) =>
    receipt(nodeA, { sequence, previous: sequence === 0n ? zeroHash : digest(`before ${sequence}`) }),
  );
  const ids = receipts.map((message) => receiptId(message));
  const root = batchRoot(nodeA.address, ids);
  const spans = [span(0n, 5, zeroHash, ids[4])];
  const bytes = verifierReturns("verifyBatch", [nodeA.address, root, 5, spans]);
  const good = {
    receipt: receipts[2],
    signature: await signReceipt(nodeA, receipts[2]),
    index: 2,
    count: 5,
    path: treePath(ids, 2),
  };
  return { bytes, good, ids, receipts, root };
}

test("a settled receipt verifies as signed, whatever rung it promises", async () => {
  const { bytes, good, ids } = await settled();
  await chain.settlement.send(bob, "settle", bytes);
  assert.deepEqual(await chain.settlement.read("verifyReceipt", ...Object.values(good)), [1, ids[2]]);
  assert.equal(await chain.settlement.read("receiptId", good.receipt), ids[2]);
});

test("a receipt of a batch that has not settled is refused", async () => {
  const { good, root } = await settled();
  await chain.settlement.refuses(bob, ["NotSettled", root], "verifyReceipt", ...Object.values(good));
});

test("a forged receipt, signature, place or path is refused", async () => {
  const { bytes, good, ids, receipts } = await settled();
  await chain.settlement.send(bob, "settle", bytes);
  const resigned = { ...good.receipt, output: digest("another answer") };
  const forgeries = [
    ["BadSignature", { receipt: resigned }],
    ["BadSignature", { receipt: { ...good.receipt, rung: 4 } }],
    ["BadSignature", { receipt: receipts[3] }],
    ["BadSignature", { signature: await signReceipt(nodeB, good.receipt) }],
    ["BadSignature", { signature: await signReceipt(nodeA, good.receipt, { ...DOMAIN, salt: digest("other") }) }],
    ["BadSignature", { signature: await signReceipt(nodeA, good.receipt, { ...DOMAIN, chainId: 1 }) }],
    ["BadSignature", { signature: `${good.signature.slice(0, -2)}00` }],
    ["NotSettled", { receipt: resigned, signature: await signReceipt(nodeA, resigned) }],
    ["NotSettled", { index: 3 }],
    ["NotSettled", { count: 6 }],
    ["NotSettled", { path: [...good.path.slice(0, -1), zeroHash] }],
    ["NotSettled", { path: treePath(ids, 3) }],
    ["BadPath", { index: 5 }],
    ["BadPath", { count: 0 }],
    ["BadPath", { path: good.path.slice(0, -1) }],
    ["BadPath", { path: [...good.path, zeroHash] }],
    ["BadPath", { path: Array(33).fill(zeroHash) }],
  ];
  for (const [error, change] of forgeries) {
    await chain.settlement.refuses(bob, error, "verifyReceipt", ...Object.values({ ...good, ...change }));
  }
});

test("the domain is that of this network and this contract", async () => {
  const message = receipt(nodeA);
  assert.equal(await chain.settlement.read("networkId"), NETWORK_ID);
  assert.equal(await chain.settlement.read("receiptId", message), receiptId(message));
  const elsewhere = { ...DOMAIN, verifyingContract: bob.address };
  assert.notEqual(await chain.settlement.read("receiptId", message), receiptId(message, elsewhere));
});

test("every place of every tree up to nine receipts leads to the root, and to no other place", async () => {
  for (let count = 1; count <= 9; count++) {
    const ids = Array.from({ length: count }, (_, n) => digest(`receipt ${n}`));
    const root = batchRoot(nodeA.address, ids);
    for (let index = 0; index < count; index++) {
      const path = treePath(ids, index);
      const rootFrom = (id, at) => chain.settlement.read("batchRootOf", id, nodeA.address, at, count, path);
      assert.equal(await rootFrom(ids[index], index), root);
      const stranger = await rootFrom(digest("not in it"), index);
      assert.notEqual(stranger, root);
    }
  }
});

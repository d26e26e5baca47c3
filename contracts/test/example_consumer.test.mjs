// A contract that relies on answers acts on the right one, once, and on nothing else.
// MockVerifier.sol answers for the receipt verifier here.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, toFunctionSelector, toHex, zeroHash } from "viem";
import {
  alice,
  artifact,
  bob,
  nodeA,
  nodeB,
  registerNode,
  startChain,
  verifierReturns,
} from "../harness/chain.mjs";
import { REVISION, batchRoot, commit, receipt, receiptId, signReceipt, treePath } from "../harness/receipts.mjs";

const EXAMPLE = artifact("ExampleConsumer");
const digest = (text) => keccak256(toHex(text));
let chain;
let consumer;
before(async () => {
  chain = await startChain();
  await chain.mockVerifier();
  await registerNode(chain, alice, nodeA);
  consumer = await chain.deploy(bob, EXAMPLE, [REVISION, 1]);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

/** Settles one batch of two receipts with these changes; returns what `act` takes for the second, and its id. */
async function answer(changes = {}) {
  const receipts = [receipt(nodeA), receipt(nodeA, { sequence: 1n, previous: digest("first"), ...changes })];
  const ids = receipts.map((message) => receiptId(message));
  const root = batchRoot(nodeA.address, ids);
  const revision = receipts[1].revision;
  const spans = [{ revision, firstSequence: 0n, count: 2, previous: zeroHash, last: ids[1] }];
  const batch = verifierReturns("verifyBatch", [nodeA.address, root, 2, spans]);
  await chain.settlement.send(alice, "settle", batch);
  const args = [receipts[1], await signReceipt(nodeA, receipts[1]), 1, 2, treePath(ids, 1)];
  return { args, id: ids[1], output: receipts[1].output };
}

test("it acts on a settled answer of its revision", async () => {
  const { args, id, output } = await answer();
  const mined = await consumer.send(bob, "act", ...args);
  assert.deepEqual(await consumer.events(mined, "Acted"), [{ id, node: nodeA.address, output, rung: 1 }]);
  assert.equal(await consumer.read("actedOn", id), output);
  assert.equal(await consumer.read("latestOutput"), output);
});

test("it acts once on a receipt, whoever asks", async () => {
  const { args, id } = await answer();
  await consumer.send(bob, "act", ...args);
  await consumer.refuses(bob, ["AlreadyUsed", id], "act", ...args);
  await consumer.refuses(alice, ["AlreadyUsed", id], "act", ...args);
});

test("it does not act on another model's answer", async () => {
  const revision = digest("another revision");
  const { args } = await answer({ revision });
  await consumer.refuses(bob, ["WrongRevision", REVISION, revision], "act", ...args);
});

test("a receipt that promises a proof does not count as proven", async () => {
  for (const needed of [2, 3, 4]) {
    const strict = await chain.deploy(bob, EXAMPLE, [REVISION, needed]);
    const { args } = await answer({ rung: 4 });
    await strict.refuses(bob, ["RungTooLow", needed, 1], "act", ...args);
    await chain.rewind();
  }
});

test("it does not act on an answer that has not settled", async () => {
  const { args } = await answer();
  await chain.rewind();
  await consumer.refuses(bob, "NotSettled", "act", ...args);
});

test("it does not act on a changed answer", async () => {
  const { args } = await answer();
  const [message, signature, ...place] = args;
  const changed = { ...message, output: digest("a better answer") };
  await consumer.refuses(bob, "BadSignature", "act", changed, signature, ...place);
  await consumer.refuses(bob, "NotSettled", "act", changed, await signReceipt(nodeA, changed), ...place);
  await consumer.refuses(bob, "BadSignature", "act", message, await signReceipt(nodeB, message), ...place);
});

test("it does not act on a wrong place in the batch", async () => {
  const { args } = await answer();
  const [message, signature, , , path] = args;
  await consumer.refuses(bob, "NotSettled", "act", message, signature, 0, 2, path);
  await consumer.refuses(bob, "BadPath", "act", message, signature, 2, 2, path);
  await consumer.refuses(bob, "BadPath", "act", message, signature, 1, 2, []);
  await consumer.refuses(bob, "BadPath", "act", message, signature, 1, 2, [...path, zeroHash]);
});

test("it announces a field of the answer on which it acted", async () => {
  const { commitment, disclosures } = commit({ class: "versicolor", score: "0.97", note: "private" });
  const { args, id } = await answer({ output: commitment });
  await consumer.send(bob, "act", ...args);
  const mined = await consumer.send(alice, "disclose", id, disclosures.score, toHex("0.97"));
  assert.deepEqual(await consumer.events(mined, "Disclosed"), [{ id, name: "score", value: toHex("0.97") }]);
});

test("it announces nothing that is not in that answer", async () => {
  const { commitment, disclosures } = commit({ class: "versicolor", score: "0.97", note: "private" });
  const { args, id } = await answer({ output: commitment });
  const { class: name, score } = disclosures;
  await consumer.refuses(alice, ["NotUsed", id], "disclose", id, score, toHex("0.97"));
  await consumer.send(bob, "act", ...args);
  const forgeries = [
    ["NotInAnswer", score, "0.98"],
    ["NotInAnswer", { ...score, name: "class" }, "0.97"],
    ["NotInAnswer", { ...score, salt: name.salt }, "0.97"],
    ["NotInAnswer", { ...score, index: 0 }, "0.97"],
    ["NotInAnswer", { ...score, size: 4 }, "0.97"],
    ["NotInAnswer", commit({ class: "setosa", score: "0.98", note: "" }).disclosures.score, "0.98"],
    ["BadPath", { ...score, index: 3 }, "0.97"],
    ["BadPath", { ...score, path: [] }, "0.97"],
    ["BadFieldName", { ...score, name: "" }, "0.97"],
    ["BadFieldName", { ...score, name: "n".repeat(256) }, "0.97"],
  ];
  for (const [error, field, value] of forgeries) {
    await consumer.refuses(alice, error, "disclose", id, field, toHex(value));
  }
  await consumer.refuses(alice, "NotUsed", "disclose", digest("another receipt"), score, toHex("0.97"));
});

test("no policy relies on nothing", async () => {
  for (const args of [
    [zeroHash, 1],
    [REVISION, 0],
    [REVISION, 5],
  ]) {
    const { abi, bytecode } = EXAMPLE;
    const deployment = chain.client.deployContract({ account: bob, abi, bytecode, args });
    await assert.rejects(deployment, new RegExp(toFunctionSelector("BadPolicy()")));
  }
});

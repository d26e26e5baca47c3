// A contract on a chain of others acts on an answer once a light client of the Assay network has verified its receipt.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, size, slice, toFunctionSelector, toHex, zeroHash } from "viem";
import { alice, artifact, bob, nodeA, nodeB, startChain } from "../harness/chain.mjs";
import { flip, lightClientArguments, networkOf, prove, withEnd } from "../harness/proofs.mjs";
import { REVISION, receipt, receiptId, signReceipt } from "../harness/receipts.mjs";

const FOREIGN = artifact("ForeignConsumer");
const network = networkOf(7n);
const digest = (text) => keccak256(toHex(text));
let chain;
let lightClient;
let consumer;
before(async () => {
  chain = await startChain();
  lightClient = await chain.deploy(bob, artifact("LightClient"), lightClientArguments(network));
  consumer = await chain.deploy(bob, FOREIGN, [lightClient.address, REVISION, 1]);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

test("it acts on a settled answer of its revision", async () => {
  const id = receiptId(receipt(nodeA), network.domain);
  const mined = await consumer.send(alice, "act", await prove(network, nodeA, undefined, { count: 2 }));
  const { output } = receipt(nodeA);
  const expected = { id, node: nodeA.address, output, rung: 1, settledMs: 1_700_000_000_000n };
  assert.deepEqual(await consumer.events(mined, "Acted"), [expected]);
  assert.equal(await consumer.read("actedOn", id), output);
});

test("it acts once on a receipt, however it is certified", async () => {
  const id = receiptId(receipt(nodeA), network.domain);
  await consumer.send(bob, "act", await prove(network, nodeA));
  await consumer.refuses(bob, ["AlreadyUsed", id], "act", await prove(network, nodeA, undefined, { count: 3 }));
  const proof = await prove(network, nodeA);
  const certificate = network.certify(proof.headers[0], "0x000907");
  await consumer.refuses(alice, ["AlreadyUsed", id], "act", { ...proof, certificate });
});

test("it does not act on another model's answer", async () => {
  const revision = digest("another revision");
  const proof = await prove(network, nodeA, [receipt(nodeA, { revision })]);
  await consumer.refuses(bob, ["WrongRevision", REVISION, revision], "act", proof);
});

test("a receipt that promises a proof does not count as proven", async () => {
  for (const needed of [2, 3, 4]) {
    const strict = await chain.deploy(bob, FOREIGN, [lightClient.address, REVISION, needed]);
    const proof = await prove(network, nodeA, [receipt(nodeA, { rung: 4 })]);
    await strict.refuses(bob, ["RungTooLow", needed, 1], "act", proof);
  }
});

test("it does not act on what its light client refuses", async () => {
  const proof = await prove(network, nodeA);
  const changed = receipt(nodeA, { output: digest("a better answer") });
  const better = await prove(network, nodeA, [changed]);
  const signature = await signReceipt(nodeB, receipt(nodeA), network.domain);
  for (const [error, forged] of [
    ["OtherNetwork", { ...proof, network: zeroHash }],
    ["NotInBatch", { ...proof, receipt: better.receipt }],
    ["NotInBlock", { ...better, headers: proof.headers, certificate: proof.certificate }],
    ["CertifiedOther", { ...better, certificate: proof.certificate }],
    ["NotCertified", { ...better, certificate: networkOf(8n).certify(better.headers[0]) }],
    ["NotCertified", { ...proof, certificate: flip(proof.certificate, size(proof.certificate) - 48, 5) }],
    ["BadSignature", { ...proof, receipt: withEnd(proof.receipt, signature) }],
    ["BadReceipt", { ...proof, receipt: slice(proof.receipt, 0, 414) }],
  ]) {
    await consumer.refuses(bob, error, "act", forged);
  }
});

test("a policy names a revision and a rung", async () => {
  for (const [revision, rung] of [
    [zeroHash, 1],
    [REVISION, 0],
    [REVISION, 5],
  ]) {
    const args = [lightClient.address, revision, rung];
    const { abi, bytecode } = FOREIGN;
    const deployment = chain.client.deployContract({ account: bob, abi, bytecode, args });
    await assert.rejects(deployment, new RegExp(toFunctionSelector("BadPolicy()")));
  }
});

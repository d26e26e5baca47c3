// Publishing: names belong to accounts, revisions to whoever came first, and nothing is ever taken back.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, toHex, zeroHash } from "viem";
import { alice, bob, mappingSlot, startChain } from "../harness/chain.mjs";

const revision = (n) => keccak256(toHex(`revision ${n}`));
let chain;
before(async () => {
  chain = await startChain();
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

test("a published revision is known, listed and announced", async () => {
  const receipt = await chain.models.send(alice, "publish", "iris-logreg", revision(1));
  assert.deepEqual(await chain.models.events(receipt, "ModelPublished"), [
    {
      publisher: alice.address,
      revision: revision(1),
      nameHash: keccak256(toHex("iris-logreg")),
      name: "iris-logreg",
    },
  ]);
  assert.equal(await chain.models.read("publisherOf", revision(1)), alice.address);
  assert.equal(await chain.models.read("isKnown", revision(1)), true);
  assert.equal(await chain.models.read("isKnown", revision(2)), false);
  assert.deepEqual(await chain.models.read("modelAt", 0n), [alice.address, "iris-logreg", revision(1)]);
});

test("the receipt verifier finds the publisher at the storage slot it reads", async () => {
  await chain.models.send(alice, "publish", "iris", revision(1));
  const word = await chain.client.getStorageAt({ address: chain.models.address, slot: mappingSlot(revision(1), 0n) });
  assert.equal(BigInt(word), BigInt(alice.address));
});

test("a name is a list that grows", async () => {
  for (const n of [1, 2, 3]) await chain.models.send(alice, "publish", "digits", revision(n));
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(3));
  assert.equal(await chain.models.read("revisionCount", alice.address, "digits"), 3n);
  const page = (offset, limit) => chain.models.read("revisions", alice.address, "digits", offset, limit);
  assert.deepEqual(await page(0n, 10n), [revision(1), revision(2), revision(3)]);
  assert.deepEqual(await page(1n, 1n), [revision(2)]);
  assert.deepEqual(await page(3n, 10n), []);
  assert.equal(await chain.models.read("modelCount"), 1n);
});

test("one name in two accounts is two models", async () => {
  await chain.models.send(alice, "publish", "digits", revision(1));
  await chain.models.send(bob, "publish", "digits", revision(2));
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(1));
  assert.equal(await chain.models.read("latest", bob.address, "digits"), revision(2));
  assert.equal(await chain.models.read("modelCount"), 2n);
});

test("who lists another's revision neither becomes its publisher nor keeps its author out", async () => {
  await chain.models.send(bob, "publish", "squatted", revision(1));
  await chain.models.send(alice, "publish", "digits", revision(1));
  assert.equal(await chain.models.read("publisherOf", revision(1)), bob.address);
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(1));
});

test("a revision comes once under a name, also after others", async () => {
  await chain.models.send(alice, "publish", "digits", revision(1));
  await chain.models.refuses(alice, ["AlreadyListed", revision(1)], "publish", "digits", revision(1));
  await chain.models.send(alice, "publish", "digits", revision(2));
  await chain.models.refuses(alice, ["AlreadyListed", revision(1)], "publish", "digits", revision(1));
});

test("no revision is zero", () => chain.models.refuses(alice, "ZeroRevision", "publish", "digits", zeroHash));

test("names that are taken", async () => {
  const names = ["a", "0", "a-b_c.d", "qwen2.5-0.5b", "x".repeat(96)];
  for (const [n, name] of names.entries()) await chain.models.send(alice, "publish", name, revision(n));
  assert.equal(await chain.models.read("modelCount"), BigInt(names.length));
});

for (const name of [
  "",
  "x".repeat(97),
  "Digits",
  "two words",
  "alice/digits",
  "..",
  ".hidden",
  "trailing-",
  "-leading",
  "a..b",
  "a-_b",
  "a\u0000b",
  "dígits",
  "digits.git",
  "a\n",
  "`rm`",
  "🤖",
]) {
  test(`the name ${JSON.stringify(name.slice(0, 20))} (${name.length}) is refused`, () =>
    chain.models.refuses(alice, "BadName", "publish", name, revision(1)));
}

test("what was not published has no latest revision", async () => {
  await chain.models.send(alice, "publish", "digits", revision(1));
  await chain.models.refuses(alice, ["UnknownName", bob.address, "digits"], "latest", bob.address, "digits");
  await chain.models.refuses(alice, "UnknownName", "revisions", alice.address, "digit", 0n, 1n);
  await chain.models.refuses(alice, ["OutOfRange", 1n, 1n], "modelAt", 1n);
  assert.equal(await chain.models.read("revisionCount", alice.address, "digit"), 0n);
});

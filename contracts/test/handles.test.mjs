// Handles: one for each account, for good, at a price, and none that can be taken for an address or a path.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, toHex, zeroAddress } from "viem";
import { ENDOWMENT, alice, bob, startChain, stranger } from "../harness/chain.mjs";

const FEE = 10_000_000n;

let chain;
before(async () => {
  chain = await startChain();
  for (const account of [alice, bob, stranger]) await chain.credit.send(account, "approve", chain.models.address, FEE);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

test("a handle is claimed, announced, found both ways, and paid for", async () => {
  const receipt = await chain.models.send(alice, "claim", "alice-in-w");
  assert.deepEqual(await chain.models.events(receipt, "HandleClaimed"), [
    { account: alice.address, handleHash: keccak256(toHex("alice-in-w")), handle: "alice-in-w" },
  ]);
  assert.equal(await chain.models.read("ownerOf", "alice-in-w"), alice.address);
  assert.equal(await chain.models.read("handleOf", alice.address), "alice-in-w");
  assert.equal(await chain.models.read("HANDLE_FEE"), FEE);
  assert.equal(await chain.credit.read("balanceOf", alice.address), ENDOWMENT - FEE);
  assert.equal(await chain.credit.read("balanceOf", chain.models.address), 0n);
  assert.equal(await chain.credit.read("totalSupply"), 3n * ENDOWMENT - FEE, "the fee is burnt");
});

test("a handle belongs to the first, who has no other", async () => {
  await chain.models.send(alice, "claim", "alice");
  await chain.models.refuses(bob, ["HandleTaken", alice.address], "claim", "alice");
  await chain.models.refuses(alice, ["HandleTaken", alice.address], "claim", "alice");
  await chain.models.refuses(alice, ["HasHandle", "alice"], "claim", "alice2");
  await chain.models.send(bob, "claim", "alice2");
  assert.equal(await chain.models.read("ownerOf", "alice"), alice.address);
});

test("what nobody claimed is nobody's", async () => {
  assert.equal(await chain.models.read("ownerOf", "alice"), zeroAddress);
  assert.equal(await chain.models.read("handleOf", alice.address), "");
});

test("a handle that is not paid for is not claimed", async () => {
  await chain.models.refuses(stranger, "InsufficientBalance", "claim", "stranger");
  await chain.credit.send(alice, "approve", chain.models.address, FEE - 1n);
  await chain.models.refuses(alice, "InsufficientAllowance", "claim", "alice");
  assert.equal(await chain.models.read("ownerOf", "alice"), zeroAddress);
});

for (const handle of ["abc", "a-b", "a_b", "007", "x".repeat(39), "0-x12", "x0abc", "apis", "data-sets"]) {
  test(`the handle ${handle} is taken`, () => chain.models.send(alice, "claim", handle));
}

const ADDRESS = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
for (const handle of [
  "",
  "a",
  "ab",
  "x".repeat(40),
  "Alice",
  "a.b",
  "alice.",
  "-alice",
  "alice_",
  "a--b",
  "a_-b",
  "two words",
  "alice/x",
  "älice",
  "al\u0000ice",
  "аlice",
  ADDRESS,
  ADDRESS.slice(0, 39),
  ADDRESS.slice(0, 12),
  "0x0",
  "0xyz",
  "0x-a",
  "api",
  "assay",
  "datasets",
  "docs",
  "health",
  "metrics",
  "models",
  "search",
  "spaces",
]) {
  test(`the handle ${JSON.stringify(handle.slice(0, 42))} (${handle.length}) is refused`, () =>
    chain.models.refuses(alice, "BadHandle", "claim", handle));
}

// What genesis and the receipt verifier rely on: addresses, storage slots, and code that needs no constructor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { artifact } from "../harness/chain.mjs";

/** EIP-170. */
const MAX_CODE_BYTES = 24_576;

const GENESIS = {
  Credit: ["0x00000000000000000000000000000000a5500001", ["balanceOf", "totalSupply"]],
  ModelRegistry: ["0x00000000000000000000000000000000a5500002", ["publisherOf"]],
  NodeRegistry: ["0x00000000000000000000000000000000a5500003", ["_records", "_nodes", "holdsOf"]],
  Settlement: ["0x00000000000000000000000000000000a5500004", ["networkId", "streams", "batches"]],
  Proofs: ["0x00000000000000000000000000000000a5500005", ["models", "provenAt"]],
  Hubs: ["0x00000000000000000000000000000000a5500006", ["_records", "_hubs", "tallyOf"]],
  Checks: ["0x00000000000000000000000000000000a5500007", ["_servers", "_places", "_checks", "replays", "refutedAt"]],
  Disputes: ["0x00000000000000000000000000000000a5500008", ["_disputes", "_jurors"]],
};

for (const [name, [address, labels]] of Object.entries(GENESIS)) {
  test(`${name} is what genesis expects`, () => {
    const { abi, deployedBytecode, storageLayout, ...rest } = artifact(name);
    assert.equal(rest.address, address);
    assert.deepEqual(
      labels,
      storageLayout.storage.slice(0, labels.length).map(({ label, slot, offset }, index) => {
        assert.deepEqual([slot, offset], [index, 0]);
        return label;
      }),
    );
    assert.equal(abi.some(({ type }) => type === "constructor"), false, "genesis runs no constructor");
    assert.ok((deployedBytecode.length - 2) / 2 <= MAX_CODE_BYTES);
  });
}

for (const name of ["ExampleConsumer", "ForeignConsumer", "LightClient"]) {
  test(`${name} fits a chain, and its constructor an initialisation`, () => {
    const { bytecode, deployedBytecode } = artifact(name);
    assert.ok((deployedBytecode.length - 2) / 2 <= MAX_CODE_BYTES);
    assert.ok((bytecode.length - 2) / 2 <= 2 * MAX_CODE_BYTES, "EIP-3860");
  });
}

test("bond and status lie in the first word of a node's record, from the low bits", () => {
  const members = artifact("NodeRegistry").storageLayout.structs["struct NodeRegistry.Record"];
  const places = members.slice(0, 4).map(({ label, slot, offset }) => [label, slot, offset]);
  assert.deepEqual(places, [
    ["bond", 0, 0],
    ["status", 0, 16],
    ["exitsAt", 0, 17],
    ["index", 0, 25],
  ]);
});

test("the verifier's interface is at its address", () => {
  const { address, abi } = artifact("IReceiptVerifier");
  assert.equal(address, "0x000000000000000000000000000000000000a551");
  const errors = abi.filter(({ type }) => type === "error").map(({ name }) => name);
  assert.deepEqual(errors.sort(), ["BadReceipt", "MalformedBatch"]);
});

test("the proof verifier's interface is at its address", () => {
  const { address, abi } = artifact("IProofVerifier");
  assert.equal(address, "0x000000000000000000000000000000000000a552");
  const errors = abi.filter(({ type }) => type === "error").map(({ name }) => name);
  assert.deepEqual(errors, ["ProofRefused"]);
});

// Hubs: registered by two signatures; what they say of each other is kept as what they say.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { encodeAbiParameters, encodeFunctionData, keccak256, pad, toHex, zeroAddress, zeroHash } from "viem";
import { alice, bob, nodeA, nodeB, signHub, signRegistration, startChain, stranger } from "../harness/chain.mjs";

const [hubA, hubB] = [nodeA, nodeB];
const ENDPOINT = "https://hub.example/";
const POLICY = keccak256(toHex("a policy"));
const BLOB = keccak256(toHex("a blob"));
const STATUS = { none: 0, active: 1, retired: 2 };
const OUTCOMES = ["passed", "wrongBytes", "refused", "unreachable"];

let chain;
before(async () => {
  chain = await startChain();
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

/** The arguments of `register` by alice for hubA, with parts replaced. */
async function registration({ hub = hubA, operator = alice, signer = hub, endpoint = ENDPOINT, ...changes } = {}) {
  const message = { hub: hub.address, operator: operator.address, endpoint, policy: POLICY, ...changes.signed };
  const signature = changes.signature ?? (await signHub(signer, message, changes.domain));
  return [hub.address, endpoint, POLICY, signature];
}

const register = async (hub, operator) =>
  chain.hubs.send(operator, "register", ...(await registration({ hub, operator })));
const record = (hub) => chain.hubs.read("hubOf", hub.address);

test("a registration is recorded and announced", async () => {
  const receipt = await register(hubA, alice);
  assert.deepEqual(await chain.hubs.events(receipt, "HubRegistered"), [
    { hub: hubA.address, operator: alice.address, endpoint: ENDPOINT, policy: POLICY },
  ]);
  assert.deepEqual(await record(hubA), {
    operator: alice.address,
    status: STATUS.active,
    index: 0,
    policy: POLICY,
    endpoint: ENDPOINT,
  });
  assert.equal((await record(hubB)).status, STATUS.none);
});

test("a registration signed by anyone but the hub key, or for anything else, is refused", async () => {
  const forgeries = {
    "by the operator": { signer: alice },
    "by another hub": { signer: hubB },
    "for another operator": { signed: { operator: bob.address } },
    "for another endpoint": { signed: { endpoint: "https://elsewhere.example/" } },
    "for another policy": { signed: { policy: zeroHash } },
    "for another hub": { signed: { hub: hubB.address } },
    "on another network": { domain: { salt: pad("0x01") } },
    "on another chain": { domain: { chainId: 1 } },
    "for another contract": { domain: { verifyingContract: chain.nodes.address } },
    "that is empty": { signature: "0x" },
    "that is a node's": { signature: await signRegistration(hubA, { operator: alice.address, endpoint: ENDPOINT }) },
  };
  for (const [what, changes] of Object.entries(forgeries)) {
    const args = await registration(changes);
    await chain.hubs.refuses(alice, ["BadSignature", hubA.address], "register", ...args).catch((error) => {
      throw new Error(`a signature ${what}: ${error.message}`);
    });
  }
  await chain.hubs.refuses(bob, "BadSignature", "register", ...(await registration()));
  const [, ...rest] = await registration({ signature: toHex(27, { size: 65 }) });
  await chain.hubs.refuses(alice, "BadSignature", "register", zeroAddress, ...rest);
});

test("endpoints are printable, there, and short", async () => {
  for (const endpoint of ["", "with space", "ctrl\u0007", "ümlaut", "x".repeat(257)]) {
    await chain.hubs.refuses(alice, "BadEndpoint", "register", ...(await registration({ endpoint })));
  }
  await chain.hubs.send(alice, "register", ...(await registration({ endpoint: "x".repeat(256) })));
});

test("a key registers once, also after it retired", async () => {
  await register(hubA, alice);
  await chain.hubs.refuses(alice, ["AlreadyRegistered", hubA.address], "register", ...(await registration()));
  await chain.hubs.refuses(bob, ["NotOperator", hubA.address], "retire", hubA.address);
  await chain.hubs.refuses(hubA, ["NotOperator", hubA.address], "retire", hubA.address);
  await chain.hubs.refuses(alice, ["NotActive", hubB.address], "retire", hubB.address);
  const receipt = await chain.hubs.send(alice, "retire", hubA.address);
  assert.deepEqual(await chain.hubs.events(receipt, "HubRetired"), [{ hub: hubA.address }]);
  assert.equal((await record(hubA)).status, STATUS.retired);
  await chain.hubs.refuses(alice, ["AlreadyRegistered", hubA.address], "register", ...(await registration()));
  await chain.hubs.refuses(alice, ["NotActive", hubA.address], "retire", hubA.address);
  await chain.hubs.refuses(alice, "NotActive", "setPolicy", hubA.address, POLICY, "0x");
  await chain.hubs.refuses(alice, "NotActive", "setEndpoint", hubA.address, ENDPOINT, "0x");
});

test("endpoint and policy change where both keys agree", async () => {
  await register(hubA, alice);
  const [endpoint, policy] = ["https://new.example/", keccak256(toHex("another"))];
  const agreed = (changes) =>
    signHub(hubA, { hub: hubA.address, operator: alice.address, endpoint: ENDPOINT, policy: POLICY, ...changes });
  const moved = await agreed({ endpoint });
  await chain.hubs.refuses(bob, "NotOperator", "setEndpoint", hubA.address, endpoint, moved);
  await chain.hubs.refuses(alice, "BadSignature", "setEndpoint", hubA.address, "https://other.example/", moved);
  await chain.hubs.refuses(alice, "BadEndpoint", "setEndpoint", hubA.address, "", await agreed({ endpoint: "" }));
  await chain.hubs.refuses(alice, "BadSignature", "setPolicy", hubA.address, policy, moved);
  const receipt = await chain.hubs.send(alice, "setEndpoint", hubA.address, endpoint, moved);
  assert.deepEqual(await chain.hubs.events(receipt, "HubChanged"), [{ hub: hubA.address, endpoint, policy: POLICY }]);

  const before = await agreed({ policy });
  await chain.hubs.refuses(alice, "BadSignature", "setPolicy", hubA.address, policy, before);
  const both = await agreed({ endpoint, policy });
  await chain.hubs.refuses(bob, "NotOperator", "setPolicy", hubA.address, policy, both);
  await chain.hubs.send(alice, "setPolicy", hubA.address, policy, both);
  const { endpoint: answers, policy: under } = await record(hubA);
  assert.deepEqual([answers, under], [endpoint, policy]);
});

test("hubs are listed in the order of registration, page by page", async () => {
  await register(hubA, alice);
  await register(hubB, bob);
  assert.equal(await chain.hubs.read("hubCount"), 2n);
  const page = (offset, limit) => chain.hubs.read("hubs", offset, limit);
  assert.deepEqual(await page(0n, 10n), [hubA.address, hubB.address]);
  assert.deepEqual(await page(1n, 1n), [hubB.address]);
  assert.deepEqual(await page(0n, 0n), []);
  assert.deepEqual(await page(2n, 10n), []);
  assert.deepEqual(await page(2n ** 256n - 1n, 2n ** 256n - 1n), []);
  assert.equal((await record(hubB)).index, 1);
});

test("a page has no more than 256 hubs", async () => {
  const { address } = chain.hubs;
  const word = (value) => toHex(value, { size: 32 });
  await chain.client.setStorageAt({ address, index: word(1n), value: word(300n) });
  assert.equal((await chain.hubs.read("hubs", 0n, 300n)).length, 256);
  assert.equal((await chain.hubs.read("hubs", 256n, 300n)).length, 44);
});

/** An audit of hubA, seeded by the block before the newest, which a call sees as its own; with parts replaced. */
async function audit(changes = {}) {
  const seedBlock = (await chain.client.getBlockNumber()) - 1n;
  const made = { hub: hubA.address, blob: BLOB, size: 10n ** 10n, seedBlock, outcome: 0, evidence: zeroHash };
  return { ...made, ...changes };
}

async function withHubs() {
  await register(hubA, alice);
  await register(hubB, bob);
}

test("an audit is recorded as its auditor's statement", async () => {
  await withHubs();
  const evidence = keccak256(toHex("bytes"));
  const made = await audit({ outcome: 1, evidence });
  const { hash } = await chain.client.getBlock({ blockNumber: made.seedBlock });
  const receipt = await chain.hubs.send(hubB, "recordAudit", made);
  const types = ["bytes32", "address", "address", "bytes32"].map((type) => ({ type }));
  const seed = keccak256(encodeAbiParameters(types, [hash, hubB.address, hubA.address, BLOB]));
  assert.deepEqual(await chain.hubs.events(receipt, "AuditRecorded"), [
    {
      auditor: hubB.address,
      hub: hubA.address,
      blob: BLOB,
      size: 10n ** 10n,
      seedBlock: made.seedBlock,
      seed,
      outcome: 1,
      evidence,
    },
  ]);
  assert.deepEqual(await chain.hubs.read("tallyOf", hubB.address), [0n, 0n, 0n, 0n]);
  assert.equal((await record(hubA)).status, STATUS.active, "nobody is slashed by a statement");
});

test("outcomes are counted apart", async () => {
  await withHubs();
  const counts = [1, 2, 3, 4];
  let n = 0;
  for (const [outcome, count] of counts.entries()) {
    for (let i = 0; i < count; i++) {
      await chain.hubs.send(hubB, "recordAudit", await audit({ outcome, blob: pad(toHex(++n)) }));
    }
  }
  assert.deepEqual(await chain.hubs.read("tallyOf", hubA.address), counts.map(BigInt));
  assert.equal(OUTCOMES.length, counts.length);
});

test("who is no hub, or none any more, says nothing and is not spoken of", async () => {
  await register(hubA, alice);
  for (const account of [stranger, alice, hubB]) {
    await chain.hubs.refuses(account, ["NotActive", account.address], "recordAudit", await audit());
  }
  await chain.hubs.refuses(hubA, ["SelfAudit", hubA.address], "recordAudit", await audit());
  await register(hubB, bob);
  const unknown = await audit({ hub: stranger.address });
  await chain.hubs.refuses(hubB, ["NotActive", stranger.address], "recordAudit", unknown);
  await chain.hubs.send(alice, "retire", hubA.address);
  await chain.hubs.refuses(hubB, ["NotActive", hubA.address], "recordAudit", await audit());
  await chain.hubs.refuses(hubA, ["NotActive", hubA.address], "recordAudit", await audit({ hub: hubB.address }));
});

test("one auditor speaks once of a hub, a blob and a block", async () => {
  await withHubs();
  const made = await audit();
  await chain.hubs.send(hubB, "recordAudit", made);
  for (const changes of [{}, { outcome: 3 }, { size: 1n }, { evidence: BLOB }]) {
    await chain.hubs.refuses(hubB, "AlreadyRecorded", "recordAudit", { ...made, ...changes });
  }
  await chain.hubs.send(hubB, "recordAudit", { ...made, blob: POLICY });
  await chain.hubs.send(hubB, "recordAudit", await audit());
  await chain.hubs.send(hubA, "recordAudit", { ...made, hub: hubB.address });
  await register(stranger, bob);
  await chain.hubs.send(stranger, "recordAudit", { ...made, blob: POLICY, outcome: 1 });
});

test("the seed comes from a block that is there, and not long ago", async () => {
  await withHubs();
  const tip = await chain.client.getBlockNumber();
  for (const seedBlock of [tip + 2n, tip + 1000n, 2n ** 64n - 1n]) {
    await chain.hubs.refuses(hubB, ["SeedBlockUnknown", seedBlock], "recordAudit", await audit({ seedBlock }));
  }
  await chain.client.mine({ blocks: 300 });
  await chain.hubs.refuses(hubB, ["SeedBlockUnknown", tip], "recordAudit", await audit({ seedBlock: tip }));
  await chain.hubs.send(hubB, "recordAudit", await audit());
});

test("an outcome is one of four", async () => {
  await withHubs();
  const data = encodeFunctionData({
    abi: chain.hubs.abi,
    functionName: "recordAudit",
    args: [await audit({ outcome: 3 })],
  });
  const call = (bytes) => chain.client.call({ account: hubB, to: chain.hubs.address, data: bytes });
  await call(data);
  const at = 10 + 64 * 4;
  const fifth = `${data.slice(0, at)}${toHex(4, { size: 32 }).slice(2)}${data.slice(at + 64)}`;
  await assert.rejects(call(fifth));
});

test("what hubs pay", async (context) => {
  const figures = {
    register: (await register(hubA, alice)).gasUsed,
    "second hub": (await register(hubB, bob)).gasUsed,
    "first audit": (await chain.hubs.send(hubB, "recordAudit", await audit())).gasUsed,
    "further audit": (await chain.hubs.send(hubB, "recordAudit", await audit({ outcome: 2 }))).gasUsed,
  };
  for (const [what, gas] of Object.entries(figures)) context.diagnostic(`${what}: ${gas} gas`);
  assert.ok(figures["further audit"] <= 80_000n);
});

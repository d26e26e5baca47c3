// Refs of models and data sets: moved by their publisher or by the hub that the publisher delegated to, in turn.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, pad, toHex, zeroAddress, zeroHash } from "viem";
import { alice, bob, carol, mappingSlot, nodeA, signDelegation, startChain, stranger } from "../harness/chain.mjs";

const KIND = { model: 0, dataset: 1 };
/** What a move of a known name in a known repository costs at most, as the gas tests print it. */
const MAX_MOVE_GAS = 200_000n;

const revision = (n) => keccak256(toHex(`revision ${n}`));
const commit = (n) => keccak256(toHex(`commit ${n}`));
const SECRET = keccak256(toHex("a secret"));
const hub = nodeA;

let chain;
before(async () => {
  chain = await startChain();
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

/** A move of the main branch of alice's model "digits" to commit `n`, with parts replaced. */
const move = (n, changes = {}) => ({
  kind: KIND.model,
  name: "digits",
  ref: "main",
  parent: n === 1 ? zeroHash : commit(n - 1),
  revision: revision(n),
  commit: commit(n),
  ...changes,
});
const gone = (parent, changes) => move(0, { parent, revision: zeroHash, commit: zeroHash, ...changes });
const head = (ref = "main", name = "digits") => chain.models.read("headOf", alice.address, name, ref);

test("a commit moves a ref, lists its revision, and is announced", async () => {
  const receipt = await chain.models.send(alice, "commit", move(1));
  assert.deepEqual(await chain.models.events(receipt, "RefMoved"), [
    {
      publisher: alice.address,
      nameHash: keccak256(toHex("digits")),
      revision: revision(1),
      name: "digits",
      ref: "main",
      parent: zeroHash,
      commit: commit(1),
      sender: alice.address,
    },
  ]);
  const published = await chain.models.events(receipt, "ModelPublished");
  assert.deepEqual(published.map(({ name, revision }) => [name, revision]), [["digits", revision(1)]]);
  assert.deepEqual(await head(), { revision: revision(1), commit: commit(1) });
  assert.equal(await chain.models.read("publisherOf", revision(1)), alice.address);
  const word = await chain.client.getStorageAt({ address: chain.models.address, slot: mappingSlot(revision(1), 0n) });
  assert.equal(BigInt(word), BigInt(alice.address));
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(1));
});

test("two commits on one parent: the second is told where the ref points now", async () => {
  await chain.models.send(alice, "commit", move(1));
  await chain.models.send(alice, "commit", move(2));
  const late = { parent: commit(1), commit: commit(9), revision: revision(9) };
  await chain.models.refuses(alice, ["StaleParent", commit(2)], "commit", move(2, late));
  await chain.models.refuses(alice, ["StaleParent", commit(2)], "commit", move(9, { ...late, parent: zeroHash }));
  await chain.models.refuses(alice, ["StaleParent", commit(2)], "commit", move(1));
  await chain.models.refuses(alice, ["StaleParent", zeroHash], "commit", move(3, { ref: "dev" }));
  assert.deepEqual(await head(), { revision: revision(2), commit: commit(2) });
});

test("what was published without a commit stands for itself as a parent", async () => {
  await chain.models.send(alice, "publish", "digits", revision(1));
  assert.deepEqual(await head(), { revision: revision(1), commit: zeroHash });
  await chain.models.refuses(alice, ["StaleParent", revision(1)], "commit", move(2, { parent: zeroHash }));
  await chain.models.send(alice, "commit", move(2, { parent: revision(1) }));
  const receipt = await chain.models.send(alice, "publish", "digits", revision(3));
  const [moved] = await chain.models.events(receipt, "RefMoved");
  assert.deepEqual([moved.ref, moved.parent, moved.commit], ["main", commit(2), zeroHash]);
  await chain.models.refuses(alice, ["StaleParent", revision(3)], "commit", move(3));
});

test("the same tree may come again by another commit", async () => {
  await chain.models.send(alice, "commit", move(1));
  await chain.models.send(alice, "commit", move(2));
  const back = await chain.models.send(alice, "commit", move(3, { revision: revision(1) }));
  assert.deepEqual(await chain.models.events(back, "ModelPublished"), []);
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(1));
  assert.deepEqual(await chain.models.read("revisions", alice.address, "digits", 0n, 9n), [revision(1), revision(2)]);
  await chain.models.refuses(alice, ["AlreadyListed", revision(2)], "publish", "digits", revision(2));
});

test("another branch or a tag does not change what is latest", async () => {
  await chain.models.send(alice, "commit", move(1));
  for (const ref of ["dev", "refs/tags/v1.0"]) {
    await chain.models.send(alice, "commit", move(2, { ref, parent: zeroHash }));
    assert.deepEqual(await head(ref), { revision: revision(2), commit: commit(2) });
  }
  assert.equal(await chain.models.read("latest", alice.address, "digits"), revision(1));
  assert.deepEqual(await chain.models.read("modelAt", 0n), [alice.address, "digits", revision(1)]);
  assert.equal(await chain.models.read("isKnown", revision(2)), true);
});

test("a model of which only a branch was published has no latest revision", async () => {
  await chain.models.send(alice, "commit", move(1, { ref: "dev" }));
  await chain.models.refuses(alice, ["UnknownName", alice.address, "digits"], "latest", alice.address, "digits");
  assert.deepEqual(await chain.models.read("modelAt", 0n), [alice.address, "digits", zeroHash]);
});

test("a deleted ref is not there, stays in the past, and can come again", async () => {
  await chain.models.send(alice, "commit", move(1));
  await chain.models.refuses(alice, ["StaleParent", commit(1)], "commit", gone(zeroHash));
  const receipt = await chain.models.send(alice, "commit", gone(commit(1)));
  const [moved] = await chain.models.events(receipt, "RefMoved");
  assert.deepEqual([moved.parent, moved.revision, moved.commit], [commit(1), zeroHash, zeroHash]);
  assert.deepEqual(await head(), { revision: zeroHash, commit: zeroHash });
  await chain.models.refuses(alice, "UnknownName", "latest", alice.address, "digits");
  assert.equal(await chain.models.read("isKnown", revision(1)), true);
  assert.deepEqual(await chain.models.read("revisions", alice.address, "digits", 0n, 9n), [revision(1)]);
  await chain.models.refuses(alice, "NothingMoves", "commit", gone(zeroHash));
  await chain.models.send(alice, "commit", move(2, { parent: zeroHash }));
  assert.equal(await chain.models.read("modelCount"), 1n);
});

test("a move goes somewhere, with both digests or with neither", async () => {
  await chain.models.refuses(alice, "NothingMoves", "commit", gone(zeroHash));
  await chain.models.refuses(alice, "ZeroCommit", "commit", move(1, { commit: zeroHash }));
  await chain.models.refuses(alice, "ZeroRevision", "commit", move(1, { revision: zeroHash }));
  await chain.models.send(alice, "commit", move(1));
  const same = move(2, { commit: commit(1), revision: revision(2) });
  await chain.models.refuses(alice, "NothingMoves", "commit", same);
});

test("a data set and a model of one name are two repositories", async () => {
  await chain.models.send(alice, "commit", move(1));
  await chain.models.send(alice, "commit", move(1, { kind: KIND.dataset, revision: revision(7) }));
  assert.equal((await head("main", "datasets/digits")).revision, revision(7));
  assert.equal((await head()).revision, revision(1));
  assert.deepEqual(
    [await chain.models.read("modelCount"), await chain.models.read("datasetCount")],
    [1n, 1n],
  );
  assert.deepEqual(await chain.models.read("datasetAt", 0n), [alice.address, "datasets/digits", revision(7)]);
  await chain.models.refuses(alice, ["OutOfRange", 1n, 1n], "datasetAt", 1n);
  const dataset = (length) => move(1, { kind: KIND.dataset, name: "x".repeat(length) });
  await chain.models.refuses(alice, "BadName", "commit", dataset(88));
  await chain.models.send(alice, "commit", dataset(87));
  for (const name of ["datasets/digits", "datasets/"]) {
    await chain.models.refuses(alice, "BadName", "commit", move(1, { name }));
    await chain.models.refuses(alice, "BadName", "publish", name, revision(1));
  }
});

test("nobody moves another's ref", async () => {
  await chain.models.send(alice, "commit", move(1));
  await chain.models.refuses(bob, ["StaleParent", zeroHash], "commit", move(2));
  await chain.models.send(bob, "commit", move(9, { parent: zeroHash }));
  assert.equal((await head()).commit, commit(1));
});

test("refs that are taken", async () => {
  const digits = "0123456789abcdef".repeat(4);
  const refs = ["main", "a", "v1.0", "FP16", "gptq-4bit--32g_True", "feature/x", "_x", "x".repeat(128), "refsx", "a/refs", "v1+cu118", "a=b@c"];
  const tags = ["refs/tags/v1.0", "refs/tags/a/b", `refs/tags/${"x".repeat(128)}`, "refs/tags/refsx"];
  const nearlyDigests = [digits.slice(0, 39), digits.slice(0, 41), `${digits.slice(0, 39)}g`, "deadbeef"];
  for (const ref of [...refs, ...tags, ...nearlyDigests]) {
    await chain.models.send(alice, "commit", move(1, { ref }));
    assert.equal((await head(ref)).commit, commit(1));
  }
});

const REFUSED_REFS = [
  "",
  "x".repeat(129),
  `refs/tags/${"x".repeat(129)}`,
  "refs/tags/refs/tags/a",
  "refs/tags/HEAD",
  "HEAD",
  "@",
  "a/@b",
  "a.lock",
  "a.lock/b",
  ".lock",
  "two words",
  "/main",
  "main/",
  "a//b",
  ".hidden",
  "-option",
  "a/.b",
  "a/-b",
  "a..b",
  "a.",
  "a./b",
  "..",
  "a\u0000b",
  "höhe",
  "a\\b",
  "a:b",
  "a~1",
  "a^",
  "a*",
  "@{0}",
  "refs",
  "refs/",
  "refs/heads/main",
  "refs/pr/1",
  "refs/tags",
  "refs/tags/",
  "refs/tags//a",
  "refs/tags/.a",
  "refs/Tags/a",
  "0123456789abcdef0123456789abcdef01234567",
  "0123456789ABCDEF0123456789abcdef01234567",
  `refs/tags/${"0123456789abcdef".repeat(4)}`,
  "f".repeat(64),
];
for (const ref of REFUSED_REFS) {
  test(`the ref ${JSON.stringify(ref.slice(0, 30))} (${ref.length}) is refused`, () =>
    chain.models.refuses(alice, "BadRef", "commit", move(1, { ref })));
}

for (const name of ["", "x".repeat(97), "Digits", "a/b", "..", "a..b", "trailing-", "a b", "a.git", "0x\u0000"]) {
  test(`the repository ${JSON.stringify(name.slice(0, 20))} (${name.length}) is refused`, () =>
    chain.models.refuses(alice, "BadName", "commit", move(1, { name })));
}

/** Arguments of `commitFor` by alice's delegation to the hub, with parts of it replaced. */
async function delegated({ changes = {}, signer = alice, domain, signed = {}, signature } = {}, moved = move(1)) {
  const now = await chain.now();
  const delegation = {
    publisher: alice.address,
    hub: hub.address,
    scope: 2,
    notAfter: now + 3600n,
    salt: now * 1000n,
    seal: keccak256(SECRET),
    ...changes,
  };
  const made = signature ?? (await signDelegation(signer, { ...delegation, ...signed }, domain));
  return [delegation, made, moved];
}

test("a hub commits under the publisher's name with the publisher's delegation", async () => {
  const args = await delegated();
  const receipt = await chain.models.send(hub, "commitFor", ...args);
  const [moved] = await chain.models.events(receipt, "RefMoved");
  assert.deepEqual([moved.publisher, moved.sender], [alice.address, hub.address]);
  assert.equal((await head()).commit, commit(1));
  assert.equal(await chain.models.read("publisherOf", revision(1)), alice.address);
  await chain.models.send(hub, "commitFor", args[0], args[1], move(2));
  await chain.models.refuses(hub, ["StaleParent", commit(2)], "commitFor", ...args);
});

test("a delegation that alice did not sign, or for anything else, is refused", async () => {
  const forgeries = {
    "by the hub": { signer: hub },
    "by a stranger": { signer: stranger },
    "of a scope to read": { signed: { scope: 1 } },
    "of another hub": { signed: { hub: bob.address } },
    "of another publisher": { signed: { publisher: bob.address } },
    "of another end": { signed: { notAfter: 1n } },
    "of another salt": { signed: { salt: 1n } },
    "of another seal": { signed: { seal: zeroHash } },
    "on another network": { domain: { salt: pad("0x01") } },
    "on another chain": { domain: { chainId: 1 } },
    "for another contract": { domain: { verifyingContract: chain.nodes.address } },
    "under another version": { domain: { version: "2" } },
    "under another name": { domain: { name: "assay" } },
    "that is empty": { signature: "0x" },
    "that is short": { signature: toHex(27, { size: 64 }) },
  };
  for (const [what, changes] of Object.entries(forgeries)) {
    const args = await delegated(changes);
    await chain.models.refuses(hub, ["BadSignature", alice.address], "commitFor", ...args).catch((error) => {
      throw new Error(`a signature ${what}: ${error.message}`);
    });
  }
  const nobody = await delegated({ changes: { publisher: zeroAddress }, signature: toHex(27, { size: 65 }) });
  await chain.models.refuses(hub, ["BadSignature", zeroAddress], "commitFor", ...nobody);
});

test("a signature that is not canonical is refused", async () => {
  const [delegation, good, moved] = await delegated();
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = BigInt(`0x${good.slice(66, 130)}`);
  const v = good.slice(130);
  const highS = `${good.slice(0, 66)}${toHex(order - s, { size: 32 }).slice(2)}${v === "1b" ? "1c" : "1b"}`;
  for (const signature of [highS, `${good}00`, `${good.slice(0, 130)}00`, `${good.slice(0, 130)}1d`]) {
    await chain.models.refuses(hub, "BadSignature", "commitFor", delegation, signature, moved);
  }
});

test("another hub, or alice, cannot use a hub's delegation", async () => {
  const args = await delegated();
  for (const account of [bob, alice, stranger]) {
    await chain.models.refuses(account, ["OtherHub", hub.address], "commitFor", ...args);
  }
});

test("only the scope that writes writes", async () => {
  for (const scope of [0, 1, 3, 255]) {
    await chain.models.refuses(hub, ["NotWritable", scope], "commitFor", ...(await delegated({ changes: { scope } })));
  }
});

test("a delegation ends with its last second", async () => {
  const notAfter = (await chain.now()) + 100n;
  const args = await delegated({ changes: { notAfter } });
  await chain.client.setNextBlockTimestamp({ timestamp: notAfter });
  await chain.models.send(hub, "commitFor", ...args);
  await chain.pass(1);
  await chain.models.refuses(hub, ["Expired", notAfter], "commitFor", args[0], args[1], move(2));
});

test("a revocation ends what was signed before it, and nothing else", async () => {
  const now = (await chain.now()) * 1000n;
  const [before, since] = [now - 1n, now];
  const receipt = await chain.models.send(alice, "revokeBefore", now);
  assert.deepEqual(await chain.models.events(receipt, "DelegationsRevoked"), [
    { publisher: alice.address, salt: now },
  ]);
  assert.equal(await chain.models.read("revokedBefore", alice.address), now);
  const dead = await delegated({ changes: { salt: before } });
  await chain.models.refuses(hub, ["Revoked", now], "commitFor", ...dead);
  await chain.models.send(hub, "commitFor", ...(await delegated({ changes: { salt: since } })));
  assert.equal(await chain.models.read("revokedBefore", bob.address), 0n);
});

test("a revocation goes forward, and not beyond the clock", async () => {
  const now = (await chain.now()) * 1000n;
  await chain.models.refuses(alice, ["NothingRevoked", 0n], "revokeBefore", 0n);
  await chain.models.send(alice, "revokeBefore", now);
  for (const salt of [now, now - 1n]) {
    await chain.models.refuses(alice, ["NothingRevoked", now], "revokeBefore", salt);
  }
  const far = now + 2n * 3_600_000n;
  await chain.models.refuses(alice, ["FromTheFuture", far], "revokeBefore", far);
  await chain.models.refuses(alice, "FromTheFuture", "revokeBefore", 2n ** 64n - 1n);
});

test("a delegation from the future, which no revocation could end, is refused", async () => {
  const salt = (await chain.now()) * 1000n + 2n * 3_600_000n;
  await chain.models.refuses(hub, ["FromTheFuture", salt], "commitFor", ...(await delegated({ changes: { salt } })));
  const soon = (await chain.now()) * 1000n + 3_000_000n;
  await chain.models.send(hub, "commitFor", ...(await delegated({ changes: { salt: soon } })));
});

test("a delegated move is held to the same rules", async () => {
  const refused = [
    [move(1, { ref: "refs/heads/main" }), "BadRef"],
    [move(1, { name: "Digits" }), "BadName"],
    [move(2), "StaleParent"],
    [gone(zeroHash), "NothingMoves"],
    [move(1, { commit: zeroHash }), "ZeroCommit"],
  ];
  for (const [moved, error] of refused) {
    await chain.models.refuses(hub, error, "commitFor", ...(await delegated({}, moved)));
  }
});

test("the digest of a delegation is what a library signs", async () => {
  const [delegation, signature] = await delegated();
  const digest = await chain.models.read("delegationDigest", delegation);
  const raw = await alice.sign({ hash: digest });
  assert.equal(raw, signature);
});

test("what moves cost", async (context) => {
  const gas = async (what, account, ...call) => {
    const { gasUsed } = await chain.models.send(account, ...call);
    context.diagnostic(`${what}: ${gasUsed} gas`);
    return gasUsed;
  };
  await gas("first commit of a model", alice, "commit", move(1));
  const moves = [
    await gas("commit", alice, "commit", move(2)),
    await gas("commit of a known tree", alice, "commit", move(3, { revision: revision(1) })),
    await gas("commit by a hub", hub, "commitFor", ...(await delegated({}, move(4)))),
    await gas("deleting a branch", alice, "commit", gone(commit(4))),
  ];
  await gas("publish without a commit", carol, "publish", "digits", revision(9));
  await gas("revocation", alice, "revokeBefore", 1n);
  for (const used of moves) assert.ok(used <= MAX_MOVE_GAS, `${used} gas`);
});

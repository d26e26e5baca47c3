// Proofs' own rules: who registers what and when, and what a proof has to be bound to. MockProofVerifier.sol answers for
// the precompile here; the real one is tested with the chain crate.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { concat, encodeAbiParameters, keccak256, parseAbiParameters, slice, toHex, zeroHash } from "viem";
import {
  NETWORK_ID,
  alice,
  artifact,
  bob,
  nodeA,
  nodeB,
  registerNode,
  startChain,
  verifierReturns,
} from "../harness/chain.mjs";
import { REVISION, batchRoot, receipt, receiptId, signReceipt } from "../harness/receipts.mjs";

const digest = (text) => keccak256(toHex(text));
const encode = (types, ...values) => encodeAbiParameters(parseAbiParameters(types), values);
const [MODEL, WEIGHTS, ROWS] = [digest("model"), digest("weights"), toHex("rows")];
const CIRCUIT = concat(["0x00", MODEL]);
const REFUSED = "0x0102";
const RULE = toHex("rule");

let chain;
before(async () => {
  chain = await startChain();
  await chain.mockVerifier();
  await chain.mockProofVerifier();
  await registerNode(chain, alice, nodeA);
  await chain.models.send(alice, "publish", "digits", REVISION);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

const register = () => chain.proofs.send(alice, "registerModel", REVISION, CIRCUIT, WEIGHTS, "0x", RULE);

/** Settles one receipt of nodeA; gives the first five arguments of `prove`, the id, and the block. */
async function settle(changes = {}) {
  const message = receipt(nodeA, changes);
  const id = receiptId(message);
  const root = batchRoot(nodeA.address, [id]);
  const { revision, sequence: firstSequence, previous } = message;
  const span = { revision, firstSequence, count: 1, previous, last: id };
  const bytes = verifierReturns("verifyBatch", [nodeA.address, root, 1, [span]]);
  const { blockNumber } = await chain.settlement.send(bob, "settle", bytes);
  return { place: [message, await signReceipt(nodeA, message), 0, 1, []], id, blockNumber };
}

/** A block after now whose hash a call can read: the newest is not before the block that a call runs in. */
async function laterBlock() {
  await chain.pass(1);
  const at = await chain.client.getBlockNumber();
  await chain.pass(1);
  return at;
}

/** What the mock takes for a proof, with any part replaced. */
async function proofFor(id, randomBlock, changes = {}) {
  const { hash } = await chain.client.getBlock({ blockNumber: randomBlock });
  const context = keccak256(encode("bytes32, bytes32", id, hash));
  const said = { weights: WEIGHTS, network: NETWORK_ID, revision: REVISION, context, rows: ROWS, ...changes };
  const { weights, network, revision, rows } = said;
  const bound = [keccak256(weights), network, revision, said.context, keccak256(rows)];
  return keccak256(encode("bytes32, bytes32, bytes32, bytes32, bytes32", ...bound));
}

test("a publisher registers a revision's model, once and for good", async () => {
  const mined = await register();
  const said = { revision: REVISION, modelId: MODEL, weights: WEIGHTS, circuitHash: keccak256(CIRCUIT), ruleHash: keccak256(RULE) };
  assert.deepEqual(await chain.proofs.events(mined, "ModelRegistered"), [said]);
  assert.deepEqual(await chain.proofs.read("models", REVISION), [MODEL, WEIGHTS, mined.blockNumber, keccak256(RULE), 0n]);
  const again = ["registerModel", REVISION, CIRCUIT, digest("other weights"), "0x", RULE];
  await chain.proofs.refuses(alice, ["AlreadyRegistered", REVISION, MODEL], ...again);
});

test("nobody else registers it, and no revision that is not published", async () => {
  const by = (account, error, revision) =>
    chain.proofs.refuses(account, error, "registerModel", revision, CIRCUIT, WEIGHTS, "0x", RULE);
  await by(bob, ["NotPublisher", REVISION, alice.address], REVISION);
  await by(alice, "NotPublisher", digest("unpublished"));
});

test("a registration that the precompile refuses registers nothing", async () => {
  await chain.proofs.refuses(alice, ["ProofRefused", 2], "registerModel", REVISION, REFUSED, WEIGHTS, "0x", RULE);
  await register();
});

test("a computation is recorded under its receipt, once, and the receipt is signed as before", async () => {
  await register();
  const { place, id } = await settle();
  const at = await laterBlock();
  const args = [...place, at, CIRCUIT, ROWS, await proofFor(id, at)];
  const mined = await chain.proofs.send(bob, "prove", ...args);
  const said = { receiptId: id, modelId: MODEL, rowsHash: keccak256(ROWS) };
  assert.deepEqual(await chain.proofs.events(mined, "ComputationProven"), [said]);
  assert.equal(await chain.proofs.read("provenAt", id, keccak256(ROWS)), mined.blockNumber);
  assert.equal(await chain.proofs.read("provenAt", id, digest("other rows")), 0n);
  assert.deepEqual(await chain.settlement.read("verifyReceipt", ...place), [1, id]);
  const again = await chain.proofs.send(alice, "prove", ...args);
  assert.deepEqual(await chain.proofs.events(again, "ComputationProven"), []);
  assert.equal(await chain.proofs.read("provenAt", id, keccak256(ROWS)), mined.blockNumber);
});

test("a proof that is bound to anything else is refused", async () => {
  await register();
  const { place, id } = await settle();
  const at = await laterBlock();
  const cases = ["weights", "network", "revision", "context"].map((part) => ({ [part]: digest("other") }));
  for (const change of [...cases, { rows: toHex("other rows") }]) {
    const proof = await proofFor(id, at, change);
    await chain.proofs.refuses(bob, ["ProofRefused", 7], "prove", ...place, at, CIRCUIT, ROWS, proof);
  }
  const otherReceipt = await proofFor(digest("other receipt"), at);
  await chain.proofs.refuses(bob, ["ProofRefused", 7], "prove", ...place, at, CIRCUIT, ROWS, otherReceipt);
  const [proof, other] = [await proofFor(id, at), digest("other model")];
  const foreign = concat(["0x00", other]);
  await chain.proofs.refuses(bob, ["OtherModel", MODEL, other], "prove", ...place, at, foreign, ROWS, proof);
});

test("a model comes before the receipts that are proven with it", async () => {
  const { place, id, blockNumber } = await settle();
  const at = await laterBlock();
  const args = ["prove", ...place, at, CIRCUIT, ROWS, await proofFor(id, at)];
  await chain.proofs.refuses(bob, ["NotRegistered", REVISION], ...args);
  const registered = await register();
  await chain.proofs.refuses(bob, ["RegisteredTooLate", registered.blockNumber, blockNumber], ...args);
});

test("the random block comes after the settlement, and is one that is known", async () => {
  await register();
  const { place, id, blockNumber } = await settle();
  await chain.pass(1);
  const attempt = (error, at) =>
    chain.proofs.refuses(bob, error, "prove", ...place, at, CIRCUIT, ROWS, zeroHash);
  await attempt(["RandomBlockTooEarly", blockNumber, blockNumber], blockNumber);
  await attempt(["RandomBlockTooEarly", 0n, blockNumber], 0n);
  const future = (await chain.client.getBlockNumber()) + 10n;
  await attempt(["RandomBlockUnknown", future], future);
  await chain.client.mine({ blocks: 257 });
  await attempt(["RandomBlockUnknown", blockNumber + 1n], blockNumber + 1n);
  await chain.proofs.refuses(bob, ["RandomBlockUnknown", future + 999n], "contextOf", id, future + 999n);
});

test("a receipt that has not settled, or is not signed, is refused", async () => {
  await register();
  const { place } = await settle();
  const at = await laterBlock();
  const rest = [0, 1, [], at, CIRCUIT, ROWS, zeroHash];
  const other = receipt(nodeA, { sequence: 9n });
  await chain.proofs.refuses(bob, "NotSettled", "prove", other, await signReceipt(nodeA, other), ...rest);
  await chain.proofs.refuses(bob, "BadSignature", "prove", place[0], await signReceipt(nodeB, place[0]), ...rest);
});

const OPENINGS = { inputSalt: digest("salt"), input: "0x01", outputSalt: digest("other salt"), output: "0x02" };

/** The answer with what the mock takes for its proof, with any part of the claim or the rule replaced. */
async function answerFor({ place: [message], id }, randomBlock, changes = {}) {
  const { hash } = await chain.client.getBlock({ blockNumber: randomBlock });
  const context = keccak256(encode("bytes32, bytes32", id, hash));
  const claim = { weights: WEIGHTS, network: NETWORK_ID, revision: REVISION, context };
  const said = { ...claim, input: message.input, output: message.output, rule: RULE, ...changes };
  const { inputSalt, input, outputSalt, output } = OPENINGS;
  const openings = keccak256(
    encode("bytes32, bytes32, bytes32, bytes32", inputSalt, keccak256(input), outputSalt, keccak256(output)),
  );
  const { weights, network, revision } = said;
  const words = [keccak256(weights), network, revision, said.context, said.input, said.output];
  const bound = keccak256(concat([keccak256(concat(words)), keccak256(ROWS), keccak256(said.rule), openings]));
  return { circuit: CIRCUIT, rows: ROWS, proof: bound, rule: said.rule, ...OPENINGS };
}

const placeOf = ([message, signature, index, count, path]) => ({ receipt: message, signature, index, count, path });

test("a consumer that needs a proven answer moves only after the proof", async () => {
  await register();
  const settled = await settle();
  const at = await laterBlock();
  const consumer = await chain.deploy(bob, artifact("ExampleConsumer"), [REVISION, 4]);
  await consumer.refuses(bob, ["RungTooLow", 4, 1], "act", ...settled.place);
  const args = [placeOf(settled.place), at, await answerFor(settled, at)];
  const mined = await chain.proofs.send(bob, "proveAnswer", ...args);
  const said = { receiptId: settled.id, modelId: MODEL };
  assert.deepEqual(await chain.proofs.events(mined, "AnswerProven"), [said]);
  assert.deepEqual(await chain.settlement.read("verifyReceipt", ...settled.place), [4, settled.id]);
  await consumer.send(bob, "act", ...settled.place);
  assert.equal(await consumer.read("actedOn", settled.id), settled.place[0].output);
  const again = await chain.proofs.send(alice, "proveAnswer", ...args);
  assert.deepEqual(await chain.proofs.events(again, "AnswerProven"), []);
  assert.equal(await chain.proofs.read("answerProvenAt", settled.id), mined.blockNumber);
});

test("an answer is proven for the receipt's own commitments, under the registered rule", async () => {
  await register();
  const settled = await settle();
  const at = await laterBlock();
  const refused = async (error, changes) => {
    const args = [placeOf(settled.place), at, await answerFor(settled, at, changes)];
    await chain.proofs.refuses(bob, error, "proveAnswer", ...args);
  };
  const parts = ["input", "output", "weights", "network", "revision", "context"];
  for (const part of parts) await refused(["ProofRefused", 7], { [part]: digest("other") });
  const rule = toHex("other rule");
  await refused(["OtherRule", keccak256(RULE), keccak256(rule)], { rule });
  assert.equal(await chain.proofs.read("answerProvenAt", settled.id), 0n);
});

test("a receipt with parameters, or of a stream, is not proven", async () => {
  await register();
  for (const changes of [{ parameters: digest("parameters") }, { stream: digest("stream") }]) {
    const settled = await settle(changes);
    const at = await laterBlock();
    const args = [placeOf(settled.place), at, await answerFor(settled, at)];
    await chain.proofs.refuses(bob, ["NotProvable", settled.id], "proveAnswer", ...args);
    await chain.rewind();
    await register();
  }
});

/** Settles `count` receipts of nodeA, each in a batch of its own. */
async function settleSeveral(count) {
  const all = [];
  for (let at = 0; at < count; at++) {
    const changes = { sequence: BigInt(at), previous: all.at(-1)?.id ?? zeroHash, output: digest(`output ${at}`) };
    all.push(await settle(changes));
  }
  return all;
}

/** The answers with what the mock takes for their one proof, with any part of the claims or the rule replaced. */
async function answersFor(settled, randomBlock, changes = {}) {
  const { hash } = await chain.client.getBlock({ blockNumber: randomBlock });
  const context = keccak256(encode("bytes32[], bytes32", settled.map(({ id }) => id), hash));
  const commitments = (name) => settled.map(({ place: [message] }) => message[name]);
  const claims = { weights: WEIGHTS, network: NETWORK_ID, revision: REVISION, context };
  const said = { ...claims, inputs: commitments("input"), outputs: commitments("output"), rule: RULE, ...changes };
  const salts = settled.map((_, at) => digest(`salt ${at}`));
  const opened = { inputSalts: salts, inputs: "0x0102", outputSalts: salts, outputs: "0x0304" };
  const openings = keccak256(
    encode("bytes32[], bytes32, bytes32[], bytes32", salts, keccak256(opened.inputs), salts, keccak256(opened.outputs)),
  );
  const { weights, network, revision, inputs, outputs } = said;
  const types = "bytes32, bytes32, bytes32, bytes32, bytes32[], bytes32[]";
  const claimed = keccak256(encode(types, keccak256(weights), network, revision, said.context, inputs, outputs));
  const proof = keccak256(concat([claimed, keccak256(ROWS), keccak256(said.rule), openings]));
  return { circuit: CIRCUIT, rows: ROWS, proof, rule: said.rule, ...opened };
}

const placesOf = (settled) => settled.map(({ place }) => placeOf(place));

test("the answers of several receipts are proven at once, each of them once", async () => {
  await register();
  const settled = await settleSeveral(3);
  const at = await laterBlock();
  const [first, ...rest] = settled;
  await chain.proofs.send(bob, "proveAnswer", placeOf(first.place), at, await answerFor(first, at));
  const mined = await chain.proofs.send(bob, "proveAnswers", placesOf(settled), at, await answersFor(settled, at));
  const said = rest.map(({ id }) => ({ receiptId: id, modelId: MODEL }));
  assert.deepEqual(await chain.proofs.events(mined, "AnswerProven"), said);
  for (const { place, id } of settled) {
    assert.deepEqual(await chain.settlement.read("verifyReceipt", ...place), [4, id]);
  }
});

test("one proof is for these receipts in this order, and for nothing else", async () => {
  await register();
  const settled = await settleSeveral(2);
  const at = await laterBlock();
  const good = await answersFor(settled, at);
  const refused = (error, receipts, answers) =>
    chain.proofs.refuses(bob, error, "proveAnswers", placesOf(receipts), at, answers);
  for (const part of ["weights", "network", "revision", "context"]) {
    await refused(["ProofRefused", 7], settled, await answersFor(settled, at, { [part]: digest("other") }));
  }
  const other = [digest("other"), digest("another")];
  await refused(["ProofRefused", 7], settled, await answersFor(settled, at, { inputs: other }));
  await refused(["ProofRefused", 7], settled, await answersFor(settled, at, { outputs: other }));
  await refused(["ProofRefused", 7], [...settled].reverse(), good);
  await refused(["ProofRefused", 7], settled.slice(0, 1), good);
  await refused(["Twice", settled[0].id], [settled[0], settled[0]], good);
  await refused(["BadCount", 0n], [], good);
  await refused(["BadCount", 17n], Array(17).fill(settled[0]), good);
  const rule = toHex("other rule");
  const ruled = await answersFor(settled, at, { rule });
  await refused(["OtherRule", keccak256(RULE), keccak256(rule)], settled, ruled);
  const foreign = concat(["0x00", other[0]]);
  await refused(["OtherModel", MODEL, other[0]], settled, { ...good, circuit: foreign });
  for (const { id } of settled) assert.equal(await chain.proofs.read("answerProvenAt", id), 0n);
});

test("one receipt that may not be proven keeps the others of its call from it", async () => {
  await register();
  const [settled] = await settleSeveral(1);
  const refused = async (changes, error) => {
    const after = changes.revision ? {} : { sequence: 1n, previous: settled.id };
    const both = [settled, await settle({ ...after, ...changes })];
    const at = await laterBlock();
    const args = [placesOf(both), at, await answersFor(both, at)];
    await chain.proofs.refuses(bob, error(both[1]), "proveAnswers", ...args);
    assert.equal(await chain.proofs.read("answerProvenAt", settled.id), 0n);
  };
  const revision = digest("another revision");
  await refused({ revision }, () => ["OtherRevision", REVISION, revision]);
  await refused({ parameters: digest("parameters") }, ({ id }) => ["NotProvable", id]);
});

test("several answers wait for the model and the random block as one does", async () => {
  const settled = await settleSeveral(2);
  const at = await laterBlock();
  const args = ["proveAnswers", placesOf(settled), at, await answersFor(settled, at)];
  await chain.proofs.refuses(bob, ["NotRegistered", REVISION], ...args);
  const { blockNumber } = await register();
  await chain.proofs.refuses(bob, ["RegisteredTooLate", blockNumber, settled[0].blockNumber], ...args);
});

/** A commitment that hides weights for `budget` openings, as the mock reads it: the id of its model comes first. */
const hiding = (name, budget) => concat([digest(name), toHex(budget, { size: 1 })]);
const HIDING = hiding("hidden", 3);
const FRESH = hiding("fresh", 4);
const circuitOf = (weights) => concat(["0x00", slice(weights, 0, 32)]);
const rollOf = (before, after) => keccak256(encode("bytes32, bytes32", keccak256(before), keccak256(after)));

const registerHidden = () =>
  chain.proofs.send(alice, "registerModel", REVISION, circuitOf(HIDING), HIDING, toHex("registration"), RULE);
const renewal = (roll = rollOf(HIDING, FRESH)) => ["renewModel", REVISION, circuitOf(HIDING), FRESH, roll];
const madeOf = async (weights) => (await chain.proofs.read("openings", keccak256(weights)))[1];

/** The arguments of a proof of some rows of a receipt, under a commitment. */
async function hiddenProof({ place, id }, weights, rows, at) {
  return ["prove", ...place, at, circuitOf(weights), rows, await proofFor(id, at, { weights, rows })];
}

test("a commitment that hides is opened so often, each proof counts once, and a renewal finds an opening left", async () => {
  const { blockNumber } = await registerHidden();
  assert.deepEqual(await chain.proofs.read("openings", keccak256(HIDING)), [3n, 1n]);
  const settled = await settle();
  const at = await laterBlock();
  const first = await hiddenProof(settled, HIDING, ROWS, at);
  await chain.proofs.send(bob, ...first);
  await chain.proofs.send(alice, ...first);
  assert.equal(await madeOf(HIDING), 2n, "the same proof again");
  const used = ["BudgetUsed", keccak256(HIDING), 3n];
  await chain.proofs.refuses(bob, used, ...(await hiddenProof(settled, HIDING, toHex("more"), at)));
  const answer = { ...(await answerFor(settled, at, { weights: HIDING })), circuit: circuitOf(HIDING) };
  await chain.proofs.refuses(bob, used, "proveAnswer", placeOf(settled.place), at, answer);
  const several = { ...(await answersFor([settled], at, { weights: HIDING })), circuit: circuitOf(HIDING) };
  await chain.proofs.refuses(bob, used, "proveAnswers", placesOf([settled]), at, several);
  const mined = await chain.proofs.send(alice, ...renewal());
  const said = { revision: REVISION, modelId: slice(FRESH, 0, 32), weights: FRESH };
  assert.deepEqual(await chain.proofs.events(mined, "ModelRenewed"), [said]);
  assert.deepEqual([await madeOf(HIDING), await madeOf(FRESH)], [3n, 1n]);
  assert.deepEqual(
    await chain.proofs.read("models", REVISION),
    [slice(FRESH, 0, 32), FRESH, blockNumber, keccak256(RULE), mined.blockNumber],
  );
});

test("after a renewal an older receipt is proven under the new commitment, by randomness after it", async () => {
  await registerHidden();
  const settled = await settle();
  const before = await laterBlock();
  const { blockNumber } = await chain.proofs.send(alice, ...renewal());
  const at = await laterBlock();
  await chain.proofs.refuses(bob, ["ProofRefused", 7], ...(await hiddenProof(settled, HIDING, ROWS, at)));
  for (const early of [before, blockNumber]) {
    const args = await hiddenProof(settled, FRESH, ROWS, early);
    await chain.proofs.refuses(bob, ["RandomBlockBeforeRenewal", early, blockNumber], ...args);
  }
  await chain.proofs.send(bob, ...(await hiddenProof(settled, FRESH, ROWS, at)));
  const answer = { ...(await answerFor(settled, at, { weights: FRESH })), circuit: circuitOf(FRESH) };
  await chain.proofs.send(bob, "proveAnswer", placeOf(settled.place), at, answer);
  assert.equal(await madeOf(FRESH), 3n);
  // What is proven is not checked again, and opens nothing.
  await chain.proofs.send(alice, "proveAnswer", placeOf(settled.place), at, { ...answer, proof: "0x" });
  assert.equal(await madeOf(FRESH), 3n);
  const more = [await settle({ sequence: 1n, previous: settled.id })];
  const then = await laterBlock();
  const several = { ...(await answersFor(more, then, { weights: FRESH })), circuit: circuitOf(FRESH) };
  const used = ["BudgetUsed", keccak256(FRESH), 4n];
  await chain.proofs.refuses(bob, used, "proveAnswers", placesOf(more), then, several);
});

test("nobody else renews, nor without a proof, nor what is not registered or used up", async () => {
  await chain.proofs.refuses(alice, ["NotRegistered", REVISION], ...renewal());
  await registerHidden();
  await chain.proofs.refuses(bob, ["NotPublisher", REVISION, alice.address], ...renewal());
  await chain.proofs.refuses(alice, ["ProofRefused", 9], ...renewal(rollOf(FRESH, HIDING)));
  const foreign = concat(["0x00", digest("other")]);
  const other = ["renewModel", REVISION, foreign, FRESH, rollOf(HIDING, FRESH)];
  await chain.proofs.refuses(alice, ["OtherModel", slice(HIDING, 0, 32), digest("other")], ...other);
  await chain.proofs.send(alice, ...renewal());
  // Back to the first, whose count goes on: its one opening that is left, and then none.
  const back = ["renewModel", REVISION, circuitOf(FRESH), HIDING, rollOf(FRESH, HIDING)];
  const settled = await settle();
  const early = await laterBlock();
  const { blockNumber } = await chain.proofs.send(alice, ...back);
  // Nobody goes back to a commitment that a block already chose.
  const args = await hiddenProof(settled, HIDING, ROWS, early);
  await chain.proofs.refuses(bob, ["RandomBlockBeforeRenewal", early, blockNumber], ...args);
  const used = ["BudgetUsed", keccak256(HIDING), 3n];
  const again = hiding("again", 9);
  const out = ["renewModel", REVISION, circuitOf(HIDING), again, rollOf(HIDING, again)];
  await chain.proofs.refuses(alice, used, ...out);
});

test("another revision under the same commitment uses the same budget, and its registration again uses nothing", async () => {
  await registerHidden();
  const revision = digest("a copy");
  await chain.models.send(bob, "publish", "copy", revision);
  const copy = ["registerModel", revision, circuitOf(HIDING), HIDING];
  await chain.proofs.send(bob, ...copy, toHex("registration"), RULE);
  assert.equal(await madeOf(HIDING), 1n);
});

test("what hides nothing is not counted", async () => {
  await register();
  const settled = await settle();
  const at = await laterBlock();
  for (const rows of ["a", "b", "c"].map(toHex)) {
    await chain.proofs.send(bob, "prove", ...settled.place, at, CIRCUIT, rows, await proofFor(settled.id, at, { rows }));
  }
  assert.deepEqual(await chain.proofs.read("openings", keccak256(WEIGHTS)), [0n, 0n]);
});

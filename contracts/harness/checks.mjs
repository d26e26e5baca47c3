// Answers of a made-up deterministic engine, committees that check them, and the parties of a dispute, honest or not. The
// hash chain and the commitments are written down a second time here, without the contracts.

import assert from "node:assert/strict";
import { concat, encodeAbiParameters, keccak256, parseAbiParameters, parseEther, toHex, zeroAddress, zeroHash } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { MIN_BOND, alice, nodeA, registerNode, verifierReturns } from "./chain.mjs";
import { REVISION, batchRoot, commit, receipt, receiptId, signReceipt, treePath } from "./receipts.mjs";

const PHRASE = "test test test test test test test test test test test junk";
const account = (addressIndex) => mnemonicToAccount(PHRASE, { addressIndex });
const encode = (types, ...values) => encodeAbiParameters(parseAbiParameters(types), values);
export const digest = (text) => keccak256(toHex(text));

export const FEE = 1_000_000n;
export const PENALTY = 5_000_000n;
export const VERDICT = { none: 0, agree: 1, differs: 2, withheld: 3, unproven: 4, undecided: 5 };
export const PHASE = { none: 0, requested: 1, voting: 2, disputed: 3, opening: 4, concluded: 5 };
export const RESULT = { none: 0, replayed: 1, refuted: 2, withheld: 3, inconclusive: 4 };
export const FINDING = { none: 0, node: 1, challenger: 2, neither: 3, unserved: 4 };
export const OUTCOME = {
  undecided: 0,
  nodeWrong: 1,
  nodeSilent: 2,
  challengerWrong: 3,
  challengerSilent: 4,
  bothWrong: 5,
};

/** What who really computed an answer, or one step of it, has in the end. */
export const WORK = digest("hidden states");

/** Operators, each with the node that it serves with. */
export const SERVERS = Array.from({ length: 8 }, (_, n) => ({ operator: account(20 + n), node: account(40 + n) }));

/** The server with this node. */
export const serverOf = (node) => SERVERS.find((server) => server.node.address.toLowerCase() === node.toLowerCase());

/** Steps of an answer by the engine that `model` names: a token and a digest of scores each. */
export function stepsOf(count, model = "the model") {
  return Array.from({ length: count }, (_, n) => concat([toHex(n, { size: 4 }), digest(`${model} ${n}`)]));
}

/** `steps` up to step `index`, and those of another model from there. */
export function departing(steps, index, model = "another model") {
  return [...steps.slice(0, index), ...stepsOf(steps.length, model).slice(index)];
}

/** All heads of the chain over `steps`, that before the first one first. */
export function headsOf(request, steps) {
  const heads = [keccak256(concat(["0x20", request]))];
  for (const step of steps) heads.push(keccak256(concat(["0x21", heads.at(-1), keccak256(step)])));
  return heads;
}

/** Gives an account what it needs to pay a bond and gas. */
async function endow(chain, { address }, credits) {
  await chain.client.setBalance({ address, value: parseEther("10") });
  if (credits > 0n) await chain.credit.send(alice, "transfer", address, credits);
}

/** Registers the first `count` servers, whose bonds are a tenth above the least, and puts them on the revision's list. */
export async function serve(chain, count) {
  for (const { operator, node } of SERVERS.slice(0, count)) {
    const bond = MIN_BOND + MIN_BOND / 10n;
    await endow(chain, operator, bond);
    await endow(chain, node, 0n);
    await registerNode(chain, operator, node, bond);
    await chain.checks.send(operator, "join", REVISION, node.address);
  }
}

/** Settles receipts of nodeA as one batch; gives for each its message, id, place and block. */
export async function settle(chain, changes, revision = REVISION) {
  const [next, head] = await chain.settlement.read("streams", nodeA.address, revision);
  const messages = [];
  const ids = [];
  for (const [n, change] of changes.entries()) {
    const previous = ids.at(-1) ?? head;
    messages.push(receipt(nodeA, { revision, rung: 2, sequence: next + BigInt(n), previous, ...change }));
    ids.push(receiptId(messages.at(-1)));
  }
  const span = { revision, firstSequence: next, count: ids.length, previous: head, last: ids.at(-1) };
  const root = batchRoot(nodeA.address, ids);
  const bytes = verifierReturns("verifyBatch", [nodeA.address, root, ids.length, [span]]);
  const { blockNumber } = await chain.settlement.send(alice, "settle", bytes);
  const placed = messages.map(async (message, index) => {
    const signature = await signReceipt(nodeA, message);
    const place = { receipt: message, signature, index, count: ids.length, path: treePath(ids, index) };
    return { message, id: ids[index], place, blockNumber };
  });
  return Promise.all(placed);
}

/**
 * An answer of `steps` as nodeA signs it, settled so long ago that the lottery is over; `changes` replace what it says in its
 * receipt.
 */
export async function answer(chain, steps, changes = {}) {
  const request = digest("request");
  const heads = headsOf(request, steps);
  const said = { request, stream: heads.at(-1), outputUnits: BigInt(steps.length), ...changes };
  const [settled] = await settle(chain, [said], changes.revision);
  await mine(chain, 258);
  return { ...settled, steps, heads };
}

/** Mines blocks. */
export const mine = (chain, blocks) => chain.client.mine({ blocks });

/** Has `payer` ask for a check and draws its committee. */
export async function check(chain, payer, settled) {
  await chain.credit.send(payer, "approve", chain.checks.address, 3n * FEE);
  await chain.checks.send(payer, "request", settled.place);
  await mine(chain, 2);
  const mined = await chain.checks.send(payer, "begin", settled.place);
  const [drawn] = await chain.checks.events(mined, "CommitteeDrawn");
  return drawn?.members.map(serverOf) ?? [];
}

/** What a member says, with what it does not say left empty. */
export function said(verdict, changes = {}) {
  const work = verdict === VERDICT.agree ? WORK : zeroHash;
  return { verdict, index: 0n, head: zeroHash, work, salt: digest("salt"), ...changes };
}

export const agree = (work = WORK) => said(VERDICT.agree, { work });
export const withheld = () => said(VERDICT.withheld);

/** The first step in which `heads` is not what the node signed, as a member with those heads says it. */
export const differs = (index, heads) => said(VERDICT.differs, { index: BigInt(index), head: heads[index + 1] });

/** What a member of a committee commits to. */
export function commitment(id, number, member, what) {
  const { verdict, index, head, work, salt } = what;
  const types = "address, bytes32, uint32, uint8, uint64, bytes32, bytes32, bytes32";
  return keccak256(encode(types, member, id, number, verdict, index, head, work, salt));
}

/** What a juror commits to. */
export function juryCommitment(id, number, juror, { finding, work, salt }) {
  return keccak256(encode("address, bytes32, uint32, uint8, bytes32, bytes32", juror, id, number, finding, work, salt));
}

/** Lets each member commit and reveal what stands at its place in `verdicts`; undefined for one that stays silent. */
export async function vote(chain, id, members, verdicts) {
  const [number] = await chain.checks.read("ballotOf", id);
  const speaking = members.map((member, n) => [member, verdicts[n]]).filter(([, what]) => what);
  for (const [{ operator, node }, what] of speaking) {
    await chain.checks.send(operator, "commit", id, node.address, commitment(id, number, node.address, what));
  }
  if (speaking.length < members.length) await mine(chain, 601);
  for (const [{ operator, node }, what] of speaking) {
    await chain.checks.send(operator, "reveal", id, node.address, what);
  }
}

/** Opens a dispute over the answer: the first member says `what`, the others agree. Returns the members. */
export async function contest(chain, payer, settled, what) {
  const members = await check(chain, payer, settled);
  await vote(chain, settled.id, members, [what, agree(), agree()]);
  await chain.checks.send(payer, "conclude", settled.message);
  return members;
}

/**
 * Plays a dispute up to the jury: the node by `nodeHeads` and `nodeSteps`, the challenger by its own. Returns how many heads
 * were posted.
 */
export async function bisect(chain, id, challenger, { nodeHeads, nodeSteps, heads, steps }) {
  let rounds = 0;
  for (; (await phaseOf(chain, id)) === 1; rounds++) {
    const middle = Number(await chain.disputes.read("middleOf", id));
    await chain.disputes.send(alice, "post", id, nodeHeads[middle]);
    await chain.disputes.send(challenger.operator, "answer", id, nodeHeads[middle] === heads[middle]);
  }
  const { low } = await chain.disputes.read("disputeOf", id);
  await chain.disputes.send(alice, "showNodeStep", id, nodeSteps[Number(low)]);
  await chain.disputes.send(challenger.operator, "showChallengerStep", id, steps[Number(low)] ?? "0x");
  return rounds;
}

export const phaseOf = async (chain, id) => (await chain.disputes.read("disputeOf", id)).phase;

/** Draws the jury and lets it commit and reveal; undefined for a juror that stays silent. Returns the jurors. */
export async function judge(chain, id, findings) {
  await mine(chain, 2);
  const mined = await chain.disputes.send(alice, "seat", id);
  const [drawn] = await chain.disputes.events(mined, "JuryDrawn");
  const jurors = drawn.members.map(serverOf);
  const { number } = (await chain.disputes.read("disputeOf", id)).ballot;
  const speaking = jurors.map((juror, n) => [juror, findings[n]]).filter(([, what]) => what);
  for (const [{ operator, node }, what] of speaking) {
    await chain.disputes.send(operator, "commit", id, node.address, juryCommitment(id, number, node.address, what));
  }
  if (speaking.length < jurors.length) await mine(chain, 601);
  for (const [{ operator, node }, what] of speaking) {
    await chain.disputes.send(operator, "reveal", id, node.address, what);
  }
  if (speaking.length < jurors.length) await mine(chain, 201);
  await chain.disputes.send(alice, "resolve", id);
  return jurors;
}

/** What a juror says. */
export const found = (finding, work = WORK) => ({ finding, work, salt: digest("salt") });

/** The fields of a commitment as Checks takes them, with the commitment. */
export function opening(fields) {
  const { commitment, disclosures } = commit(fields);
  const list = Object.entries(fields).map(([name, text]) => ({ disclosure: disclosures[name], value: toHex(text) }));
  return { commitment, fields: list };
}

export const bondOf = async (chain, node) => (await chain.nodes.read("nodeOf", node.address)).bond;
export const statusOf = async (chain, node) => (await chain.nodes.read("nodeOf", node.address)).status;

/** The rung that is established of a receipt. */
export async function rungOf(chain, { place, id }) {
  const [rung, got] = await chain.settlement.read("verifyReceipt", ...Object.values(place));
  assert.equal(got, id);
  return rung;
}

export { REVISION, zeroAddress };

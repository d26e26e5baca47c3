// Committees: who is drawn for what, what a vote comes to, and what it costs to say what one has not computed.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { encodeAbiParameters, keccak256, parseAbiParameters, toHex, zeroAddress, zeroHash } from "viem";
import {
  ENDOWMENT,
  MIN_BOND,
  alice,
  bob,
  carol,
  mappingSlot,
  nodeA,
  registerNode,
  startChain,
  stranger,
} from "../harness/chain.mjs";
import {
  FEE,
  PENALTY,
  PHASE,
  RESULT,
  REVISION,
  SERVERS,
  VERDICT,
  WORK,
  agree,
  answer,
  bondOf,
  check,
  commitment,
  departing,
  differs,
  digest,
  headsOf,
  mine,
  opening,
  rungOf,
  said,
  serve,
  settle,
  statusOf,
  stepsOf,
  vote,
  withheld,
} from "../harness/checks.mjs";

const BOND = MIN_BOND + MIN_BOND / 10n;
const encode = (types, ...values) => encodeAbiParameters(parseAbiParameters(types), values);

let chain;
let settled;
before(async () => {
  chain = await startChain();
  await chain.mockVerifier();
  await registerNode(chain, alice, nodeA);
  await serve(chain, 4);
  settled = await answer(chain, stepsOf(5));
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

const stateOf = (id = settled.id) => chain.checks.read("checkOf", id);
const earned = ({ operator }) => chain.checks.read("earned", operator.address);
const conclude = (account = bob) => chain.checks.send(account, "conclude", settled.message);
const balance = ({ address }) => chain.credit.read("balanceOf", address);
const wrongPhase = (phase, id = settled.id) => ["WrongPhase", id, phase];

/** One committee whose members say this, in order of their seats; concluded. */
async function round(...verdicts) {
  const members = await check(chain, bob, settled);
  await vote(chain, settled.id, members, verdicts);
  if (verdicts.some((what) => !what)) await mine(chain, 201);
  return { members, mined: await conclude() };
}

/** Nothing that was paid is lost or made: what is owed and the pool are what the contract has. */
async function holdsBooks() {
  const [has, reserved, pool] = await Promise.all([
    balance(chain.checks),
    chain.checks.read("reserved"),
    chain.checks.read("pool"),
  ]);
  assert.equal(has, reserved + pool);
  const owed = await Promise.all([...SERVERS, { operator: bob }].map(earned));
  const { escrow } = await stateOf();
  assert.equal(reserved, owed.reduce((sum, part) => sum + part, escrow));
}

test("three that computed the same replay a receipt, which raises its rung, and are paid", async () => {
  assert.equal(await rungOf(chain, settled), 1);
  const { members, mined } = await round(agree(), agree(), agree());
  const said = { receiptId: settled.id, result: RESULT.replayed, drawn: 3n, agreed: 3n };
  assert.deepEqual(await chain.checks.events(mined, "Concluded"), [said]);
  assert.deepEqual(await chain.checks.read("replays", settled.id), [mined.blockNumber, 3, 3]);
  assert.equal(await chain.checks.read("replayedAt", settled.id), mined.blockNumber);
  assert.equal(await rungOf(chain, settled), 2);
  assert.equal(await chain.checks.read("recordOf", nodeA.address), 1n);
  for (const member of members) {
    assert.equal(await earned(member), FEE);
    await chain.checks.send(member.operator, "collect");
    assert.equal(await balance(member.operator), FEE);
    assert.equal(await bondOf(chain, member.node), BOND);
    await chain.checks.refuses(member.operator, "NothingEarned", "collect");
  }
  assert.equal(await balance(bob), ENDOWMENT - 3n * FEE);
  await holdsBooks();
});

test("two of three are enough, one is not", async () => {
  const { members } = await round(agree(), agree(), withheld());
  assert.deepEqual((await chain.checks.read("replays", settled.id)).slice(1), [3, 2]);
  assert.equal(await earned(members[2]), 0n);
  assert.equal(await bondOf(chain, members[2].node), BOND);
  assert.equal(await earned({ operator: bob }), FEE, "what nobody earned comes back");
  await chain.rewind();
  await round(agree(), withheld(), undefined);
  assert.equal((await stateOf()).result, RESULT.inconclusive);
  assert.equal(await rungOf(chain, settled), 1);
  assert.equal(await earned({ operator: bob }), 3n * FEE);
  await holdsBooks();
});

test("only what promises to be replayed, and streamed, is checked; nothing is taken from others", async () => {
  const { stream } = settled.message;
  for (const change of [{ rung: 1 }, { rung: 3 }, { rung: 4 }, { stream: zeroHash }]) {
    const [other] = await settle(chain, [{ stream, nonce: 9n, ...change }]);
    for (const name of ["request", "begin", "due", "refute"]) {
      await chain.checks.refuses(bob, ["NotCheckable", other.id], name, other.place);
    }
  }
});

test("what has not settled as it is said is not checked", async () => {
  const { place } = settled;
  const forged = { ...place.receipt, outputUnits: 6n };
  for (const name of ["request", "begin", "due", "refute"]) {
    await chain.checks.refuses(bob, "BadSignature", name, { ...place, receipt: forged });
    await chain.checks.refuses(bob, "BadPath", name, { ...place, index: 1 });
    await chain.checks.refuses(bob, "NotSettled", name, { ...place, count: 2, path: [digest("other")] });
  }
});

test("numbers that contradict the stream cost the bond at once, and no others do", async () => {
  await chain.checks.refuses(bob, ["NotContradictory", settled.id], "refute", settled.place);
  const request = digest("request");
  const wrong = [
    { stream: settled.message.stream, outputUnits: 0n },
    { stream: settled.message.stream, outputUnits: (1n << 20n) + 1n },
    { stream: headsOf(request, [])[0], outputUnits: 3n },
  ];
  const all = await settle(chain, wrong);
  for (const { id, place } of all) {
    await chain.checks.refuses(bob, ["Contradictory", id], "request", place);
    await chain.checks.refuses(bob, ["Contradictory", id], "begin", place);
  }
  const before = await balance(bob);
  await chain.checks.send(bob, "refute", all[0].place);
  assert.equal(await balance(bob), before + MIN_BOND / 10n);
  assert.equal(await chain.checks.read("pool"), MIN_BOND / 10n);
  assert.equal(await statusOf(chain, nodeA), 3);
  assert.equal(await rungOf(chain, all[0]), 0);
  await chain.checks.refuses(bob, ["WrongPhase", all[0].id, PHASE.concluded], "refute", all[0].place);
  // The bond is gone; what else it signed is refuted all the same.
  await chain.checks.send(carol, "refute", all[1].place);
  assert.equal(await rungOf(chain, all[1]), 0);
  assert.equal(await balance(carol), ENDOWMENT);
});

test("the lottery chooses by the hash of the block after settlement, at the rate of the node's record", async () => {
  const stream = settled.message.stream;
  const all = await settle(chain, Array.from({ length: 64 }, (_, n) => ({ stream, nonce: BigInt(n), outputUnits: 5n })));
  const after = all[0].blockNumber + 1n;
  await chain.checks.refuses(bob, ["RandomnessUnknown", after], "due", all[0].place);
  await mine(chain, 2);
  const { hash } = await chain.client.getBlock({ blockNumber: after });
  const drawn = (id, rate) => BigInt(keccak256(encode("string, bytes32, bytes32", "lottery", hash, id))) % 10_000n < rate;
  const chosen = async (rate) => {
    assert.equal(await chain.checks.read("rateOf", nodeA.address), rate);
    const due = await Promise.all(all.map(({ place }) => chain.checks.read("due", place)));
    assert.deepEqual(due, all.map(({ id }) => drawn(id, rate)));
    return due.filter(Boolean).length;
  };
  const counts = [await chosen(2_000n)];
  const { address } = chain.checks;
  const record = mappingSlot(nodeA.address, 6n);
  await chain.client.setStorageAt({ address, index: record, value: toHex(20, { size: 32 }) });
  counts.unshift(await chosen(200n));
  await chain.client.setStorageAt({ address, index: mappingSlot(alice.address, 7n), value: toHex(1, { size: 32 }) });
  counts.push(await chosen(5_000n));
  assert.ok(counts[0] <= counts[1] && counts[1] < counts[2], `${counts}`);
});

/** A settled receipt that the lottery chose, and one that it did not. */
async function lottery() {
  const stream = settled.message.stream;
  const all = await settle(chain, Array.from({ length: 64 }, (_, n) => ({ stream, nonce: BigInt(n), outputUnits: 5n })));
  await mine(chain, 2);
  const due = await Promise.all(all.map(({ place }) => chain.checks.read("due", place)));
  return { yes: all[due.indexOf(true)], no: all[due.indexOf(false)] };
}

test("anyone begins what the lottery chose, once, and nothing else; the pool pays as far as it can", async () => {
  const { yes, no } = await lottery();
  await chain.checks.refuses(bob, ["NotDue", no.id], "begin", no.place);
  assert.equal(await chain.checks.read("pool"), 0n);
  const snapshot = await chain.client.snapshot();
  await chain.checks.send(stranger, "begin", yes.place);
  assert.equal((await stateOf(yes.id)).fee, 0n);
  await chain.checks.refuses(bob, wrongPhase(PHASE.voting, yes.id), "begin", yes.place);
  await chain.client.revert({ id: snapshot });
  await chain.credit.send(carol, "transfer", chain.checks.address, 2n * FEE);
  await chain.checks.send(stranger, "begin", yes.place);
  assert.equal((await stateOf(yes.id)).fee, (2n * FEE) / 3n);
  assert.equal(await chain.checks.read("pool"), 2n, "what does not divide stays");
  const members = (await stateOf(yes.id)).ballot.seats.map(({ node }) => SERVERS.find((s) => s.node.address === node));
  await vote(chain, yes.id, members, [agree(), agree(), withheld()]);
  await chain.checks.send(bob, "conclude", yes.message);
  assert.equal(await earned(members[0]), (2n * FEE) / 3n);
  assert.equal(await chain.checks.read("pool"), 2n + (2n * FEE) / 3n, "what nobody earned goes back into the pool");
  await chain.checks.refuses(bob, wrongPhase(PHASE.concluded, yes.id), "begin", yes.place);
});

test("nobody gets another committee by paying for a check that the lottery chose", async () => {
  const { yes, no } = await lottery();
  await chain.credit.send(bob, "approve", chain.checks.address, 9n * FEE);
  await chain.checks.refuses(bob, ["Due", yes.id], "request", yes.place);
  await chain.checks.send(bob, "request", no.place);
  await mine(chain, 257);
  await chain.checks.send(bob, "request", yes.place);
});

test("a hash that nobody reads any more draws nobody", async () => {
  const { yes } = await lottery();
  await mine(chain, 257);
  await chain.checks.refuses(bob, "RandomnessUnknown", "begin", yes.place);
});

test("who asks pays, waits for the block, and cannot take it back to draw again", async () => {
  await chain.checks.refuses(bob, "InsufficientAllowance", "request", settled.place);
  assert.equal((await stateOf()).phase, PHASE.none);
  assert.equal(await chain.checks.read("reserved"), 0n);
  await chain.credit.send(bob, "approve", chain.checks.address, 9n * FEE);
  await chain.checks.refuses(bob, wrongPhase(PHASE.none), "cancel", settled.id);
  const { blockNumber } = await chain.checks.send(bob, "request", settled.place);
  await chain.checks.refuses(bob, ["RandomnessUnknown", blockNumber + 1n], "begin", settled.place);
  await chain.checks.refuses(carol, wrongPhase(PHASE.requested), "request", settled.place);
  await chain.checks.refuses(bob, ["StillOpen", settled.id], "cancel", settled.id);
  await mine(chain, 256);
  await chain.checks.refuses(bob, ["StillOpen", settled.id], "cancel", settled.id);
  await mine(chain, 2);
  await chain.checks.refuses(bob, ["RandomnessUnknown", blockNumber + 1n], "begin", settled.place);
  await chain.checks.refuses(carol, ["NotRequester", settled.id], "cancel", settled.id);
  await chain.checks.send(bob, "cancel", settled.id);
  assert.equal(await earned({ operator: bob }), 3n * FEE);
  assert.equal((await stateOf()).phase, PHASE.none);
  await chain.checks.refuses(bob, wrongPhase(PHASE.none), "cancel", settled.id);
  await holdsBooks();
});

test("a check is asked for while nodes have to keep what it takes", async () => {
  await chain.credit.send(bob, "approve", chain.checks.address, 9n * FEE);
  const { abi, address } = chain.checks;
  const call = { account: bob, abi, address, functionName: "request", args: [settled.place] };
  const askedAt = (number) => chain.client.simulateContract({ ...call, blockOverrides: { number } });
  await askedAt(settled.blockNumber + 100_000n);
  await assert.rejects(askedAt(settled.blockNumber + 100_001n), /TooOld/);
});

test("the committee has other operators than the node's, one of each, and nobody who came later", async () => {
  const more = [5, 6].map((n) => SERVERS[n].node);
  await registerNode(chain, alice, more[0]);
  await chain.checks.send(alice, "join", REVISION, more[0].address);
  await chain.checks.send(alice, "join", REVISION, nodeA.address);
  await registerNode(chain, carol, more[1]);
  for (const { operator, node } of SERVERS.slice(2, 4)) await chain.checks.send(operator, "quit", REVISION, node.address);
  await chain.credit.send(bob, "approve", chain.checks.address, 3n * FEE);
  await chain.checks.send(bob, "request", settled.place);
  await chain.checks.send(carol, "join", REVISION, more[1].address);
  await mine(chain, 2);
  const mined = await chain.checks.send(bob, "begin", settled.place);
  const [{ members }] = await chain.checks.events(mined, "CommitteeDrawn");
  assert.deepEqual([...members].sort(), [SERVERS[0], SERVERS[1]].map(({ node }) => node.address).sort());
  await vote(chain, settled.id, SERVERS.filter(({ node }) => members.includes(node.address)), [agree(), agree()]);
  await conclude();
  assert.deepEqual((await chain.checks.read("replays", settled.id)).slice(1), [2, 2]);
  assert.equal(await earned({ operator: bob }), FEE, "the seat that nobody took");
  await holdsBooks();
});

test("where there is nobody, nothing is concluded and nothing is kept", async () => {
  for (const { operator, node } of SERVERS.slice(0, 4)) await chain.checks.send(operator, "quit", REVISION, node.address);
  assert.deepEqual(await check(chain, bob, settled), []);
  assert.equal((await stateOf()).phase, PHASE.none);
  assert.equal(await earned({ operator: bob }), 3n * FEE);
  const { yes } = await lottery();
  await chain.checks.refuses(bob, ["NobodyThere", REVISION], "begin", yes.place);
  await holdsBooks();
});

test("one member alone replays a receipt, and its record says so", async () => {
  for (const { operator, node } of SERVERS.slice(1, 4)) await chain.checks.send(operator, "quit", REVISION, node.address);
  await round(agree());
  assert.deepEqual((await chain.checks.read("replays", settled.id)).slice(1), [1, 1]);
  assert.equal(await rungOf(chain, settled), 2);
});

test("draws are spread over operators, one seat each however many nodes, and former members come last", async () => {
  const second = SERVERS[6].node;
  await chain.credit.send(alice, "transfer", SERVERS[0].operator.address, MIN_BOND);
  await registerNode(chain, SERVERS[0].operator, second);
  await chain.checks.send(SERVERS[0].operator, "join", REVISION, second.address);
  await mine(chain, 2);
  const now = await chain.client.getBlockNumber();
  const draw = (n, bar) => chain.checks.read("draw", REVISION, digest(`salt ${n}`), now - 1n, now, bar);
  const operators = await chain.checks.read("servers", REVISION).then((list) =>
    Promise.all(list.map(({ node }) => chain.nodes.read("standingOf", node).then(([operator]) => [node, operator]))),
  );
  const operatorOf = new Map(operators);
  const counts = new Map();
  const DRAWS = 240;
  const all = await Promise.all(Array.from({ length: DRAWS }, (_, n) => draw(n, { operators: [], former: [] })));
  for (const members of all) {
    const theirs = members.map((node) => operatorOf.get(node));
    assert.equal(new Set(theirs).size, 3);
    for (const operator of theirs) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  }
  // Four operators for three seats; three of one node each are left out in more than a quarter of the draws, one of two less.
  for (const { operator } of SERVERS.slice(1, 4)) {
    const share = counts.get(operator.address) / DRAWS;
    assert.ok(share > 0.55 && share < 0.85, `${share}`);
  }
  assert.ok(counts.get(SERVERS[0].operator.address) / DRAWS > 0.8);
  const [first, ...others] = SERVERS.slice(0, 4).map(({ operator }) => operator.address);
  for (let n = 0; n < 20; n++) {
    const members = await draw(n, { operators: [], former: [first] });
    assert.deepEqual(members.map((node) => operatorOf.get(node)).sort(), [...others].sort());
    const short = await draw(n, { operators: [others[0]], former: [first] });
    assert.equal(operatorOf.get(short[2]), first, "former members fill what is left");
    const barred = await draw(n, { operators: [first, others[0]], former: [] });
    assert.equal(barred.length, 2);
  }
});

test("a node without enough of a bond is not drawn, and can be taken off the list by anyone", async () => {
  const { operator, node } = SERVERS[0];
  await chain.checks.refuses(stranger, ["NotTheirs", node.address], "quit", REVISION, node.address);
  await chain.nodes.send(operator, "announceExit", node.address);
  for (let n = 0; n < 8; n++) {
    const now = await chain.client.getBlockNumber();
    const members = await chain.checks.read("draw", REVISION, digest(`${n}`), now - 1n, now, { operators: [], former: [] });
    assert.equal(members.includes(node.address), false);
  }
  await chain.checks.send(stranger, "quit", REVISION, node.address);
  assert.equal(await chain.checks.read("serverCount", REVISION), 3n);
  await chain.checks.refuses(stranger, ["NotJoined", node.address], "quit", REVISION, node.address);
});

test("a list takes active nodes, once each, from those whose they are, up to its limit", async () => {
  const { operator, node } = SERVERS[0];
  await chain.checks.refuses(operator, ["AlreadyJoined", node.address], "join", REVISION, node.address);
  await chain.checks.refuses(stranger, ["NotTheirs", node.address], "join", REVISION, node.address);
  await chain.checks.refuses(nodeA, ["NotTheirs", SERVERS[7].node.address], "join", REVISION, SERVERS[7].node.address);
  await chain.checks.refuses(SERVERS[7].node, ["NotActive", SERVERS[7].node.address], "join", REVISION, SERVERS[7].node.address);
  const revision = digest("another revision");
  await chain.checks.send(node, "join", revision, node.address);
  const listed = await chain.checks.read("servers", revision);
  assert.deepEqual(listed.map(({ node }) => node), [node.address]);
  // The length of the list, at slot 0 of the mapping.
  await chain.client.setStorageAt({
    address: chain.checks.address,
    index: mappingSlot(revision, 0n),
    value: toHex(512, { size: 32 }),
  });
  await chain.checks.refuses(SERVERS[1].operator, ["ListFull", 512n], "join", revision, SERVERS[1].node.address);
});

test("who leaves the list moves nobody else out of it", async () => {
  for (const { operator, node } of [SERVERS[0], SERVERS[3], SERVERS[1], SERVERS[2]]) {
    const before = await chain.checks.read("servers", REVISION);
    await chain.checks.send(operator, "quit", REVISION, node.address);
    const left = before.filter((entry) => entry.node !== node.address).map((entry) => entry.node);
    assert.deepEqual((await chain.checks.read("servers", REVISION)).map((entry) => entry.node).sort(), left.sort());
  }
});

test("a copied commitment cannot be revealed, and costs what silence does", async () => {
  const members = await check(chain, bob, settled);
  const [honest, copier, third] = members;
  const own = commitment(settled.id, 1, honest.node.address, agree());
  await chain.checks.send(honest.operator, "commit", settled.id, honest.node.address, own);
  await chain.checks.send(copier.operator, "commit", settled.id, copier.node.address, own);
  const other = commitment(settled.id, 1, third.node.address, agree());
  await chain.checks.send(third.operator, "commit", settled.id, third.node.address, other);
  for (const member of [honest, third]) await chain.checks.send(member.operator, "reveal", settled.id, member.node.address, agree());
  const refused = ["BadReveal", copier.node.address];
  await chain.checks.refuses(copier.operator, refused, "reveal", settled.id, copier.node.address, agree());
  await chain.checks.refuses(bob, "BallotOpen", "conclude", settled.message);
  await mine(chain, 201);
  await chain.checks.refuses(copier.operator, "RevealsClosed", "reveal", settled.id, copier.node.address, agree());
  await conclude();
  assert.equal(await bondOf(chain, copier.node), BOND - PENALTY);
  assert.deepEqual(await Promise.all(members.map(earned)), [FEE, 0n, FEE]);
  assert.equal(await chain.checks.read("pool"), PENALTY);
  await holdsBooks();
});

test("commitments and reveals are the members' own, once, in their time", async () => {
  const [first, second] = await check(chain, bob, settled);
  const [id, member] = [settled.id, first.node.address];
  const bytes = commitment(id, 1, member, agree());
  const refuses = (account, error, ...call) => chain.checks.refuses(account, error, ...call);
  await refuses(second.operator, ["NotTheirs", member], "commit", id, member, bytes);
  await refuses(alice, ["NotMember", nodeA.address], "commit", id, nodeA.address, bytes);
  await refuses(first.operator, "EmptyCommitment", "commit", id, member, zeroHash);
  await chain.checks.send(first.node, "commit", id, member, bytes);
  await refuses(first.operator, ["AlreadyCommitted", member], "commit", id, member, bytes);
  await refuses(first.operator, "CommitmentsOpen", "reveal", id, member, agree());
  await mine(chain, 601);
  const late = commitment(id, 1, second.node.address, agree());
  await refuses(second.operator, "CommitmentsClosed", "commit", id, second.node.address, late);
  await refuses(second.operator, ["NotTheirs", member], "reveal", id, member, agree());
  await refuses(second.operator, ["BadReveal", second.node.address], "reveal", id, second.node.address, agree());
  for (const other of [withheld(), agree(digest("other")), said(VERDICT.agree, { salt: digest("other") })]) {
    await refuses(first.operator, ["BadReveal", member], "reveal", id, member, other);
  }
  await chain.checks.send(first.operator, "reveal", id, member, agree());
  await refuses(first.operator, ["BadReveal", member], "reveal", id, member, agree());
});

test("only verdicts are revealed", async () => {
  const members = await check(chain, bob, settled);
  const bad = [said(VERDICT.none), said(VERDICT.unproven), said(VERDICT.undecided), agree(zeroHash)];
  for (const what of bad) {
    const snapshot = await chain.client.snapshot();
    for (const { operator, node } of members) {
      await chain.checks.send(operator, "commit", settled.id, node.address, commitment(settled.id, 1, node.address, what));
    }
    const [{ operator, node }] = members;
    await chain.checks.refuses(operator, "BadVerdict", "reveal", settled.id, node.address, what);
    await chain.client.revert({ id: snapshot });
  }
});

test("who commits and does not reveal pays, and so does who does nothing", async () => {
  const members = await check(chain, bob, settled);
  const [first, second] = members;
  for (const { operator, node } of [first, second]) {
    await chain.checks.send(operator, "commit", settled.id, node.address, commitment(settled.id, 1, node.address, agree()));
  }
  await mine(chain, 601);
  await chain.checks.send(first.operator, "reveal", settled.id, first.node.address, agree());
  await chain.checks.refuses(bob, "BallotOpen", "conclude", settled.message);
  await mine(chain, 201);
  await conclude();
  assert.equal((await stateOf()).result, RESULT.inconclusive);
  const bonds = await Promise.all(members.map(({ node }) => bondOf(chain, node)));
  assert.deepEqual(bonds, [BOND, BOND - PENALTY, BOND - PENALTY]);
  assert.deepEqual(await Promise.all(members.map(earned)), [0n, 0n, 0n]);
  assert.equal(await earned({ operator: bob }), 3n * FEE);
});

test("a committee that says nothing concludes nothing", async () => {
  const members = await check(chain, bob, settled);
  await chain.checks.refuses(bob, "BallotOpen", "conclude", settled.message);
  await mine(chain, 601);
  await conclude();
  assert.equal((await stateOf()).result, RESULT.inconclusive);
  for (const { node } of members) assert.equal(await bondOf(chain, node), BOND - PENALTY);
});

test("who agrees without the work pays, and two that invent it agree on nothing", async () => {
  const lazy = agree(digest("invented"));
  const { members } = await round(agree(), lazy, agree());
  assert.equal(await rungOf(chain, settled), 2);
  assert.deepEqual((await chain.checks.read("replays", settled.id)).slice(1), [3, 2]);
  assert.equal(await bondOf(chain, members[1].node), BOND - PENALTY);
  assert.deepEqual(await Promise.all(members.map(earned)), [FEE, 0n, FEE]);
  await chain.rewind();
  await round(agree(), lazy, agree(digest("invented otherwise")));
  assert.equal((await stateOf()).result, RESULT.inconclusive);
  assert.equal(await rungOf(chain, settled), 1);
});

test("a limit: two that agree beforehand on what they invent are believed, and the third pays", async () => {
  const lazy = agree(digest("agreed upon"));
  const { members } = await round(lazy, lazy, agree());
  assert.equal(await rungOf(chain, settled), 2);
  assert.equal(await bondOf(chain, members[2].node), BOND - PENALTY);
});

test("whoever had too much to do may be silent at no cost", async () => {
  for (const { node } of SERVERS.slice(0, 4)) {
    const index = mappingSlot(node.address, 2n);
    await chain.client.setStorageAt({ address: chain.nodes.address, index, value: toHex(32, { size: 32 }) });
  }
  const lazy = agree(digest("invented"));
  const { members } = await round(undefined, undefined, lazy);
  for (const { node } of members) assert.equal(await bondOf(chain, node), BOND);
  assert.equal(await chain.nodes.read("holdsOf", members[0].node.address), 32n);
});

test("a bond that was cut short takes no work until it is topped up", async () => {
  const { operator, node } = SERVERS[0];
  await chain.client.impersonateAccount({ address: chain.checks.address });
  await chain.client.setBalance({ address: chain.checks.address, value: 10n ** 18n });
  await chain.nodes.send(chain.checks.address, "slashPart", node.address, BOND - MIN_BOND + 1n);
  assert.deepEqual(await chain.nodes.read("standingOf", node.address), [operator.address, false]);
  assert.equal(await chain.nodes.read("isBonded", node.address), false);
  await chain.credit.send(alice, "approve", chain.nodes.address, 1n);
  await chain.nodes.send(alice, "topUp", node.address, 1n);
  assert.deepEqual(await chain.nodes.read("standingOf", node.address), [operator.address, true]);
});

test("a bond stays in while its node is judged or judges", async () => {
  const members = await check(chain, bob, settled);
  const [{ operator, node }] = members;
  for (const [account, key] of [[operator, node], [alice, nodeA]]) await chain.nodes.send(account, "announceExit", key.address);
  await chain.pass(8 * 24 * 3600);
  await chain.nodes.refuses(operator, ["Held", 1n], "withdraw", node.address);
  await chain.nodes.refuses(alice, ["Held", 1n], "withdraw", nodeA.address);
  await vote(chain, settled.id, members, [agree(), agree(), agree()]);
  await conclude();
  await chain.nodes.send(operator, "withdraw", node.address);
  await chain.nodes.send(alice, "withdraw", nodeA.address);
});

test("a receipt is in one check at a time, and no commitment is good in two", async () => {
  await chain.credit.send(bob, "approve", chain.checks.address, 99n * FEE);
  const members = await check(chain, bob, settled);
  await chain.credit.send(bob, "approve", chain.checks.address, 99n * FEE);
  await chain.checks.refuses(bob, wrongPhase(PHASE.voting), "request", settled.place);
  await chain.checks.refuses(bob, wrongPhase(PHASE.voting), "begin", settled.place);
  await vote(chain, settled.id, members, [agree(), agree(), agree()]);
  await conclude();
  await chain.checks.refuses(bob, wrongPhase(PHASE.concluded), "conclude", settled.message);
  await chain.checks.refuses(bob, wrongPhase(PHASE.concluded), "begin", settled.place);
  const again = await check(chain, bob, settled);
  assert.equal(again.length, 3);
  const newcomer = SERVERS.slice(0, 4).find((server) => !members.includes(server));
  assert.equal(again[0], newcomer, "the one that was not there before comes first");
  const old = again.find((server) => members.includes(server));
  const { node, operator } = old;
  for (const member of again) {
    const number = member === old ? 1 : 2;
    const bytes = commitment(settled.id, number, member.node.address, agree());
    await chain.checks.send(member.operator, "commit", settled.id, member.node.address, bytes);
  }
  await chain.checks.refuses(operator, ["BadReveal", node.address], "reveal", settled.id, node.address, agree());
});

test("rounds end, the best counts, and a later one that comes to nothing takes nothing away", async () => {
  await round(agree(), agree(), undefined);
  const first = await chain.checks.read("replays", settled.id);
  assert.deepEqual(first.slice(1), [3, 2]);
  await round(agree(), agree(), agree());
  assert.deepEqual(await chain.checks.read("replays", settled.id), [first[0], 3, 3]);
  assert.equal(await chain.checks.read("recordOf", nodeA.address), 1n, "one receipt counts once");
  await round(withheld(), agree(), undefined);
  assert.equal((await stateOf()).result, RESULT.inconclusive);
  assert.deepEqual(await chain.checks.read("replays", settled.id), [first[0], 3, 3]);
  assert.equal(await rungOf(chain, settled), 2);
  await chain.credit.send(bob, "approve", chain.checks.address, 3n * FEE);
  await chain.checks.refuses(bob, ["NoMoreRounds", settled.id], "request", settled.place);
});

test("nothing is done in a phase that is not its own", async () => {
  const { id, message, place } = settled;
  const empty = { input: [], parameters: [], output: [] };
  const [{ operator, node }] = SERVERS;
  const calls = { commit: [id, node.address, WORK], reveal: [id, node.address, agree()], conclude: [message], open: [message, empty] };
  const refuseAll = async (phase, ...names) => {
    for (const name of names) await chain.checks.refuses(operator, wrongPhase(phase), name, ...calls[name]);
  };
  await refuseAll(PHASE.none, "commit", "reveal", "conclude", "open");
  await chain.credit.send(bob, "approve", chain.checks.address, 3n * FEE);
  await chain.checks.send(bob, "request", place);
  await refuseAll(PHASE.requested, "commit", "reveal", "conclude", "open");
  await mine(chain, 2);
  await chain.checks.send(bob, "begin", place);
  await refuseAll(PHASE.voting, "open");
  await mine(chain, 801);
  await conclude();
  await refuseAll(PHASE.concluded, "commit", "reveal", "conclude", "open");
});

test("only Disputes says how a dispute ended and whom to pay; only Checks opens one", async () => {
  await chain.checks.refuses(bob, "NotDisputes", "disputed", settled.id, 1);
  await chain.checks.refuses(bob, "NotDisputes", "payJuror", SERVERS[0].node.address);
  const claim = {
    node: nodeA.address,
    challenger: bob.address,
    revision: REVISION,
    start: zeroHash,
    end: zeroHash,
    steps: 1n,
    index: 0n,
    head: zeroHash,
    cutoff: 0n,
  };
  await chain.disputes.refuses(bob, "NotChecks", "open", settled.id, claim);
  for (const [name, ...args] of [["slashChecked", zeroAddress], ["slashPart", 1n], ["hold"], ["release"]]) {
    await chain.nodes.refuses(bob, "NotChecks", name, nodeA.address, ...args);
    await chain.nodes.refuses(chain.settlement.address, "NotChecks", name, nodeA.address, ...args);
  }
});

const INPUT = opening({ prompt: "a question", seed: "7" });
const PARAMETERS = opening({ temperature: "0" });
const OUTPUT = opening({ text: "an answer", tokens: "1 2 3" });
const WHOLE = { input: INPUT.fields, parameters: PARAMETERS.fields, output: OUTPUT.fields };

/** An answer whose commitments can be laid open, whose committee says that it does not get at it. */
async function demanded(...verdicts) {
  const commitments = { input: INPUT.commitment, parameters: PARAMETERS.commitment, output: OUTPUT.commitment };
  settled = await answer(chain, stepsOf(5), { nonce: 11n, ...commitments });
  const { members } = await round(...(verdicts.length > 0 ? verdicts : [withheld(), withheld(), agree()]));
  return members;
}

/** Runs with another receipt in `settled`. */
const apart = (run) => async () => {
  const kept = settled;
  try {
    await run();
  } finally {
    settled = kept;
  }
};

test(
  "a false Withheld is answered by laying everything open; then the members vote without it, and the node has lost nothing",
  apart(async () => {
    const members = await demanded();
    assert.equal((await stateOf()).phase, PHASE.opening);
    await chain.checks.refuses(bob, "OpeningOpen", "conclude", settled.message);
    const mined = await chain.checks.send(alice, "open", settled.message, WHOLE);
    assert.deepEqual(await chain.checks.events(mined, "Opened"), [{ receiptId: settled.id }]);
    const [{ operator, node }, second, third] = members;
    for (const member of members) {
      const what = member === third ? agree() : withheld();
      const bytes = commitment(settled.id, 2, member.node.address, what);
      await chain.checks.send(member.operator, "commit", settled.id, member.node.address, bytes);
    }
    await chain.checks.refuses(operator, "BadVerdict", "reveal", settled.id, node.address, withheld());
    await chain.checks.send(third.operator, "reveal", settled.id, third.node.address, agree());
    await mine(chain, 201);
    await conclude();
    assert.equal((await stateOf()).result, RESULT.inconclusive);
    for (const liar of [members[0], second]) assert.equal(await bondOf(chain, liar.node), BOND - PENALTY);
    assert.equal(await bondOf(chain, nodeA), MIN_BOND);
  }),
);

test(
  "after an opening honest members replay the receipt",
  apart(async () => {
    const members = await demanded(withheld(), withheld(), undefined);
    await chain.checks.send(stranger, "open", settled.message, WHOLE);
    assert.equal(await bondOf(chain, members[2].node), BOND - PENALTY, "silence before the opening");
    await vote(chain, settled.id, members, [agree(), agree(), agree()]);
    await conclude();
    assert.equal(await rungOf(chain, settled), 2);
    await holdsBooks();
  }),
);

test(
  "an opening is whole, in order, and of this receipt",
  apart(async () => {
    await demanded();
    const forged = (field) => [{ ...field, value: toHex("forged") }];
    const [prompt, seed] = INPUT.fields;
    const wrong = [
      { input: [] },
      { input: [prompt] },
      { input: [seed, prompt] },
      { input: [prompt, prompt] },
      { input: [prompt, seed, seed] },
      { input: [prompt, ...forged(seed)] },
      { parameters: [] },
      { parameters: forged(PARAMETERS.fields[0]) },
      { parameters: INPUT.fields },
      { output: [] },
      { output: OUTPUT.fields.slice(1) },
    ];
    for (const change of wrong) {
      const args = ["open", settled.message, { ...WHOLE, ...change }];
      await chain.checks.refuses(alice, ["BadOpening", settled.id], ...args);
    }
    const other = { ...settled.message, input: digest("other") };
    await chain.checks.refuses(alice, "WrongPhase", "open", other, WHOLE);
    await mine(chain, 1_201);
    await chain.checks.refuses(alice, "OpeningClosed", "open", settled.message, WHOLE);
  }),
);

test(
  "a node that withholds to the end loses its bond, and nobody gains by it",
  apart(async () => {
    const members = await demanded();
    await mine(chain, 1_201);
    const supply = await chain.credit.read("totalSupply");
    await conclude();
    assert.equal((await stateOf()).result, RESULT.withheld);
    assert.equal(await statusOf(chain, nodeA), 3);
    assert.equal(await chain.credit.read("totalSupply"), supply - (MIN_BOND * 8n) / 10n);
    assert.equal(await chain.checks.read("pool"), (MIN_BOND * 2n) / 10n);
    assert.deepEqual(await Promise.all(members.map(earned)), [0n, 0n, 0n]);
    for (const { node } of members) assert.equal(await bondOf(chain, node), BOND);
    assert.equal(await rungOf(chain, settled), 1, "not refuted: nobody knows");
    assert.equal(await chain.checks.read("rateOf", nodeA.address), 5_000n);
    await chain.credit.send(bob, "approve", chain.checks.address, 3n * FEE);
    await chain.checks.refuses(bob, ["NoMoreRounds", settled.id], "request", settled.place);
    await holdsBooks();
  }),
);

test(
  "one member alone demands nothing",
  apart(async () => {
    for (const { operator, node } of SERVERS.slice(1, 4)) {
      await chain.checks.send(operator, "quit", REVISION, node.address);
    }
    await demanded(withheld());
    assert.equal((await stateOf()).result, RESULT.inconclusive);
    assert.equal(await bondOf(chain, nodeA), MIN_BOND);
  }),
);

test("a step that the answer does not have is disputed by nobody, and replays nothing by itself", async () => {
  const heads = headsOf(digest("request"), departing(stepsOf(9), 3));
  const { members } = await round(differs(5, heads), agree(), agree());
  assert.equal((await stateOf()).result, RESULT.replayed);
  assert.equal(await earned(members[0]), 0n);
});

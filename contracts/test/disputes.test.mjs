// Disputes: honest nodes against lying members and the other way round, silence, forged moves, and juries.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, slice, toHex, zeroHash } from "viem";
import { MIN_BOND, alice, bob, mappingSlot, nodeA, registerNode, startChain, stranger } from "../harness/chain.mjs";
import {
  FEE,
  FINDING,
  OUTCOME,
  PENALTY,
  PHASE,
  RESULT,
  REVISION,
  SERVERS,
  VERDICT,
  agree,
  answer,
  bisect,
  bondOf,
  check,
  contest,
  departing,
  differs,
  digest,
  found,
  headsOf,
  judge,
  juryCommitment,
  mine,
  phaseOf,
  rungOf,
  said,
  serve,
  statusOf,
  stepsOf,
  vote,
} from "../harness/checks.mjs";

const BOND = MIN_BOND + MIN_BOND / 10n;
const REQUEST = digest("request");
const STAGE = { posting: 1, answering: 2, nodeStep: 3, challengerStep: 4, drawing: 5, voting: 6, closed: 7 };

let chain;
before(async () => {
  chain = await startChain();
  await chain.mockVerifier();
  await registerNode(chain, alice, nodeA);
  await serve(chain, 7);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

const resultOf = async (id) => (await chain.checks.read("checkOf", id)).result;
const checkPhase = async (id) => (await chain.checks.read("checkOf", id)).phase;
const disputeOf = (id) => chain.disputes.read("disputeOf", id);
const earned = ({ operator }) => chain.checks.read("earned", operator.address);
const balance = ({ operator }) => chain.credit.read("balanceOf", operator.address);
const refuses = (account, error, ...call) => chain.disputes.refuses(account, error, ...call);

/** What both sides have, where the node signed `signed` and the engine gives `right`, from the step in which they part. */
function sides(signed, right) {
  return {
    nodeSteps: signed,
    nodeHeads: headsOf(REQUEST, signed),
    steps: right,
    heads: headsOf(REQUEST, right),
  };
}

/** A lying node of `count` steps, false from `index` on, and an honest challenger; the dispute is open. */
async function lie(count, index, changes = {}) {
  const right = stepsOf(count);
  const play = sides(departing(right, index), right);
  const settled = await answer(chain, play.nodeSteps, changes);
  const members = await contest(chain, bob, settled, differs(index, play.heads));
  return { ...play, settled, members, challenger: members[0], id: settled.id };
}

/** An honest node, and a challenger that claims another step `index`; the dispute is open. */
async function slander(count, index) {
  const right = stepsOf(count);
  const play = sides(right, departing(right, index));
  const settled = await answer(chain, right);
  const members = await contest(chain, bob, settled, differs(index, play.heads));
  return { ...play, settled, members, challenger: members[0], id: settled.id };
}

const unanimous = (finding) => [found(finding), found(finding), found(finding)];

for (const [count, index] of [[1, 0], [2, 0], [2, 1], [7, 3], [500, 0], [500, 317], [500, 499]]) {
  test(`a lying node loses to an honest challenger: step ${index} of ${count}`, async () => {
    const { settled, challenger, members, id, ...play } = await lie(count, index);
    const supply = await chain.credit.read("totalSupply");
    const rounds = await bisect(chain, id, challenger, play);
    assert.ok(rounds <= Math.ceil(Math.log2(count)), `${rounds} rounds`);
    const { low, lowHead, high } = await disputeOf(id);
    assert.deepEqual([low, high, lowHead], [BigInt(index), BigInt(index) + 1n, play.heads[index]]);
    const jurors = await judge(chain, id, unanimous(FINDING.challenger));
    assert.equal((await disputeOf(id)).outcome, OUTCOME.nodeWrong);
    assert.equal(await statusOf(chain, nodeA), 3);
    assert.equal(await balance(challenger), MIN_BOND / 10n, "the reporter's share");
    assert.equal(await chain.credit.read("totalSupply"), supply - (MIN_BOND * 8n) / 10n);
    assert.equal(await resultOf(id), RESULT.refuted);
    assert.equal(await rungOf(chain, settled), 0);
    assert.equal(await earned(challenger), FEE);
    for (const juror of jurors) assert.equal(await earned(juror), FEE);
    // The two that agreed had not computed it.
    for (const { node } of members.slice(1)) assert.equal(await bondOf(chain, node), BOND - PENALTY);
    for (const { node } of SERVERS.slice(0, 7)) assert.equal(await chain.nodes.read("holdsOf", node.address), 0n);
    assert.equal(await chain.nodes.read("holdsOf", nodeA.address), 0n);
  });
}

for (const [count, index] of [[1, 0], [2, 1], [500, 123]]) {
  test(`a lying challenger loses to an honest node: step ${index} of ${count}`, async () => {
    const { settled, challenger, members, id, ...play } = await slander(count, index);
    const before = await chain.credit.read("balanceOf", alice.address);
    await bisect(chain, id, challenger, play);
    await judge(chain, id, unanimous(FINDING.node));
    assert.equal((await disputeOf(id)).outcome, OUTCOME.challengerWrong);
    assert.equal(await statusOf(chain, challenger.node), 3);
    assert.equal(await chain.credit.read("balanceOf", alice.address), before + BOND / 10n);
    assert.equal(await bondOf(chain, nodeA), MIN_BOND);
    assert.equal(await chain.checks.read("lostBy", challenger.operator.address), 1n);
    // The two others agreed, which is more than half of three.
    assert.equal(await checkPhase(id), PHASE.voting);
    await chain.checks.send(stranger, "conclude", settled.message);
    assert.equal(await rungOf(chain, settled), 2);
    assert.deepEqual(await Promise.all(members.map(earned)), [0n, FEE, FEE]);
  });
}

test("whoever is silent loses, at every move", async () => {
  const { settled, challenger, id, ...play } = await lie(7, 3);
  const middle = () => chain.disputes.read("middleOf", id).then(Number);
  const moves = [
    [OUTCOME.nodeSilent, alice, async () => ["post", id, play.nodeHeads[await middle()]]],
    [OUTCOME.challengerSilent, challenger.operator, async () => ["answer", id, true]],
    [OUTCOME.nodeSilent, alice, async () => ["post", id, play.nodeHeads[await middle()]]],
    [OUTCOME.challengerSilent, challenger.operator, async () => ["answer", id, false]],
    [OUTCOME.nodeSilent, alice, async () => ["post", id, play.nodeHeads[await middle()]]],
    [OUTCOME.challengerSilent, challenger.operator, async () => ["answer", id, false]],
    [OUTCOME.nodeSilent, alice, async () => ["showNodeStep", id, play.nodeSteps[3]]],
    [OUTCOME.challengerSilent, challenger.operator, async () => ["showChallengerStep", id, play.steps[3]]],
  ];
  for (const [outcome, account, move] of moves) {
    const { deadline } = await disputeOf(id);
    await refuses(stranger, ["StillTime", deadline], "timeout", id);
    const snapshot = await chain.client.snapshot();
    await mine(chain, 201);
    await refuses(account, ["TooLate", deadline], ...(await move()));
    await chain.disputes.send(stranger, "timeout", id);
    assert.equal((await disputeOf(id)).outcome, outcome);
    const loser = outcome === OUTCOME.nodeSilent ? nodeA : challenger.node;
    assert.equal(await statusOf(chain, loser), 3);
    await refuses(stranger, ["WrongPhase", id, STAGE.closed], "timeout", id);
    await chain.client.revert({ id: snapshot });
    await chain.disputes.send(account, ...(await move()));
  }
  await refuses(stranger, ["WrongPhase", id, STAGE.drawing], "timeout", id);
});

test("where both are silent, whose move it is loses, and who agreed with it was not disproved", async () => {
  const { settled, members, id } = await lie(7, 3);
  await mine(chain, 401);
  await chain.disputes.send(stranger, "timeout", id);
  assert.equal(await resultOf(id), RESULT.refuted);
  assert.equal(await rungOf(chain, settled), 0);
  for (const { node } of members) assert.equal(await bondOf(chain, node), BOND);
  assert.equal(await earned(members[0]), FEE);
});

test("a node that makes up heads comes to a step that it cannot show", async () => {
  const { challenger, id, ...play } = await lie(7, 3);
  while ((await phaseOf(chain, id)) === STAGE.posting) {
    await chain.disputes.send(alice, "post", id, digest("made up"));
    await chain.disputes.send(challenger.operator, "answer", id, false);
  }
  const { low, high } = await disputeOf(id);
  assert.deepEqual([low, high], [0n, 1n]);
  for (const step of [...play.nodeSteps, ...play.steps, "0x"]) await refuses(alice, "BadStep", "showNodeStep", id, step);
  await mine(chain, 201);
  await chain.disputes.send(stranger, "timeout", id);
  assert.equal((await disputeOf(id)).outcome, OUTCOME.nodeSilent);
});

test("a node that signed fewer steps than its chain has cannot show the last one", async () => {
  const right = stepsOf(7);
  const settled = await answer(chain, right, { outputUnits: 5n });
  const heads = headsOf(REQUEST, right);
  const [challenger] = await contest(chain, bob, settled, differs(4, heads));
  for (; (await phaseOf(chain, settled.id)) === STAGE.posting; ) {
    const middle = Number(await chain.disputes.read("middleOf", settled.id));
    await chain.disputes.send(alice, "post", settled.id, heads[middle]);
    await chain.disputes.send(challenger.operator, "answer", settled.id, true);
  }
  assert.equal((await disputeOf(settled.id)).low, 4n);
  for (const step of right) await refuses(alice, "BadStep", "showNodeStep", settled.id, step);
});

test("a node that signed more steps than the answer has loses to a challenger that says where it ended", async () => {
  const right = stepsOf(5);
  const signed = [...right, ...stepsOf(3, "beyond the end")];
  const settled = await answer(chain, signed);
  const play = sides(signed, right);
  const ended = keccak256(`0x21${play.heads[5].slice(2)}${keccak256("0x").slice(2)}`);
  const claim = said(VERDICT.differs, { index: 5n, head: ended });
  const [challenger] = await contest(chain, bob, settled, claim);
  await bisect(chain, settled.id, challenger, play);
  const { low, challengerStep } = await disputeOf(settled.id);
  assert.deepEqual([low, challengerStep], [5n, keccak256("0x")]);
  await judge(chain, settled.id, unanimous(FINDING.challenger));
  assert.equal(await rungOf(chain, settled), 0);
});

test("moves are the parties' own, in their phase, and of the right form", async () => {
  const { challenger, members, id, ...play } = await lie(2, 1);
  const calls = {
    post: [play.nodeHeads[1]],
    answer: [true],
    showNodeStep: [play.nodeSteps[1]],
    showChallengerStep: [play.steps[1]],
    seat: [],
    commit: [nodeA.address, digest("commitment")],
    reveal: [nodeA.address, found(FINDING.node)],
    resolve: [],
  };
  const phase = async (stage, ...allowed) => {
    for (const [name, args] of Object.entries(calls)) {
      if (!allowed.includes(name)) await refuses(alice, ["WrongPhase", id, stage], name, id, ...args);
    }
  };
  await phase(STAGE.posting, "post");
  await refuses(challenger.operator, ["NotTheirs", nodeA.address], "post", id, ...calls.post);
  await refuses(alice, "EmptyHead", "post", id, zeroHash);
  await chain.disputes.send(nodeA, "post", id, ...calls.post);
  await phase(STAGE.answering, "answer");
  for (const other of [alice, members[1].operator]) {
    await refuses(other, ["NotTheirs", challenger.node.address], "answer", id, ...calls.answer);
  }
  await chain.disputes.send(challenger.node, "answer", id, ...calls.answer);
  await phase(STAGE.nodeStep, "showNodeStep");
  await refuses(challenger.operator, ["NotTheirs", nodeA.address], "showNodeStep", id, ...calls.showNodeStep);
  const [own] = calls.showNodeStep;
  for (const step of [play.steps[1], play.nodeSteps[0], `${own}00`, slice(own, 0, 35), "0x"]) {
    await refuses(alice, "BadStep", "showNodeStep", id, step);
  }
  await chain.disputes.send(alice, "showNodeStep", id, own);
  await phase(STAGE.challengerStep, "showChallengerStep");
  await refuses(alice, ["NotTheirs", challenger.node.address], "showChallengerStep", id, ...calls.showChallengerStep);
  for (const step of [own, play.steps[0], `${play.steps[1]}00`, "0x", "0x01"]) {
    await refuses(challenger.operator, "BadStep", "showChallengerStep", id, step);
  }
  await chain.disputes.send(challenger.operator, "showChallengerStep", id, ...calls.showChallengerStep);
  await phase(STAGE.drawing, "seat");
  await refuses(bob, "RandomnessUnknown", "seat", id);
  await mine(chain, 2);
  await chain.disputes.send(bob, "seat", id);
  await phase(STAGE.voting, "commit", "reveal", "resolve");
  await refuses(bob, "BallotOpen", "resolve", id);
});

test("a challenger that leaves its own word behind cannot show the node's step either", async () => {
  const { challenger, id, ...play } = await slander(7, 3);
  while ((await phaseOf(chain, id)) === STAGE.posting) {
    const middle = Number(await chain.disputes.read("middleOf", id));
    await chain.disputes.send(alice, "post", id, play.nodeHeads[middle]);
    await chain.disputes.send(challenger.operator, "answer", id, false);
  }
  await chain.disputes.send(alice, "showNodeStep", id, play.nodeSteps[0]);
  await refuses(challenger.operator, "BadStep", "showChallengerStep", id, play.nodeSteps[0]);
  await chain.disputes.send(challenger.operator, "showChallengerStep", id, play.nodeSteps[1]);
  await judge(chain, id, unanimous(FINDING.node));
  assert.equal((await disputeOf(id)).outcome, OUTCOME.challengerWrong);
});

test("a step that does not have 36 bytes is shown by nobody, though its hash fits", async () => {
  const long = stepsOf(1).map((step) => `${step}00`);
  const settled = await answer(chain, long);
  await contest(chain, bob, settled, differs(0, headsOf(REQUEST, stepsOf(1))));
  await refuses(alice, "BadStep", "showNodeStep", settled.id, long[0]);
});

test("no dispute begins while one is on, and nobody else opens one", async () => {
  const { id, settled } = await lie(2, 1);
  const { claim } = await disputeOf(id);
  await refuses(bob, "NotChecks", "open", id, claim);
  const { address } = chain.checks;
  await chain.client.impersonateAccount({ address });
  await chain.client.setBalance({ address, value: 10n ** 18n });
  await refuses(address, ["WrongPhase", id, STAGE.posting], "open", id, claim);
  await chain.checks.refuses(bob, ["WrongPhase", id, PHASE.disputed], "conclude", settled.message);
  await chain.checks.refuses(bob, ["WrongPhase", id, PHASE.disputed], "begin", settled.place);
});

test("a jury has neither party's operator, and former members only where there are no others", async () => {
  const { challenger, members, id, ...play } = await lie(2, 1);
  const second = SERVERS[7].node;
  await registerNode(chain, bob, second);
  await bisect(chain, id, challenger, play);
  await chain.checks.send(bob, "join", REVISION, second.address);
  await mine(chain, 2);
  const mined = await chain.disputes.send(bob, "seat", id);
  const [{ members: jurors }] = await chain.disputes.events(mined, "JuryDrawn");
  assert.equal(jurors.length, 3);
  assert.equal(jurors.includes(second.address), false, "who joined after the receipt");
  for (const { node } of members) assert.equal(jurors.includes(node.address), false);
  await chain.rewind();
  for (const { operator, node } of SERVERS.slice(3, 7)) await chain.checks.send(operator, "quit", REVISION, node.address);
  const few = await lie(2, 1);
  await bisect(chain, few.id, few.challenger, few);
  const others = await judge(chain, few.id, [found(FINDING.challenger), found(FINDING.challenger)]);
  const expected = few.members.slice(1).map(({ node }) => node.address);
  assert.deepEqual(others.map(({ node }) => node.address).sort(), expected.sort());
});

test("without anybody else nobody decides, nobody loses, and the receipt is not replayed", async () => {
  for (const { operator, node } of SERVERS.slice(1, 7)) await chain.checks.send(operator, "quit", REVISION, node.address);
  const right = stepsOf(2);
  const play = sides(departing(right, 1), right);
  const settled = await answer(chain, play.nodeSteps);
  const [challenger] = await check(chain, bob, settled);
  await vote(chain, settled.id, [challenger], [differs(1, play.heads)]);
  await chain.checks.send(bob, "conclude", settled.message);
  await bisect(chain, settled.id, challenger, play);
  await mine(chain, 2);
  await chain.disputes.send(bob, "seat", settled.id);
  assert.equal((await disputeOf(settled.id)).outcome, OUTCOME.undecided);
  await chain.checks.send(bob, "conclude", settled.message);
  assert.equal(await resultOf(settled.id), RESULT.inconclusive);
  assert.equal(await rungOf(chain, settled), 1);
  assert.deepEqual([await bondOf(chain, nodeA), await bondOf(chain, challenger.node)], [MIN_BOND, BOND]);
});

test("where re-execution gives neither step both lose, and nobody is paid for it", async () => {
  const { settled, challenger, id, ...play } = await slander(2, 1);
  const before = await chain.credit.read("balanceOf", alice.address);
  await bisect(chain, id, challenger, play);
  await judge(chain, id, unanimous(FINDING.neither));
  assert.equal((await disputeOf(id)).outcome, OUTCOME.bothWrong);
  for (const loser of [nodeA, challenger.node]) assert.equal(await statusOf(chain, loser), 3);
  assert.equal(await chain.credit.read("balanceOf", alice.address), before);
  assert.equal(await balance(challenger), 0n);
  assert.equal(await earned(challenger), 0n);
  assert.equal(await rungOf(chain, settled), 0);
});

test("a juror that finds otherwise, or the same without the work, pays", async () => {
  for (const odd of [found(FINDING.node), found(FINDING.challenger, digest("invented"))]) {
    const { challenger, id, ...play } = await lie(2, 1);
    await bisect(chain, id, challenger, play);
    const jurors = await judge(chain, id, [found(FINDING.challenger), odd, found(FINDING.challenger)]);
    assert.equal((await disputeOf(id)).outcome, OUTCOME.nodeWrong);
    assert.equal(await bondOf(chain, jurors[1].node), BOND - PENALTY);
    assert.deepEqual(await Promise.all(jurors.map(earned)), [FEE, 0n, FEE]);
    await chain.rewind();
  }
});

test("a copied finding cannot be revealed; findings are the jurors' own", async () => {
  const { challenger, id, ...play } = await lie(1, 0);
  await bisect(chain, id, challenger, play);
  await mine(chain, 2);
  const mined = await chain.disputes.send(alice, "seat", id);
  const [drawn] = await chain.disputes.events(mined, "JuryDrawn");
  const jurors = drawn.members.map((member) => SERVERS.find(({ node }) => node.address === member));
  const { number } = (await disputeOf(id)).ballot;
  const what = found(FINDING.challenger);
  const own = juryCommitment(id, number, jurors[0].node.address, what);
  await refuses(jurors[1].operator, ["NotTheirs", jurors[0].node.address], "commit", id, jurors[0].node.address, own);
  await refuses(challenger.operator, ["NotMember", challenger.node.address], "commit", id, challenger.node.address, own);
  const bad = found(FINDING.none);
  const lazy = found(FINDING.node, zeroHash);
  const said = [what, bad, lazy].map((one, n) => juryCommitment(id, number, jurors[n].node.address, one));
  const snapshot = await chain.client.snapshot();
  for (const [n, { operator, node }] of jurors.entries()) await chain.disputes.send(operator, "commit", id, node.address, said[n]);
  await refuses(jurors[1].operator, "BadFinding", "reveal", id, jurors[1].node.address, bad);
  await refuses(jurors[2].operator, "BadFinding", "reveal", id, jurors[2].node.address, lazy);
  await chain.client.revert({ id: snapshot });
  for (const { operator, node } of jurors) await chain.disputes.send(operator, "commit", id, node.address, own);
  await chain.disputes.send(jurors[0].operator, "reveal", id, jurors[0].node.address, what);
  for (const { operator, node } of jurors.slice(1)) {
    await refuses(operator, ["BadReveal", node.address], "reveal", id, node.address, what);
  }
});

test("a jury without a majority is followed by another, and after the last nobody decides", async () => {
  const { settled, challenger, id, ...play } = await lie(2, 1);
  await bisect(chain, id, challenger, play);
  const split = [found(FINDING.node), found(FINDING.challenger), found(FINDING.neither)];
  const first = await judge(chain, id, split);
  assert.equal(await phaseOf(chain, id), STAGE.drawing);
  for (const { node } of first) assert.equal(await bondOf(chain, node), BOND, "nobody knows who is right");
  await judge(chain, id, [found(FINDING.challenger), found(FINDING.challenger, digest("other")), undefined]);
  assert.equal(await phaseOf(chain, id), STAGE.drawing);
  await judge(chain, id, [found(FINDING.unserved, zeroHash), found(FINDING.unserved, zeroHash), found(FINDING.node)]);
  assert.equal((await disputeOf(id)).outcome, OUTCOME.undecided);
  await chain.checks.send(bob, "conclude", settled.message);
  assert.equal(await resultOf(id), RESULT.inconclusive, "two agreed, but a difference was not decided");
  assert.equal(await rungOf(chain, settled), 1);
  assert.deepEqual([await bondOf(chain, nodeA), await bondOf(chain, challenger.node)], [MIN_BOND, BOND - 0n]);
});

test("a second jury can decide what the first did not", async () => {
  const { challenger, id, ...play } = await lie(2, 1);
  await bisect(chain, id, challenger, play);
  const silent = await judge(chain, id, [undefined, undefined, undefined]);
  for (const { node } of silent) assert.equal(await bondOf(chain, node), BOND - PENALTY);
  const jurors = await judge(chain, id, unanimous(FINDING.challenger));
  assert.equal((await disputeOf(id)).outcome, OUTCOME.nodeWrong);
  assert.ok(jurors.length === 3 && jurors.some(({ node }) => !silent.some((other) => other.node === node)));
});

test("a jury whose hash nobody reads any more is drawn by a later one", async () => {
  const { challenger, id, ...play } = await lie(2, 1);
  await bisect(chain, id, challenger, play);
  const { drawnBy } = await disputeOf(id);
  await mine(chain, 260);
  await chain.disputes.send(bob, "seat", id);
  assert.equal(await phaseOf(chain, id), STAGE.drawing);
  assert.ok((await disputeOf(id)).drawnBy > drawnBy);
  await judge(chain, id, unanimous(FINDING.challenger));
  assert.equal((await disputeOf(id)).outcome, OUTCOME.nodeWrong);
});

test("an accomplice that loses on purpose does not save a lying node from an honest member", async () => {
  const right = stepsOf(7);
  const play = sides(departing(right, 4), right);
  const settled = await answer(chain, play.nodeSteps);
  const members = await check(chain, bob, settled);
  const invented = departing(right, 1, "a third model");
  const accomplice = members[0];
  const honest = members[1];
  const claims = [differs(1, headsOf(REQUEST, invented)), differs(4, play.heads), agree()];
  await vote(chain, settled.id, members, claims);
  await chain.checks.send(bob, "conclude", settled.message);
  assert.equal((await disputeOf(settled.id)).claim.challenger, accomplice.node.address, "the lowest step first");
  await mine(chain, 1);
  await chain.disputes.send(alice, "post", settled.id, play.nodeHeads[3]);
  await mine(chain, 201);
  await chain.disputes.send(stranger, "timeout", settled.id);
  assert.equal(await statusOf(chain, accomplice.node), 3);
  await chain.checks.send(stranger, "conclude", settled.message);
  assert.equal((await disputeOf(settled.id)).claim.challenger, honest.node.address);
  await bisect(chain, settled.id, honest, play);
  await judge(chain, settled.id, unanimous(FINDING.challenger));
  assert.equal(await resultOf(settled.id), RESULT.refuted);
  assert.deepEqual(await Promise.all(members.map(earned)), [0n, FEE, 0n]);
  assert.equal(await bondOf(chain, members[2].node), BOND - PENALTY);
});

test("whoever found the very same step shares in the fees", async () => {
  const right = stepsOf(3);
  const play = sides(departing(right, 1), right);
  const settled = await answer(chain, play.nodeSteps);
  const members = await check(chain, bob, settled);
  await vote(chain, settled.id, members, [differs(1, play.heads), differs(1, play.heads), differs(2, play.heads)]);
  await chain.checks.send(bob, "conclude", settled.message);
  await bisect(chain, settled.id, members[0], play);
  await judge(chain, settled.id, unanimous(FINDING.challenger));
  assert.deepEqual(await Promise.all(members.map(earned)), [FEE, FEE, 0n]);
  assert.equal(await chain.checks.read("earned", bob.address), FEE);
});

test("of a node whose bond is gone nothing is taken twice, and its answer is refuted all the same", async () => {
  const { settled, challenger, id, ...play } = await lie(2, 1);
  const { address } = chain.settlement;
  await chain.client.impersonateAccount({ address });
  await chain.client.setBalance({ address, value: 10n ** 18n });
  await chain.nodes.send(address, "slash", nodeA.address, bob.address);
  await bisect(chain, id, challenger, play);
  await judge(chain, id, unanimous(FINDING.challenger));
  assert.equal(await rungOf(chain, settled), 0);
  assert.equal(await balance(challenger), 0n);
  assert.equal(await earned(challenger), FEE);
});

test("a receipt that was replayed and is refuted later has no rung any more", async () => {
  const right = stepsOf(2);
  const play = sides(departing(right, 1), right);
  const settled = await answer(chain, play.nodeSteps);
  const lazy = await check(chain, bob, settled);
  await vote(chain, settled.id, lazy, [agree(), agree(), agree()]);
  await chain.checks.send(bob, "conclude", settled.message);
  assert.equal(await rungOf(chain, settled), 2);
  const [challenger] = await contest(chain, bob, settled, differs(1, play.heads));
  assert.equal(lazy.includes(challenger), false, "others come first");
  await bisect(chain, settled.id, challenger, play);
  await judge(chain, settled.id, unanimous(FINDING.challenger));
  assert.equal(await rungOf(chain, settled), 0);
  assert.equal(await chain.checks.read("replayedAt", settled.id), 0n);
  await chain.credit.send(bob, "approve", chain.checks.address, 3n * FEE);
  await chain.checks.refuses(bob, ["NoMoreRounds", settled.id], "request", settled.place);
});

test("jurors are paid out of what there is", async () => {
  const { challenger, id, ...play } = await slander(1, 0);
  await bisect(chain, id, challenger, play);
  // The challenger's bond is gone for something else, and no share of it comes in.
  const word = mappingSlot(challenger.node.address, 0n);
  await chain.client.setStorageAt({ address: chain.nodes.address, index: word, value: toHex(3n << 128n, { size: 32 }) });
  await chain.credit.send(alice, "transfer", chain.checks.address, FEE + FEE / 2n);
  const jurors = await judge(chain, id, unanimous(FINDING.node));
  assert.deepEqual(await Promise.all(jurors.map(earned)), [FEE, FEE / 2n, 0n]);
});

// Node keys: registered by two signatures, backed by a bond, left through a delay, slashed by Settlement alone.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { pad, parseEther, toHex, zeroAddress } from "viem";
import {
  DOMAINS,
  ENDOWMENT,
  MIN_BOND,
  NETWORK_ID,
  alice,
  bob,
  carol,
  mappingSlot,
  nodeA,
  nodeB,
  registerNode,
  signRegistration,
  startChain,
  stranger,
} from "../harness/chain.mjs";

const WEEK = 7 * 24 * 3600;
const ENDPOINT = "https://node.example:9000/";
const STATUS = { none: 0, active: 1, exiting: 2, slashed: 3, withdrawn: 4 };

let chain;
before(async () => {
  chain = await startChain();
  await chain.credit.send(alice, "approve", chain.nodes.address, ENDOWMENT);
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

/** The arguments of `register` by alice for nodeA, with parts replaced. */
async function registration(changes = {}) {
  const endpoint = changes.endpoint ?? ENDPOINT;
  const signed = { operator: alice.address, endpoint, ...changes.signed };
  const signature = changes.signature ?? (await signRegistration(changes.signer ?? nodeA, signed));
  return [nodeA.address, endpoint, { ...DOMAINS, ...changes.domains }, changes.bond ?? MIN_BOND, signature];
}

async function slash(node, beneficiary) {
  const settlement = chain.settlement.address;
  await chain.client.impersonateAccount({ address: settlement });
  await chain.client.setBalance({ address: settlement, value: parseEther("1") });
  return chain.nodes.send(settlement, "slash", node, beneficiary);
}

const balance = (account) => chain.credit.read("balanceOf", account.address ?? account);
const record = (node) => chain.nodes.read("nodeOf", node.address);

test("a registration is recorded, bonded and announced", async () => {
  const receipt = await chain.nodes.send(alice, "register", ...(await registration()));
  assert.deepEqual(await chain.nodes.events(receipt, "NodeRegistered"), [
    { node: nodeA.address, operator: alice.address, endpoint: ENDPOINT, bond: MIN_BOND },
  ]);
  assert.deepEqual(await record(nodeA), {
    bond: MIN_BOND,
    status: STATUS.active,
    exitsAt: 0n,
    index: 0,
    operator: alice.address,
    domains: DOMAINS,
    endpoint: ENDPOINT,
  });
  assert.equal(await balance(alice), ENDOWMENT - MIN_BOND);
  assert.equal(await balance(chain.nodes.address), MIN_BOND);
  assert.equal(await chain.nodes.read("isBonded", nodeA.address), true);
});

test("the receipt verifier finds bond and status in the word it reads", async () => {
  await chain.nodes.send(alice, "register", ...(await registration()));
  const address = chain.nodes.address;
  const word = () => chain.client.getStorageAt({ address, slot: mappingSlot(nodeA.address, 0n) }).then(BigInt);
  const active = await word();
  assert.equal(active & ((1n << 128n) - 1n), MIN_BOND);
  assert.equal((active >> 128n) & 0xffn, BigInt(STATUS.active));
  await slash(nodeA.address, bob.address);
  const slashed = await word();
  assert.equal(slashed & ((1n << 128n) - 1n), 0n);
  assert.equal((slashed >> 128n) & 0xffn, BigInt(STATUS.slashed));
});

test("nodes are listed in the order of registration", async () => {
  await registerNode(chain, alice, nodeA);
  await registerNode(chain, bob, nodeB);
  assert.equal(await chain.nodes.read("nodeCount"), 2n);
  assert.deepEqual(await chain.nodes.read("nodes", 0n, 10n), [nodeA.address, nodeB.address]);
  assert.deepEqual(await chain.nodes.read("nodes", 1n, 10n), [nodeB.address]);
  assert.deepEqual(await chain.nodes.read("nodes", 2n, 10n), []);
  assert.equal((await record(nodeB)).index, 1);
});

test("a registration signed by anyone but the node key, or for anything else, is refused", async () => {
  const forgeries = {
    "by the operator": { signer: alice, signed: { nodeAddress: nodeA.address } },
    "by another node": { signer: nodeB, signed: { nodeAddress: nodeA.address } },
    "for another operator": { signed: { operator: bob.address } },
    "for another endpoint": { signed: { endpoint: "https://elsewhere.example/" } },
    "for another node": { signed: { nodeAddress: nodeB.address } },
    "on another network": { signed: { domain: { salt: pad("0x01") } } },
    "on another chain": { signed: { domain: { chainId: 1 } } },
    "for another contract": { signed: { domain: { verifyingContract: chain.settlement.address } } },
    "under another version": { signed: { domain: { version: "2" } } },
  };
  for (const [what, changes] of Object.entries(forgeries)) {
    const args = await registration(changes);
    await chain.nodes.refuses(alice, ["BadSignature", nodeA.address], "register", ...args).catch((error) => {
      throw new Error(`a signature ${what}: ${error.message}`);
    });
  }
});

test("a signature that is not canonical is refused", async () => {
  const good = await signRegistration(nodeA, { operator: alice.address, endpoint: ENDPOINT });
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = BigInt(`0x${good.slice(66, 130)}`);
  const v = good.slice(130);
  const highS = `${good.slice(0, 66)}${toHex(order - s, { size: 32 }).slice(2)}${v === "1b" ? "1c" : "1b"}`;
  const forms = [highS, good.slice(0, 130), `${good}00`, `${good.slice(0, 130)}00`, `${good.slice(0, 130)}1d`, "0x"];
  for (const signature of forms) {
    await chain.nodes.refuses(alice, "BadSignature", "register", ...(await registration({ signature })));
  }
});

test("another operator cannot use a node's signature", async () => {
  await chain.credit.send(bob, "approve", chain.nodes.address, ENDOWMENT);
  await chain.nodes.refuses(bob, "BadSignature", "register", ...(await registration()));
});

test("nobody registers the zero key", async () => {
  for (const signature of ["0x", toHex(27, { size: 65 })]) {
    const [, ...rest] = await registration({ signature });
    await chain.nodes.refuses(alice, "BadSignature", "register", zeroAddress, ...rest);
  }
});

test("a bond below the minimum, above the balance or above the allowance is refused", async () => {
  const small = await registration({ bond: MIN_BOND - 1n });
  await chain.nodes.refuses(alice, ["BondTooSmall", MIN_BOND - 1n, MIN_BOND], "register", ...small);
  const great = await registration({ bond: ENDOWMENT });
  await chain.credit.send(alice, "transfer", carol.address, 1n);
  await chain.nodes.refuses(alice, "InsufficientBalance", "register", ...great);
  await chain.credit.send(alice, "approve", chain.nodes.address, MIN_BOND - 1n);
  await chain.nodes.refuses(alice, "InsufficientAllowance", "register", ...(await registration()));
});

test("endpoints are printable, there, and short", async () => {
  for (const endpoint of ["", "with space", "ctrl\u0007", "ümlaut", "x".repeat(257)]) {
    await chain.nodes.refuses(alice, "BadEndpoint", "register", ...(await registration({ endpoint })));
  }
});

test("a country is two capitals or unknown", async () => {
  for (const country of ["nl", "N1", "N\u0000"].map(toHex)) {
    await chain.nodes.refuses(alice, "BadCountry", "register", ...(await registration({ domains: { country } })));
  }
  await chain.nodes.send(alice, "register", ...(await registration({ domains: { country: "0x0000" } })));
});

test("a key registers once", async () => {
  await chain.nodes.send(alice, "register", ...(await registration()));
  await chain.nodes.refuses(alice, ["AlreadyRegistered", nodeA.address], "register", ...(await registration()));
});

test("anyone tops up an active node", async () => {
  await registerNode(chain, alice, nodeA);
  await chain.credit.send(bob, "approve", chain.nodes.address, 5n);
  await chain.nodes.send(bob, "topUp", nodeA.address, 5n);
  assert.equal((await record(nodeA)).bond, MIN_BOND + 5n);
  await chain.nodes.refuses(bob, "InsufficientAllowance", "topUp", nodeA.address, 1n);
  await chain.nodes.refuses(alice, "ZeroAmount", "topUp", nodeA.address, 0n);
  await chain.nodes.refuses(alice, ["WrongStatus", nodeB.address, STATUS.none], "topUp", nodeB.address, 1n);
});

test("the operator moves a node where the node key agrees", async () => {
  await registerNode(chain, alice, nodeA);
  const endpoint = "https://new.example/";
  const signature = await signRegistration(nodeA, { operator: alice.address, endpoint });
  await chain.nodes.refuses(bob, "NotOperator", "setEndpoint", nodeA.address, endpoint, signature);
  await chain.nodes.refuses(alice, "BadSignature", "setEndpoint", nodeA.address, "https://other.example/", signature);
  await chain.nodes.refuses(alice, "WrongStatus", "setEndpoint", nodeB.address, endpoint, signature);
  await chain.nodes.send(alice, "setEndpoint", nodeA.address, endpoint, signature);
  assert.equal((await record(nodeA)).endpoint, endpoint);
});

test("an exit takes a week, stays bonded in it, and ends the key", async () => {
  await registerNode(chain, alice, nodeA);
  await chain.nodes.refuses(bob, ["NotOperator", nodeA.address], "announceExit", nodeA.address);
  await chain.nodes.refuses(alice, ["WrongStatus", nodeA.address, STATUS.active], "withdraw", nodeA.address);
  await chain.nodes.send(alice, "announceExit", nodeA.address);
  const { exitsAt, status } = await record(nodeA);
  assert.equal(status, STATUS.exiting);
  assert.equal(exitsAt, (await chain.now()) + BigInt(WEEK));
  assert.equal(await chain.nodes.read("isBonded", nodeA.address), true);

  await chain.nodes.refuses(alice, ["WrongStatus", nodeA.address, STATUS.exiting], "announceExit", nodeA.address);
  await chain.nodes.refuses(alice, ["WrongStatus", nodeA.address, STATUS.exiting], "topUp", nodeA.address, 1n);
  await chain.pass(WEEK - 60);
  await chain.nodes.refuses(alice, ["StillBonded", exitsAt], "withdraw", nodeA.address);
  await chain.pass(61);
  await chain.nodes.refuses(bob, ["NotOperator", nodeA.address], "withdraw", nodeA.address);
  await chain.nodes.send(alice, "withdraw", nodeA.address);
  assert.equal(await balance(alice), ENDOWMENT);
  assert.equal(await balance(chain.nodes.address), 0n);
  assert.equal(await chain.nodes.read("isBonded", nodeA.address), false);

  await chain.nodes.refuses(alice, ["WrongStatus", nodeA.address, STATUS.withdrawn], "withdraw", nodeA.address);
  await chain.nodes.refuses(alice, "AlreadyRegistered", "register", ...(await registration()));
});

test("only Settlement slashes", async () => {
  await registerNode(chain, alice, nodeA);
  for (const account of [alice, bob, stranger]) {
    await chain.nodes.refuses(account, "NotSettlement", "slash", nodeA.address, account.address);
  }
});

test("a slashed bond is burnt but for the reporter's tenth", async () => {
  await registerNode(chain, alice, nodeA);
  const supply = await chain.credit.read("totalSupply");
  const receipt = await slash(nodeA.address, stranger.address);
  const reward = MIN_BOND / 10n;
  const burnt = MIN_BOND - reward;
  assert.deepEqual(await chain.nodes.events(receipt, "NodeSlashed"), [
    { node: nodeA.address, beneficiary: stranger.address, burnt, reward },
  ]);
  assert.equal(await balance(stranger), reward);
  assert.equal(await balance(chain.nodes.address), 0n);
  assert.equal(await chain.credit.read("totalSupply"), supply - burnt);
  assert.equal(await chain.nodes.read("isBonded", nodeA.address), false);
});

test("a slash takes one node's bond and no other's", async () => {
  await registerNode(chain, alice, nodeA);
  await registerNode(chain, bob, nodeB, MIN_BOND + 7n);
  await slash(nodeA.address, carol.address);
  assert.equal((await record(nodeB)).bond, MIN_BOND + 7n);
  assert.equal(await balance(chain.nodes.address), MIN_BOND + 7n);
});

test("an exiting node is slashed, and then has nothing to withdraw", async () => {
  await registerNode(chain, alice, nodeA);
  await chain.nodes.send(alice, "announceExit", nodeA.address);
  await slash(nodeA.address, bob.address);
  await chain.pass(WEEK + 1);
  await chain.nodes.refuses(alice, ["WrongStatus", nodeA.address, STATUS.slashed], "withdraw", nodeA.address);
});

test("a node is slashed once, and a stranger never", async () => {
  await registerNode(chain, alice, nodeA);
  await slash(nodeA.address, bob.address);
  const settlement = chain.settlement.address;
  const again = (node) => [settlement, "WrongStatus", "slash", node, bob.address];
  await chain.nodes.refuses(...again(nodeA.address));
  await chain.nodes.refuses(...again(nodeB.address));
  await chain.nodes.refuses(alice, "AlreadyRegistered", "register", ...(await registration()));
});

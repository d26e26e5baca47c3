// The token: balances conserve, and a signature moves money once, inside its window, as it says.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keccak256, maxUint256, parseAbiParameters, parseSignature, toHex, zeroAddress } from "viem";
import { foundry } from "viem/chains";
import { ENDOWMENT, alice, artifact, bob, carol, startChain, stranger } from "../harness/chain.mjs";

const TOKEN = artifact("Credit").address;
const DOMAIN = { name: "Assay Credit", version: "1", chainId: foundry.id, verifyingContract: TOKEN };
const NONCE = keccak256(toHex("nonce"));
const fields = (text) => parseAbiParameters(text).map(({ name, type }) => ({ name, type }));
const MOVE = fields("address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce");
const TYPES = {
  TransferWithAuthorization: MOVE,
  ReceiveWithAuthorization: MOVE,
  CancelAuthorization: fields("address authorizer,bytes32 nonce"),
  Permit: fields("address owner,address spender,uint256 value,uint256 nonce,uint256 deadline"),
};

let chain;
before(async () => {
  chain = await startChain();
  await chain.snapshot();
});
afterEach(() => chain.rewind());
after(() => chain.stop());

const balance = (account) => chain.credit.read("balanceOf", account.address);

async function sign(signer, primaryType, message, domain = DOMAIN) {
  const hex = await signer.signTypedData({ domain, types: { [primaryType]: TYPES[primaryType] }, primaryType, message });
  const { r, s, v } = parseSignature(hex);
  return [Number(v), r, s];
}

/** The arguments of an authorised transfer of 100 from alice to bob; `says` is what is called, `signed` what is signed. */
async function authorised({ primaryType = "TransferWithAuthorization", signer = alice, says = {}, signed = {}, domain } = {}) {
  const message = {
    from: alice.address,
    to: bob.address,
    value: 100n,
    validAfter: 0n,
    validBefore: maxUint256,
    nonce: NONCE,
  };
  const signature = await sign(signer, primaryType, { ...message, ...signed }, domain);
  return [...Object.values({ ...message, ...signed, ...says }), ...signature];
}

test("genesis balances add up to the supply", async () => {
  assert.equal(await chain.credit.read("totalSupply"), 3n * ENDOWMENT);
  assert.equal(await balance(alice), ENDOWMENT);
  assert.equal(await chain.credit.read("decimals"), 6);
});

test("balances conserve over transfers, to oneself too, and burning lowers the supply by as much", async () => {
  await chain.credit.send(alice, "transfer", bob.address, 1_234n);
  await chain.credit.send(bob, "transfer", bob.address, 99n);
  await chain.credit.send(bob, "transfer", carol.address, 34n);
  await chain.credit.send(carol, "burn", 4n);
  const balances = await Promise.all([alice, bob, carol].map(balance));
  assert.deepEqual(balances, [ENDOWMENT - 1_234n, ENDOWMENT + 1_200n, ENDOWMENT + 30n]);
  assert.equal(await chain.credit.read("totalSupply"), balances.reduce((a, b) => a + b));
});

test("nobody spends what he has not", async () => {
  const short = ["InsufficientBalance", stranger.address, 0n, 1n];
  await chain.credit.refuses(stranger, short, "transfer", bob.address, 1n);
  await chain.credit.refuses(stranger, short, "burn", 1n);
  await chain.credit.refuses(alice, "InsufficientBalance", "transfer", bob.address, ENDOWMENT + 1n);
  await chain.credit.refuses(alice, "InsufficientBalance", "transfer", bob.address, maxUint256);
  await chain.credit.refuses(alice, "ZeroAddress", "transfer", zeroAddress, 1n);
});

test("an allowance is spent, and only by whom it names", async () => {
  await chain.credit.refuses(bob, "InsufficientAllowance", "transferFrom", alice.address, bob.address, 1n);
  await chain.credit.send(alice, "approve", bob.address, 10n);
  await chain.credit.refuses(carol, "InsufficientAllowance", "transferFrom", alice.address, carol.address, 1n);
  await chain.credit.send(bob, "transferFrom", alice.address, carol.address, 7n);
  const over = ["InsufficientAllowance", bob.address, 3n, 4n];
  await chain.credit.refuses(bob, over, "transferFrom", alice.address, carol.address, 4n);
  await chain.credit.refuses(alice, "ZeroAddress", "approve", zeroAddress, 1n);
  await chain.credit.send(alice, "approve", bob.address, maxUint256);
  await chain.credit.send(bob, "transferFrom", alice.address, carol.address, 7n);
  assert.equal(await chain.credit.read("allowance", alice.address, bob.address), maxUint256);
});

test("an authorised transfer is submitted by anyone, once", async () => {
  const args = await authorised();
  const receipt = await chain.credit.send(stranger, "transferWithAuthorization", ...args);
  assert.deepEqual(await chain.credit.events(receipt, "AuthorizationUsed"), [{ authorizer: alice.address, nonce: NONCE }]);
  assert.equal(await balance(bob), ENDOWMENT + 100n);
  assert.equal(await chain.credit.read("authorizationState", alice.address, NONCE), true);
  const replay = ["AuthorizationSpent", alice.address, NONCE];
  await chain.credit.refuses(stranger, replay, "transferWithAuthorization", ...args);
  await chain.credit.refuses(
    stranger,
    replay,
    "transferWithAuthorization",
    ...(await authorised({ signed: { value: 1n } })),
  );
});

test("an authorisation outside its window is refused", async () => {
  const now = await chain.now();
  const early = await authorised({ signed: { validAfter: now + 1_000n } });
  await chain.credit.refuses(bob, ["NotYetValid", now + 1_000n], "transferWithAuthorization", ...early);
  const late = await authorised({ signed: { validBefore: now } });
  await chain.credit.refuses(bob, ["Expired", now], "transferWithAuthorization", ...late);
  await chain.pass(1_001);
  await chain.credit.send(bob, "transferWithAuthorization", ...early);
});

test("an authorisation says what was signed, by whom, and where", async () => {
  const forgeries = [
    { signer: bob },
    { says: { value: 101n } },
    { says: { to: carol.address } },
    { says: { from: carol.address } },
    { says: { nonce: keccak256("0x01") } },
    { says: { validBefore: maxUint256 - 1n } },
    { signed: { validAfter: 5n }, says: { validAfter: 0n } },
    { domain: { ...DOMAIN, chainId: 1 } },
    { domain: { ...DOMAIN, name: "Assay" } },
    { domain: { ...DOMAIN, verifyingContract: bob.address } },
    { primaryType: "ReceiveWithAuthorization" },
  ];
  for (const forgery of forgeries) {
    await chain.credit.refuses(carol, "BadSignature", "transferWithAuthorization", ...(await authorised(forgery)));
  }
});

test("a signature that is not canonical moves nothing", async () => {
  const args = await authorised();
  const [v, r, s] = args.splice(6);
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const highS = [55 - v, r, toHex(order - BigInt(s), { size: 32 })];
  for (const form of [highS, [55 - v, r, s], [0, r, s], [v, toHex(0, { size: 32 }), s]]) {
    await chain.credit.refuses(bob, "BadSignature", "transferWithAuthorization", ...args, ...form);
  }
});

test("a signature of nobody is not one of the zero account", async () => {
  const nobody = [27, toHex(0, { size: 32 }), toHex(0, { size: 32 })];
  const args = await authorised({ says: { from: zeroAddress, value: 0n } });
  const call = [...args.slice(0, 6), ...nobody];
  await chain.credit.refuses(bob, ["BadSignature", zeroAddress], "transferWithAuthorization", ...call);
  const permit = [zeroAddress, bob.address, 1n, maxUint256, ...nobody];
  await chain.credit.refuses(bob, ["BadSignature", zeroAddress], "permit", ...permit);
});

test("an authorisation without cover is refused and stays unused", async () => {
  const args = await authorised({ signed: { value: ENDOWMENT + 1n } });
  await chain.credit.refuses(bob, "InsufficientBalance", "transferWithAuthorization", ...args);
  assert.equal(await chain.credit.read("authorizationState", alice.address, NONCE), false);
});

test("a receive authorisation is for the payee alone", async () => {
  const args = await authorised({ primaryType: "ReceiveWithAuthorization" });
  await chain.credit.refuses(carol, ["NotPayee", bob.address], "receiveWithAuthorization", ...args);
  const other = await authorised();
  await chain.credit.refuses(bob, "BadSignature", "receiveWithAuthorization", ...other);
  await chain.credit.send(bob, "receiveWithAuthorization", ...args);
  await chain.credit.refuses(bob, "AuthorizationSpent", "receiveWithAuthorization", ...args);
  await chain.credit.refuses(bob, "AuthorizationSpent", "transferWithAuthorization", ...other);
});

test("a cancelled authorisation is spent, and only its author cancels", async () => {
  const message = { authorizer: alice.address, nonce: NONCE };
  const forged = await sign(bob, "CancelAuthorization", message);
  await chain.credit.refuses(bob, "BadSignature", "cancelAuthorization", alice.address, NONCE, ...forged);
  const signature = await sign(alice, "CancelAuthorization", message);
  await chain.credit.send(stranger, "cancelAuthorization", alice.address, NONCE, ...signature);
  await chain.credit.refuses(bob, "AuthorizationSpent", "transferWithAuthorization", ...(await authorised()));
  await chain.credit.refuses(bob, "AuthorizationSpent", "cancelAuthorization", alice.address, NONCE, ...signature);
});

test("a permit sets an allowance once, in time, by its owner", async () => {
  const deadline = (await chain.now()) + 1_000n;
  const message = { owner: alice.address, spender: bob.address, value: 50n, nonce: 0n, deadline };
  const call = (signature, changes = {}) => {
    const { owner, spender, value, deadline: until } = { ...message, ...changes };
    return [owner, spender, value, until, ...signature];
  };
  const signature = await sign(alice, "Permit", message);
  await chain.credit.refuses(carol, "BadSignature", "permit", ...call(await sign(bob, "Permit", message)));
  await chain.credit.refuses(carol, "BadSignature", "permit", ...call(signature, { value: 51n }));
  await chain.credit.refuses(carol, "BadSignature", "permit", ...call(signature, { spender: carol.address }));
  const ahead = await sign(alice, "Permit", { ...message, nonce: 1n });
  await chain.credit.refuses(carol, "BadSignature", "permit", ...call(ahead));
  const past = (await chain.now()) - 1n;
  const expired = await sign(alice, "Permit", { ...message, deadline: past });
  await chain.credit.refuses(carol, ["Expired", past], "permit", ...call(expired, { deadline: past }));
  await chain.credit.send(carol, "permit", ...call(signature));
  assert.equal(await chain.credit.read("allowance", alice.address, bob.address), 50n);
  await chain.credit.refuses(carol, "BadSignature", "permit", ...call(signature));
});

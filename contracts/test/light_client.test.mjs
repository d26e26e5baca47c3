// The light client on a chain that is none of Assay's: it takes the proofs that Rust's light client takes, and refuses
// whatever was forged. The frozen proofs are Rust's; the others are made by harness/proofs.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { bls12_381 } from "@noble/curves/bls12-381";
import {
  bytesToHex,
  concat,
  decodeErrorResult,
  domainSeparator,
  encodeDeployData,
  hexToBigInt,
  hexToBytes,
  sha256,
  size,
  slice,
  toHex,
  zeroAddress,
  zeroHash,
} from "viem";
import { alice, artifact, bob, nodeA, nodeB, startChain } from "../harness/chain.mjs";
import {
  G1,
  encodeHeader,
  flip,
  lightClientArguments,
  networkOf,
  pointOf,
  prove,
  varint,
  withEnd,
} from "../harness/proofs.mjs";
import { encodeSigned, receipt, receiptId, signReceipt } from "../harness/receipts.mjs";
import { creationCode } from "../light_client.mjs";

const LIGHT_CLIENT = artifact("LightClient");
const VECTORS = JSON.parse(readFileSync(new URL("../../vectors/proof/receipt-proof.json", import.meta.url)));
const ACCEPTED = VECTORS.accept.map(({ proof }) => proof);
const { Fp, Fp2 } = bls12_381.fields;
/** The order of secp256k1's group. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

let chain;
/** The light client of the vectors' network, and that of a network whose secret is known here. */
let frozen;
let own;
const network = networkOf(7n);
before(async () => {
  chain = await startChain();
  const deploy = (of) => chain.deploy(bob, LIGHT_CLIENT, lightClientArguments(of));
  frozen = await deploy(VECTORS.network);
  own = await deploy(network);
});
after(() => chain.stop());

/** What `verify` returns, or the name of its error. */
async function verdict(client, proof) {
  return client.read("verify", proof).catch((error) => {
    const revert = error.walk?.((e) => e.name === "ContractFunctionRevertedError");
    if (!revert?.data) throw error;
    return revert.data.errorName;
  });
}

/** Holds each of `forged` ([what, proof]) to be refused with one of `errors`; returns how many there were. */
async function refuses(client, forged, ...errors) {
  for (let from = 0; from < forged.length; from += 16) {
    const part = forged.slice(from, from + 16);
    const verdicts = await Promise.all(part.map(([, proof]) => verdict(client, proof)));
    verdicts.forEach((got, index) => {
      assert.equal(typeof got, "string", `${part[index][0]} was accepted`);
      assert.ok(errors.includes(got), `${part[index][0]}: ${got}, expected ${errors}`);
    });
  }
  return forged.length;
}

/** One bit of every byte turned, another one in each byte; `put` makes a proof of the bytes. */
function flips(bytes, put) {
  return Array.from({ length: size(bytes) }, (_, at) => [`byte ${at}`, put(flip(bytes, at, (at * 5) % 8))]);
}

/** Every proper prefix, and a byte too many, after it and before it. */
function cuts(bytes, put) {
  const lengths = Array.from({ length: size(bytes) }, (_, length) => length);
  const prefixes = lengths.map((length) => [`${length} bytes`, put(length ? slice(bytes, 0, length) : "0x")]);
  const longer = [concat([bytes, "0x00"]), concat(["0x00", bytes])].map((changed) => ["a byte more", put(changed)]);
  return [...prefixes, ...longer];
}

const CERTIFICATE_ERRORS = ["NotCertified", "CertifiedOther", "BadSignaturePoint", "BadEncoding", "PrecompileFailed"];
/** The errors that blame a part, in the vectors' words. */
const BLAME = {
  receipt: ["BadReceipt"],
  signature: ["BadSignature"],
  node: ["OtherNode"],
  batch: ["NotInBatch", "BadPath"],
  block: ["NotInBlock", "BadPath"],
  header: ["Unlinked", "BadEncoding"],
  headers: ["BadHeaderCount"],
  certificate: CERTIFICATE_ERRORS,
};

test("it is deployed with what it can prove of its network", async () => {
  const [id, , , point] = lightClientArguments(VECTORS.network);
  assert.equal(await frozen.read("networkId"), id);
  assert.equal(id, ACCEPTED[0].network);
  assert.deepEqual(await frozen.read("publicKey"), point);
  assert.equal(await own.read("domainSeparator"), domainSeparator({ domain: network.domain }));
});

test("the creation code for a network file deploys it", async () => {
  const hash = await chain.client.sendTransaction({ account: alice, data: creationCode(VECTORS.network) });
  const { contractAddress } = await chain.client.waitForTransactionReceipt({ hash });
  assert.equal(await frozen.at(contractAddress).read("networkId"), ACCEPTED[0].network);
});

test("the frozen proofs verify", async () => {
  for (const { name, proof } of VECTORS.accept) {
    const [message, settled] = await verdict(frozen, proof);
    assert.equal(settled.height, 7n, name);
    assert.equal(settled.rung, 1);
    assert.equal(message.node.toLowerCase(), proof.batch.node);
    assert.equal(encodeSigned(message, slice(proof.receipt, 414)), proof.receipt);
    assert.equal(settled.timestampMs, 1_770_000_001_007n);
    assert.equal(settled.digest, sha256(proof.headers[0]));
  }
});

test("every frozen forgery is refused, for the part that was forged", async () => {
  assert.ok(VECTORS.reject.length >= 12);
  for (const { name, proof, reason } of VECTORS.reject) await refuses(frozen, [[name, proof]], ...BLAME[reason]);
});

test("another network's proof is not judged", async () => {
  const [proof] = ACCEPTED;
  const other = await chain.deploy(bob, LIGHT_CLIENT, lightClientArguments(VECTORS.other_network));
  const [ours] = lightClientArguments(VECTORS.other_network);
  await other.refuses(bob, ["OtherNetwork", proof.network, ours], "verify", proof);
  // A proof that only says it is of this network is refuted.
  await refuses(other, [["renamed", { ...proof, network: ours }]], "NotInBatch");
});

test("a receipt of a network with another chain id than this chain's verifies", async () => {
  const messages = [receipt(nodeA), receipt(nodeA, { sequence: 1n, previous: toHex(1, { size: 32 }), rung: 4 })];
  const proof = await prove(network, nodeA, messages, { index: 1, count: 3 });
  const [message, settled] = await verdict(own, proof);
  assert.equal(settled.id, receiptId(messages[1], network.domain));
  assert.equal(settled.height, 7n);
  assert.equal(settled.timestampMs, 1_700_000_000_000n);
  assert.equal(message.output, messages[1].output);
  assert.equal(settled.rung, 1, "a promised rung is not an established one");
});

test("signatures of many keys over many rounds verify, whichever y they have", async () => {
  const flags = new Set();
  for (const secret of [1n, 2n, 0xabcdefn, G1.CURVE.n - 1n]) {
    const of = networkOf(secret);
    const client = await chain.deploy(bob, LIGHT_CLIENT, lightClientArguments(of));
    flags.add(`key ${hexToBytes(of.public_key)[0] & 0x20}`);
    const proof = await prove(of, nodeA);
    for (const view of [0n, 127n, 128n, 1n << 40n, (1n << 64n) - 1n]) {
      const certificate = of.certify(proof.headers[0], concat(["0x00", varint(view), varint(view / 2n)]));
      flags.add(`signature ${hexToBytes(certificate).at(-48) & 0x20}`);
      assert.notEqual(typeof (await verdict(client, { ...proof, certificate })), "string", `${secret}, view ${view}`);
    }
  }
  assert.equal(flags.size, 4, "both signs of both kinds of points");
});

test("one to sixteen headers are followed, and not one more", async () => {
  for (const count of [1, 2, 16]) {
    assert.notEqual(typeof (await verdict(own, await prove(network, nodeA, undefined, { count }))), "string");
  }
  const long = await prove(network, nodeA, undefined, { count: 17 });
  await own.refuses(bob, ["BadHeaderCount", 17n], "verify", long);
  await own.refuses(bob, ["BadHeaderCount", 0n], "verify", { ...long, headers: [] });
});

test("headers that do not follow each other are refused", async () => {
  const proof = await prove(network, nodeA, undefined, { count: 4 });
  const [a, b, c, d] = proof.headers;
  const forged = [[a, c, d], [b, a, c, d], [a, b, b, c, d], [d], [d, a, d], [a, d]];
  await refuses(own, forged.map((headers, at) => [at, { ...proof, headers }]), "Unlinked", "NotInBlock", "NotInBatch");
  await refuses(own, [["the last left out", { ...proof, headers: [a, b, c] }]], "CertifiedOther");
});

test("one bit anywhere in a certificate is noticed", async () => {
  const [proof] = ACCEPTED;
  const count = await refuses(
    frozen,
    flips(proof.certificate, (certificate) => ({ ...proof, certificate })),
    ...CERTIFICATE_ERRORS,
  );
  assert.equal(count, 83);
});

test("one bit anywhere in a header is noticed, in the first, in the middle, in the last", async () => {
  const proof = ACCEPTED[2];
  for (const at of proof.headers.keys()) {
    const put = (header) => ({ ...proof, headers: proof.headers.with(at, header) });
    await refuses(frozen, flips(proof.headers[at], put), "BadEncoding", "Unlinked", "CertifiedOther", "NotInBlock");
  }
});

test("one bit anywhere in a receipt is noticed", async () => {
  const [proof] = ACCEPTED;
  const put = (bytes) => ({ ...proof, receipt: bytes });
  await refuses(frozen, flips(proof.receipt, put), "BadReceipt", "NotInBatch", "BadSignature", "OtherNode");
});

test("one bit anywhere in a path is noticed", async () => {
  const [proof] = ACCEPTED;
  const moved = (path) => [
    ...path.siblings.map((hash, at) => ({ ...path, siblings: path.siblings.with(at, flip(hash, at)) })),
    ...[path.index + 1, path.size, 2 ** 32 - 1].map((index) => ({ ...path, index })),
    ...[0, 1, path.size - 1, path.size + 1, 2 ** 32 - 1].map((count) => ({ ...path, size: count })),
    ...[path.siblings.slice(1), [...path.siblings, zeroHash], []].map((siblings) => ({ ...path, siblings })),
    { ...path, siblings: Array(33).fill(zeroHash), size: 2 ** 32 - 1 },
  ];
  const batches = moved(proof.batch.path).map((path) => ["batch", { ...proof, batch: { ...proof.batch, path } }]);
  await refuses(frozen, batches, "NotInBatch", "BadPath");
  await refuses(frozen, moved(proof.block).map((block) => ["block", { ...proof, block }]), "NotInBlock", "BadPath");
  const root = flip(proof.batch.root, 31);
  await refuses(frozen, [["root", { ...proof, batch: { ...proof.batch, root } }]], "NotInBatch");
  await refuses(frozen, [["node", { ...proof, batch: { ...proof.batch, node: nodeB.address } }]], "OtherNode");
});

test("encodings that are cut short or too long are refused", async () => {
  const [proof] = ACCEPTED;
  await refuses(frozen, cuts(proof.certificate, (certificate) => ({ ...proof, certificate })), "BadEncoding");
  const headers = cuts(proof.headers[0], (header) => ({ ...proof, headers: [header] }));
  // A header with a zero before it is an encoding again, of another header.
  const shifted = headers.pop();
  await refuses(frozen, headers, "BadEncoding");
  await refuses(frozen, [shifted], "BadEncoding", "NotInBlock", "CertifiedOther");
  await refuses(frozen, cuts(proof.receipt, (bytes) => ({ ...proof, receipt: bytes })), "BadReceipt");
});

test("a certified header has one encoding", async () => {
  const proof = await prove(network, nodeA);
  const settled = slice(proof.headers[0], -32 - 32 - 10, -32 - 10);
  const withHeader = (header) => ({ ...proof, headers: [header], certificate: network.certify(header) });
  const base = encodeHeader({ settled });
  assert.equal(base, proof.headers[0]);
  const forged = [
    ["a padded height", { height: "0x8700" }],
    ["a height of 65 bits", { height: "0x80808080808080808002" }],
    ["a height of eleven bytes", { height: "0x8080808080808080808001" }],
    ["a padded epoch", { epoch: "0x8000" }],
    ["a padded view", { view: "0x888000" }],
    ["an empty range", { start: 90, end: 90 }],
    ["a range backwards", { start: 91, end: 90 }],
    ["a range past the last location", { end: (1n << 62n) + 1n }],
  ].map(([what, changes]) => [what, withHeader(encodeHeader({ settled, ...changes }))]);
  forged.push(["a byte after it", withHeader(concat([base, "0x00"]))]);
  await refuses(own, forged, "BadEncoding");
  const large = { settled, height: (1n << 64n) - 1n, end: 1n << 62n, epoch: 300, view: 1n << 63n };
  const [, settledAt] = await verdict(own, withHeader(encodeHeader(large)));
  assert.equal(settledAt.height, (1n << 64n) - 1n);
});

test("a certificate has one encoding", async () => {
  const proof = await prove(network, nodeA);
  const rounds = ["0x80000807", "0x00880007", "0x00088700", "0x0080808080808080808002", "0x000808"];
  const forged = rounds.map((round) => [round, { ...proof, certificate: network.certify(proof.headers[0], round) }]);
  await refuses(own, forged.slice(0, 4), "BadEncoding");
  // The fifth is another round, truly certified.
  assert.notEqual(typeof (await verdict(own, forged[4][1])), "string");
});

test("a vote of another kind, or of another namespace, certifies nothing", async () => {
  const proof = await prove(network, nodeA);
  const proposal = slice(proof.certificate, 0, -48);
  const sign = (message) =>
    bytesToHex(
      G1.hashToCurve(hexToBytes(message), { DST: "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_" })
        .multiply(7n)
        .toRawBytes(true),
    );
  const prefixes = ["\x0f_ASSAY_NOTARIZE", "\x0e_ASSAY_NULLIFY", "_ASSAY_FINALIZE", "\x0f_OTHER_FINALIZE"];
  const forged = prefixes.map((prefix) => [prefix, concat([proposal, sign(concat([toHex(prefix), proposal]))])]);
  const genuine = concat([proposal, sign(concat([toHex("\x0f_ASSAY_FINALIZE"), proposal]))]);
  assert.equal(genuine, proof.certificate);
  await refuses(own, forged.map(([prefix, certificate]) => [prefix, { ...proof, certificate }]), "NotCertified");
});

/** A point of the curve y^2 = x^3 + 4 outside the subgroup, compressed. */
function outsideG1() {
  for (let x = 1n; ; x++) {
    try {
      Fp.sqrt(Fp.add(Fp.pow(x, 3n), 4n));
    } catch {
      continue;
    }
    return toHex(x | (1n << 383n), { size: 48 });
  }
}

/** An x that no point of the curve has, compressed. */
function offCurve() {
  for (let x = 1n; ; x++) {
    try {
      Fp.sqrt(Fp.add(Fp.pow(x, 3n), 4n));
    } catch {
      return toHex(x | (1n << 383n), { size: 48 });
    }
  }
}

test("what is no signature's point is refused", async () => {
  const proof = await prove(network, nodeA);
  const put = (point) => ({ ...proof, certificate: withEnd(proof.certificate, point) });
  const x = hexToBigInt(slice(proof.certificate, -48)) & ((1n << 381n) - 1n);
  const signed = slice(proof.certificate, -48);
  const compressed = (value, flags) => toHex(value | (flags << 381n), { size: 48 });
  await refuses(
    own,
    [
      ["off the curve", put(offCurve())],
      ["infinity", put(compressed(0n, 6n))],
      ["infinity with a sign", put(compressed(0n, 7n))],
      ["infinity that names an x", put(compressed(x, 6n))],
      ["uncompressed", put(compressed(x, 0n))],
      ["all zero", put(compressed(0n, 0n))],
      ["all ones", put(`0x${"ff".repeat(48)}`)],
      ["the modulus", put(compressed(Fp.ORDER, 4n))],
      ["the largest x", put(compressed((1n << 381n) - 1n, 4n))],
    ],
    "BadSignaturePoint",
  );
  await refuses(own, [["outside the subgroup", put(outsideG1())]], "PrecompileFailed");
  await refuses(own, [["zero with a y of two", put(compressed(0n, 4n))]], "PrecompileFailed");
  const generator = bytesToHex(G1.ProjectivePoint.BASE.toRawBytes(true));
  await refuses(own, [["negated", put(flip(signed, 0, 5))], ["the generator", put(generator)]], "NotCertified");
});

test("a sum that carries from the lower into the upper half is the sum", async () => {
  const proof = await prove(network, nodeA);
  // The lower 256 bits of x^3 are all ones; x^3 + 4 is a square, and would be none without the carry.
  const x = 0x3fe2a9bbeb46490448bef7179cfb40a52020aeb84dec2f086ee1fb261c94a3b04d9469eb70c55b1c2129450027d94d9n;
  assert.equal(Fp.pow(x, 3n) & ((1n << 256n) - 1n), (1n << 256n) - 1n);
  const certificate = withEnd(proof.certificate, toHex(x | (1n << 383n), { size: 48 }));
  // On the curve, so decompressed, and outside the subgroup.
  await refuses(own, [["a carry", { ...proof, certificate }]], "PrecompileFailed");
});

test("another secret's certificate is refused", async () => {
  const proof = await prove(network, nodeA);
  const certificate = networkOf(8n).certify(proof.headers[0]);
  await refuses(own, [["by others", { ...proof, certificate }]], "NotCertified");
});

test("a receipt's signature has one form, and is its node's", async () => {
  const proof = await prove(network, nodeA);
  const id = receiptId(receipt(nodeA), network.domain);
  const signature = slice(proof.receipt, 414);
  const [r, s, v] = [slice(signature, 0, 32), hexToBigInt(slice(signature, 32, 64)), hexToBytes(signature)[64]];
  const put = (...parts) => ({ ...proof, receipt: withEnd(proof.receipt, concat(parts)) });
  const word = (value) => toHex(value, { size: 32 });
  const forged = [
    ["high s", put(r, word(ORDER - s), toHex(55 - v))],
    ["the other v", put(r, word(s), toHex(55 - v))],
    ["v from zero", put(r, word(s), toHex(v - 27, { size: 1 }))],
    ["no r", put(zeroHash, word(s), toHex(v))],
    ["no s", put(r, zeroHash, toHex(v))],
    ["another node's", put(await signReceipt(nodeB, receipt(nodeA), network.domain))],
    ["for another network", put(await signReceipt(nodeA, receipt(nodeA)))],
    ["over the id alone", put(await nodeA.sign({ hash: receiptId(receipt(nodeA, { price: 1n }), network.domain) }))],
  ];
  await refuses(own, forged, "BadSignature");
  const [, settled] = await verdict(own, put(r, word(s), toHex(v)));
  assert.equal(settled.id, id);
});

test("a settled receipt that contradicts itself is refused", async () => {
  const request = 1_700_000_000_000_000_000n;
  const changes = [
    ...["request", "revision", "engine", "input", "output"].map((field) => ({ [field]: zeroHash })),
    { firstOutputNs: request - 1n },
    { endNs: request },
    { deadlineNs: request },
    { uncertaintyNs: 10_000_000_001n },
    { rung: 0 },
    { rung: 5 },
    { sequence: 1n },
    { previous: toHex(1, { size: 32 }) },
    { sequence: (1n << 64n) - 1n, previous: toHex(1, { size: 32 }) },
  ];
  for (const change of changes) {
    const proof = await prove(network, nodeA, [receipt(nodeA, change)]);
    await refuses(own, [[JSON.stringify(change, (_, value) => String(value)), proof]], "BadReceipt");
  }
  const proof = await prove(network, nodeA);
  await refuses(own, [["another version", { ...proof, receipt: flip(proof.receipt, 0, 1) }]], "BadReceipt");
});

test("a signature of nobody is not one of the zero account", async () => {
  const nobody = { address: zeroAddress, signTypedData: (message) => nodeA.signTypedData(message) };
  const proof = await prove(network, nobody);
  const unsigned = { ...proof, receipt: withEnd(proof.receipt, "0x00") };
  await refuses(own, [["signed", proof], ["signed by nobody", unsigned]], "BadReceipt");
});

test("gas that does not suffice refutes nothing", async () => {
  const [proof] = ACCEPTED;
  const { client } = chain;
  const names = new Set();
  for (let gas = 60_000n; gas < 260_000n; gas += 40_000n) {
    const call = { abi: frozen.abi, address: frozen.address, functionName: "verify", args: [proof], gas };
    await client.readContract(call).then(
      () => names.add("accepted"),
      (error) => names.add(error.walk((e) => e.name === "ContractFunctionRevertedError")?.data?.errorName ?? "none"),
    );
  }
  for (const name of names) assert.ok(["accepted", "PrecompileFailed", "none"].includes(name), name);
  assert.ok(names.has("accepted"));
});

/** Holds a deployment with these arguments to fail with `error`. */
async function refusesDeployment(error, args, on = chain) {
  const { abi, bytecode } = LIGHT_CLIENT;
  const data = encodeDeployData({ abi, bytecode, args });
  const failure = await on.client.call({ account: alice, data }).then(
    () => assert.fail(`deployed, expected ${error}`),
    (thrown) => thrown.walk((e) => typeof e.data === "string" || typeof e.data?.data === "string"),
  );
  const raw = typeof failure.data === "string" ? failure.data : failure.data.data;
  assert.equal(decodeErrorResult({ abi, data: raw }).errorName, error);
}

test("a network id that does not follow from key, chain and genesis is refused", async () => {
  const [id, chainId, genesis, point] = lightClientArguments(VECTORS.network);
  const other = lightClientArguments(VECTORS.other_network);
  const negated = { ...point, ...minus(point) };
  for (const args of [
    [flip(id, 0), chainId, genesis, point],
    [id, chainId + 1n, genesis, point],
    [id, chainId, flip(genesis, 31), point],
    [id, chainId, genesis, other[3]],
    [id, chainId, genesis, negated],
    [other[0], chainId, genesis, point],
  ]) {
    await refusesDeployment("WrongNetworkId", args);
  }
});

const whole = ({ high, low }) => (high << 256n) | low;
const parts = (value) => ({ high: value >> 256n, low: value & ((1n << 256n) - 1n) });

/** The y coordinates of the negated point. */
function minus({ yC0, yC1 }) {
  return { yC0: parts(Fp.neg(whole(yC0))), yC1: parts(Fp.neg(whole(yC1))) };
}

/** A point of G2's curve outside the subgroup. */
function outsideG2() {
  for (let c0 = 1n; ; c0++) {
    const x = { c0, c1: 0n };
    try {
      const y = Fp2.sqrt(Fp2.add(Fp2.pow(x, 3n), { c0: 4n, c1: 4n }));
      return pointOf({ x, y });
    } catch {
      continue;
    }
  }
}

test("what is no public key is refused at deployment", async () => {
  const [id, chainId, genesis, point] = lightClientArguments(VECTORS.network);
  const zero = parts(0n);
  const raised = (coordinate) => parts(whole(coordinate) + Fp.ORDER);
  for (const key of [
    { xC0: zero, xC1: zero, yC0: zero, yC1: zero },
    outsideG2(),
    { ...point, xC0: parts(whole(point.xC0) + 1n) },
    { ...point, xC0: raised(point.xC0) },
    { ...point, yC1: raised(point.yC1) },
    { ...point, xC0: { ...point.xC0, high: point.xC0.high | (1n << 255n) } },
    { xC0: point.xC1, xC1: point.xC0, yC0: point.yC1, yC1: point.yC0 },
  ]) {
    await refusesDeployment("BadPublicKey", [id, chainId, genesis, key]);
  }
});

test("a chain without the precompiles gets no light client", async () => {
  const older = await startChain("cancun");
  try {
    await refusesDeployment("PrecompileFailed", lightClientArguments(VECTORS.network), older);
  } finally {
    await older.stop();
  }
});

// Proofs of settled receipts, made here without the contracts and without the validators' code: the BLS signatures are
// those of @noble/curves, the encodings are written down a second time.

import { bls12_381 } from "@noble/curves/bls12-381";
import { bytesToHex, concat, encodePacked, hexToBytes, keccak256, sha256, size, slice, toHex, zeroHash } from "viem";
import { artifact } from "./chain.mjs";
import { batchRoot, encodeSigned, pathOf, receipt, receiptId, rootOf, signReceipt, treePath } from "./receipts.mjs";

const { G1, G2 } = bls12_381;
const DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
const digest = (text) => keccak256(toHex(text));

/** The id of a network, from what its file says. */
export function networkId({ chain_id, genesis, public_key }) {
  return keccak256(concat([toHex("assay network 1"), toHex(chain_id, { size: 8 }), genesis, public_key]));
}

const fp = (value) => ({ high: value >> 256n, low: value & ((1n << 256n) - 1n) });

/** A point of G2 in the coordinates of EIP-2537, as LightClient takes it. */
export function pointOf({ x, y }) {
  return { xC0: fp(x.c0), xC1: fp(x.c1), yC0: fp(y.c0), yC1: fp(y.c1) };
}

/** What LightClient is deployed with for a network, from what its file says. */
export function lightClientArguments(network) {
  const point = G2.ProjectivePoint.fromHex(network.public_key.slice(2)).toAffine();
  return [networkId(network), BigInt(network.chain_id), network.genesis, pointOf(point)];
}

/** Minimal LEB128. */
export function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytesToHex(Uint8Array.from(bytes));
}

/** A header; integers may be given as encoded bytes, so that other encodings than the canonical one can be made. */
export function encodeHeader(changes = {}) {
  const header = {
    epoch: 0,
    view: 8,
    parentView: 7,
    parent: digest("parent"),
    height: 7,
    timestampMs: 1_700_000_000_000n,
    settled: zeroHash,
    start: 3,
    end: 90,
    ...changes,
  };
  const number = (value) => (typeof value === "string" ? value : varint(value));
  return concat([
    ...[header.epoch, header.view].map(number),
    digest("leader"),
    number(header.parentView),
    ...[header.parent, header.parent],
    number(header.height),
    toHex(header.timestampMs, { size: 8 }),
    ...[digest("body"), digest("outcomes"), header.settled, digest("state")],
    ...[header.start, header.end].map(number),
    toHex(123_456n, { size: 8 }),
  ]);
}

/** A network whose validators' secret this is, as its file would have it, with `certify`. */
export function networkOf(secret, chain_id = 5_550) {
  const genesis = digest("a genesis");
  const public_key = bytesToHex(G2.ProjectivePoint.BASE.multiply(secret).toRawBytes(true));
  const network = { chain_id, genesis, public_key };
  const verifyingContract = artifact("Settlement").address;
  const domain = { name: "Assay", version: "1", chainId: chain_id, verifyingContract, salt: networkId(network) };
  const sign = (proposal) => {
    const message = concat(["0x0f", toHex("_ASSAY_FINALIZE"), proposal]);
    return bytesToHex(G1.hashToCurve(hexToBytes(message), { DST }).multiply(secret).toRawBytes(true));
  };
  return {
    ...network,
    domain,
    id: domain.salt,
    /** The certificate over an encoded header, in a round that may be given in other encodings. */
    certify: (header, round = "0x000807") => {
      const proposal = concat([round, sha256(header)]);
      return concat([proposal, sign(proposal)]);
    },
  };
}

/** Encoded headers on top of one with these changes, each the parent of the next. */
export function chainOf(changes, count) {
  const headers = [encodeHeader(changes)];
  while (headers.length < count) {
    const height = 7 + headers.length;
    headers.push(encodeHeader({ parent: sha256(headers.at(-1)), height, view: height + 1, parentView: height }));
  }
  return headers;
}

/** Settles `messages` as the second batch of three, certified `count - 1` blocks later; proves number `index`. */
export async function prove(network, node, messages = [receipt(node)], { index = 0, count = 1, header = {} } = {}) {
  const ids = messages.map((message) => receiptId(message, network.domain));
  const root = batchRoot(node.address, ids);
  const batches = [digest("a batch"), root, digest("another batch")];
  const leaves = batches.map((batch) => keccak256(concat(["0x03", batch])));
  const settled = keccak256(encodePacked(["uint8", "uint32", "bytes32"], [4, leaves.length, rootOf(leaves)]));
  const headers = chainOf({ settled, ...header }, count);
  const signature = await signReceipt(node, messages[index], network.domain);
  return {
    network: network.id,
    receipt: encodeSigned(messages[index], signature),
    batch: { node: node.address, root, path: { index, size: ids.length, siblings: treePath(ids, index) } },
    block: { index: 1, size: leaves.length, siblings: pathOf(leaves, 1) },
    headers,
    certificate: network.certify(headers.at(-1)),
  };
}

/** `bytes` with one bit turned. */
export function flip(bytes, position, bit = 0) {
  const changed = hexToBytes(bytes);
  changed[position] ^= 1 << bit;
  return bytesToHex(changed);
}

/** The last `count` bytes replaced by others. */
export function withEnd(bytes, end) {
  return concat([slice(bytes, 0, size(bytes) - size(end)), end]);
}

export { G1, G2 };

// Receipts and their trees, computed here without the contracts: by viem's own EIP-712, and by RFC 6962's definition.

import { concat, encodePacked, hashTypedData, keccak256, parseAbiParameters, toHex, zeroHash } from "viem";
import { foundry } from "viem/chains";
import { NETWORK_ID, artifact } from "./chain.mjs";

const FIELDS =
  "bytes32 request,uint128 nonce,bytes32 revision,bytes32 engine,bytes32 parameters,uint64 seed,bytes32 input," +
  "bytes32 output,bytes32 stream,uint64 inputUnits,uint64 outputUnits,uint64 computeUs,uint64 price,bytes32 payer," +
  "address node,uint64 requestNs,uint64 firstOutputNs,uint64 endNs,uint64 uncertaintyNs,uint8 rung," +
  "uint64 deadlineNs,uint64 sequence,bytes32 previous";

export const RECEIPT_TYPES = { Receipt: parseAbiParameters(FIELDS).map(({ name, type }) => ({ name, type })) };

export const DOMAIN = {
  name: "Assay",
  version: "1",
  chainId: foundry.id,
  verifyingContract: artifact("Settlement").address,
  salt: NETWORK_ID,
};

const digest = (text) => keccak256(toHex(text));
export const REVISION = digest("a revision");

/** A well-formed receipt of `node`, with fields replaced by `changes`. */
export function receipt(node, changes = {}) {
  return {
    request: digest("request"),
    nonce: 7n,
    revision: REVISION,
    engine: digest("engine"),
    parameters: zeroHash,
    seed: 0n,
    input: digest("input"),
    output: digest("output"),
    stream: zeroHash,
    inputUnits: 4n,
    outputUnits: 3n,
    computeUs: 120n,
    price: 250n,
    payer: zeroHash,
    node: node.address,
    requestNs: 1_700_000_000_000_000_000n,
    firstOutputNs: 1_700_000_000_000_900_000n,
    endNs: 1_700_000_000_001_000_000n,
    uncertaintyNs: 50_000n,
    rung: 1,
    deadlineNs: 1_700_000_060_000_000_000n,
    sequence: 0n,
    previous: zeroHash,
    ...changes,
  };
}

/** The receipt id, and the node's signature over it, in `domain`. */
export function receiptId(message, domain = DOMAIN) {
  return hashTypedData({ domain, types: RECEIPT_TYPES, primaryType: "Receipt", message });
}

export function signReceipt(node, message, domain = DOMAIN) {
  return node.signTypedData({ domain, types: RECEIPT_TYPES, primaryType: "Receipt", message });
}

/** The canonical binary form: version, every field in order, signature. */
export function encodeSigned(message, signature) {
  const types = RECEIPT_TYPES.Receipt.map(({ type }) => type);
  const values = RECEIPT_TYPES.Receipt.map(({ name }) => message[name]);
  return concat(["0x01", encodePacked(types, values), signature]);
}

const receiptLeaf = (id) => keccak256(concat(["0x00", id]));
const innerHash = (left, right) => keccak256(concat(["0x01", left, right]));

/** The largest power of two below `n` (RFC 6962, section 2.1). */
function split(n) {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The root over leaf hashes, by the recursive definition of RFC 6962. */
export function rootOf(leaves) {
  if (leaves.length === 1) return leaves[0];
  const k = split(leaves.length);
  return innerHash(rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k)));
}

/** The path from leaf `index` to the root, nearest sibling first (RFC 6962, section 2.1.1). */
export function pathOf(leaves, index) {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  if (index < k) return [...pathOf(leaves.slice(0, k), index), rootOf(leaves.slice(k))];
  return [...pathOf(leaves.slice(k), index - k), rootOf(leaves.slice(0, k))];
}

/** The path of receipt number `index` of a batch with these ids. */
export function treePath(ids, index) {
  return pathOf(ids.map(receiptLeaf), index);
}

export function batchRoot(node, ids) {
  return keccak256(concat(["0x02", node, toHex(ids.length, { size: 4 }), rootOf(ids.map(receiptLeaf))]));
}

/** Commits to { name: value }, both texts: the commitment, and for each name what `disclose` takes. */
export function commit(fields) {
  const names = Object.keys(fields);
  const salt = (name) => digest(`salt of ${name}`);
  const leaves = names.map((name) => {
    const length = toHex(toHex(name).length / 2 - 1, { size: 1 });
    return keccak256(concat(["0x10", length, toHex(name), salt(name), keccak256(toHex(fields[name]))]));
  });
  const size = leaves.length;
  const open = (name, index) => ({ name, salt: salt(name), index, size, path: pathOf(leaves, index) });
  return {
    commitment: keccak256(concat(["0x11", toHex(size, { size: 4 }), rootOf(leaves)])),
    disclosures: Object.fromEntries(names.map((name, index) => [name, open(name, index)])),
  };
}

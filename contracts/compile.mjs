// Compiles src/ to artifacts/NAME.json with the pinned compiler; with --check, fails where they differ.
//
// An artefact has: address (the genesis address, where it has one), abi, deployedBytecode, storageLayout, and
// bytecode (creation code) for what is deployed by transaction.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const ROOT = dirname(fileURLToPath(import.meta.url));
const SOURCES = join(ROOT, "src");
const RPC_CLIENTS = join(ROOT, "..", "clients", "rpc");

/** The chain's rules are those of Prague. No metadata: the same source gives the same bytes on every machine. */
const SETTINGS = {
  evmVersion: "prague",
  viaIR: true,
  optimizer: { enabled: true, runs: 1000 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

/** What genesis places, by its name in Genesis.sol. */
const GENESIS = {
  Credit: "CREDIT",
  ModelRegistry: "MODEL_REGISTRY",
  NodeRegistry: "NODE_REGISTRY",
  Settlement: "SETTLEMENT",
  Proofs: "PROOFS",
  Hubs: "HUBS",
  Checks: "CHECKS",
  Disputes: "DISPUTES",
};

/** What is deployed by transaction. */
const DEPLOYED = ["ExampleConsumer", "ForeignConsumer", "LightClient"];

/** Interfaces whose ABI other programs need. */
const INTERFACES = { IReceiptVerifier: "RECEIPT_VERIFIER", IProofVerifier: "PROOF_VERIFIER" };

/** Compiles sources ({ path: text }); imports resolve among them. Returns solc's `contracts`; throws on a warning. */
export function compile(sources) {
  const outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.methodIdentifiers", "storageLayout"];
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).map(([path, content]) => [path, { content }])),
    settings: { ...SETTINGS, outputSelection: { "*": { "*": outputs } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const complaints = (output.errors ?? []).filter((error) => error.severity !== "info");
  if (complaints.length > 0) {
    throw new Error(complaints.map((error) => error.formattedMessage).join("\n"));
  }
  return output.contracts;
}

/** Every source under contracts/src, by its path from there. */
export function readSources() {
  const names = readdirSync(SOURCES, { recursive: true }).filter((name) => name.endsWith(".sol"));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(SOURCES, name), "utf8")]));
}

/** `address constant NAME = 0x...;` of Genesis.sol. */
function genesisAddress(name) {
  const text = readFileSync(join(SOURCES, "Genesis.sol"), "utf8");
  const found = text.match(new RegExp(`address constant ${name} = (0x[0-9a-fA-F]{40});`));
  if (!found) throw new Error(`Genesis.sol has no address ${name}`);
  return found[1].toLowerCase();
}

/** solc's layout without its node numbers, which change with unrelated edits. */
function storageLayout(layout) {
  const label = (type) => layout.types[type].label;
  const entry = ({ label: name, slot, offset, type }) => ({ label: name, slot: Number(slot), offset, type: label(type) });
  const structs = Object.values(layout.types ?? {}).filter((type) => type.members);
  return {
    storage: layout.storage.map(entry),
    structs: Object.fromEntries(structs.map((type) => [type.label, type.members.map(entry)])),
  };
}

function artifact(contract, extra) {
  return {
    ...extra,
    abi: contract.abi,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    storageLayout: storageLayout(contract.storageLayout),
  };
}

/** Every committed file with the text that it should have. */
function build() {
  const contracts = compile(readSources());
  const files = {};
  const put = (path, value) => {
    files[path] = `${JSON.stringify(value, null, 2)}\n`;
  };
  for (const [name, constant] of Object.entries(GENESIS)) {
    const value = artifact(contracts[`${name}.sol`][name], { contract: name, address: genesisAddress(constant) });
    put(join(ROOT, "artifacts", `${name}.json`), value);
  }
  for (const [name, constant] of Object.entries(INTERFACES)) {
    const { abi } = contracts[`interfaces/${name}.sol`][name];
    put(join(ROOT, "artifacts", `${name}.json`), { contract: name, address: genesisAddress(constant), abi });
  }
  for (const name of DEPLOYED) {
    const contract = contracts[`${name}.sol`][name];
    const bytecode = `0x${contract.evm.bytecode.object}`;
    put(join(ROOT, "artifacts", `${name}.json`), artifact(contract, { contract: name, bytecode }));
  }

  const source = readFileSync(join(RPC_CLIENTS, "Counter.sol"), "utf8");
  const counter = compile({ "Counter.sol": source })["Counter.sol"].Counter;
  const creation = `0x${counter.evm.bytecode.object}`;
  put(join(RPC_CLIENTS, "Counter.json"), { contract: "Counter", bytecode: creation, abi: counter.abi });
  return files;
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Committed artefacts that no contract accounts for. */
function strays(files) {
  const folder = join(ROOT, "artifacts");
  return readdirSync(folder).map((name) => join(folder, name)).filter((path) => !(path in files));
}

function main(check) {
  mkdirSync(join(ROOT, "artifacts"), { recursive: true });
  const files = build();
  const stale = Object.entries(files).filter(([path, text]) => read(path) !== text).map(([path]) => path);
  if (check) {
    const wrong = [...stale, ...strays(files)];
    for (const path of wrong) console.error(`differs from its source: ${path.slice(dirname(ROOT).length + 1)}`);
    if (wrong.length > 0) console.error("hint: run `node compile.mjs` in contracts/ and commit the result");
    else console.log(`${Object.keys(files).length} artefacts equal their recompilation (solc ${solc.version()})`);
    return wrong.length === 0 ? 0 : 1;
  }
  for (const path of stale) writeFileSync(path, files[path]);
  for (const path of strays(files)) rmSync(path);
  console.log(`${stale.length} of ${Object.keys(files).length} artefacts written (solc ${solc.version()})`);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.includes("--check"));
}

// What checks and disputes cost, as anvil counts gas: prints JSON, for each call the most that it took in all and how often it
// was sent, and the sums of a check, of a dispute, and of the share of a check that falls to each receipt.

import { fileURLToPath } from "node:url";
import { keccak256, padHex, toHex } from "viem";
import { MIN_BOND, alice, bob, mappingSlot, nodeA, registerNode, startChain } from "./harness/chain.mjs";
import {
  FINDING,
  REVISION,
  agree,
  answer,
  bisect,
  check,
  contest,
  departing,
  differs,
  found,
  headsOf,
  judge,
  opening,
  serve,
  stepsOf,
  vote,
  withheld,
  mine,
} from "./harness/checks.mjs";

/** The rates of Checks: of a node with a record, of a new one, of one that lost. */
const RATES_BPS = { known: 200, new: 2_000, lost: 5_000 };
const STEPS = 500;
const OPENED_BYTES = 10_000;

/** Notes the gas of what is sent to a contract while `run` runs: { name: { gas, times } }, and the sum. */
async function metered(contracts, run) {
  const calls = {};
  let sum = 0;
  const originals = contracts.map((contract) => contract.send);
  for (const [n, contract] of contracts.entries()) {
    contract.send = async (account, name, ...args) => {
      const mined = await originals[n].call(contract, account, name, ...args);
      const gas = Number(mined.gasUsed);
      const known = calls[name] ?? { gas: 0, times: 0 };
      calls[name] = { gas: Math.max(known.gas, gas), times: known.times + 1 };
      sum += gas;
      return mined;
    };
  }
  try {
    await run();
  } finally {
    for (const [n, contract] of contracts.entries()) contract.send = originals[n];
  }
  return { ...calls, sum };
}

const slotOf = (base, offset = 0n) => toHex(BigInt(base) + offset, { size: 32 });

/** Puts nodes on the revision's list until it has `count`, each of another operator, by writing the storage. */
async function crowd(chain, count) {
  const { client, nodes, checks } = chain;
  const list = mappingSlot(REVISION, 0n);
  const present = await checks.read("serverCount", REVISION);
  const write = (address, index, value) => client.setStorageAt({ address, index, value });
  const active = toHex((1n << 128n) | (MIN_BOND * 2n), { size: 32 });
  for (let n = present; n < count; n++) {
    const node = padHex(toHex(0x10_0000n + n), { size: 20 });
    const record = mappingSlot(node, 0n);
    await write(nodes.address, record, active);
    await write(nodes.address, slotOf(record, 1n), padHex(toHex(0x20_0000n + n), { size: 32 }));
    await write(checks.address, slotOf(keccak256(list), n), padHex(node, { size: 32 }));
  }
  await write(checks.address, list, toHex(count, { size: 32 }));
}

/** A lying node of STEPS steps, false from the middle on, and a dispute until it has lost. */
async function dispute(chain) {
  const right = stepsOf(STEPS);
  const false_ = departing(right, 317);
  const play = { nodeSteps: false_, nodeHeads: headsOf(REQUEST, false_), steps: right, heads: headsOf(REQUEST, right) };
  const settled = await answer(chain, false_);
  const members = await contest(chain, bob, settled, differs(317, play.heads));
  return metered([chain.disputes], async () => {
    await bisect(chain, settled.id, members[0], play);
    await judge(chain, settled.id, Array(3).fill(found(FINDING.challenger)));
  });
}

const REQUEST = keccak256(toHex("request"));

/** A whole check that three members agree in. */
async function agreement(chain) {
  const settled = await answer(chain, stepsOf(STEPS));
  return metered([chain.checks], async () => {
    const members = await check(chain, bob, settled);
    await vote(chain, settled.id, members, [agree(), agree(), agree()]);
    await chain.checks.send(bob, "conclude", settled.message);
    for (const { operator } of members) await chain.checks.send(operator, "collect");
  });
}

/** Laying open a prompt of OPENED_BYTES. */
async function layOpen(chain) {
  const [input, output] = [{ prompt: "a".repeat(OPENED_BYTES) }, { text: "an answer" }].map(opening);
  const settled = await answer(chain, stepsOf(5), { input: input.commitment, output: output.commitment });
  const members = await check(chain, bob, settled);
  await vote(chain, settled.id, members, [withheld(), withheld(), withheld()]);
  await chain.checks.send(bob, "conclude", settled.message);
  const whole = { input: input.fields, parameters: [], output: output.fields };
  return metered([chain.checks], () => chain.checks.send(alice, "open", settled.message, whole));
}

/** Drawing from the longest list that there can be. */
async function longestList(chain) {
  await crowd(chain, 512n);
  const settled = await answer(chain, stepsOf(5));
  await chain.credit.send(bob, "approve", chain.checks.address, 3_000_000n);
  await chain.checks.send(bob, "request", settled.place);
  await mine(chain, 2);
  return metered([chain.checks], () => chain.checks.send(bob, "begin", settled.place));
}

/** All figures, on a chain of their own. */
export async function measureChecks(chain) {
  await chain.mockVerifier();
  await registerNode(chain, alice, nodeA);
  await serve(chain, 7);
  const figures = {};
  const parts = { check: agreement, [`dispute over ${STEPS} steps`]: dispute, [`opening ${OPENED_BYTES} bytes`]: layOpen };
  for (const [name, part] of Object.entries({ ...parts, "begin with 512 servers": longestList })) {
    await chain.snapshot();
    figures[name] = await part(chain);
    await chain.rewind();
  }
  const perReceipt = (bps) => Math.round((figures.check.sum * bps) / 10_000);
  figures["check, gas a receipt"] = Object.fromEntries(Object.entries(RATES_BPS).map(([who, bps]) => [who, perReceipt(bps)]));
  return figures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const chain = await startChain();
  try {
    console.log(JSON.stringify(await measureChecks(chain), null, 2));
  } finally {
    await chain.stop();
  }
}

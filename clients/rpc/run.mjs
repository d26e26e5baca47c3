// Runs each client against RPC_URL and WS_URL with PRIVATE_KEY (funded); PYTHON has what requirements.lock names.
//
// Prints what each client's checks say, one line for each client, and at the end `N passed, N failed`. Status 0 only if
// every check that was planned has passed.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
/** A client with some twenty checks takes seconds; this ends one that hangs. */
const CLIENT_TIMEOUT_MS = 300_000;

/** Runs one client to its end. A check that was planned and not reported has failed. */
async function runClient({ name, command, args }) {
  const child = spawn(command, args, { cwd: HERE, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), CLIENT_TIMEOUT_MS);
  let planned = 0;
  let passed = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const plan = line.match(/^1\.\.(\d+)$/);
    if (plan) planned = Number(plan[1]);
    else console.log(line);
    if (/^ok \d+ /.test(line)) passed += 1;
  }
  const status = await ended;
  clearTimeout(timer);
  const failed = Math.max(planned - passed, status === 0 && planned > 0 ? 0 : 1);
  console.log(`${name}: ${passed} passed, ${failed} failed`);
  return { passed, failed };
}

async function main() {
  const missing = ["RPC_URL", "WS_URL", "PRIVATE_KEY"].filter((name) => !process.env[name]);
  if (missing.length > 0) {
    console.error(`error: ${missing.join(", ")} not set`);
    return 3;
  }
  const python = process.env.PYTHON ?? "python3";
  const node = process.execPath;
  const clients = [
    { name: "viem", command: node, args: ["viem.mjs"] },
    { name: "ethers", command: node, args: ["ethers.mjs"] },
    { name: "web3.py", command: python, args: ["web3_client.py"] },
    { name: "cast", command: node, args: ["cast.mjs"] },
  ];
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !clients.some((client) => client.name === name));
  if (unknown.length > 0) {
    console.error(`error: no client ${unknown.join(", ")}\nhint: ${clients.map(({ name }) => name).join(", ")}`);
    return 3;
  }
  const total = { passed: 0, failed: 0 };
  for (const client of clients.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const { passed, failed } = await runClient(client);
    total.passed += passed;
    total.failed += failed;
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

process.exitCode = await main();

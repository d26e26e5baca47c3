// Runs the checks of one client one after the other and prints them as TAP.

/** Far above what a block takes, so that only a hanging server meets it. */
const CHECK_TIMEOUT_MS = 30_000;

/** Value of an environment variable that the script cannot do without. */
export function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`error: ${name} is not set`);
    process.exit(3);
  }
  return value;
}

/** Rejects where `promise` takes too long; `what` names it. */
export function within(promise, what, timeoutMs = CHECK_TIMEOUT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${timeoutMs} ms`)), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks again until `probe` returns something other than undefined; the caller's check bounds the time. */
export async function until(probe, intervalMs = 50) {
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/** `checks` is { name: async () => ... }, in order; ends the process with status 0 only if each passed. */
export async function run(client, checks) {
  const entries = Object.entries(checks);
  console.log(`1..${entries.length}`);
  let failed = 0;
  for (const [index, [name, check]] of entries.entries()) {
    try {
      await within(check(), name);
      console.log(`ok ${index + 1} - ${client}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${index + 1} - ${client}: ${name}`);
      console.log(String(error.stack ?? error).replace(/^/gm, "  # "));
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** wrangler asks nothing of the network. */
const OFFLINE = { WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "true" };
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "redrive-deploy-"));
  folders.push(folder);
  return folder;
}

function wrangler(...args: string[]) {
  const child = spawn("npx", ["wrangler", ...args], {
    cwd: ROOT,
    env: { ...process.env, ...OFFLINE },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output };
}

describe("wrangler", () => {
  test("takes the Worker and its objects for a deploy", async () => {
    const outdir = await temporaryFolder();
    const { child, output } = wrangler("deploy", "--dry-run", "--outdir", outdir);
    const [code] = await once(child, "exit");
    expect(output()).toContain("--dry-run: exiting now.");
    expect(code).toBe(0);
    expect(await readdir(outdir)).toContain("index.js");
    for (const binding of ["SHARD", "RUNNER", "CATALOG", "BREAKER", "SANDBOX"])
      expect(output()).toContain(`env.${binding}`);
  });

  test("serves the API in development", async () => {
    const folder = await temporaryFolder();
    const { child, output } = wrangler(
      "dev",
      "--port",
      "0",
      "--persist-to",
      folder,
      "--show-interactive-dev-session=false",
    );
    try {
      const url = await listening(child, output);
      expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({ status: "ok" });
      expect((await fetch(`${url}/v1/tasks`)).status).toBe(503);
    } finally {
      // The whole group: wrangler has workerd as a child of its own.
      if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
      await once(child, "exit");
    }
  });
});

/** Where wrangler dev listens, once it says so; throws with its output where it ends before. */
async function listening(child: ReturnType<typeof wrangler>["child"], output: () => string): Promise<string> {
  const ended = once(child, "exit");
  for (;;) {
    const url = /Ready on (http:\/\/\S+)/.exec(output())?.[1];
    if (url !== undefined) return url;
    if (child.exitCode !== null) throw new Error(`wrangler dev ended: ${output()}`);
    await Promise.race([new Promise((heard) => child.stdout.once("data", heard)), ended]);
  }
}

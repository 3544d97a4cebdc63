import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedriveClient } from "../../src/client/index.ts";
import { fencedBlocks } from "../support/markdown.ts";
import { startServer, type TestServer } from "../support/server/server.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SHOWN_URL = "http://127.0.0.1:8787";
const README = await readFile(join(ROOT, "README.md"), "utf8");
const BLOCKS = fencedBlocks(README);
/** The shell examples in order, each with the answer that the README shows below it; null: it shows none. */
const EXAMPLES = BLOCKS.flatMap((block, i) => {
  if (block.language !== "sh") return [];
  const below = BLOCKS[i + 1];
  return [{ line: block.line, script: block.text, shown: below?.language === "json" ? below.text : null }];
});

let folder: string;
let server: TestServer;
let variables: Record<string, string> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "redrive-readme-"));
  server = await startServer({ dataDir: join(folder, ".redrive") });
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

describe("the README's shell examples", () => {
  test("are there, with their answers", () => {
    expect(EXAMPLES.length).toBeGreaterThanOrEqual(6);
    expect(EXAMPLES.filter(({ shown }) => shown !== null).length).toBeGreaterThanOrEqual(5);
  });

  test.each(EXAMPLES)("line $line answers what it shows", async ({ script, shown }) => {
    const answer = await paste(script);
    if (shown === null) expect(answer).toBe("");
    else expect(JSON.parse(answer)).toEqual(shaped(JSON.parse(shown)));
    await untilNothingMoves();
  });
});

describe("the README's client examples", () => {
  const [submitting, verifying] = BLOCKS.filter(({ language }) => language === "ts").map(({ text }) => text);

  test("submit a task and wait for it", async () => {
    expect(await runTypeScript(submitting ?? "")).toBe("Succeeded at attempt 2 of 5 with 200.\n");
  });

  test("verify a callback that a public library signed", async () => {
    const id = "tsk_1";
    const body = JSON.stringify({
      type: "task.succeeded",
      timestamp: "2026-11-23T10:00:00Z",
      data: {
        task: { id, round: 1, queue: "default", state: "succeeded", attempts: 1, metadata: {}, labels: [] },
        response: null,
        error: null,
        history: [],
      },
    });
    const at = new Date();
    const headers = {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(server.signingSecret).sign(id, at, body),
    };
    const init = JSON.stringify({ method: "POST", headers, body });
    const receive = `console.log((await onCallback(new Request("http://x/", ${init}))).status);`;

    expect(await runTypeScript(`${verifying}\n${receive}`)).toBe("task.succeeded tsk_1 succeeded\n204\n");
    const forged = receive.replace("succeeded", "cancelled");
    await expect(runTypeScript(`${verifying}\n${forged}`)).rejects.toThrow("CallbackVerificationError");
  });
});

describe("the README's npm commands", () => {
  test("are scripts of the package", async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...README.matchAll(/npm (?:run )?(start|test|demo|deploy|dev|bench)\b/g)].map(
      ([, name]) => name,
    );

    expect(new Set(named)).toEqual(new Set(["start", "demo", "deploy", "test"]));
    for (const name of named) expect(scripts).toHaveProperty(name ?? "");
  });
});

/** Runs a block in the folder of the data folder, as a person would; its variables stay for the next one. */
async function paste(block: string): Promise<string> {
  const variablesPath = join(folder, "variables");
  const script = `set -aeu -o pipefail\n${block.replaceAll(SHOWN_URL, server.url)}\nenv > '${variablesPath}'\n`;
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter);
  const child = spawn("bash", ["-s"], { cwd: folder, env: { ...variables, PATH: path } });
  child.stdin.end(script);
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk) => (said.out += chunk));
  child.stderr.on("data", (chunk) => (said.err += chunk));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect({ code, stderr: said.err }).toEqual({ code: 0, stderr: "" });
  variables = Object.fromEntries(
    [...(await readFile(variablesPath, "utf8")).matchAll(/^(REDRIVE_API_KEY|TASK_ID)=(.*)$/gm)].map(
      ([, name, value]) => [name, value],
    ),
  );
  return said.out;
}

/** What an answer must have of a shown one: its fields; texts up to "..." and all else but numbers as they are. */
function shaped(shown: unknown): unknown {
  if (Array.isArray(shown)) return shown.map(shaped);
  if (typeof shown === "number") return expect.any(Number);
  if (typeof shown === "string") {
    return shown.endsWith("...") ? expect.stringMatching(`^${shown.slice(0, 4)}[0-9A-Z]{25}`) : shown;
  }
  if (typeof shown !== "object" || shown === null) return shown;
  return expect.objectContaining(
    Object.fromEntries(Object.entries(shown).map(([name, value]) => [name, shaped(value)])),
  );
}

/** A reader takes longer than the server: the next block meets tasks that are final or held. */
async function untilNothingMoves(): Promise<void> {
  const client = new RedriveClient(server);
  for (let moving = true; moving; ) {
    moving = false;
    for await (const { state, callback } of client.list()) {
      const isUndelivered = callback !== null && !["delivered", "failed"].includes(callback.state);
      if (isUndelivered || ["pending", "running", "retrying"].includes(state)) moving = true;
    }
    if (moving) await delay(50);
  }
}

/** Runs TypeScript inside this package, where `redrive/client` resolves; rejects with what it wrote to stderr. */
async function runTypeScript(code: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module-typescript", "-e", code.replaceAll(SHOWN_URL, server.url)],
    {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        REDRIVE_API_KEY: server.apiKey,
        REDRIVE_SIGNING_SECRET: server.signingSecret,
      },
    },
  );
  return stdout;
}

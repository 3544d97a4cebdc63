import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AttemptView, TaskView } from "../../../src/schema/task.ts";
import { Screen } from "../../../src/standalone/demo/screen.ts";
import {
  differences,
  type InboxCallback,
  type Story,
  storiesOn,
} from "../../../src/standalone/demo/stories.ts";

const DEMO = fileURLToPath(new URL("../../../src/standalone/demo/main.ts", import.meta.url));

describe("npm run demo", () => {
  let tempDir: string;
  beforeEach(async () => {
    tempDir = await mkdtemp(join(tmpdir(), "redrive-demo-test-"));
  });
  afterEach(() => rm(tempDir, { recursive: true, force: true }));

  test("ends with 0 within 20 s, every outcome as expected and every callback verified", async () => {
    const startedAt = Date.now();
    const { code, stdout, stderr } = await runDemo(tempDir);

    expect({ code, stderr, stdout }).toMatchObject({ code: 0 });
    expect(stdout).toContain("Every outcome was the expected one.");
    expect(stdout.match(/signature verified$/gm)).toHaveLength(6);
    expect(stdout).toMatch(/^ +\d+\.\d s {2}flaky +retrying +/m);
    expect(stdout).not.toContain("\x1b");
    expect(Date.now() - startedAt).toBeLessThan(20_000);
  });

  test("leaves nothing behind when it is interrupted", async () => {
    const { code } = await runDemo(tempDir, "Redrive listens on");

    expect(code).toBe(130);
    expect(await readdir(tempDir)).toEqual([]);
  });
});

describe("differences", () => {
  test("finds none where a story came out as told", () => {
    expect(differences(story("flaky"), buildTask(), [buildCallback()])).toEqual([]);
  });

  test("finds none where a verified callback came twice", () => {
    expect(differences(story("flaky"), buildTask(), [buildCallback(), buildCallback()])).toEqual([]);
  });

  test.each<[string, Partial<TaskView>, Partial<InboxCallback>, string]>([
    ["another state", { state: "failed" }, {}, 'expected state "succeeded", got "failed"'],
    [
      "another history",
      { attempts: [] },
      {},
      'expected attempts ["server_error","server_error",null], got []',
    ],
    ["no callback", { callback: null }, {}, 'expected callback "delivered", got null'],
    ["another's callback", {}, { task_id: "tsk_2" }, "expected a signature that holds true, got false"],
    [
      "a callback of another type",
      {},
      { type: "task.failed" },
      'expected a callback of type ["task.succeeded"], got ["task.failed"]',
    ],
    ["a bad signature", {}, { verified: false }, "expected a signature that holds true, got false"],
    [
      "no wait",
      { attempts: attemptsAt(0, 1, 2) },
      {},
      "expected 800 ms from first to last attempt, got 2 ms",
    ],
  ])("tells %s", (_, task, callback, sentence) => {
    const found = differences(story("flaky"), buildTask(task), [buildCallback(callback)]);

    expect(found.join("\n")).toContain(`flaky: ${sentence}`);
  });
});

describe("Screen", () => {
  test("draws a table over itself in a terminal, in colour, cut to its width", () => {
    const { output, written } = buildOutput({ isTTY: true, columns: 50 });
    const screen = new Screen(output, true);
    const rows = [{ name: "flaky", task: buildTask({ summary: "x".repeat(100) }) }];
    screen.show(rows, 0);
    screen.show(rows, 100);

    const line = `\x1b[2K${"flaky".padEnd(18)}\x1b[32msucceeded  \x1b[0m${"x".repeat(19)}…\n`;
    expect(written).toEqual([line, `\x1b[1A${line}`]);
  });

  test("leaves colours out where told to", () => {
    const { output, written } = buildOutput({ isTTY: true });
    new Screen(output, false).show([{ name: "flaky", task: buildTask() }], 0);

    expect(written.join("")).toContain("succeeded  It worked.");
    expect(written.join("")).not.toContain("\x1b[32m");
  });

  test("writes a plain line for each change where there is no terminal", () => {
    const { output, written } = buildOutput({});
    const screen = new Screen(output, true);
    const retrying = buildTask({ state: "retrying", attempt_count: 1, summary: "It failed." });
    screen.show([{ name: "flaky", task: retrying }], 50);
    screen.show([{ name: "flaky", task: { ...retrying, summary: "It failed a moment ago." } }], 150);
    screen.show([{ name: "flaky", task: buildTask() }], 1_260);

    expect(written).toEqual([
      "  0.1 s  flaky             retrying   It failed.\n",
      "  1.3 s  flaky             succeeded  It worked.\n",
    ]);
  });
});

/** Runs the demo to its end; sends SIGINT once its output has `interruptAt`. */
function runDemo(tempDir: string, interruptAt?: string) {
  const child = spawn(process.execPath, [DEMO], {
    env: { PATH: process.env.PATH, TMPDIR: tempDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    if (interruptAt !== undefined && stdout.includes(interruptAt)) child.kill("SIGINT");
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

function story(name: string): Story {
  const found = storiesOn("http://127.0.0.1:8787", 0).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no story ${name}`);
  return found;
}

function attemptsAt(...startedAts: number[]): AttemptView[] {
  return startedAts.map((startedAt, i) => ({
    number: i + 1,
    round: 1,
    trigger: "submit",
    started_at: new Date(startedAt).toISOString(),
    duration_ms: 1,
    status: i === 2 ? 200 : 503,
    error_type: i === 2 ? null : "server_error",
    error_code: null,
    error_message: null,
    body_error: null,
    class: null,
    decision: null,
    rule: null,
    delay_ms: null,
    next_at: null,
  }));
}

function buildTask(overrides: Partial<TaskView> = {}): TaskView {
  return {
    id: "tsk_1",
    state: "succeeded",
    queue: "default",
    summary: "It worked.",
    waiting_on: null,
    due_at: null,
    expires_at: null,
    reason: null,
    url: "http://127.0.0.1:8787/sandbox/target",
    method: "POST",
    headers: {},
    target: "http://127.0.0.1:8787",
    priority: 5,
    labels: [],
    metadata: {},
    idempotency_key: null,
    round: 1,
    max_attempts: 5,
    attempt_count: 3,
    attempts: attemptsAt(0, 400, 800),
    attempts_omitted: 0,
    response: null,
    callback: { url: "http://127.0.0.1:8787/sandbox/inbox", state: "delivered", attempts: [], reason: null },
    created_at: new Date(0).toISOString(),
    finalized_at: new Date(801).toISOString(),
    ...overrides,
  };
}

function buildCallback(overrides: Partial<InboxCallback> = {}): InboxCallback {
  return { task_id: "tsk_1", type: "task.succeeded", verified: true, ...overrides };
}

function buildOutput(terminal: { isTTY?: boolean; columns?: number }) {
  const written: string[] = [];
  return { written, output: { ...terminal, write: (text: string) => written.push(text) } };
}

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server/server.ts";

const STAND_IN = fileURLToPath(new URL("../../support/workers/stand-in.ts", import.meta.url));
const LIMITS = { soft: 200, hard: 700 };

let server: TestServer;

beforeAll(async () => {
  server = await startServer({ build: STAND_IN, openFiles: LIMITS });
});
afterAll(() => server.stop());

test("workerd may have as many files open as the system's hard limit allows, and the Worker knows how many", async () => {
  const told = (await (await fetch(server.url)).json()) as Record<string, unknown>;

  expect(told.REDRIVE_OPEN_FILES).toBe(String(LIMITS.hard));
  expect(await softLimitOf(server.pid)).toBe(LIMITS.hard);
});

test("the start says how many", () => {
  expect(server.output().stdout).toMatch(/^ {2}open files +700$/m);
});

/** What Linux says of a process. */
async function softLimitOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/limits`, "utf8");
  return Number(/^Max open files +(\d+)/m.exec(text)?.[1]);
}

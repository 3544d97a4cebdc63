import { describe, expect, test } from "vitest";
import type { Result } from "./audit.ts";
import { limitedFiles } from "./disks.ts";
import { fullDisk } from "./full-disk.ts";
import { hanging } from "./hanging.ts";
import { killed } from "./kill.ts";
import { faultsOf } from "./result.ts";
import { slowReaders } from "./slow-readers.ts";
import { upgraded } from "./upgrade.ts";
import { waiting } from "./waiting.ts";

/** `npm run crashes` does the same, longer and with more. */
const EFFORT = { warmUp: 200, restMs: 0 };
const TIMEOUT_MS = 120_000;
/** A server that has run 200 tasks grows by this much under plain load, which is all that can be told from so little. */
const MEMORY_MB = 200;

/** By title: the scenario, and how many tasks it must have had acknowledged at least, so that it was one at all. */
const scenarios: Record<string, { play: () => Promise<Result>; atLeast: number }> = {
  "kill -9 at random moments": {
    play: () => killed({ ...EFFORT, rounds: 4, seed: 7, tasksPerRound: 60 }),
    atLeast: 300,
  },
  "a target that never answers": {
    play: () => hanging({ ...EFFORT, hangingTasks: 60, otherTasks: 100 }),
    atLeast: 360,
  },
  "readers that are slow": {
    play: () => slowReaders({ ...EFFORT, rounds: 2, slowTasks: 10, otherTasks: 200 }),
    atLeast: 620,
  },
  // Due long after two restarts, on a busy machine too.
  "restarts while many tasks wait": {
    play: () => waiting({ ...EFFORT, count: 1_000, delayMs: 30_000 }),
    atLeast: 1_200,
  },
  "clean upgrades": { play: () => upgraded({ ...EFFORT, rounds: 2, tasksPerRound: 80 }), atLeast: 250 },
};

describe.concurrent("no acknowledged task is lost, and nothing is a server error, over", () => {
  for (const [title, { play, atLeast }] of Object.entries(scenarios)) {
    test(title, { timeout: TIMEOUT_MS }, async () => {
      const result = await play();
      expect(faultsOf(result, MEMORY_MB)).toEqual([]);
      expect(result.accepted).toBeGreaterThanOrEqual(atLeast);
      expect(result.clear503).toBe(0);
    });
  }

  // The limit on file sizes is Linux's; other systems run the rest.
  test.runIf(process.platform === "linux")(
    "a full disk, which is a clear 503",
    { timeout: TIMEOUT_MS },
    async () => {
      const result = await fullDisk(await limitedFiles(), { ...EFFORT, rounds: 2, fullMs: 2_000 });
      expect(faultsOf(result, MEMORY_MB)).toEqual([]);
      expect(result.accepted).toBeGreaterThanOrEqual(400);
      expect(result.clear503).toBeGreaterThan(20);
    },
  );
});

import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startServer } from "../support/server/server.ts";
import { clientOf } from "../support/server/stories.ts";
import { audit, type Result } from "./audit.ts";
import { asked, type Effort, openStory, type Story, submitAll, warmUp } from "./story.ts";
import type { Kind } from "./witness.ts";

const NEXT_RELEASE = fileURLToPath(new URL("../support/workers/next-release.ts", import.meta.url));
const KINDS: readonly Kind[] = ["slow", "plain", "flaky", "slow"];
const SUBMITS_IN_FLIGHT = 20;
const SWITCH_AFTER_MS = 400;

/** How long and hard it is. */
export interface UpgradeSize extends Effort {
  rounds: number;
  tasksPerRound: number;
}

/**
 * A clean stop under load and a start of another bundle on the same folder, there and back again: the next release
 * adds a column to the tables of shards, with which this one works as well.
 */
export async function upgraded(size: UpgradeSize): Promise<Result> {
  const { rounds, tasksPerRound } = size;
  const story = await openStory(size);
  try {
    const memoryBeforeMb = await warmUp(story);
    const faults: string[] = [];
    let open = 0;
    for (let round = 0; round < rounds; round++) {
      const tasks = Array.from({ length: tasksPerRound }, (_, i) =>
        story.task(KINDS[i % KINDS.length] ?? "plain", { delay: i % 7 === 0 ? 2_000 : 0 }),
      );
      const submitting = submitAll(story, tasks, SUBMITS_IN_FLIGHT);
      await delay(SWITCH_AFTER_MS);
      open += story.witness.open;
      const release = round % 2 === 0 ? "next" : "this";
      const exitStatus = await switchTo(story, release);
      await submitting;
      if (exitStatus !== 0) faults.push(`round ${round}: the stop ended with ${exitStatus}`);
      const served = (await asked(story, "GET", "/healthz")).headers.get("x-release") ?? "this";
      if (served !== release) faults.push(`round ${round}: ${served} is served in place of ${release}`);
    }
    const notes = [`${open} calls were under way at the stops`];
    return await audit(story, { scenario: "clean upgrade", rounds, memoryBeforeMb, notes, faults });
  } finally {
    await story.close();
  }
}

/** Stops the server as Ctrl-C does and serves its folder by another bundle; answers with the status it ended with. */
async function switchTo({ world }: Story, release: "this" | "next"): Promise<number | null> {
  const { server } = world;
  await server.stop();
  const env = { PORT: new URL(server.url).port };
  const build = release === "next" ? { build: NEXT_RELEASE } : {};
  world.server = await startServer({ dataDir: server.dataDir, env, ...build });
  world.client = clientOf(world.server);
  return server.exited;
}

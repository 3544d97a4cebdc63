import { setTimeout as delay } from "node:timers/promises";
import { clientOf, seededRandom } from "../support/server/stories.ts";
import { audit, type Result } from "./audit.ts";
import { type Effort, openStory, type Story, submitAll, warmUp } from "./story.ts";
import type { Kind } from "./witness.ts";

const KINDS: readonly Kind[] = ["plain", "flaky", "slow", "plain", "slow"];
const SUBMITS_IN_FLIGHT = 20;
const FIRST_KILL_MS = 20;
const LAST_KILL_MS = 1_000;

/** How long and hard it is. */
export interface KillSize extends Effort {
  rounds: number;
  /** Picks the moments. */
  seed: number;
  tasksPerRound: number;
}

/** SIGKILL to workerd at moments that the seed picks, again and again on one data folder, under load. */
export async function killed(size: KillSize): Promise<Result> {
  const { rounds, seed, tasksPerRound } = size;
  const random = seededRandom(seed);
  const story = await openStory(size);
  try {
    const memoryBeforeMb = await warmUp(story);
    let cutOff = 0;
    for (let round = 0; round < rounds; round++) {
      const killAfterMs = FIRST_KILL_MS + random() * (LAST_KILL_MS - FIRST_KILL_MS);
      const submitting = submitAll(story, tasksOf(story, tasksPerRound, random), SUBMITS_IN_FLIGHT);
      await delay(killAfterMs);
      cutOff += story.witness.open;
      await killAndRestart(story);
      await submitting;
    }
    const notes = [`seed ${seed}; ${cutOff} calls were under way at the kills`];
    return await audit(story, { scenario: "kill -9", rounds, memoryBeforeMb, notes });
  } finally {
    await story.close();
  }
}

/** SIGKILL, and the same folder and port again. */
export async function killAndRestart({ world }: Story): Promise<void> {
  world.server.kill();
  world.server = await world.server.restart();
  world.client = clientOf(world.server);
}

/** Some of the tasks are due only in a later life of the server. */
function tasksOf(story: Story, count: number, random: () => number) {
  return Array.from({ length: count }, (_, i) => {
    const delayMs = i % 6 === 0 ? Math.round(random() * 4_000) : 0;
    return story.task(KINDS[i % KINDS.length] ?? "plain", { delay: delayMs });
  });
}

import { clientOf } from "../support/server/stories.ts";
import { audit, type Result } from "./audit.ts";
import { killAndRestart } from "./kill.ts";
import { asked, type Effort, openStory, restingMemory, type Story, submitBatches, warmUp } from "./story.ts";

/** How long and hard it is. */
export interface WaitingSize extends Effort {
  count: number;
  /** Until they are due: long enough for two restarts. */
  delayMs: number;
}

/** Many tasks that wait while the server is killed, and then stopped by Ctrl-C. */
export async function waiting(size: WaitingSize): Promise<Result> {
  const { count, delayMs } = size;
  const story = await openStory(size);
  try {
    const memoryBeforeMb = await warmUp(story);
    const open = Array.from({ length: count }, () => story.task("plain", { delay: delayMs }));
    await submitBatches(story, open);
    const kept: number[] = [];
    await killAndRestart(story);
    kept.push(await pendingOf(story));
    await stopAndRestart(story);
    kept.push(await pendingOf(story));
    const memory = `${Math.round(await restingMemory(story))} MB`;
    const notes = [`waiting after kill -9 and after Ctrl-C: ${kept.join(" and ")}, in ${memory}`];
    const faults = kept
      .filter((pending) => pending !== count)
      .map((pending) => `${pending} wait, not ${count}`);
    return await audit(story, {
      scenario: `${count} waiting over restarts`,
      rounds: 2,
      memoryBeforeMb,
      notes,
      faults,
    });
  } finally {
    await story.close();
  }
}

/** Ctrl-C, and the same folder and port again. */
async function stopAndRestart({ world }: Story): Promise<void> {
  await world.server.stop();
  world.server = await world.server.restart();
  world.client = clientOf(world.server);
}

async function pendingOf(story: Story): Promise<number> {
  const { body } = await asked(story, "GET", `/v1/queues/${story.queue}`);
  return body.counts?.pending ?? 0;
}

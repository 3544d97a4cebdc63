import { audit, type Result } from "./audit.ts";
import { type Effort, openStory, submitAll, submitBatches, warmUp } from "./story.ts";

const SUBMITS_IN_FLIGHT = 20;

/** How long and hard it is. */
export interface HangingSize extends Effort {
  hangingTasks: number;
  /** Sent at the same time, with nothing in their way. */
  otherTasks: number;
}

/** A target that accepts every call and never answers, beside one that answers. */
export async function hanging(size: HangingSize): Promise<Result> {
  const { hangingTasks, otherTasks } = size;
  const story = await openStory(size);
  try {
    const memoryBeforeMb = await warmUp(story);
    // A key of its own for each: else its breaker would keep most of them from being called at all.
    const silent = Array.from({ length: hangingTasks }, (_, i) =>
      story.task("hang", { breaker_key: `silent-${i % 50}`, delay: i % 2 }),
    );
    const others = Array.from({ length: otherTasks }, () => story.task("plain", { breaker_key: "healthy" }));
    const startedAt = Date.now();
    await Promise.all([submitBatches(story, silent, 100), submitAll(story, others, SUBMITS_IN_FLIGHT)]);
    const sentAfterMs = Date.now() - startedAt;
    const notes = [`${hangingTasks} tasks without an answer; the others took ${sentAfterMs} ms to submit`];
    const scenario = "target never answers";
    return await audit(story, { scenario, rounds: 1, memoryBeforeMb, notes });
  } finally {
    await story.close();
  }
}

import type { ListAnswer } from "../../protocol/shard-api.ts";
import type { TaskSummary } from "../../schema/task.ts";

/** One page over all shards; `nextBefore`: the next page goes on below this id, null: there is no more. */
export interface MergedPage {
  tasks: TaskSummary[];
  nextBefore: string | null;
}

/**
 * Merges what shards answered to the same question, newest first. A shard that stopped early knows nothing of the
 * tasks below its `examinedTo`, so the page ends at the highest of those: it may be short, even empty, but has no gap.
 */
export function mergePages(answers: readonly ListAnswer[], limit: number): MergedPage {
  let bound: string | null = null;
  for (const { examinedTo } of answers) {
    if (examinedTo !== null && (bound === null || examinedTo > bound)) bound = examinedTo;
  }
  const tasks = answers
    .flatMap((answer) => answer.tasks)
    .filter((task) => bound === null || task.id >= bound)
    .sort((a, b) => (a.id > b.id ? -1 : 1));
  if (tasks.length <= limit) return { tasks, nextBefore: bound };
  const page = tasks.slice(0, limit);
  return { tasks: page, nextBefore: page.at(-1)?.id ?? null };
}

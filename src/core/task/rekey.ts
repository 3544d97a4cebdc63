import { deliveryLane, retryLane } from "./lane.ts";
import { isFinal, type Task } from "./task.ts";

/**
 * The task with another target, in that target's line where it waits in the one of its own. One in flight goes on as it
 * is, and its next attempt goes by the new one; a held task waits where it did. The same task where nothing changes,
 * null where it is final.
 */
export function rekeyed(task: Task, target: string): Task | null {
  if (isFinal(task.state)) return null;
  if (task.target === target) return task;
  if (task.lane === task.target) return { ...task, target, lane: target };
  if (task.lane === retryLane(task.target)) return { ...task, target, lane: retryLane(target) };
  return { ...task, target };
}

/** The task with its callback in another target's line. The same task where it waits there already, or for none. */
export function readdressed(task: Task, target: string): Task {
  const { callback } = task;
  const lane = deliveryLane(target);
  if (callback === null || task.lane !== callback.lane || callback.lane === lane) return task;
  return { ...task, lane, callback: { ...callback, lane } };
}

/**
 * A lane is the line in which a row waits for its turn: attempts in the line of their target key, callback
 * deliveries in one of their receiver's origin, held tasks (for the end of their max_age) in one of their own.
 */

/** Where held tasks wait for their `max_age`; no target key begins with "~". */
export const HELD_LANE = "~held";

const CALLBACK_PREFIX = ">";
const RETRY_PREFIX = "<";

/** The lane of callback deliveries to a target. */
export function deliveryLane(target: string): string {
  return CALLBACK_PREFIX + target;
}

/** True where the lane is of callback deliveries; a paused queue still delivers these. */
export function isCallbackLane(lane: string): boolean {
  return lane.startsWith(CALLBACK_PREFIX);
}

/** The lane of a target's retries: apart from its first attempts, since they draw on slots and a budget of their own. */
export function retryLane(target: string): string {
  return RETRY_PREFIX + target;
}

/** True where the lane is of retries. */
export function isRetryLane(lane: string): boolean {
  return lane.startsWith(RETRY_PREFIX);
}

/** The target key that a lane's rows call. */
export function targetOfLane(lane: string): string {
  return isCallbackLane(lane) || isRetryLane(lane) ? lane.slice(1) : lane;
}

/** The lanes whose rows call a target. */
export function lanesOf(key: string): string[] {
  return [key, retryLane(key), deliveryLane(key)];
}

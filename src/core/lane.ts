/**
 * A lane is the line in which a row waits for its turn: attempts in the line of their target key, callback
 * deliveries in one of their receiver's origin, held tasks (for the end of their max_age) in one of their own.
 */

/** Where held tasks wait for their `max_age`; no target key begins with "~". */
export const HELD_LANE = "~held";

const CALLBACK_PREFIX = ">";

/** The lane of callback deliveries to a URL's origin. A URL that is none has a lane of its own. */
export function callbackLane(url: string): string {
  return CALLBACK_PREFIX + (URL.canParse(url) ? new URL(url).origin : url);
}

/** True where the lane is of callback deliveries; a paused queue still delivers these. */
export function isCallbackLane(lane: string): boolean {
  return lane.startsWith(CALLBACK_PREFIX);
}

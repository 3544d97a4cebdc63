import type { Chance } from "./random.ts";

/** What an answer has asked its call for: not again before then, epoch ms. Read by the checks, not by the code. */
export const ASKED_UNTIL = "x-sim-asked-until";
/** Set beside it: how many milliseconds that was when it was answered; what is told as so many seconds counts from the settle. */
export const ASKED_MS = "x-sim-asked-ms";
/** Set beside it where that is asked of all calls to the target, not just of the one that was answered. */
export const ASKED_OF_ALL = "x-sim-asked-of-all";

/** The headers of an answer that asks for a wait, and the statuses that it may have. */
interface Hint {
  headers: Record<string, string>;
  statuses: readonly number[];
}

/** Statuses that speak for the whole target. */
const LIMITING = [429, 403, 420, 430];
/** Refusals of one call, which say nothing of others. */
const OF_ONE_CALL = [400, 402, 404, 409, 410, 413, 422, 423, 425, 429, 451];

/** An answer that asks for a wait of so many seconds for all calls, in one of the ways to say so. */
export function limited(
  chance: Chance,
  seconds: number,
  now: number,
): { status: number; headers: Record<string, string> } {
  const at = now + seconds * 1_000;
  const { headers, statuses } = chance.pick([...retryAfters(seconds, at), ...limits(seconds, at)]);
  const marks = { ...marksOf(seconds, at), [ASKED_OF_ALL]: "yes" };
  return { status: chance.pick(statuses), headers: { ...headers, ...marks } };
}

/** A refusal of this one call that says when to come back; its status would be for good otherwise, but for a few. */
export function putOff(
  chance: Chance,
  seconds: number,
  now: number,
): { status: number; headers: Record<string, string> } {
  const at = now + seconds * 1_000;
  const { headers } = chance.pick(retryAfters(seconds, at));
  const status = chance.pick(OF_ONE_CALL);
  const ofAll: Record<string, string> = status === 429 ? { [ASKED_OF_ALL]: "yes" } : {};
  return { status, headers: { ...headers, ...ofAll, ...marksOf(seconds, at) } };
}

function marksOf(seconds: number, at: number): Record<string, string> {
  return { [ASKED_UNTIL]: String(at), [ASKED_MS]: String(seconds * 1_000) };
}

/** Every form of Retry-After that means so many seconds from now; a header that came twice arrives joined. */
function retryAfters(seconds: number, at: number): Hint[] {
  const statuses = [...LIMITING, 503];
  const forms: Record<string, string>[] = [
    { "retry-after": String(seconds) },
    { "retry-after": new Date(at).toUTCString() },
    { "retry-after": `${seconds}s` },
    { "retry-after": String(Math.ceil(at / 1_000)) },
    { "retry-after": String(at) },
    { "retry-after": `3, ${seconds}` },
    { "retry-after": `${new Date(at).toUTCString()}, ${new Date(at - 4_000).toUTCString()}` },
    { "retry-after-ms": String(seconds * 1_000) },
    { "x-ms-retry-after-ms": String(seconds * 1_000), "retry-after": "1" },
  ];
  return forms.map((headers) => ({ headers, statuses }));
}

/** A limit that is used up, told by each of the families that name one. */
function limits(seconds: number, at: number): Hint[] {
  const epoch = String(Math.ceil(at / 1_000));
  const used: Record<string, string>[] = [
    { "x-ratelimit-remaining": "0", "x-ratelimit-reset": epoch },
    { "x-rate-limit-remaining": "0", "x-rate-limit-reset": new Date(at).toISOString() },
    { "ratelimit-remaining": "0", "ratelimit-reset": String(seconds) },
    { ratelimit: `limit=100, remaining=0, reset=${seconds}` },
    { ratelimit: `"default";r=0;t=${seconds}, "daily";r=900;t=9000` },
    { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": `${seconds}s` },
  ];
  return [
    { headers: { "x-ratelimit-reset": String(seconds) }, statuses: [429] },
    ...used.map((headers) => ({ headers, statuses: LIMITING })),
  ];
}

import { MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import type { Hold } from "../policy/hold.ts";
import { type LocalBreaker, type LocalContext, reportAt } from "./local-breaker.ts";

/** What a target that is called as ever has to say is not worth more tries. */
const MOST_TRIES = 8;
/** While another shard has the probe, this one asks so often, and by chance up to half as long later. */
const ASK_HALF_OPEN_MS = 4 * SECOND_MS;
/** If rows wait for the end of a hold, it is asked so often whether that has been released: a push may be lost. */
const ASK_HELD_MS = MINUTE_MS;
/** A question, or a lease given back, comes at least so long after the last talk: no answer can make a loop. */
const PAUSE_MS = 250;

/** What waits for a target's breaker: nothing, some rows, or (the better probes) first attempts too. */
export type Parked = "none" | "some" | "firsts";

/** A target's last talk with its Breaker object. */
export interface LastTalk {
  endedAt: number;
  /** No report before then, and nothing at all if the object could not be reached. */
  notBefore: number;
  /** Times in a row that it could not be reached. */
  failures: number;
  /** What it knows of rows that wait for it. */
  parked: Parked;
  /** The limit that it was told. */
  limit: number;
}

/** There was none yet. */
export const NO_TALK: LastTalk = { endedAt: 0, notBefore: 0, failures: 0, parked: "none", limit: 0 };

/** What bears on when a target's Breaker object is told or asked next. */
export interface TalkSituation {
  local: LocalBreaker;
  hold: Hold;
  /** The latest hold that the object knows of; 0: none. */
  heldTold: number;
  last: LastTalk;
  /** What waits now. */
  parked: Parked;
  /** Calls that the target may get at a time now. */
  limit: number;
  /** The object is to be asked, whatever is known here. */
  unsure: boolean;
  /** Operators are to be told that the target is gone. */
  gone: boolean;
  /** The result of a probe that the object does not know yet (its `ok` null: the lease goes back); null: none. */
  probed: { ok: boolean | null } | null;
}

/** False if the Breaker object is told and asked nothing but who is gone: breakers are off, or all is well and it is away. */
export function mayTalk(
  { breaker }: LocalBreaker,
  { failures }: LastTalk,
  { policy }: Pick<LocalContext, "policy">,
): boolean {
  return policy.enabled && (breaker.state !== "closed" || failures < MOST_TRIES);
}

/** When a target's Breaker object is told or asked next; null: not by time alone. */
export function nextTalkAt(situation: TalkSituation, context: LocalContext): number | null {
  const { local, last, gone } = situation;
  const { now, policy } = context;
  const { notBefore, failures } = last;
  if (!mayTalk(local, last, context)) return gone && policy.enabled ? Math.max(now, notBefore) : null;
  return earliest([
    ...holdTimes(situation, now),
    // A 429 cuts the limit and is in no report.
    situation.limit < last.limit ? Math.max(now, notBefore) : null,
    gone ? Math.max(now, failures === 0 ? now : notBefore) : null,
    reportTime(situation, context),
    probedTime(situation, now),
    askTime(situation, context),
  ]);
}

function holdTimes({ hold, heldTold, parked, last }: TalkSituation, now: number): (number | null)[] {
  const { heldFrom, heldUntil } = hold;
  const pause = pauseAfter(last);
  // A hold that others know already lasts until a little later with each answer: that may wait, as long as theirs.
  const tellAt = heldTold > now ? Math.max(pause, Math.min(last.notBefore, heldTold - PAUSE_MS)) : pause;
  const waitsForIt = heldUntil > now && parked !== "none";
  return [
    waitsForIt ? Math.max(now, pause, Math.max(last.endedAt, heldFrom) + ASK_HELD_MS) : null,
    heldUntil > Math.max(heldTold, now + PAUSE_MS) ? Math.max(now, tellAt) : null,
  ];
}

function reportTime({ local, last, unsure }: TalkSituation, { now, policy }: LocalContext): number | null {
  const at = local.toldVersion === 0 || unsure ? now : reportAt(local, { now, policy });
  if (at === null) return null;
  return Math.max(at, local.breaker.state !== "closed" && last.failures === 0 ? now : last.notBefore);
}

function probedTime({ probed, last }: TalkSituation, now: number): number | null {
  if (probed === null) return null;
  return Math.max(now, last.failures === 0 && probed.ok !== null ? now : pauseAfter(last));
}

function askTime({ local, last, parked }: TalkSituation, { now, random }: LocalContext): number | null {
  if (local.breaker.state === "closed" || parked === "none") return null;
  const isNews = last.parked !== "firsts" && parked !== last.parked;
  const at = isNews ? now : askAgainAt(local, last, random);
  return at === null ? null : Math.max(at, pauseAfter(last));
}

/** A push that is lost while probes go round must cost seconds, not the time of a lease. */
function askAgainAt(
  { breaker, askAt }: LocalBreaker,
  { endedAt }: LastTalk,
  random: () => number,
): number | null {
  if (askAt === null || breaker.state !== "half_open") return askAt;
  return Math.min(askAt, endedAt + Math.round(ASK_HALF_OPEN_MS * (1 + random() / 2)));
}

function pauseAfter({ failures, endedAt, notBefore }: LastTalk): number {
  return failures === 0 ? endedAt + PAUSE_MS : notBefore;
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((at) => at !== null);
  return known.length === 0 ? null : Math.min(...known);
}

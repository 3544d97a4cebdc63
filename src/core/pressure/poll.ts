import { MINUTE_MS } from "../../schema/limits.ts";

/** After so many answers in a row that were no success, the next polls are a period further apart. */
const FAILURES_A_STEP = 10;
/** At most so many times the period, */
const MOST_PERIODS = 8;
/** and no more than this where the period is shorter. */
const MOST_WAIT_MS = 10 * MINUTE_MS;
/** Polls that were begun together drift apart by a tenth of their wait. */
const SPREAD = 0.1;
/** Polls hold this share of a shard's slots at most, and of the calls that a target may have. */
const SHARE = 4;

/** How long after its last answer a URL is polled again: a period, and longer where it has failed for long. */
export function pollWaitMs(periodMs: number, failures: number, random: () => number): number {
  const periods = Math.min(MOST_PERIODS, 1 + Math.floor(failures / FAILURES_A_STEP));
  const waitMs = Math.max(periodMs, Math.min(periodMs * periods, MOST_WAIT_MS));
  return Math.round(waitMs * (1 + SPREAD * (random() - 0.5)));
}

/**
 * When a URL is polled again that was to be at `dueAt`, once what its answer asked for is over, or counts for `mostMs`
 * from now on at most. The same instant where that is no later than its period alone would have it.
 */
export function letGoPollAt(
  poll: { dueAt: number; periodMs: number; failures: number },
  mostMs: number,
  now: number,
  random: () => number,
): number {
  const { dueAt, periodMs, failures } = poll;
  const longestMs = Math.max(
    mostMs,
    pollWaitMs(periodMs, failures, () => 1),
  );
  if (dueAt <= now + longestMs) return dueAt;
  return now + Math.max(mostMs, pollWaitMs(periodMs, failures, random));
}

/** How many polls may be under way where so many calls may be: a quarter, and at least one. */
export function mostPolls(calls: number): number {
  return Math.max(1, Math.floor(calls / SHARE));
}

/**
 * How many of these `polls` may go to one target that may have so many `calls`: half, so that one whose answers never
 * come does not keep others from being asked, and a quarter of its calls.
 */
export function mostPollsOfOne(polls: number, calls: number): number {
  return Math.min(mostPolls(calls), Math.max(1, Math.floor(polls / 2)));
}

/** Whether the next call should be a poll though attempts wait as well: of four calls one is. */
export function isPollsTurn(attemptsSincePoll: number): boolean {
  return attemptsSincePoll >= SHARE - 1;
}

/**
 * Successes in a row by the number of them that is wanted, after one more answer. Success of a URL counts for all who
 * wait for it; what is not wanted any more is taken out with `withoutRipe`.
 */
export function streaksAfter(
  streaks: Readonly<Record<string, number>>,
  ready: boolean,
): Record<string, number> {
  const entries = Object.entries(streaks);
  return Object.fromEntries(entries.map(([wanted, count]) => [wanted, ready ? count + 1 : 0]));
}

/** Whether those who want so many successes in a row have them; the answer at hand is one. */
export function isRipe(streaks: Readonly<Record<string, number>>, wanted: number): boolean {
  return wanted === 1 || (streaks[wanted] ?? 0) >= wanted;
}

/** The streaks of those who have not got what they want. */
export function withoutRipe(streaks: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(streaks).filter(([wanted]) => !isRipe(streaks, Number(wanted))));
}

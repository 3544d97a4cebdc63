/** What is known of a target's load in one shard, by its calls so far; memory only. */
export interface Load {
  /** What the target says by itself, 0 to 1. */
  told: number;
  toldAt: number;
  /** Share of recent calls that were signs of overload, smoothed, as of `at`. */
  overload: number;
  /** Smoothed latency of successes (a geometric mean), and the lower end of what it has been; 0: none seen. */
  latencyMs: number;
  baselineMs: number;
  /** Successes seen, counted up to LEARNED. */
  seen: number;
  /** When the last call came back. */
  at: number;
}

/** One call that came back. */
export interface LoadSign {
  /** What its headers said (see toldLoad); null: nothing. */
  told: number | null;
  /** Whether it was a sign of overload: 429, 503, a timeout, no connection. */
  overloaded: boolean;
  ok: boolean;
  latencyMs: number;
}

/** What a target says of itself holds for this long. */
const TOLD_FOR_MS = 30_000;
/** What calls have shown counts half after so long without any. */
const HALF_LIFE_MS = 30_000;
const OVERLOAD_WEIGHT = 0.05;
/** So many successes make a latency: a single one is chance. */
const LEARNED = 50;
/** The baseline follows a lower latency within a hundred calls or so, and a higher one within minutes. */
const BASELINE_FALL = 0.02;
const BASELINE_RISE_MS = 600_000;
/** Up to so many times its baseline a latency is chance, and no load. */
const USUAL_UNTIL = 2;
/** At so many times its baseline a latency counts as full load. */
const FULL_AT = 6;
const MAX_ORCA_LENGTH = 4_096;
const UTILIZATION = /(?<![\w.])"?(?:application|cpu)_utilization"?\s*[:=]\s*([0-9.eE+-]+)/g;

const NEVER = Number.NEGATIVE_INFINITY;

/** What is known before the first call. */
export const NO_LOAD: Load = {
  told: 0,
  toldAt: NEVER,
  overload: 0,
  latencyMs: 0,
  baselineMs: 0,
  seen: 0,
  at: NEVER,
};

/** What is known once a call has come back at `now`. */
export function noteLoad(load: Load, sign: LoadSign, now: number): Load {
  const before = load.overload * freshness(load, now);
  const overload = before + OVERLOAD_WEIGHT * ((sign.overloaded ? 1 : 0) - before);
  const told = sign.told === null ? {} : { told: sign.told, toldAt: now };
  return { ...load, ...told, overload, at: now, ...(sign.ok ? latencyAfter(load, sign.latencyMs, now) : {}) };
}

/** The load factor, 0 to 1: the worst of what the target says, of its refusals, and of its latency. */
export function loadFactor(load: Load, now: number): number {
  const told = now - load.toldAt < TOLD_FOR_MS ? load.told : 0;
  const late = (slowness(load) - USUAL_UNTIL) / (FULL_AT - USUAL_UNTIL);
  return clamp(Math.max(told, Math.max(load.overload, late) * freshness(load, now)));
}

/** How many times its baseline the latency is lately; at least 1, and 1 where nothing is known. */
export function slowness({ latencyMs, baselineMs }: Load): number {
  return baselineMs > 0 ? Math.max(1, latencyMs / baselineMs) : 1;
}

/**
 * What an answer's headers (lower-case names) say of the target's load, 0 to 1; null: nothing. Read are
 * `redrive-load: 0..1`, which wins, and the ORCA header `endpoint-load-metrics` in its text and JSON forms, of
 * which application_utilization and cpu_utilization count, the larger of the two.
 * @see ORCA load reports, gRFC A51
 */
export function toldLoad(headers: Readonly<Record<string, string>>): number | null {
  const own = share(headers["redrive-load"]);
  if (own !== null) return own;
  const orca = headers["endpoint-load-metrics"];
  if (orca === undefined || orca.length > MAX_ORCA_LENGTH) return null;
  const shares = [...orca.matchAll(UTILIZATION)]
    .map((match) => share(match[1]))
    .filter((one) => one !== null);
  return shares.length === 0 ? null : Math.max(...shares);
}

function latencyAfter(
  load: Load,
  measuredMs: number,
  now: number,
): Pick<Load, "latencyMs" | "baselineMs" | "seen"> {
  const calledMs = Math.max(1, measuredMs);
  const seen = Math.min(LEARNED, load.seen + 1);
  // By ratios, not differences: one call that took a hundred times as long must not look like a slow target.
  const latencyMs = load.seen === 0 ? calledMs : load.latencyMs * (calledMs / load.latencyMs) ** (1 / seen);
  if (seen < LEARNED) return { latencyMs, baselineMs: latencyMs, seen };
  const weight = latencyMs < load.baselineMs ? BASELINE_FALL : riseWeight(now - load.at);
  return { latencyMs, baselineMs: load.baselineMs + weight * (latencyMs - load.baselineMs), seen };
}

/** By time, not by call: a busy target's overload would else be taken for usual within a second. */
function riseWeight(passedMs: number): number {
  return clamp(passedMs / BASELINE_RISE_MS);
}

function freshness(load: Load, now: number): number {
  return 0.5 ** (Math.max(0, now - load.at) / HALF_LIFE_MS);
}

function share(text: string | undefined): number | null {
  if (text === undefined || !/^\s*[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?\s*$/.test(text)) return null;
  return clamp(Number(text));
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

import type { CallEffect } from "./call-effect.ts";

/** Calls in a row that failed on a path, before it is split off. */
const MIN_RUN = 5;
/** Calls on other paths that succeeded since the first of these. */
const MIN_SUCCESSES = 2;
/** Successes remembered of each path, the last ones. */
const MOST_SUCCESSES = 3;
/** For each failure on another path among those remembered, so many on this one: chance makes no such ratio. */
const RUN_FOR_EACH_OTHER = 10;
/** Failures kept back from the target's breaker at a time: where they have not split a path off by then, they count. */
const MOST_HELD = 10;
/** Failures remembered, the last ones; more than are ever kept back. */
const MOST_FAILURES = 16;
/** Paths remembered that calls succeeded on, those of the latest successes. */
const MOST_PATHS = 8;
/** Segments that paths are told apart by, and the longest path that makes a target of its own, in characters. */
const MOST_SEGMENTS = 3;
const MAX_PATH_LENGTH = 200;
/** Paths of one origin that are split off at a time: whoever picks paths cannot make targets without end. */
export const MOST_SPLITS = 4;

/** A call that has ended, and says something of its target. */
export interface PathCall {
  /** As `watchedPath` gives it. */
  path: string;
  effect: CallEffect;
  startedAt: number;
  at: number;
}

interface Failure {
  path: string;
  at: number;
  /** The call, where the target's breaker has not counted it yet. */
  held: PathCall | null;
}

/** A path that calls succeeded on; plain JSON. */
export interface SeenPath {
  path: string;
  /** When calls on it succeeded, oldest first; the last MOST_SUCCESSES. */
  at: readonly number[];
}

/** What a shard remembers of the paths of one origin: bounded, and nothing of the calls but their paths and times. */
export interface PathWatch {
  /** In the window, oldest first. */
  failures: readonly Failure[];
  seen: readonly SeenPath[];
}

/** A path that is split off its origin. */
export interface NewSplit {
  /** Whole segments: `/hooks/alice`. */
  path: string;
  /** Why, in words. */
  reason: string;
  /** What the new target's breaker counts from the start, oldest first. */
  calls: readonly PathCall[];
}

/** What came of a call: the calls that the origin's breaker counts now, oldest first, and maybe a split. */
export interface WatchStep {
  watch: PathWatch;
  counted: readonly PathCall[];
  split: NewSplit | null;
}

/** Failures that a shard remembers, as it tells of them. */
interface FailuresTold {
  /** What all their paths begin with; null: nothing, or none of them may be split off. */
  path: string | null;
  /** When the first and the last of them were. */
  from: number;
  to: number;
}

/** What a shard tells of the paths of an origin; plain JSON. */
export interface PathsTold {
  /** Paths that calls succeeded on. */
  seen: readonly SeenPath[];
  /** Null: it remembers none, since what failed is split off. */
  failed: FailuresTold | null;
}

/** What is known before the first call. */
export const NO_WATCH: PathWatch = { failures: [], seen: [] };

/** The first segments of a path as the URL parser spells it, by which paths are told apart; `/`: it has none. */
export function watchedPath(pathname: string): string {
  const segments = pathname.split("/").slice(1, 1 + MOST_SEGMENTS);
  const end = segments.indexOf("");
  const whole = prefixesOf(end === -1 ? segments : segments.slice(0, end));
  return whole.findLast(({ length }) => length <= MAX_PATH_LENGTH) ?? "/";
}

/** Whether a path is the other one, or goes on from it. */
export function isUnder(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

/**
 * Takes in a call to an origin whose breaker is closed. Failures on one path while calls on others succeed are kept back
 * from the breaker, a few of them: either they split the path off, or the breaker counts them after all, with the times
 * that they had. That happens as soon as a call on that very path succeeds, calls fail elsewhere too, or there are too many
 * of them with too few successes elsewhere. A call that found no connection is no path's doing. `maySplit` false: nothing is
 * kept back.
 */
export function watchCall(before: PathWatch, call: PathCall, windowMs: number, maySplit: boolean): WatchStep {
  const since = call.at - windowMs;
  const failures = before.failures.filter(({ at }) => at > since);
  const seen = before.seen.filter(({ at }) => at.some((instant) => instant > since));
  return call.effect.ok ? succeeded({ failures, seen }, call) : failed({ failures, seen }, call, maySplit);
}

/** What to tell of a watch; undefined: nothing, as long as there is nothing to split off. */
export function pathsTold({ failures, seen }: PathWatch, splits: number): PathsTold | undefined {
  const [first] = failures;
  if (first === undefined) return splits === 0 ? undefined : { seen, failed: null };
  const path = splits < MOST_SPLITS ? commonPath(failures.map((failure) => failure.path)) : null;
  return { seen, failed: { path, from: first.at, to: Math.max(...failures.map(({ at }) => at)) } };
}

/** What a shard has told by now: failures hold for the window, though it has split their path off meanwhile. */
export function mergeTold(before: PathsTold | undefined, told: PathsTold, since: number): PathsTold {
  const failed = before?.failed ?? null;
  return told.failed === null && failed !== null && failed.to >= since ? { ...told, failed } : told;
}

/** What shards have seen together. */
export function allSeen(told: readonly PathsTold[]): SeenPath[] {
  return told.reduce<SeenPath[]>((all, { seen }) => mergeSeen(all, seen), []);
}

/**
 * Whether all failures that shards tell of are on one path, while calls on others succeeded since the first of them: they say
 * nothing of the origin, and shards split the path off, or have done so.
 */
export function isOnePath(told: readonly PathsTold[]): boolean {
  const failed = told.flatMap((one) => one.failed ?? []);
  const path = commonPath(failed.map((one) => one.path ?? "/"));
  if (path === null) return false;
  const from = Math.min(...failed.map((one) => one.from));
  const okAmong = (seen: readonly SeenPath[]) => seen.flatMap(({ at }) => at.filter((t) => t >= from)).length;
  const seen = allSeen(told);
  const there = seen.filter((one) => isUnder(one.path, path));
  const elsewhere = seen.filter((one) => !isUnder(one.path, path));
  return okAmong(there) === 0 && okAmong(elsewhere) >= MIN_SUCCESSES;
}

/** The longest path that all are under; null: there is none. */
function commonPath(paths: readonly string[]): string | null {
  const prefixes = prefixesOf((paths[0] ?? "/").slice(1).split("/"));
  return (
    prefixes.findLast((prefix) => prefix !== "/" && paths.every((path) => isUnder(path, prefix))) ?? null
  );
}

/** What two have seen: of each path the latest successes, and the paths of the latest ones. */
export function mergeSeen(a: readonly SeenPath[], b: readonly SeenPath[]): SeenPath[] {
  const byPath = Map.groupBy([...a, ...b], ({ path }) => path);
  const merged = Array.from(byPath, ([path, seen]) => {
    const times = new Set(seen.flatMap(({ at }) => at));
    return { path, at: [...times].sort((x, y) => x - y).slice(-MOST_SUCCESSES) };
  });
  return merged.sort((x, y) => Math.max(...x.at) - Math.max(...y.at)).slice(-MOST_PATHS);
}

function succeeded({ failures, seen }: PathWatch, call: PathCall): WatchStep {
  const { path, at } = call;
  const times = [...(seen.find((known) => known.path === path)?.at ?? []), at].slice(-MOST_SUCCESSES);
  const others = seen.filter((known) => known.path !== path);
  const isOver = (failure: Failure) => failure.path === path;
  const watch = {
    failures: failures.map((failure) => (isOver(failure) ? { ...failure, held: null } : failure)),
    seen: [...others, { path, at: times }].slice(-MOST_PATHS),
  };
  return { watch, counted: [...heldAmong(failures.filter(isOver)), call], split: null };
}

function failed({ failures, seen }: PathWatch, call: PathCall, maySplit: boolean): WatchStep {
  const path = call.effect.reach === "unreached" ? "/" : call.path;
  const all = [...failures, { path, at: call.at, held: call }];
  const watch = { failures: all.slice(-MOST_FAILURES), seen };
  const forgotten = heldAmong(all.slice(0, -MOST_FAILURES));
  const prefixes = maySplit && path !== "/" ? prefixesOf(path.slice(1).split("/")) : [];
  const cases = prefixes.map((prefix) => caseOf(watch, prefix));
  const found = cases.filter(splits);
  // The widest part in which nothing else has worked; where calls on all its paths once did, the widest that is down.
  const chosen = found.find(({ hasOthers }) => !hasOthers) ?? found[0];
  if (chosen !== undefined) return splitOff(watch, chosen, forgotten);
  const isFew = heldAmong(watch.failures).length <= MOST_HELD;
  if (isFew && cases.some(mayHold)) return { watch, counted: forgotten, split: null };
  const counted = { failures: watch.failures.map((failure) => ({ ...failure, held: null })), seen };
  return { watch: counted, counted: [...forgotten, ...heldAmong(watch.failures)], split: null };
}

/** What speaks for and against a part of an origin being down by itself. */
interface Case {
  prefix: string;
  /** Failures there since a call last succeeded there. */
  run: readonly Failure[];
  /** Failures that are asked for, by how many there were elsewhere. */
  needed: number;
  /** Successes elsewhere in the window, as far as they are remembered, and those since the run began. */
  okElsewhere: number;
  okSince: number;
  /** Calls succeeded on a path there that has not failed. */
  hasOthers: boolean;
}

function caseOf({ failures, seen }: PathWatch, prefix: string): Case {
  const there = seen.filter(({ path }) => isUnder(path, prefix));
  const okAt = Math.max(0, ...there.flatMap(({ at }) => at));
  const run = failures.filter(({ path, at }) => isUnder(path, prefix) && at > okAt);
  const elsewhere = failures.filter(({ path }) => !isUnder(path, prefix)).length;
  const okTimes = seen.filter(({ path }) => !isUnder(path, prefix)).flatMap(({ at }) => at);
  const beganAt = run[0]?.at ?? Number.POSITIVE_INFINITY;
  return {
    prefix,
    run,
    needed: Math.max(MIN_RUN, elsewhere * RUN_FOR_EACH_OTHER),
    okElsewhere: okTimes.length,
    okSince: okTimes.filter((at) => at >= beganAt).length,
    hasOthers: there.some(({ path }) => !run.some((failure) => failure.path === path)),
  };
}

function splits({ run, needed, okSince }: Case): boolean {
  return run.length >= needed && okSince >= MIN_SUCCESSES;
}

/** It may still come to a split. */
function mayHold({ run, needed, okElsewhere }: Case): boolean {
  return run.length > 0 && run.length <= MOST_HELD && needed <= MOST_HELD && okElsewhere > 0;
}

function splitOff({ failures, seen }: PathWatch, { prefix, run }: Case, forgotten: PathCall[]): WatchStep {
  const stay = <T extends { path: string }>(all: readonly T[]) =>
    all.filter(({ path }) => !isUnder(path, prefix));
  return {
    watch: { failures: stay(failures), seen: stay(seen) },
    counted: forgotten,
    split: {
      path: prefix,
      reason: `${run.length} calls in a row failed on this path while calls on others succeeded`,
      calls: heldAmong(failures.filter(({ path }) => isUnder(path, prefix))),
    },
  };
}

function heldAmong(failures: readonly Failure[]): PathCall[] {
  return failures.flatMap(({ held }) => held ?? []);
}

/** `/a`, `/a/b`, `/a/b/c`: the shortest first. */
function prefixesOf(segments: readonly string[]): string[] {
  return segments.map((_, i) => `/${segments.slice(0, i + 1).join("/")}`);
}

import { originOfScoped } from "../../core/address/scope.ts";
import type { CallEffect } from "../../core/breaker/call-effect.ts";
import type { EndedAt, LocalBreaker } from "../../core/breaker/local-breaker.ts";
import {
  isUnder,
  MOST_SPLITS,
  type NewSplit,
  NO_WATCH,
  type PathWatch,
  watchCall,
  watchedPath,
} from "../../core/breaker/path-watch.ts";
import type { BreakerPolicy } from "../../core/breaker/policy.ts";
import type { SplitPath } from "../storage/target-rows.ts";

/** What of a target this is about. */
interface Watching {
  key: string;
  local: LocalBreaker;
  watch: PathWatch;
  splits: readonly SplitPath[];
}

/** What a call says of its target and of the part of it that its path is in. */
export interface Watched<T> {
  target: T;
  /** What the target's own breaker counts now. */
  counted: readonly EndedAt[];
  /** A path that is split off by this call; null: none. */
  split: { path: SplitPath; calls: readonly EndedAt[] } | null;
}

/** Takes a call that has ended into what is known of the paths of its origin; see `watchCall`. */
export function watched<T extends Watching>(
  target: T,
  { startedAt, url }: { startedAt: number; url: string },
  effect: CallEffect | null,
  { now, policy }: { now: number; policy: BreakerPolicy },
): Watched<T> {
  const ended = { effect, startedAt, at: now };
  if (effect === null || effect.asksToWait === true) return { target, counted: [ended], split: null };
  const { enabled, split, windowMs } = policy;
  const mayWatch = enabled && split && isOrigin(target.key) && target.local.breaker.state === "closed";
  const pathname = mayWatch ? (URL.parse(url)?.pathname ?? null) : null;
  if (pathname === null) return { target: unwatched(target), counted: [ended], split: null };
  const call = { ...ended, effect, path: watchedPath(pathname) };
  const step = watchCall(target.watch, call, windowMs, target.splits.length < MOST_SPLITS);
  const watching = { ...target, watch: step.watch };
  if (step.split === null) return { target: watching, counted: step.counted, split: null };
  const path = splitPath(target.key, step.split, now);
  const parted = { ...watching, splits: [...target.splits, path] };
  return { target: parted, counted: step.counted, split: { path, calls: step.split.calls } };
}

/** The target key of the longest path among these that the URL's path is in; null: it is in none. */
export function splitOfUrl(splits: readonly SplitPath[], url: string): string | null {
  const pathname = splits.length === 0 ? null : (URL.parse(url)?.pathname ?? null);
  if (pathname === null) return null;
  const holding = splits.filter(({ path }) => isUnder(pathname, path));
  return holding.sort((a, b) => b.path.length - a.path.length)[0]?.key ?? null;
}

function unwatched<T extends Watching>(target: T): T {
  return target.watch === NO_WATCH ? target : { ...target, watch: NO_WATCH };
}

function splitPath(origin: string, { path, reason }: NewSplit, now: number): SplitPath {
  return { path, key: origin + path, since: now, reason };
}

/** True for a target that is a whole origin. */
function isOrigin(key: string): boolean {
  return !key.startsWith("key:") && originOfScoped(key) === null;
}

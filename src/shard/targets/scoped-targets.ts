import { originOfScoped, scopedTarget, targetOfUrl } from "../../core/address/scope.ts";
import type { NewTask } from "../../core/task/new-task.ts";
import { HOUR_MS, MINUTE_MS } from "../../schema/limits.ts";
import type { SplitPath } from "../storage/target-rows.ts";
import { splitOfUrl } from "./path-splits.ts";

/** Parts of one origin that are targets of their own at a time, in a shard; beyond, new ones go by the origin. */
const MOST_OF_ORIGIN = 1_000;

/** Where there are so many, those that are not in use any more are looked for this often. */
const LOOK_EVERY_MS = MINUTE_MS;

/** The parts of one origin that are in use, as far as memory knows. */
interface Parts {
  keys: Set<string>;
  lookedAt: number;
}

/** What the targets of scopes need of their shard. */
export interface ScopedTargetsPort {
  now(): number;
  /** The scopes that the queue sets; none before it is known. */
  scopes(): readonly string[];
  /** The paths that are split off a target and that the queue wants to be. */
  splitsOf(target: string): readonly SplitPath[];
  /** False where nothing waits for a target or is in flight to it, nor was since then, and a call to it would go by nothing. */
  isInUse(key: string, since: number): boolean;
}

/**
 * Which target a URL belongs to, by the scopes of the queue as they are now and by the paths that are split off, with a
 * bound on how many there are.
 */
export class ScopedTargets {
  readonly #port: ScopedTargetsPort;
  readonly #byOrigin = new Map<string, Parts>();

  constructor(port: ScopedTargetsPort) {
    this.#port = port;
  }

  /** The target of a callback's receiver, or of a URL that is polled. */
  targetOfUrl(url: string): string {
    const target = this.#admitted(targetOfUrl(url, this.#scopes));
    return this.partOf(target, url) ?? target;
  }

  /** The path split off a target that a URL belongs to; null: none. */
  partOf(target: string, url: string): string | null {
    return splitOfUrl(this.#port.splitsOf(target), url);
  }

  /** A task with the target that its URL belongs to; with a `breaker_key` it has said itself. */
  routed(request: NewTask): NewTask {
    const { target, call } = request;
    if (target.startsWith("key:")) return request;
    const own = this.#scopes.length === 0 ? target : this.#ofScopes(target, call.url);
    const scoped = this.partOf(own, call.url) ?? own;
    return scoped === target ? request : { ...request, target: scoped };
  }

  /** Rows wait for this target already. */
  note(target: string): void {
    const origin = originOfScoped(target);
    if (origin !== null) this.#partsOf(origin).keys.add(target);
  }

  get #scopes(): readonly string[] {
    return this.#port.scopes();
  }

  #ofScopes(target: string, url: string): string {
    return this.#admitted(scopedTarget(target, new URL(url).pathname, this.#scopes));
  }

  #admitted(target: string): string {
    const origin = originOfScoped(target);
    if (origin === null) return target;
    const parts = this.#partsOf(origin);
    if (!parts.keys.has(target) && parts.keys.size >= MOST_OF_ORIGIN) this.#forget(parts);
    if (!parts.keys.has(target) && parts.keys.size >= MOST_OF_ORIGIN) return origin;
    parts.keys.add(target);
    return target;
  }

  #partsOf(origin: string): Parts {
    const known = this.#byOrigin.get(origin) ?? { keys: new Set(), lookedAt: 0 };
    this.#byOrigin.set(origin, known);
    return known;
  }

  #forget(parts: Parts): void {
    const now = this.#port.now();
    if (now - parts.lookedAt < LOOK_EVERY_MS) return;
    parts.lookedAt = now;
    for (const key of parts.keys) if (!this.#port.isInUse(key, now - HOUR_MS)) parts.keys.delete(key);
  }
}

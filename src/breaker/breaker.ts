import { DurableObject } from "cloudflare:workers";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import { migrate } from "../platform/migrate.ts";
import type { BreakerNews, BreakerPort, BreakerSync, ToldBreaker } from "../protocol/breaker-api.ts";
import { DAY_MS } from "../schema/limits.ts";
import { isOwn, keyOfBreaker } from "./breaker-key.ts";
import { BREAKER_MIGRATIONS } from "./migrations.ts";
import { SharedBreaker } from "./shared-breaker.ts";

/** A breaker that nobody has told anything for so long is deleted. */
const IDLE_MS = DAY_MS;

/** The Durable Object of one target's breaker: an adapter that builds a TargetBreaker on this object's storage. */
export class Breaker extends DurableObject<Env> implements BreakerPort {
  #breaker: SharedBreaker;
  #isReady = false;
  /** An alarm is armed, which looks after the object if nothing else does. */
  #isWatched = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#breaker = this.#fresh();
  }

  #fresh(): SharedBreaker {
    const { ctx, env } = this;
    const { storage } = ctx;
    const name = ctx.id.name ?? "";
    return new SharedBreaker(keyOfBreaker(name), isOwn(name), {
      sql: storage.sql,
      transaction: (run) => storage.transactionSync(run),
      now: clock.now,
      random: clock.random,
      setAlarm: (at) => void storage.setAlarm(at),
      keepAlive: (promise) => ctx.waitUntil(promise),
      shard: (name) => env.SHARD.getByName(name),
      log: (line) => console.log(JSON.stringify(line)),
    });
  }

  /** Brings the storage to the newest schema, once in a life. */
  #prepare(): void {
    if (this.#isReady) return;
    const { storage } = this.ctx;
    migrate(storage.sql, (run) => storage.transactionSync(run), BREAKER_MIGRATIONS, clock.now());
    this.#isReady = true;
  }

  /** Whether anything was ever written: a read of what is not there makes nothing. */
  #hasStorage(): boolean {
    if (this.#isReady) return true;
    const known = this.ctx.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = '_migrations'");
    return known.toArray().length > 0;
  }

  /** Sees to it that the object looks after itself one day, should nobody else wake it. */
  async #watch(): Promise<void> {
    if (this.#isWatched) return;
    this.#isWatched = true;
    await this.#armIdle();
  }

  async #armIdle(): Promise<void> {
    const { storage } = this.ctx;
    if ((await storage.getAlarm()) !== null) return;
    const now = clock.now();
    await storage.setAlarm(Math.max(now + 1, (this.#breaker.idleSince ?? now) + IDLE_MS));
  }

  async sync(message: BreakerSync): Promise<BreakerNews> {
    this.#prepare();
    const news = this.#breaker.sync(message);
    await this.#watch();
    return news;
  }

  async view(queueRefs?: number[]): Promise<ToldBreaker | null> {
    if (!this.#hasStorage()) return null;
    this.#prepare();
    return this.#breaker.view(queueRefs);
  }

  async isolate(reason: string, by: string): Promise<ToldBreaker> {
    this.#prepare();
    const view = this.#breaker.isolate(reason, by);
    await this.#watch();
    return view;
  }

  async reset(reason: string, by: string): Promise<ToldBreaker> {
    this.#prepare();
    const view = this.#breaker.reset(reason, by);
    await this.#watch();
    return view;
  }

  /**
   * Serves the next change of state, and deletes all where nothing was told for a day and no operator holds the target:
   * it comes back with the next that is told. Whatever throws escapes, and the platform runs it again; should it give
   * up, the next shard that asks has the same effect.
   */
  override async alarm(_info?: AlarmInvocationInfo): Promise<void> {
    if (!this.#hasStorage()) return;
    this.#prepare();
    this.#breaker.alarm();
    const { idleSince } = this.#breaker;
    if (idleSince === null || clock.now() - idleSince < IDLE_MS) return this.#armIdle();
    this.#isReady = false;
    this.#isWatched = false;
    this.#breaker = this.#fresh();
    await this.ctx.storage.deleteAll();
  }
}

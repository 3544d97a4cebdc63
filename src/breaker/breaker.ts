import { DurableObject } from "cloudflare:workers";
import migration0001 from "../../migrations/breaker/0001_init.sql";
import migration0002 from "../../migrations/breaker/0002_told.sql";
import migration0003 from "../../migrations/breaker/0003_holds.sql";
import migration0004 from "../../migrations/breaker/0004_parts.sql";
import { clock } from "../clock.ts";
import type { BreakerNews, BreakerPort, BreakerSync, ToldBreaker } from "../core/messages.ts";
import { migrate } from "../core/migrate.ts";
import type { Env } from "../env.ts";
import { isOwn, keyOfBreaker } from "./breaker-key.ts";
import { SharedBreaker } from "./shared-breaker.ts";

const MIGRATIONS = [
  { name: "0001_init", sql: migration0001 },
  { name: "0002_told", sql: migration0002 },
  { name: "0003_holds", sql: migration0003 },
  { name: "0004_parts", sql: migration0004 },
];

/** The Durable Object of one target's breaker: an adapter that builds a TargetBreaker on this object's storage. */
export class Breaker extends DurableObject<Env> implements BreakerPort {
  readonly #breaker: SharedBreaker;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    migrate(storage.sql, (run) => storage.transactionSync(run), MIGRATIONS, clock.now());
    const name = ctx.id.name ?? "";
    this.#breaker = new SharedBreaker(keyOfBreaker(name), isOwn(name), {
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

  async sync(message: BreakerSync): Promise<BreakerNews> {
    return this.#breaker.sync(message);
  }

  async view(queueRefs?: number[]): Promise<ToldBreaker | null> {
    return this.#breaker.view(queueRefs);
  }

  async isolate(reason: string, by: string): Promise<ToldBreaker> {
    return this.#breaker.isolate(reason, by);
  }

  async reset(reason: string, by: string): Promise<ToldBreaker> {
    return this.#breaker.reset(reason, by);
  }

  /**
   * Serves the next change of state. Whatever throws escapes, and the platform runs it again; should it give up,
   * the next shard that asks has the same effect.
   */
  override async alarm(_info?: AlarmInvocationInfo): Promise<void> {
    this.#breaker.alarm();
  }
}

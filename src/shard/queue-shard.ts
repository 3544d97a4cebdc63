import { DurableObject } from "cloudflare:workers";
import type { BreakerAudit } from "../core/breaker/breaker.ts";
import type { TargetPlace } from "../core/breaker/target-page.ts";
import { LONGEST_LIST_MS } from "../core/pressure/page-work.ts";
import { UnderWay } from "../core/under-way.ts";
import { clock } from "../platform/clock.ts";
import { type Env, evidenceFloorOf } from "../platform/env.ts";
import { migrate } from "../platform/migrate.ts";
import type { BreakerNews, TargetSummary } from "../protocol/breaker-api.ts";
import type { RunnerPort, SettleAnswer, SettleMessage } from "../protocol/grant.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type {
  ListAnswer,
  ListMessage,
  OperateAction,
  RekeyAnswer,
  RekeyMessage,
  ShardApi,
  ShardStats,
  SubmitMessage,
  SubmitResult,
  TaskAnswer,
} from "../protocol/shard-api.ts";
import { sharedPlaces } from "./bounds/places.ts";
import { SHARD_MIGRATIONS } from "./migrations.ts";
import { Shard } from "./shard.ts";

/** Objects of one isolate share its thread. */
const lists = new UnderWay(LONGEST_LIST_MS);

/** The Durable Object of one shard: an adapter that builds a Shard on this object's storage and delegates. */
export class QueueShard extends DurableObject<Env> implements ShardApi {
  readonly #shard: Shard;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    const name = ctx.id.name ?? "";
    migrate(storage.sql, (run) => storage.transactionSync(run), SHARD_MIGRATIONS, clock.now());
    this.#shard = new Shard(name, {
      sql: storage.sql,
      transaction: (run) => storage.transactionSync(run),
      now: clock.now,
      random: clock.random,
      evidenceFloorMs: evidenceFloorOf(env),
      places: sharedPlaces(env.REDRIVE_OPEN_FILES),
      lists,
      wait: clock.wait,
      setAlarm: (at) => void storage.setAlarm(at),
      keepAlive: (promise) => ctx.waitUntil(promise),
      runner: (index) => this.runner(index),
      catalog: () => env.CATALOG.getByName("catalog"),
      breaker: (target) => env.BREAKER.getByName(target),
      shard: (other) => env.SHARD.getByName(other),
      log: (line) => console.log(JSON.stringify(line)),
      deleteAll: () => storage.deleteAll(),
    });
  }

  /** One of the shard's Runner objects. */
  protected runner(index: number): RunnerPort {
    return this.env.RUNNER.getByName(`${this.#shard.ctx.name}/runner-${index}`);
  }

  submit(message: SubmitMessage): Promise<SubmitResult[]> {
    return this.#shard.submit(message);
  }

  settle(message: SettleMessage): Promise<SettleAnswer> {
    return this.#shard.settle(message);
  }

  breakerChanged(key: string, news: BreakerNews, announce: BreakerAudit | null): Promise<void> {
    return this.#shard.breakerChanged(key, news, announce);
  }

  mayTellStalled(): Promise<boolean> {
    return this.#shard.mayTellStalled();
  }

  wake(): Promise<void> {
    return this.#shard.wake();
  }

  askBreaker(key: string): Promise<void> {
    return this.#shard.askBreaker(key);
  }

  targets(limit: number, place?: TargetPlace): Promise<TargetSummary[]> {
    return this.#shard.targets(limit, place);
  }

  hold(key: string, release: boolean): Promise<number | null> {
    return this.#shard.hold(key, release);
  }

  settleAll(messages: SettleMessage[]): Promise<(SettleAnswer | null)[]> {
    return this.#shard.settleAll(messages);
  }

  get(id: string, quiet?: boolean): Promise<TaskAnswer> {
    return this.#shard.get(id, quiet);
  }

  list(message: ListMessage, quiet?: boolean): Promise<ListAnswer> {
    return this.#shard.list(message, quiet);
  }

  operate(id: string, action: OperateAction, force: boolean): Promise<TaskAnswer> {
    return this.#shard.operate(id, action, force);
  }

  rekeyTask(id: string, breakerKey: string | null): Promise<TaskAnswer> {
    return this.#shard.rekeyTask(id, breakerKey);
  }

  rekey(message: RekeyMessage): Promise<RekeyAnswer> {
    return this.#shard.rekey(message);
  }

  stats(quiet?: boolean): Promise<ShardStats> {
    return this.#shard.stats(quiet);
  }

  configure(config: QueueConfig): Promise<void> {
    return this.#shard.configure(config);
  }

  close(force?: boolean): Promise<boolean> {
    return this.#shard.close(force);
  }

  reopen(): Promise<void> {
    return this.#shard.reopen();
  }

  destroy(): Promise<void> {
    return this.#shard.destroy();
  }

  /** Serves the next due time. Failures of single rows are handled below; the platform retries what escapes. */
  override alarm(_info?: AlarmInvocationInfo): Promise<void> {
    return this.#shard.alarm();
  }
}

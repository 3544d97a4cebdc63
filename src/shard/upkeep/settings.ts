import { mostHoldMs } from "../../core/policy/hold.ts";
import { loggedError } from "../../core/text/logged-error.ts";
import type { CatalogPort } from "../../protocol/catalog-api.ts";
import { completeSettings, type QueueConfig } from "../../protocol/queue-config.ts";
import { MINUTE_MS } from "../../schema/limits.ts";
import { letPollsGo } from "../probe/polls.ts";
import type { ShardContext } from "../state/context.ts";
import type { GroupCommit, Tx } from "../storage/group-commit.ts";

/** Settings older than this are asked for again when the alarm runs anyway. */
const CONFIG_FRESH_MS = MINUTE_MS;

/** What a shard's settings need of the world. */
export interface SettingsPorts {
  now(): number;
  catalog(): CatalogPort;
  log(line: Record<string, unknown>): void;
}

/** Keeps a shard's copy of its queue's settings: told by the catalog, or asked for. */
export class ShardSettings {
  readonly #ctx: ShardContext;
  readonly #group: GroupCommit;
  readonly #ports: SettingsPorts;
  readonly #ref: number;
  #askedAt = 0;

  constructor(ctx: ShardContext, group: GroupCommit, ports: SettingsPorts) {
    this.#ctx = ctx;
    this.#group = group;
    this.#ports = ports;
    this.#ref = Number(ctx.name.slice(1, ctx.name.indexOf("-")));
  }

  /** Takes new settings, unless it has these or newer ones. */
  take(config: QueueConfig): Promise<void> {
    return this.#group.run((tx) => this.#store(tx, config));
  }

  /**
   * Asks the catalog where the settings are older than `version`. Where it is away, goes on with what is known, and
   * throws where nothing is.
   */
  async learn(version: number): Promise<void> {
    if (this.#ctx.own.config !== null && this.#ctx.own.config.version >= version) return;
    try {
      await this.#ask();
    } catch (error) {
      if (this.#ctx.own.config === null) throw error;
      this.#noteStale(error);
    }
  }

  /** Asks the catalog where it has not been asked lately; where it is away, as `learn`, and the next call asks again. */
  async refresh(): Promise<void> {
    if (this.#ctx.own.config === null) return this.learn(0);
    if (this.#ports.now() - this.#askedAt < CONFIG_FRESH_MS) return;
    try {
      await this.#ask();
    } catch (error) {
      this.#noteStale(error);
    }
  }

  async #ask(): Promise<void> {
    const config = await this.#ports.catalog().queueByRef(this.#ref);
    this.#askedAt = this.#ports.now();
    const known = this.#ctx.own.config?.version;
    if (config !== null && (known === undefined || known < config.version)) await this.take(config);
  }

  #noteStale(error: unknown): void {
    this.#ports.log({ event: "settings.stale", shard: this.#ctx.name, error: loggedError(error) });
  }

  /** What was asked for counts for no longer than the queue allows now. */
  #cutHolds(tx: Tx, mostMs: number, beforeMs: number): void {
    this.#ctx.targets.cutHolds(tx, mostMs);
    if (mostMs < beforeMs) letPollsGo(this.#ctx, tx, null, mostMs);
  }

  #store(tx: Tx, config: QueueConfig): void {
    const before = this.#ctx.own.config;
    if (before !== null && before.version >= config.version) return;
    const after = { ...config, settings: completeSettings(config.settings) };
    if (before !== null)
      this.#cutHolds(tx, mostHoldMs(after.settings.retry), mostHoldMs(before.settings.retry));
    this.#ctx.own.setConfig(tx, config, after);
    tx.after(() => {
      this.#ctx.targets.noteSettings();
      this.#ctx.spares.forget();
      // A shorter retention may have made rows ripe.
      if (isShorter(after, before)) this.#ctx.retention.noteShorter();
    });
  }
}

function isShorter(config: QueueConfig, before: QueueConfig | null): boolean {
  const { succeeded, failed } = config.settings.retention;
  const old = before?.settings.retention;
  return old !== undefined && (succeeded < old.succeeded || failed < old.failed);
}

import type { UnderWay } from "../../core/under-way.ts";
import type { SqlPort } from "../../platform/sql-port.ts";
import type { BreakerPort } from "../../protocol/breaker-api.ts";
import type { CatalogPort } from "../../protocol/catalog-api.ts";
import type { RunnerPort } from "../../protocol/grant.ts";
import type { SiblingPort } from "../../protocol/shard-api.ts";
import type { Places } from "../bounds/places.ts";

/** What a shard needs of the world: its object's storage, its alarm, the runners, the catalog. */
export interface ShardPorts {
  sql: SqlPort;
  transaction<T>(run: () => T): T;
  now(): number;
  random(): number;
  /** The shortest timeout that is evidence for other queues, as the deployment sets it. */
  evidenceFloorMs: number;
  /** The places for calls that all shards of this process share; left out: nothing bounds them. */
  places?: Places | null;
  /** The lists that all shards of this process have under way; left out: this shard's alone. */
  lists?: UnderWay;
  wait(ms: number): Promise<void>;
  /** Arms the object's one alarm, in the commit that is being made. */
  setAlarm(at: number): void;
  /** Keeps the object up until the promise has settled. */
  keepAlive(promise: Promise<unknown>): void;
  runner(index: number): RunnerPort;
  catalog(): CatalogPort;
  /** The Breaker object of this name. */
  breaker(name: string): BreakerPort;
  /** Another shard: of the queue, or one that waits for a place. */
  shard(name: string): SiblingPort;
  log(line: Record<string, unknown>): void;
  deleteAll(): Promise<void>;
}

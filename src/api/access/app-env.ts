import type { Context } from "hono";
import { callObject, FAILURE_DETAILS, ObjectCallError } from "../../platform/call-object.ts";
import type { Env } from "../../platform/env.ts";
import type { CatalogApi } from "../../protocol/catalog-api.ts";
import { CATALOG_NAME } from "../../protocol/names.ts";
import type { Scope } from "../../schema/key.ts";
import { AppError } from "../http/app-error.ts";

/** Who calls, and what their key lets them do. */
export interface Caller {
  /** The id of their key; `root`: the root key. */
  id: string;
  scopes: ReadonlySet<Scope>;
  /** The only queues the key works for; null: all. */
  queues: ReadonlySet<string> | null;
}

/** What every handler of the API finds in its context. `caller` is there on /v1 routes only. */
export interface AppEnv {
  Bindings: Env;
  Variables: { requestId: string; caller: Caller };
}

export type AppContext = Context<AppEnv>;

/** Calls the catalog, with repeats: only for methods that may be. Throws AppError with an ObjectCallFailure. */
export function callCatalog<T>(env: Env, call: (catalog: CatalogApi) => Promise<T>): Promise<T> {
  return orProblem(callObject(() => call(catalogStub(env))));
}

/** Calls a shard by its name, with repeats. Throws AppError with an ObjectCallFailure. */
export function callShard<T>(
  env: Env,
  name: string,
  call: (shard: ReturnType<Env["SHARD"]["getByName"]>) => Promise<T>,
): Promise<T> {
  return orProblem(callObject(() => call(env.SHARD.getByName(name))));
}

/**
 * Reads from a shard, with repeats. Every call lets a shard go on with what is due; where storage takes no writes, the
 * read is made once more with `quiet`, without that. Throws AppError as `callShard` does.
 */
export async function readShard<T>(
  env: Env,
  name: string,
  read: (shard: ReturnType<Env["SHARD"]["getByName"]>, quiet: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await callShard(env, name, (shard) => read(shard, false));
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "storage_unavailable") throw error;
    return callShard(env, name, (shard) => read(shard, true));
  }
}

/** Calls a Breaker object by its name, with repeats. Throws AppError with an ObjectCallFailure. */
export function callBreaker<T>(
  env: Env,
  name: string,
  call: (breaker: ReturnType<Env["BREAKER"]["getByName"]>) => Promise<T>,
): Promise<T> {
  return orProblem(callObject(() => call(env.BREAKER.getByName(name))));
}

/** A new stub of the catalog, for one call. */
export function catalogStub(env: Env): CatalogApi {
  // The binding names only what shards need; the class behind it answers all of CatalogApi.
  return env.CATALOG.getByName(CATALOG_NAME) as unknown as CatalogApi;
}

/** An object that gave no answer becomes the problem its caller gets. */
async function orProblem<T>(calling: Promise<T>): Promise<T> {
  try {
    return await calling;
  } catch (error) {
    if (!(error instanceof ObjectCallError)) throw error;
    throw new AppError(error.kind, FAILURE_DETAILS[error.kind], { cause: error });
  }
}

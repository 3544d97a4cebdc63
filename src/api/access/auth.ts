import type { MiddlewareHandler } from "hono";
import { apiKeyId } from "../../core/text/api-key.ts";
import { sha256Hex } from "../../platform/digest.ts";
import type { Env } from "../../platform/env.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Scope } from "../../schema/key.ts";
import { AppError } from "../http/app-error.ts";
import type { AppContext, AppEnv, Caller } from "./app-env.ts";
import { cachedKey } from "./catalog-cache.ts";

const ROOT: Caller = { id: "root", scopes: new Set<Scope>(["admin"]), queues: null };

/** Lets a request on with its caller known. Throws AppError `not_configured` or `unauthorized`. */
export const authenticate: MiddlewareHandler<AppEnv> = async (c, next) => {
  const { REDRIVE_API_KEY: rootKey } = c.env;
  if (!rootKey) {
    throw new AppError("not_configured", "no API key is configured: set REDRIVE_API_KEY on this deployment");
  }
  const token = /^Bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (token === undefined) throw unauthorized("expected the header Authorization: Bearer <key>, got none");
  const caller = await callerOf(c.env, rootKey, token);
  if (caller === null) throw unauthorized("the API key is not valid");
  c.set("caller", caller);
  await next();
};

/** Lets a request on only with a key of this scope (`admin` has all). Throws AppError `forbidden`. */
export function needs(scope: Scope): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const { scopes } = c.get("caller");
    if (!scopes.has(scope) && !scopes.has("admin")) {
      throw new AppError("forbidden", `the API key lacks the scope "${scope}"`);
    }
    await next();
  };
}

/** Lets a request on only with a key that is not limited to some queues, as such a key could make itself others. */
export const needsAllQueues: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (c.get("caller").queues !== null) {
    throw new AppError(
      "forbidden",
      'the API key lacks the scope "admin" for all queues: it is limited to some',
    );
  }
  await next();
};

/** Whether the caller's key works for this queue; others look to it as if they did not exist. */
export function mayUse(c: AppContext, queue: QueueConfig | string): boolean {
  const { queues } = c.get("caller");
  return queues === null || queues.has(typeof queue === "string" ? queue : queue.name);
}

async function callerOf(env: Env, rootKey: string, token: string): Promise<Caller | null> {
  if (isSame(token, rootKey)) return ROOT;
  const id = apiKeyId(token);
  const key = id === null ? null : await cachedKey(env, id);
  if (key === null || !isSame(await sha256Hex(token), key.hash)) return null;
  return { id: key.id, scopes: new Set(key.scopes), queues: key.queues && new Set(key.queues) };
}

/**
 * Compares what came with what is right in a time that does not tell where they differ: all of what came is looked at.
 * In plain code, since each of the three native calls of `timingSafeEqual` costs a quiet server more than all of it.
 */
function isSame(came: string, right: string): boolean {
  let difference = came.length ^ right.length;
  for (let at = 0; at < came.length; at++) {
    difference |= came.charCodeAt(at) ^ right.charCodeAt(at % right.length);
  }
  return difference === 0;
}

function unauthorized(detail: string): AppError {
  return new AppError("unauthorized", detail, { headers: { "www-authenticate": "Bearer" } });
}

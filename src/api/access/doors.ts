import type { MiddlewareHandler } from "hono";
import { isOwnOrigin, isServedHost } from "../../core/address/served-host.ts";
import { ownHostsOf } from "../../platform/env.ts";
import { shapeOf } from "../../schema/shape.ts";
import { AppError } from "../http/app-error.ts";
import type { AppContext, AppEnv } from "./app-env.ts";
import { authenticate, needs, needsAllQueues } from "./auth.ts";

const READS = new Set(["GET", "HEAD", "OPTIONS"]);
const MAX_SHOWN = 100;

/**
 * Standalone, answers only for the hosts that the server is: see `isServedHost`. On Cloudflare the platform routes by host.
 * Throws AppError `misdirected_request`.
 */
export const onlyOwnHosts: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (c.env.REDRIVE_LISTEN !== undefined) {
    const own = ownHostsOf(c.env);
    const host = hostOf(c);
    if (!isServedHost(host, own)) throw misdirected(host, own);
  }
  await next();
};

/**
 * Refuses writes without a key that a browser sends for a page of another origin: it asks no one's leave to send a plain
 * form. With a key they are taken, since no page can add one to a request that the browser makes for it.
 * Throws AppError `forbidden`.
 */
export const onlyOwnOrigins: MiddlewareHandler<AppEnv> = async (c, next) => {
  const origin = c.req.header("origin");
  if (origin !== undefined && !READS.has(c.req.method) && !hasBearer(c) && !isOwn(c, origin)) {
    throw new AppError("forbidden", `pages of ${show(origin)} may not write here without an API key`);
  }
  await next();
};

/** Lets callbacks into the sandbox's inbox without a key, and an operator of all queues to what is in it. */
export const guardInbox: MiddlewareHandler<AppEnv>[] = [authenticate, needs("admin"), needsAllQueues].map(
  (guard): MiddlewareHandler<AppEnv> =>
    (c, next) =>
      c.env.REDRIVE_SANDBOX !== "on" || c.req.method === "POST" ? next() : guard(c, next),
);

/** What the request calls this server; an old client may say nothing, and then gets what workerd puts there. */
function hostOf(c: AppContext): string {
  return c.req.header("host") ?? new URL(c.req.url).host;
}

function isOwn(c: AppContext, origin: string): boolean {
  return isOwnOrigin(origin, hostOf(c), c.env.REDRIVE_PUBLIC_URL ?? null);
}

function hasBearer(c: AppContext): boolean {
  return /^Bearer +\S/i.test(c.req.header("authorization") ?? "");
}

function misdirected(host: string, own: readonly string[]): AppError {
  const known = ["an IP address", "localhost", ...own].join(", ");
  const advice = "name it in REDRIVE_OWN_HOSTS or REDRIVE_PUBLIC_URL if this server is meant";
  return new AppError("misdirected_request", `expected the host ${known}, got ${show(host)}; ${advice}`);
}

/** Hosts and origins of hosts are shown; what else stands in these headers is not. */
function show(text: string): string {
  const { host } = URL.parse(text.includes("//") ? text : `http://${text}`) ?? {};
  const isHost =
    host !== undefined &&
    host.length <= MAX_SHOWN &&
    [host, `http://${host}`, `https://${host}`].includes(text);
  return isHost ? JSON.stringify(text) : shapeOf(text);
}

import { Hono } from "hono";
import type { Rate } from "../../core/pressure/rate.ts";
import { clock } from "../../platform/clock.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { DEFAULT_QUEUE } from "../../schema/task.ts";
import { rulesOf } from "../access/address-rules.ts";
import { type AppEnv, callCatalog } from "../access/app-env.ts";
import { SharedLoad } from "../access/shared-load.ts";
import { AppError } from "../http/app-error.ts";
import { encryptionState } from "../queues/encryption-state.ts";

/** Nobody needs a key to ask: however many do, the catalog is asked this often by one isolate. */
const LOOKS: Rate = { limit: 5, perMs: 1_000, burst: 5 };
const looks = new SharedLoad<QueueConfig | null>(LOOKS, clock);

/** Liveness and readiness; both without a key. */
export const health = new Hono<AppEnv>();

health.get("/healthz", (c) => c.json({ status: "ok" }));

health.get("/readyz", async (c) => {
  if (!c.env.REDRIVE_API_KEY) throw new AppError("not_configured", "REDRIVE_API_KEY is not set");
  rulesOf(c.env);
  const queue = await looks.get(() => callCatalog(c.env, (catalog) => catalog.queueByName(DEFAULT_QUEUE)));
  return c.json({ status: "ok", encryption: await encryptionState(c.env, queue) });
});

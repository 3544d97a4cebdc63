import { Hono } from "hono";
import { DEFAULT_QUEUE } from "../schema/task.ts";
import { rulesOf } from "./address-rules.ts";
import { type AppEnv, callCatalog } from "./app-env.ts";
import { AppError } from "./app-error.ts";
import { encryptionState } from "./encryption-state.ts";

/** Liveness and readiness; both without a key. */
export const health = new Hono<AppEnv>();

health.get("/healthz", (c) => c.json({ status: "ok" }));

health.get("/readyz", async (c) => {
  if (!c.env.REDRIVE_API_KEY) throw new AppError("not_configured", "REDRIVE_API_KEY is not set");
  rulesOf(c.env);
  const queue = await callCatalog(c.env, (catalog) => catalog.queueByName(DEFAULT_QUEUE));
  return c.json({ status: "ok", encryption: await encryptionState(c.env, queue) });
});

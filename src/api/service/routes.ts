import { z } from "zod";
import type { Rate } from "../../core/pressure/rate.ts";
import { clock } from "../../platform/clock.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { DEFAULT_QUEUE } from "../../schema/task.ts";
import { rulesOf } from "../access/address-rules.ts";
import { callCatalog } from "../access/app-env.ts";
import type { Route } from "../access/route.ts";
import { SharedLoad } from "../access/shared-load.ts";
import { AppError } from "../http/app-error.ts";
import type { NamedSchema } from "../http/route-doc.ts";
import { encryptionState } from "../queues/encryption-state.ts";

/** Nobody needs a key to ask: however many do, the catalog is asked this often by one isolate. */
const LOOKS: Rate = { limit: 5, perMs: 1_000, burst: 5 };
const looks = new SharedLoad<QueueConfig | null>(LOOKS, clock);

const Health = z.object({ status: z.literal("ok") });
const Readiness = Health.extend({
  encryption: z.enum(["on", "off"]).meta({ description: "Whether secrets are stored encrypted" }),
});
const HEALTH: NamedSchema = { name: "Health", schema: Health };
const READINESS: NamedSchema = { name: "Readiness", schema: Readiness };

/** Liveness and readiness; both without a key. */
export const SERVICE_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/healthz",
    tag: "Service",
    summary: "Liveness",
    description: "Answers while the Worker runs.",
    scope: null,
    responses: [{ status: 200, description: "Alive", schema: HEALTH }],
    problems: [],
    handle: (c) => c.json({ status: "ok" }),
  },
  {
    method: "GET",
    path: "/readyz",
    tag: "Service",
    summary: "Readiness",
    description:
      "Answers 200 while the deployment is configured and its storage answers. `encryption` says whether secrets are stored encrypted.",
    scope: null,
    responses: [{ status: 200, description: "Ready", schema: READINESS }],
    problems: ["not_configured", "storage_unavailable", "unavailable"],
    handle: async (c) => {
      if (!c.env.REDRIVE_API_KEY) throw new AppError("not_configured", "REDRIVE_API_KEY is not set");
      rulesOf(c.env);
      const queue = await looks.get(() =>
        callCatalog(c.env, (catalog) => catalog.queueByName(DEFAULT_QUEUE)),
      );
      return c.json({ status: "ok", encryption: await encryptionState(c.env, queue) });
    },
  },
];

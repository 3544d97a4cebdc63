import { Hono } from "hono";
import { sandboxRoutes } from "../sandbox/routes.ts";
import type { AppEnv } from "./app-env.ts";
import { authenticate } from "./auth.ts";
import { breakers } from "./breakers.ts";
import { docs } from "./docs.ts";
import { guardInbox, onlyOwnHosts, onlyOwnOrigins } from "./doors.ts";
import { health } from "./health.ts";
import { keys } from "./keys.ts";
import { answerNoRoute, answerProblem, withRequestId } from "./problems.ts";
import { queues } from "./queues.ts";
import { rekey } from "./rekey.ts";
import { tasks } from "./tasks.ts";

/** The HTTP API with everything it serves: /v1, health, documentation, and the sandbox where it is on. */
export function createApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.onError(answerProblem);
  app.notFound(answerNoRoute);
  app.use(withRequestId);
  app.use(onlyOwnHosts, onlyOwnOrigins);
  app.use("/v1/*", authenticate);
  app.use("/sandbox/inbox", ...guardInbox);
  app.route("/", tasks);
  app.route("/", rekey);
  app.route("/", queues);
  app.route("/", breakers);
  app.route("/", keys);
  app.route("/", health);
  app.route("/", docs);
  app.route("/sandbox", sandboxRoutes);
  return app;
}

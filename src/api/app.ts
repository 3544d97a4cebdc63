import { Hono } from "hono";
import { sandboxRoutes } from "../sandbox/routes.ts";
import type { AppEnv } from "./access/app-env.ts";
import { authenticate } from "./access/auth.ts";
import { guardInbox, onlyOwnHosts, onlyOwnOrigins } from "./access/doors.ts";
import { breakers } from "./breakers/routes.ts";
import { keys } from "./keys/routes.ts";
import { answerNoRoute, answerProblem, withRequestId } from "./problems.ts";
import { queues } from "./queues/routes.ts";
import { docs } from "./reference/routes.ts";
import { health } from "./service/routes.ts";
import { rekey } from "./tasks/rekey.ts";
import { tasks } from "./tasks/routes.ts";

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

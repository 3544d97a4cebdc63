import { Hono } from "hono";
import { sandboxRoutes } from "../sandbox/routes.ts";
import type { AppEnv } from "./access/app-env.ts";
import { authenticate } from "./access/auth.ts";
import { guardInbox, onlyOwnHosts, onlyOwnOrigins } from "./access/doors.ts";
import { onceEach } from "./access/parse-query.ts";
import { serve } from "./access/route.ts";
import { answerNoRoute, answerProblem, withRequestId } from "./problems.ts";
import { serveReference } from "./reference/routes.ts";
import { ROUTES } from "./routes.ts";

/** The HTTP API with everything it serves: /v1, health, documentation, and the sandbox where it is on. */
export function createApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.onError(answerProblem);
  app.notFound(answerNoRoute);
  app.use(withRequestId);
  app.use(onlyOwnHosts, onlyOwnOrigins);
  app.use("/v1/*", authenticate);
  app.use("/sandbox/inbox", ...guardInbox);
  app.use("/v1/*", onceEach);
  app.use("/sandbox/*", onceEach);
  serve(app, ROUTES);
  serveReference(app);
  app.route("/sandbox", sandboxRoutes);
  return app;
}

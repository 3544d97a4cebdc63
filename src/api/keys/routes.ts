import { Hono } from "hono";
import type { KeyRecord } from "../../protocol/catalog-api.ts";
import { KeyRequest, type KeyView } from "../../schema/key.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { type AppEnv, callCatalog, catalogStub } from "../access/app-env.ts";
import { needs, needsAllQueues } from "../access/auth.ts";
import { forgetKey } from "../access/catalog-cache.ts";
import { AppError, refused } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";

/** Make, list and revoke API keys. */
export const keys = new Hono<AppEnv>();

keys.post("/v1/keys", needs("admin"), needsAllQueues, async (c) => {
  const request = parse(KeyRequest, await readBody(c.req.raw, MAX_SETTINGS_BYTES));
  // Once only: a key whose answer was lost is one that nobody has.
  const answer = await catalogStub(c.env)
    .createKey(request)
    .catch((cause: unknown) => {
      throw new AppError("unavailable", "storage did not answer; list the keys before you try again", {
        cause,
      });
    });
  if (!answer.ok) throw refused(answer);
  forgetKey(answer.key.id);
  return c.json({ ...keyView(answer.key), key: answer.text }, 201);
});

keys.get("/v1/keys", needs("admin"), needsAllQueues, async (c) => {
  const all = await callCatalog(c.env, (catalog) => catalog.keys());
  return c.json({ keys: all.map(keyView) });
});

keys.delete("/v1/keys/:id", needs("admin"), needsAllQueues, async (c) => {
  const id = c.req.param("id");
  const answer = await callCatalog(c.env, (catalog) => catalog.revokeKey(id));
  if (!answer.ok) throw refused(answer);
  forgetKey(id);
  return c.body(null, 204);
});

/** A key as the API shows it: without its hash. */
function keyView({ id, name, scopes, queues, createdAt }: KeyRecord): KeyView {
  return { id, name, scopes, queues, created_at: new Date(createdAt).toISOString() };
}

import type { KeyRecord } from "../../protocol/catalog-api.ts";
import { KeyCreated, KeyList, KeyRequest, type KeyView } from "../../schema/key.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { callCatalog, catalogStub } from "../access/app-env.ts";
import { forgetKey } from "../access/catalog-cache.ts";
import { pathParam, type Route } from "../access/route.ts";
import { AppError, refused } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";
import { BODY_PROBLEMS, JSON_TYPE, type NamedSchema } from "../http/route-doc.ts";

const KEY_REQUEST: NamedSchema = { name: "KeyRequest", schema: KeyRequest };
const KEY_CREATED: NamedSchema = { name: "KeyCreated", schema: KeyCreated };
const KEY_LIST: NamedSchema = { name: "KeyList", schema: KeyList };

/** Make, list and revoke API keys. */
export const KEY_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/keys",
    tag: "Keys",
    summary: "Make an API key",
    description:
      "With scopes (`submit`, `read`, `operate`, `admin`, which has all) and, if wished, for some queues only.",
    scope: "admin",
    request: {
      schema: KEY_REQUEST,
      types: [JSON_TYPE],
      example: JSON.stringify({ name: "shop", scopes: ["submit", "read"], queues: ["payments"] }),
    },
    responses: [{ status: 201, description: "The key, shown this once", schema: KEY_CREATED }],
    problems: BODY_PROBLEMS,
    allQueues: true,
    handle: async (c) => {
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
    },
  },
  {
    method: "GET",
    path: "/v1/keys",
    tag: "Keys",
    summary: "List API keys",
    description: "Oldest first, without the keys themselves. The root key is not among them.",
    scope: "admin",
    responses: [{ status: 200, description: "The keys", schema: KEY_LIST }],
    problems: [],
    allQueues: true,
    handle: async (c) => {
      const all = await callCatalog(c.env, (catalog) => catalog.keys());
      return c.json({ keys: all.map(keyView) });
    },
  },
  {
    method: "DELETE",
    path: "/v1/keys/{id}",
    tag: "Keys",
    summary: "Revoke an API key",
    description: "The key stops working within 10 seconds.",
    scope: "admin",
    responses: [{ status: 204, description: "Revoked" }],
    problems: ["key_not_found"],
    allQueues: true,
    handle: async (c) => {
      const id = pathParam(c, "id");
      const answer = await callCatalog(c.env, (catalog) => catalog.revokeKey(id));
      if (!answer.ok) throw refused(answer);
      forgetKey(id);
      return c.body(null, 204);
    },
  },
];

/** A key as the API shows it: without its hash. */
function keyView({ id, name, scopes, queues, createdAt }: KeyRecord): KeyView {
  return { id, name, scopes, queues, created_at: new Date(createdAt).toISOString() };
}

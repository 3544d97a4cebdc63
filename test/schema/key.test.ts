import { describe, expect, test } from "vitest";
import { KeyCreated, KeyRequest, KeyView } from "../../src/schema/key.ts";
import { issuesOf } from "../support/issues.ts";

const request = { name: "shop", scopes: ["submit", "read"] };

describe("KeyRequest", () => {
  test.each([request, { ...request, queues: ["payments"] }, { name: "root", scopes: ["admin"] }])(
    "takes %j",
    (key) => {
      expect(KeyRequest.parse(key)).toEqual(key);
    },
  );

  test.each([
    ["no name", { ...request, name: "" }, "name"],
    ["a name of 65 characters", { ...request, name: "x".repeat(65) }, "name"],
    ["no scope", { ...request, scopes: [] }, "scopes"],
    ["an unknown scope", { ...request, scopes: ["write"] }, "scopes.0"],
    ["no queue, which would be none or all", { ...request, queues: [] }, "queues"],
    ["a queue that cannot be", { ...request, queues: ["Payments"] }, "queues.0"],
    ["65 queues", { ...request, queues: Array.from({ length: 65 }, (_, i) => `q${i}`) }, "queues"],
    ["a key of the caller's own", { ...request, key: "mine" }, ""],
  ])("refuses %s", (_, key, path) => {
    expect(issuesOf(KeyRequest, key)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });
});

describe("KeyView", () => {
  const view = {
    id: "key_1",
    name: "shop",
    scopes: ["submit"],
    queues: null,
    created_at: "2026-11-23T10:00:00.000Z",
  };

  test("does not let the key itself through; only the answer to its making has it", () => {
    expect(KeyView.parse({ ...view, key: "rdk_secret" })).toEqual(view);
    expect(KeyCreated.parse({ ...view, key: "rdk_secret" })).toEqual({ ...view, key: "rdk_secret" });
  });
});

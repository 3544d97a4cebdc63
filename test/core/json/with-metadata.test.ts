import { expect, test } from "vitest";
import { withMetadata } from "../../../src/core/json/with-metadata.ts";

test("writes the metadata as it was given, wherever a text looks like its place", () => {
  const task = { id: '"metadata":{}', metadata: { id: 1 } };
  const given = '{"id":9007199254740993,"$&":1.10}';
  expect(withMetadata({ data: task }, task, given)).toBe(
    `{"data":{"id":"\\"metadata\\":{}","metadata":${given}}}`,
  );
  expect(task.metadata).toEqual({ id: 1 });
  expect(withMetadata(task, task, undefined)).toBe(JSON.stringify(task));
});

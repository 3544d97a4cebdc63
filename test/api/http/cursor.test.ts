import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeCursor, readCursor } from "../../../src/api/http/cursor.ts";

const ID = "tsk_01M83MT475ZGQ00Y1CENRJ021";
const FILTERS = { queue: null, state: "failed", label: null, target: null, createdAfter: 5 };

describe("readCursor", () => {
  test("gives what makeCursor was given", async () => {
    expect(await readCursor(await makeCursor(ID, FILTERS, "s"), FILTERS, "s")).toBe(ID);
  });

  test("refuses a cursor with other filters", async () => {
    const cursor = await makeCursor(ID, FILTERS, "s");
    const reading = readCursor(cursor, { ...FILTERS, state: null }, "s");
    await expect(reading).rejects.toMatchObject({ code: "invalid_cursor", errors: [{ path: "cursor" }] });
  });

  test("refuses a cursor of another deployment", async () => {
    const cursor = await makeCursor(ID, FILTERS, "s");
    await expect(readCursor(cursor, FILTERS, "t")).rejects.toMatchObject({ code: "invalid_cursor" });
  });

  test("refuses a cursor with any character changed", async () => {
    const cursor = await makeCursor(ID, FILTERS, "s");
    await fc.assert(
      fc.asyncProperty(fc.nat(cursor.length - 1), fc.constantFrom(..."0Aa_-."), async (at, other) => {
        fc.pre(cursor[at] !== other);
        const changed = cursor.slice(0, at) + other + cursor.slice(at + 1);
        await expect(readCursor(changed, FILTERS, "s")).rejects.toMatchObject({ code: "invalid_cursor" });
      }),
    );
  });

  test.each(["", ".", "x", "a.b", `${ID}.`])("refuses %j", async (cursor) => {
    await expect(readCursor(cursor, FILTERS, "s")).rejects.toMatchObject({ code: "invalid_cursor" });
  });
});

import { describe, expect, test } from "vitest";
import { AppError } from "../../src/api/http/app-error.ts";
import { callObject, ObjectCallError } from "../../src/platform/call-object.ts";

/** Calls an object that throws these in turn and then answers; tells how often it was called, and how it ended. */
async function called(...errors: Error[]) {
  let calls = 0;
  const ended = await callObject(async () => {
    const error = errors[calls++];
    if (error !== undefined) throw error;
    return "answer";
  }).catch((error: unknown) => error);
  return { calls, ended };
}

describe("callObject", () => {
  test("repeats a call that failed", async () => {
    const lost = new Error("Network connection lost.");
    expect(await called(lost, lost, lost)).toEqual({ calls: 4, ended: "answer" });
  });

  test("gives up after three repeats", async () => {
    const lost = new Error("Network connection lost.");
    const { calls, ended } = await called(lost, lost, lost, lost);
    expect(calls).toBe(4);
    expect(ended).toMatchObject({ name: "ObjectCallError", kind: "unavailable", cause: lost });
  });

  test.each([
    "database or disk is full: SQLITE_FULL",
    "disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_WRITE)",
    "unable to open database file: SQLITE_CANTOPEN",
    "attempt to write a readonly database: SQLITE_READONLY",
  ])("says at once that storage takes no writes: %s", async (message) => {
    const { calls, ended } = await called(new Error(message));
    expect(calls).toBe(1);
    expect(ended).toBeInstanceOf(ObjectCallError);
    expect(ended).toMatchObject({ kind: "storage_unavailable" });
  });

  test("takes no other failure of SQLite for a full disk", async () => {
    const { calls, ended } = await called(new Error("UNIQUE constraint failed: tasks.id: SQLITE_CONSTRAINT"));
    expect({ calls, ended }).toEqual({ calls: 2, ended: "answer" });
  });

  test("does not repeat a call that an overloaded object refused", async () => {
    const { calls, ended } = await called(Object.assign(new Error("too many"), { overloaded: true }));
    expect(calls).toBe(1);
    expect(ended).toMatchObject({ kind: "overloaded" });
  });
});

describe("the problem of storage that takes no writes", () => {
  test("is a 503 that says when to try again", () => {
    expect(new AppError("storage_unavailable", "full").headers).toEqual({ "retry-after": "5" });
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  makeTaskId,
  parseTaskId,
  QUEUE_REF_BYTES,
  randomQueueRef,
  taskIdFloor,
} from "../../../src/core/task/task-id.ts";

const parts = fc.record({
  createdAt: fc.integer({ min: 0, max: 8_640_000_000_000_000 / 10 }),
  shard: fc.integer({ min: 0, max: 255 }),
  queueRef: fc.integer({ min: 1, max: 32 ** 7 - 1 }),
});
const random = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
const drawing = (stream: Iterator<number>) => () => Number(stream.next().value);

describe("makeTaskId", () => {
  test("makes an id that leads back to its time, shard and queue", () => {
    fc.assert(
      fc.property(parts, random, (made, stream) => {
        expect(parseTaskId(makeTaskId(made, drawing(stream)))).toEqual(made);
      }),
    );
  });

  test("sorts by time, whatever the rest is", () => {
    fc.assert(
      fc.property(parts, parts, random, (a, b, stream) => {
        fc.pre(a.createdAt < b.createdAt);
        expect(makeTaskId(a, drawing(stream)) < makeTaskId(b, drawing(stream))).toBe(true);
      }),
    );
  });

  test("makes different ids from different randomness", () => {
    const made = { createdAt: 1_700_000_000_000, shard: 0, queueRef: 1 };
    expect(makeTaskId(made, () => 0)).not.toBe(makeTaskId(made, () => 0.5));
  });
});

describe("randomQueueRef", () => {
  test("fits an id, and gives all ids of new queues one length", () => {
    const bytes = fc.uint8Array({ minLength: QUEUE_REF_BYTES, maxLength: QUEUE_REF_BYTES });
    fc.assert(
      fc.property(bytes, (noise) => {
        const made = { createdAt: 1_700_000_000_000, shard: 0, queueRef: randomQueueRef(noise) };
        const id = makeTaskId(made, () => 0);
        expect([id.length, parseTaskId(id)]).toEqual([35, made]);
      }),
    );
  });

  test("takes all of its bytes to tell refs apart", () => {
    const refs = Array.from({ length: QUEUE_REF_BYTES }, (_, i) => {
      const bytes = new Uint8Array(QUEUE_REF_BYTES);
      bytes[i] = 1;
      return randomQueueRef(bytes);
    });
    expect(new Set([...refs, randomQueueRef(new Uint8Array(QUEUE_REF_BYTES))]).size).toBe(
      QUEUE_REF_BYTES + 1,
    );
  });
});

describe("taskIdFloor", () => {
  test("is at or below every id of its instant and above every id of the one before", () => {
    fc.assert(
      fc.property(parts, random, (made, stream) => {
        const id = makeTaskId(made, drawing(stream));
        expect(taskIdFloor(made.createdAt) <= id).toBe(true);
        expect(taskIdFloor(made.createdAt + 1) > id).toBe(true);
      }),
    );
  });
});

describe("parseTaskId", () => {
  const id = makeTaskId({ createdAt: 1_700_000_000_000, shard: 3, queueRef: 7 }, () => 0.5);

  test.each([
    "",
    "tsk_",
    id.slice(0, -1),
    id.toLowerCase(),
    id.replace("tsk_", "key_"),
    `${id.slice(0, -1)}U`,
    `${id}${"0".repeat(20)}`,
    `${id}\n`,
  ])("refuses %j", (text) => {
    expect(parseTaskId(text)).toBeNull();
  });

  test("gives numbers or null for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^tsk_[0-9A-Z]{20,34}$/)), (text) => {
        const read = parseTaskId(text);
        expect(read === null || Object.values(read).every(Number.isFinite)).toBe(true);
      }),
    );
  });
});

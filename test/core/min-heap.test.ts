import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MinHeap, pushLive } from "../../src/core/min-heap.ts";

function heapOf(numbers: readonly number[]): MinHeap<number> {
  const heap = new MinHeap<number>();
  for (const [i, at] of numbers.entries()) heap.push(at, i);
  return heap;
}

function drain<T>(heap: MinHeap<T>): { at: number; value: T }[] {
  const entries: { at: number; value: T }[] = [];
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) entries.push(top);
  return entries;
}

const numbers = fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer()), {
  maxLength: 200,
  size: "max",
});

describe("MinHeap", () => {
  test("gives everything back in ascending order, each value with its number", () => {
    fc.assert(
      fc.property(numbers, (all) => {
        const entries = drain(heapOf(all));
        expect(entries.map(({ at }) => at)).toEqual([...all].sort((a, b) => a - b));
        expect(entries.every(({ at, value }) => all[value] === at)).toBe(true);
        expect(new Set(entries.map(({ value }) => value)).size).toBe(all.length);
      }),
    );
  });

  test("behaves as a sorted list does, over any mix of push and pop", () => {
    const steps = fc.array(fc.option(fc.integer({ min: 0, max: 50 })), { maxLength: 200, size: "max" });
    fc.assert(
      fc.property(steps, (all) => {
        const heap = new MinHeap<string>();
        const sorted: number[] = [];
        for (const at of all) {
          if (at === null) expect(heap.pop()?.at).toBe(sorted.shift());
          else {
            heap.push(at, String(at));
            sorted.push(at);
            sorted.sort((a, b) => a - b);
          }
          expect([heap.size, heap.peek()?.at]).toEqual([sorted.length, sorted[0]]);
        }
      }),
    );
  });

  test("has nothing to show or to give while it is empty", () => {
    const heap = new MinHeap<number>();

    expect([heap.size, heap.peek(), heap.pop()]).toEqual([0, undefined, undefined]);
  });

  test("shows the lowest without taking it out", () => {
    const heap = heapOf([3, 1, 2]);

    expect(heap.peek()).toEqual({ at: 1, value: 1 });
    expect(heap.size).toBe(3);
  });
});

describe("pushLive", () => {
  test("keeps what holds, and of the rest no more than a bounded part, however often times change", () => {
    const live = new Map<string, number | null>();
    let heap = new MinHeap<string>();
    for (let i = 0; i < 10_000; i++) {
      const key = `lane-${i % 10}`;
      live.set(key, 1_000_000 - i);
      heap = pushLive(heap, 1_000_000 - i, key, live);
      expect(heap.size).toBeLessThanOrEqual(2 * 10 + 64);
    }
    const held = drain(heap).filter(({ at, value }) => live.get(value) === at);
    expect(new Map(held.map(({ at, value }) => [value, at]))).toEqual(live);
  });

  test("leaves out what is live at no time", () => {
    const live = new Map<string, number | null>([["never", null]]);
    let heap = new MinHeap<string>();
    for (let at = 100; at > 0; at--) {
      live.set("lane", at);
      heap = pushLive(heap, at, "lane", live);
    }
    expect(drain(heap).some(({ value }) => value === "never")).toBe(false);
    expect(heap.size).toBe(0);
  });
});

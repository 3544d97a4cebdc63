import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MinHeap } from "../../src/core/min-heap.ts";

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

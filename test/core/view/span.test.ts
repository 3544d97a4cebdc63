import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { span } from "../../../src/core/view/span.ts";

describe("span", () => {
  test.each([
    [-5, "0 s"],
    [0, "0 s"],
    [40, "0 s"],
    [1_000, "1 s"],
    [3_149, "3.1 s"],
    [9_940, "9.9 s"],
    [9_960, "10 s"],
    [59_400, "59 s"],
    [59_600, "1 min"],
    [125_000, "2 min 5 s"],
    [3_600_000, "1 h"],
    [3_605_000, "1 h"],
    [3_840_000, "1 h 4 min"],
    [86_400_000 * 3 + 7_200_000, "3 d 2 h"],
    [86_400_000 + 60_000, "1 d"],
  ])("%i ms: %s", (durationMs, text) => {
    expect(span(durationMs)).toBe(text);
  });

  test("never says more than 59 s, 59 min or 23 h, and is off by less than a twentieth", () => {
    const unitMs = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000 };
    fc.assert(
      fc.property(fc.integer({ min: 10_000, max: 40 * 86_400_000 }), (durationMs) => {
        const parts = [...span(durationMs).matchAll(/(\d+) (d|h|min|s)/g)];
        const said = parts.map(([, value, unit]) => [Number(value), unit as keyof typeof unitMs] as const);
        for (const [value, unit] of said) expect(value).toBeLessThan({ d: 41, h: 24, min: 60, s: 60 }[unit]);
        const total = said.reduce((sum, [value, unit]) => sum + value * unitMs[unit], 0);
        const largest = unitMs[said[0]?.[1] ?? "s"];
        expect(Math.abs(durationMs - total)).toBeLessThan(Math.max(1_000, largest / 20));
      }),
    );
  });
});

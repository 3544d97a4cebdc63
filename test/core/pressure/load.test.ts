import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Load,
  type LoadSign,
  loadFactor,
  NO_LOAD,
  noteLoad,
  slowness,
  toldLoad,
} from "../../../src/core/pressure/load.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const ok = (latencyMs: number): LoadSign => ({ told: null, overloaded: false, ok: true, latencyMs });
const REFUSED: LoadSign = { told: null, overloaded: true, ok: false, latencyMs: 3 };

/** The load after calls that came back one after the other, `everyMs` apart, the last at NOW. */
function learned(signs: readonly LoadSign[], everyMs = 10, from: Load = NO_LOAD): Load {
  return signs.reduce((load, sign, i) => noteLoad(load, sign, NOW - (signs.length - 1 - i) * everyMs), from);
}
const times = <T>(count: number, value: T): T[] => Array<T>(count).fill(value);

describe("loadFactor", () => {
  test("is 0 before the first call, and while all is well", () => {
    expect(loadFactor(NO_LOAD, NOW)).toBe(0);
    expect(loadFactor(learned(times(500, ok(80))), NOW)).toBe(0);
  });

  test("follows the share of refusals", () => {
    const half = Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? REFUSED : ok(80)));
    expect(loadFactor(learned(half), NOW)).toBeCloseTo(0.5, 1);
    expect(loadFactor(learned(times(200, REFUSED)), NOW)).toBeCloseTo(1, 2);
  });

  test("is what the target says, for 30 s", () => {
    const load = noteLoad(NO_LOAD, { ...ok(80), told: 0.7 }, NOW);
    expect(loadFactor(load, NOW + 29_999)).toBe(0.7);
    expect(loadFactor(load, NOW + 30_000)).toBe(0);
  });

  test("keeps what the target said through answers that say nothing", () => {
    expect(loadFactor(learned([{ ...ok(80), told: 0.7 }, ok(80)]), NOW)).toBe(0.7);
  });

  test("is the worst of what is known, not the last", () => {
    const refusedAll = learned(times(200, REFUSED));
    expect(loadFactor(noteLoad(refusedAll, { ...REFUSED, told: 0.1 }, NOW), NOW)).toBeGreaterThan(0.9);
  });

  test("rises with latency from twice its baseline on, full at six times", () => {
    const usual = learned(times(500, ok(100)));
    const at = (latencyMs: number) => loadFactor(learned(times(400, ok(latencyMs)), 10, usual), NOW);
    expect(at(190)).toBe(0);
    expect(at(400)).toBeCloseTo(0.5, 1);
    expect(at(900)).toBe(1);
  });

  test("halves with each 30 s in which no call came back", () => {
    const load = learned(times(400, REFUSED));
    expect(loadFactor(load, NOW + 30_000)).toBeCloseTo(0.5, 2);
    expect(loadFactor(noteLoad(load, ok(80), NOW + 3_600_000), NOW + 3_600_000)).toBeCloseTo(0);
  });

  test("is between 0 and 1, whatever comes", () => {
    const sign = fc.record({
      told: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
      overloaded: fc.boolean(),
      ok: fc.boolean(),
      latencyMs: fc.nat(600_000),
    });
    const steps = fc.array(fc.tuple(sign, fc.integer({ min: -60_000, max: 600_000 })), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (events) => {
        let load = NO_LOAD;
        let now = NOW;
        for (const [one, passedMs] of events) {
          now += passedMs;
          load = noteLoad(load, one, now);
          const factor = loadFactor(load, now);
          expect(factor >= 0 && factor <= 1).toBe(true);
          expect(slowness(load)).toBeGreaterThanOrEqual(1);
          expect(Number.isFinite(slowness(load))).toBe(true);
        }
      }),
    );
  });
});

describe("slowness", () => {
  test("is 1 where nothing is known, and until fifty successes make a latency", () => {
    expect(slowness(NO_LOAD)).toBe(1);
    expect(slowness(learned([ok(1), ...times(48, ok(1_000))]))).toBe(1);
  });

  test("sees a target that got slower within a hundred calls, at any rate of calls", () => {
    for (const everyMs of [0.1, 1_000]) {
      const usual = learned(times(500, ok(100)), everyMs);
      expect(slowness(learned(times(100, ok(300)), everyMs, usual))).toBeGreaterThan(2);
    }
  });

  test("does not take a busy target's overload for usual, but hours of it", () => {
    const usual = learned(times(500, ok(100)));
    expect(slowness(learned(times(20_000, ok(300)), 1, usual))).toBeGreaterThan(2.5);
    const hours = times(500, ok(300)).reduce(
      (load, sign, i) => noteLoad(load, sign, NOW + i * 60_000),
      usual,
    );
    expect(slowness(hours)).toBeLessThan(1.1);
  });

  test("is 1 again once the target is as quick as it was, or quicker", () => {
    const slow = learned(times(100, ok(300)), 10, learned(times(500, ok(100))));
    expect(slowness(learned(times(300, ok(100)), 10, slow))).toBeLessThan(1.1);
    expect(slowness(learned(times(300, ok(20)), 10, slow))).toBeLessThan(1.1);
  });

  test("is not moved by one call in twenty that takes a hundred times as long", () => {
    const mixed = Array.from({ length: 2_000 }, (_, i) => ok(i % 20 === 0 ? 5_000 : 50));
    expect(slowness(learned(mixed))).toBeLessThan(1.5);
  });

  test("knows nothing of how long failures took", () => {
    const usual = learned(times(500, ok(100)));
    const failed: LoadSign = { told: null, overloaded: false, ok: false, latencyMs: 60_000 };
    expect(slowness(learned(times(100, failed), 10, usual))).toBe(1);
  });
});

describe("toldLoad", () => {
  test.each<[Record<string, string>, number | null]>([
    [{ "redrive-load": "0.35" }, 0.35],
    [{ "redrive-load": " 1 " }, 1],
    [{ "redrive-load": ".5" }, 0.5],
    [{ "redrive-load": "7" }, 1],
    [{ "redrive-load": "-0.5" }, null],
    [{ "redrive-load": "high" }, null],
    [{ "redrive-load": "" }, null],
    [{ "redrive-load": "0.2", "endpoint-load-metrics": "TEXT cpu_utilization=0.9" }, 0.2],
    [{ "redrive-load": "high", "endpoint-load-metrics": "TEXT cpu_utilization=0.9" }, 0.9],
    [{ "endpoint-load-metrics": "TEXT cpu_utilization=0.3, application_utilization=0.8" }, 0.8],
    [{ "endpoint-load-metrics": "cpu_utilization=3e-1" }, 0.3],
    [{ "endpoint-load-metrics": 'JSON {"cpu_utilization": 0.4, "mem_utilization": 0.9}' }, 0.4],
    [{ "endpoint-load-metrics": 'JSON {"application_utilization":1.7}' }, 1],
    [{ "endpoint-load-metrics": "TEXT mem_utilization=0.9, rps_fractional=200" }, null],
    [{ "endpoint-load-metrics": "TEXT named_metrics.cpu_utilization=0.9" }, null],
    [{ "endpoint-load-metrics": "TEXT my_cpu_utilization=0.9" }, null],
    [{ "endpoint-load-metrics": "TEXT cpu_utilization=1.2.3, application_utilization=e" }, null],
    [{}, null],
  ])("reads %j", (headers, expected) => {
    expect(toldLoad(headers)).toBe(expected);
  });

  test("does not read a header of over 4,096 characters", () => {
    const header = (spaces: number) => ({
      "endpoint-load-metrics": `${" ".repeat(spaces)}cpu_utilization=0.5`,
    });
    expect([toldLoad(header(4_077)), toldLoad(header(4_078))]).toEqual([0.5, null]);
  });

  test("gives a share or null for any header", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (own, orca) => {
        const told = toldLoad({ "redrive-load": own, "endpoint-load-metrics": `cpu_utilization=${orca}` });
        expect(told === null || (told >= 0 && told <= 1)).toBe(true);
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CallEffect } from "../../../src/core/breaker/call-effect.ts";
import {
  isOnePath,
  isUnder,
  mergeSeen,
  mergeTold,
  type NewSplit,
  NO_WATCH,
  type PathCall,
  type PathWatch,
  pathsTold,
  watchCall,
  watchedPath,
} from "../../../src/core/breaker/path-watch.ts";

const WINDOW_MS = 60_000;
const OK: CallEffect = { ok: true, slow: false, reach: "answered" };
const FAILED: CallEffect = { ok: false, slow: false, reach: "answered" };
const UNREACHED: CallEffect = { ok: false, slow: false, reach: "unreached" };

/** `+/good` is a success there, `-/bad` a failure, `!/bad` one that found no connection. */
function call(text: string, at: number): PathCall {
  const effect = { "+": OK, "-": FAILED, "!": UNREACHED }[text[0] as "+"];
  return { path: text.slice(1), effect, startedAt: at - 5, at };
}

function textOf({ path, effect }: PathCall): string {
  return `${effect.ok ? "+" : effect.reach === "unreached" ? "!" : "-"}${path}`;
}

/** What came of calls, one every `everyMs`, as far as the first split. */
function run(texts: readonly string[], { everyMs = 100, maySplit = true } = {}) {
  let watch: PathWatch = NO_WATCH;
  const counted: PathCall[] = [];
  for (const [i, text] of texts.entries()) {
    const step = watchCall(watch, call(text, 1_000_000 + i * everyMs), WINDOW_MS, maySplit);
    watch = step.watch;
    counted.push(...step.counted);
    if (step.split !== null) return { watch, counted, split: step.split, calls: i + 1 };
  }
  return { watch, counted, split: null, calls: texts.length };
}

function repeated(texts: readonly string[], times: number): string[] {
  return Array.from({ length: times }, () => texts).flat();
}

function failuresAmong(calls: readonly PathCall[]): number {
  return calls.filter(({ effect }) => !effect.ok).length;
}

describe("watchedPath", () => {
  test.each([
    ["/", "/"],
    ["/hooks", "/hooks"],
    ["/hooks/", "/hooks"],
    ["/v1/hooks/alice", "/v1/hooks/alice"],
    ["/v1/hooks/alice/7/8", "/v1/hooks/alice"],
    ["//a", "/"],
    [`/a/${"b".repeat(300)}`, "/a"],
    [`/${"b".repeat(300)}`, "/"],
  ])("tells %j apart as %j", (pathname, path) => expect(watchedPath(pathname)).toBe(path));
});

test.each([
  ["/a", "/a", true],
  ["/a/b", "/a", true],
  ["/ab", "/a", false],
  ["/", "/a", false],
])("%j is under %j: %j", (path, prefix, is) => expect(isUnder(path, prefix)).toBe(is));

describe("watchCall", () => {
  test("splits a path off that failed five times while others succeeded", () => {
    const { split, counted, calls } = run(repeated(["+/good", "-/bad"], 20));
    expect(split).toMatchObject({
      path: "/bad",
      reason: "5 calls in a row failed on this path while calls on others succeeded",
    });
    expect(calls).toBe(10);
    expect(split?.calls.map(textOf)).toEqual(Array(5).fill("-/bad"));
    expect(failuresAmong(counted)).toBe(0);
  });

  test("lets the origin count what failed before anything succeeded elsewhere, and no more of it", () => {
    const { split, counted } = run(["-/bad", "-/bad", ...repeated(["+/good", "-/bad"], 5)]);
    expect([split?.path, split?.calls.length, failuresAmong(counted)]).toEqual(["/bad", 3, 2]);
  });

  test("asks for successes since the path began to fail: an outage of all is none of one path", () => {
    const { split, counted } = run([...repeated(["+/a", "+/b", "+/c"], 5), ...Array(30).fill("-/a")]);
    expect(split).toBeNull();
    expect(failuresAmong(counted)).toBe(30);
  });

  test("gives failures back with the times that they had, oldest first", () => {
    const { counted } = run(["+/good", ...Array(3).fill("-/bad"), "+/bad"]);
    expect(counted.map(({ at }) => at - 1_000_000)).toEqual([0, 100, 200, 300, 400]);
  });

  test("gives all back where two paths fail", () => {
    const { split, counted } = run(["+/good", "-/b1", "-/b1", "-/b2", "-/b1"]);
    expect(split).toBeNull();
    expect(counted.map(textOf)).toEqual(["+/good", "-/b1", "-/b1", "-/b2"]);
  });

  test("bears one failure elsewhere among the last sixteen", () => {
    const noisy = ["+/good", "-/good", ...repeated(["+/good", "-/bad"], 40)];
    expect(run(noisy)).toMatchObject({ split: { path: "/bad" }, calls: 2 + 20 });
    expect(run(["-/other", "-/other", ...noisy])).toMatchObject({ split: { path: "/bad" }, calls: 4 + 30 });
  });

  test("takes calls that found no connection for no path's doing", () => {
    const { split, counted } = run(repeated(["+/good", "!/bad"], 10));
    expect(split).toBeNull();
    expect(counted).toHaveLength(20);
  });

  test("takes a path for well that a call succeeds on at the very instant of a failure", () => {
    const { counted, watch } = run(["+/good", "+/bad", "-/bad"], { everyMs: 0 });
    expect(counted.map(textOf)).toEqual(["+/good", "+/bad", "-/bad"]);
    expect(watch.failures).toMatchObject([{ path: "/bad", held: null }]);
  });

  test("never splits off the root, whose part is the whole origin", () => {
    const { split, counted } = run(repeated(["+/good", "-/"], 20));
    expect([split, counted.length]).toEqual([null, 40]);
  });

  test("keeps nothing back where there may be no split", () => {
    const { split, counted } = run(repeated(["+/good", "-/bad"], 20), { maySplit: false });
    expect([split, counted.length]).toEqual([null, 40]);
  });

  test("forgets what is older than the window", () => {
    const { split, counted, watch } = run(repeated(["+/good", "-/bad"], 20), { everyMs: WINDOW_MS });
    expect([split, failuresAmong(counted)]).toEqual([null, 20]);
    expect([watch.failures.length, watch.seen.length]).toEqual([1, 0]);
  });

  describe("splits off the widest part in which nothing else has worked", () => {
    test.each<[string, string[], string]>([
      ["/v1", ["+/health", "-/v1/hooks/alice"], "/v1"],
      ["/v1/hooks", ["+/v1/orders", "-/v1/hooks/alice"], "/v1/hooks"],
      ["/v1/hooks/alice", ["+/v1/hooks/bob", "-/v1/hooks/alice"], "/v1/hooks/alice"],
      ["the one that is down of many", ["+/orders/1", "-/orders/2"], "/orders/2"],
    ])("%s", (_, texts, path) => {
      expect(run(repeated(texts, 20)).split?.path).toBe(path);
    });

    test("also where calls on its other paths worked before they all went down", () => {
      const before = ["+/orders/1", "+/orders/2", "+/orders/3", "+/health"];
      const after = Array.from({ length: 8 }, (_, i) => ["+/health", `-/orders/${i + 4}`]).flat();
      expect(run([...before, ...after]).split?.path).toBe("/orders");
    });
  });

  test("goes on with what it knows of other paths after a split", () => {
    const { watch } = run(["-/other", "+/good", "+/bad", ...repeated(["+/good", "-/bad"], 12)]);
    expect(watch.failures.map(({ path }) => path)).toEqual(["/other"]);
    expect(watch.seen.map(({ path }) => path)).toEqual(["/good"]);
  });
});

describe("mergeSeen", () => {
  test("keeps the latest three successes of a path, each once, and the eight paths of the latest", () => {
    const a = [{ path: "/a", at: [1, 2, 5] }];
    expect(mergeSeen(a, [{ path: "/a", at: [2, 3, 4] }])).toEqual([{ path: "/a", at: [3, 4, 5] }]);
    const many = Array.from({ length: 9 }, (_, i) => ({ path: `/${i}`, at: [10 + i] }));
    expect(mergeSeen(many, a).map(({ path }) => path)).toEqual(many.slice(1).map(({ path }) => path));
    expect(mergeSeen([], [])).toEqual([]);
  });

  test("lets what others have seen split a path off", () => {
    const { watch } = run(["+/good", ...Array(4).fill("-/bad")]);
    const told = {
      ...watch,
      seen: mergeSeen(watch.seen, [{ path: "/good", at: [1_000_150, 1_000_250, 1_000_350] }]),
    };
    expect(watchCall(told, call("-/bad", 1_000_600), WINDOW_MS, true).split?.path).toBe("/bad");
    expect(watchCall(watch, call("-/bad", 1_000_600), WINDOW_MS, true).split).toBeNull();
  });
});

describe("what shards tell of paths", () => {
  const T = 1_000_000;
  const failed = (path: string | null, from = T, to = T + 500) => ({ path, from, to });
  const good = (...at: number[]) => [{ path: "/good", at: at.map((ms) => T + ms) }];

  test("is what all failures begin with, and what succeeded", () => {
    expect(pathsTold(NO_WATCH, 0)).toBeUndefined();
    expect(pathsTold(run(["+/good"]).watch, 1)).toEqual({ seen: good(0), failed: null });
    const { watch } = run(["-/v1/a", "+/good", "-/v1/b"]);
    expect(pathsTold(watch, 3)).toEqual({ seen: good(100), failed: failed("/v1", T, T + 200) });
    expect(pathsTold(watch, 4)?.failed?.path).toBeNull();
    expect(pathsTold(run(["-/a", "-/b"]).watch, 0)?.failed?.path).toBeNull();
    expect(pathsTold(run(["!/a"]).watch, 0)?.failed?.path).toBeNull();
  });

  test("holds for the window, though the path has been split off meanwhile", () => {
    const before = { seen: [], failed: failed("/bad") };
    const told = { seen: good(1), failed: null };
    expect(mergeTold(before, told, T)).toEqual({ seen: good(1), failed: failed("/bad") });
    expect(mergeTold(before, told, T + 501)).toEqual(told);
    expect(mergeTold(undefined, told, T)).toEqual(told);
    const again = { seen: [], failed: failed("/other") };
    expect(mergeTold(before, again, T)).toEqual(again);
  });

  test.each([
    ["all failed on one path and others succeeded since", [failed("/bad"), null], good(100, 200), true],
    ["the paths have a part in common", [failed("/v1/a"), failed("/v1/b")], good(100, 200), true],
    ["nothing failed", [null], good(100, 200), false],
    ["they failed on several paths", [failed("/a"), failed("/b")], good(100, 200), false],
    ["one of them may split nothing off", [failed("/bad"), failed(null)], good(100, 200), false],
    ["the successes are from before", [failed("/bad")], good(-200, -100, 100), false],
    ["calls on that path succeeded too", [failed("/good")], good(100, 200), false],
    [
      "calls there succeed and others too",
      [failed("/bad")],
      [...good(100, 200), { path: "/bad/x", at: [T + 300] }],
      false,
    ],
  ])("says that one path is down alone where %s: %j", (_, failures, seen, is) => {
    expect(isOnePath(failures.map((one, i) => ({ seen: i === 0 ? seen : [], failed: one })))).toBe(is);
  });
});

const PATHS = ["/a", "/b", "/b/x", "/b/y", "/c", "/d/e/f", "/"];
const Calls = fc.array(fc.tuple(fc.constantFrom("+", "-", "-", "!"), fc.constantFrom(...PATHS)), {
  maxLength: 200,
});

/** All calls, those of splits taken out of the stream as a shard does. */
function follow(texts: readonly string[]) {
  let watch: PathWatch = NO_WATCH;
  const counted: PathCall[] = [];
  const splits: { split: NewSplit; before: PathCall[]; at: number }[] = [];
  const passed: PathCall[] = [];
  for (const [i, text] of texts.entries()) {
    const one = call(text, 1_000_000 + i * 100);
    if (splits.some(({ split }) => isUnder(one.path, split.path))) continue;
    passed.push(one);
    const step = watchCall(watch, one, WINDOW_MS, splits.length < 4);
    ({ watch } = step);
    counted.push(...step.counted);
    if (step.split !== null) splits.push({ split: step.split, before: [...passed], at: one.at });
    expect(watch.failures.length).toBeLessThanOrEqual(16);
    expect(watch.seen.length).toBeLessThanOrEqual(8);
  }
  return { watch, counted, splits, passed };
}

describe("whatever is called", () => {
  test("each call is counted once, by the origin or by the new target, but for some that are still kept back", () => {
    fc.assert(
      fc.property(Calls, (calls) => {
        const { watch, counted, splits, passed } = follow(calls.map(([sign, path]) => sign + path));
        const held = watch.failures.flatMap((failure) => failure.held ?? []);
        const all = [...counted, ...splits.flatMap(({ split }) => split.calls), ...held];
        expect(all.map(({ at }) => at).sort()).toEqual(passed.map(({ at }) => at).sort());
        expect(held.length).toBeLessThanOrEqual(16);
        expect(held.every(({ effect }) => !effect.ok)).toBe(true);
      }),
    );
  });

  test("a path is split off only where it failed five times in a row, others succeeded, and hardly any failed elsewhere", () => {
    fc.assert(
      fc.property(Calls, (calls) => {
        const { splits } = follow(calls.map(([sign, path]) => sign + path));
        expect(splits.length).toBeLessThanOrEqual(4);
        for (const { split, before } of splits) {
          const there = before.filter(({ path }) => isUnder(path, split.path));
          expect(there.slice(-5).map(({ effect }) => effect.ok)).toEqual(Array(5).fill(false));
          const from = there.at(-5)?.at ?? 0;
          const elsewhere = before.filter(({ path }) => !isUnder(path, split.path));
          const recent = before.slice(-16).filter(({ effect }) => !effect.ok);
          const failedElsewhere = recent.filter(({ path }) => !isUnder(path, split.path));
          expect(failedElsewhere.length * 10).toBeLessThanOrEqual(16);
          expect(elsewhere.filter(({ effect }) => effect.ok).length).toBeGreaterThanOrEqual(2);
          expect(from).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("nothing is split off where calls fail on several paths alike", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("+/a", "+/b", "+/c", "-/a", "-/b"), { maxLength: 300 }),
        (calls) => {
          const alike = calls.flatMap((text) => (text[0] === "-" ? ["-/a", "-/b"] : [text]));
          expect(follow(alike).splits).toEqual([]);
        },
      ),
    );
  });

  test("a path that alone fails is split off after ten of its calls, where others succeed as often", () => {
    const Others = fc.array(fc.constantFrom("/a", "/b", "/c/d", "/e/f/g"), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(Others, (others) => {
        const { splits, counted } = follow(others.flatMap((path) => [`+${path}`, "-/bad"]));
        expect(splits.map(({ split }) => split.path)).toEqual(["/bad"]);
        expect(failuresAmong(counted)).toBe(0);
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashText } from "../../src/core/text/hash.ts";
import { breakerName, shardName, shareOf } from "../../src/protocol/names.ts";

const shards = fc.integer({ min: 1, max: 256 });

describe("shardName", () => {
  test("differs for every shard of every queue", () => {
    const refs = [1, 11, 111];
    const names = refs.flatMap((ref) => [0, 1, 11, 111].map((shard) => shardName(ref, shard)));
    expect(new Set(names).size).toBe(12);
    expect(names[0]).toBe("q1-0");
  });
});

describe("shareOf", () => {
  test("gives shares that add up to the whole", () => {
    fc.assert(
      fc.property(fc.nat(100_000), shards, (whole, count) => {
        const shares = Array.from({ length: count }, (_, shard) => shareOf(whole, count, shard));
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(whole);
      }),
    );
  });

  test("gives shares that differ by one at most, the larger ones first", () => {
    fc.assert(
      fc.property(fc.nat(100_000), shards, (whole, count) => {
        const shares = Array.from({ length: count }, (_, shard) => shareOf(whole, count, shard));
        expect(shares).toEqual(shares.toSorted((a, b) => b - a));
        expect(Number(shares[0]) - Number(shares.at(-1))).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("hashText", () => {
  test("is a whole number of 32 bits, the same for the same text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const hash = hashText(text);
        expect(hash).toBe(hashText(text));
        expect(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32).toBe(true);
      }),
    );
  });

  test("spreads keys that look alike evenly over four shards", () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4_000; i++) {
      const shard = hashText(`order-${i}`) % 4;
      counts[shard] = Number(counts[shard]) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});

describe("breakerName", () => {
  test("is one for a target over all queues, or one for each queue that shares with none", () => {
    const of = (share: "deployment" | "queue") =>
      [1, 2].map((ref) => breakerName("https://a.example.com", share, ref));
    expect(new Set(of("deployment"))).toEqual(new Set(["https://a.example.com"]));
    expect(new Set([...of("deployment"), ...of("queue")]).size).toBe(3);
  });
});

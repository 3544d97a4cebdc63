import { seededRandom } from "../../support/server/stories.ts";

/** Seeded chances in the shapes that generators need. */
export interface Chance {
  /** A whole number from 0 to below `count`. */
  below(count: number): number;
  /** True for that share of all calls. */
  is(share: number): boolean;
  /** One of the items, which must be at least one. */
  pick<T>(items: readonly T[]): T;
}

/** The chances of one input: the same for the same seed and index, whatever came before. */
export function chanceOf(seed: number, index: number): Chance {
  const random = seededRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) | 0);
  // The first number of neighbouring seeds is alike.
  random();
  const below = (count: number) => Math.floor(random() * count);
  return {
    below,
    is: (share) => random() < share,
    pick: <T>(items: readonly T[]): T => {
      const item = items[below(items.length)];
      if (item === undefined) throw new RangeError("expected at least one item to pick from, got none");
      return item;
    },
  };
}

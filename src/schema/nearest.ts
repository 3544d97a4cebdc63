/** Longer texts are no slips of the keyboard; their ends are not looked at. */
const MAX_LOOKED_AT = 64;

/**
 * The first of the known words that a text was probably meant to be, letter case aside: at most two single-character
 * changes apart, and not most of a short word. Null: none.
 */
export function nearest(text: string, known: readonly string[]): string | null {
  const lower = text.slice(0, MAX_LOOKED_AT).toLowerCase();
  return known.find((word) => isClose(lower, word.toLowerCase())) ?? null;
}

function isClose(a: string, b: string): boolean {
  const limit = Math.min(2, Math.floor(b.length / 3));
  return Math.abs(a.length - b.length) <= limit && editDistance(a, b) <= limit;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(swap, at(previous, j) + 1, at(row, j - 1) + 1));
    }
    previous = row;
  }
  return at(previous, b.length);
}

/** A place that is known to be there. */
function at(row: readonly number[], index: number): number {
  return row[index] as number;
}

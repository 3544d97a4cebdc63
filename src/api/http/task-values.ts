/** More than any task that is right has beside its body: its policy, headers, labels and metadata make some 6,000. */
export const MAX_TASK_VALUES = 10_000;

/**
 * How many fields and items, at any depth, a task as it came has beside its `body`; it stops counting above
 * MAX_TASK_VALUES. Telling what is wrong with a value costs far more than reading it does, so it is counted first.
 * Expects plain JSON that is not nested too deep.
 */
export function countTaskValues(raw: unknown): number {
  return countIn(raw, 0, "body");
}

function countIn(value: unknown, before: number, except: string | null): number {
  if (typeof value !== "object" || value === null) return before;
  let count = before;
  for (const key in value) {
    if (key === except) continue;
    count = countIn((value as Record<string, unknown>)[key], count + 1, null);
    if (count > MAX_TASK_VALUES) break;
  }
  return count;
}

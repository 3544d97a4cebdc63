/** Where in the order of a list of targets a page goes on: those that are down first, each part by name. */
export interface TargetPlace {
  /** Within those that are not closed or held; else within all, by name alone. */
  down: boolean;
  /** Behind this name. */
  after: string;
}

/** Where a list of targets begins. */
export const FIRST_TARGET: TargetPlace = { down: true, after: "" };

/** The `limit` first items behind `after`, in the order of their names. Takes no longer for being given very many. */
export function firstByName<Item>(
  items: Iterable<Item>,
  nameOf: (item: Item) => string,
  after: string,
  limit: number,
): Item[] {
  const found: { name: string; item: Item }[] = [];
  let last: string | undefined;
  for (const item of items) {
    const name = nameOf(item);
    if (name <= after || (last !== undefined && name >= last)) continue;
    found.push({ name, item });
    if (found.length < 2 * limit) continue;
    cut(found, limit);
    last = found.at(-1)?.name;
  }
  cut(found, limit);
  return found.map(({ item }) => item);
}

function cut(found: { name: string }[], limit: number): void {
  found.sort((a, b) => (a.name < b.name ? -1 : 1));
  found.length = Math.min(found.length, limit);
}

/**
 * The names that stand more than once in a query, each once, in the order of their second places. `query` is what stands
 * after `?`, as it was sent: names that are the same once decoded are the same.
 */
export function repeatedParameters(query: string): string[] {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const name of new URLSearchParams(query).keys()) {
    if (seen.has(name)) repeated.add(name);
    seen.add(name);
  }
  return [...repeated];
}

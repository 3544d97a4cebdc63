/**
 * A value as one segment of a path. Throws `TypeError` for what a URL parser would drop or resolve away
 * (nothing, a dot, two dots), because the call would then reach another route.
 */
export function segment(kind: string, value: string): string {
  if (value === "" || value === "." || value === "..") {
    throw new TypeError(`expected a ${kind}, got ${JSON.stringify(value)}`);
  }
  return encodeURIComponent(value);
}

/** `?a=1&b=2` of the values that are defined, or nothing. */
export function query(values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

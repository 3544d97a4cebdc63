/** The longest path that makes a target of its own, in characters; what is longer goes by its origin. */
const MAX_SCOPE_LENGTH = 256;

/**
 * The target key of a URL that no task names one for: its origin, or the part of its path that a scope of the queue
 * names, as in `https://api.example.com/hooks/alice` for `/hooks/*`. A scope covers the paths that begin with its
 * segments; `*` is any one segment. Where several do, the one with the most segments counts, among equals the first.
 * A URL that is none is a key of its own.
 */
export function targetOfUrl(url: string, scopes: readonly string[]): string {
  const parsed = URL.parse(url);
  if (parsed === null) return url;
  // As checkTargetUrl names origins: a trailing dot makes no other host.
  return scopedTarget(parsed.origin.replace(/\.(?=:\d+$|$)/, ""), parsed.pathname, scopes);
}

/** As `targetOfUrl`, of an origin as targets are named and a path as the URL parser spells it. */
export function scopedTarget(origin: string, path: string, scopes: readonly string[]): string {
  const segments = segmentsOf(path);
  let longest: string[] = [];
  for (const scope of scopes) {
    const found = coveredBy(segments, segmentsOf(scope));
    if (found.length > longest.length) longest = found;
  }
  return longest.length === 0 ? origin : `${origin}/${longest.join("/")}`;
}

/** The origin of a target that is a part of one; null: it is none. */
export function originOfScoped(target: string): string | null {
  const origin = /^https?:\/\/[^/]+(?=\/)/.exec(target)?.[0];
  return origin ?? null;
}

/** The segments of the path that the scope names; none: it does not cover the path. */
function coveredBy(path: readonly string[], scope: readonly string[]): string[] {
  const part = path.slice(0, scope.length);
  const isCovered = scope.every((segment, i) => (segment === "*" ? (part[i] ?? "") : part[i] === segment));
  return isCovered && part.join("/").length < MAX_SCOPE_LENGTH ? part : [];
}

function segmentsOf(path: string): string[] {
  return path.split("/").slice(1);
}

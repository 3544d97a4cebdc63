/**
 * A text as short as cutting makes it for which `fails` still holds: halves, quarters and so on down to single
 * characters are left out while it does. Expects that it holds for `text`. Gives up after `maxTries`.
 */
export async function minimise(
  text: string,
  fails: (shorter: string) => Promise<boolean>,
  maxTries = 2_000,
): Promise<string> {
  let least = text;
  let tries = 0;
  for (let size = Math.ceil(least.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < least.length; ) {
      const shorter = least.slice(0, at) + least.slice(at + size);
      if (++tries > maxTries) return least;
      if (await fails(shorter)) least = shorter;
      else at += size;
    }
  }
  return least;
}

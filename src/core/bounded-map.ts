/**
 * Puts an entry in as the newest, and the oldest ones out where there is no room for it among `most`. A map keeps the
 * order in which its keys came.
 */
export function putLast<K, V>(map: Map<K, V>, most: number, key: K, value: V): void {
  map.delete(key);
  for (const oldest of map.keys()) {
    if (map.size < most) break;
    map.delete(oldest);
  }
  map.set(key, value);
}

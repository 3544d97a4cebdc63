/** The target key that a Breaker object's name is made of; the other way than `breakerName`. */
export function keyOfBreaker(name: string): string {
  return name.replace(/^q\d+ /, "");
}

/** Whether only one queue goes by the breaker of this name. */
export function isOwn(name: string): boolean {
  return name !== keyOfBreaker(name) || name.startsWith("key:");
}

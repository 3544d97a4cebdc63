/** The target key that a Breaker object's name is made of; the other way than `breakerName`. */
export function keyOfBreaker(name: string): string {
  return name.replace(/^q\d+ /, "");
}

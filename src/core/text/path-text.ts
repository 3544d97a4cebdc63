/** Longer names are cut. */
const MAX_NAME_LENGTH = 100;

/**
 * A path as the API writes it, below `start`: `retry.rules[0].when`, `headers["x y"]`; "" for the whole. Names that are
 * longer than MAX_NAME_LENGTH are cut.
 */
export function pathText(path: readonly PropertyKey[], start = ""): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const whole = String(part);
    const name = whole.length > MAX_NAME_LENGTH ? `${whole.slice(0, MAX_NAME_LENGTH)}...` : whole;
    if (!/^[A-Za-z_$][\w$-]*$/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === "" ? name : `${text}.${name}`;
  }, start);
}

/** Where a text stops being JSON: `offset` counts characters from 0, line and column from 1. */
export interface TextPlace {
  offset: number;
  line: number;
  column: number;
}

const TOKEN =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/**
 * Finds the first place where a text is not JSON; the end of the text where it stops too soon. The runtime's own
 * messages name the place only sometimes. Expects a text that `JSON.parse` refused.
 */
export function findJsonFault(text: string): TextPlace {
  const open: string[] = [];
  /** What may come next: a value, a key, a colon, or what follows a value. */
  let next: "value" | "value or ]" | "key" | "key or }" | "colon" | "after" = "value";
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) break;
    const mark = match[1] ?? (match[2]?.startsWith('"') ? '"' : "0");
    const isClosing = (mark === "]" || mark === "}") && open.at(-1) === (mark === "]" ? "[" : "{");
    if (next === "value or ]" && mark === "]") next = "after";
    else if (next === "key or }" && mark === "}") next = "after";
    else if (next === "after" && isClosing) next = "after";
    else if (next === "after" && mark === "," && open.length > 0) next = open.at(-1) === "{" ? "key" : "value";
    else if ((next === "key" || next === "key or }") && mark === '"') next = "colon";
    else if (next === "colon" && mark === ":") next = "value";
    else if (next.startsWith("value") && mark === "{") next = "key or }";
    else if (next.startsWith("value") && mark === "[") next = "value or ]";
    else if (next.startsWith("value") && (mark === '"' || mark === "0")) next = "after";
    else break;
    if (mark === "[" || mark === "{") open.push(mark);
    if (isClosing) open.pop();
    at = TOKEN.lastIndex;
  }
  return placeOf(text, at + (/^[ \t\n\r]*/.exec(text.slice(at))?.[0].length ?? 0));
}

/** The line and column of an offset. */
export function placeOf(text: string, offset: number): TextPlace {
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  return { offset, line, column: offset - before.lastIndexOf("\n") };
}

/** Where a text stops being JSON: `offset` counts characters from 0, line and column from 1. */
export interface TextPlace {
  offset: number;
  line: number;
  column: number;
}

type State = "value" | "value or ]" | "key" | "key or }" | "colon" | "after";
type Token = "{" | "}" | "[" | "]" | "," | ":" | "string" | "scalar";

const VALUE: Partial<Record<Token, State>> = {
  "{": "key or }",
  "[": "value or ]",
  string: "after",
  scalar: "after",
};
/** What may follow by the grammar; after a value it also depends on what is open. */
const NEXT: Record<State, Partial<Record<Token, State>>> = {
  value: VALUE,
  "value or ]": { ...VALUE, "]": "after" },
  key: { string: "colon" },
  "key or }": { string: "colon", "}": "after" },
  colon: { ":": "value" },
  after: {},
};
const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * Finds the first place where a text is not JSON; the end of the text where it stops too soon. The runtime's own
 * messages name the place only sometimes. Expects a text that `JSON.parse` refused.
 */
export function findJsonFault(text: string): TextPlace {
  const open: ("{" | "[")[] = [];
  let state: State = "value";
  for (let at = endOf(SPACE, text, 0); ; ) {
    const { token, end } = readToken(text, at);
    if (token === null) return placeOf(text, end);
    const next: State | undefined = state === "after" ? afterValue(token, open.at(-1)) : NEXT[state][token];
    if (next === undefined) return placeOf(text, at);
    if (token === "{" || token === "[") open.push(token);
    if (token === "}" || token === "]") open.pop();
    state = next;
    at = endOf(SPACE, text, end);
  }
}

function afterValue(token: Token, open: "{" | "[" | undefined): State | undefined {
  if (token === "," && open !== undefined) return open === "{" ? "key" : "value";
  return (token === "}" && open === "{") || (token === "]" && open === "[") ? "after" : undefined;
}

/** The token at a place and where it ends; null: none, and `end` is where it goes wrong. */
function readToken(text: string, at: number): { token: Token | null; end: number } {
  const first = text.charAt(at);
  if (first !== "" && "{}[],:".includes(first)) return { token: first as Token, end: at + 1 };
  if (first === '"') return readString(text, at + 1);
  const end = endOf(SCALAR, text, at);
  return { token: end > at ? "scalar" : null, end };
}

function readString(text: string, start: number): { token: Token | null; end: number } {
  let at = start;
  while (at < text.length && text.charCodeAt(at) >= 0x20) {
    if (text[at] === '"') return { token: "string", end: at + 1 };
    const next = text[at] === "\\" ? endOf(ESCAPE, text, at) : at + 1;
    if (next === at) return { token: null, end: at };
    at = next;
  }
  return { token: null, end: at };
}

/** Where a sticky pattern's match ends; `at` itself where it does not match. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** The line and column of an offset. */
function placeOf(text: string, offset: number): TextPlace {
  const before = text.slice(0, offset);
  return { offset, line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

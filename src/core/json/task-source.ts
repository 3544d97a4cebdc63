import { eachField, eachItem, isListAt, isObjectAt, pastSpace, pastValue } from "./json-source.ts";

/** What the caller of the API wrote for the parts of a task that are not Redrive's to change. */
export interface TaskSource {
  /** The text of its `body`; null: it has none. */
  body: string | null;
  /** The text of its `metadata`; null: it has none. */
  metadata: string | null;
}

/** A path to a name that stands twice in one object; the names and indexes from the outside in. */
export type RepeatedName = (string | number)[];

/** The sources of the tasks in a request, and the first name that is repeated outside of them; null: none is. */
export interface RequestSource {
  tasks: TaskSource[];
  repeated: RepeatedName | null;
}

const NOTHING: TaskSource = { body: null, metadata: null };

/**
 * Finds, in one pass over a text that JSON.parse has taken, what was written for the body and metadata of a task, or of
 * each item of a batch's `tasks`, and names that are repeated anywhere else. `kind` says what the text is of; of
 * `settings` only repeated names are looked for.
 */
export function sourceOf(text: string, kind: "task" | "batch" | "settings"): RequestSource {
  const found: RequestSource = { tasks: [], repeated: null };
  const start = pastSpace(text, 0);
  if (kind === "task") found.tasks.push(takeTask(text, start, [], found).source);
  else walk(text, start, [], found, kind === "batch");
  return found;
}

function takeTask(text: string, at: number, path: RepeatedName, found: RequestSource) {
  if (!isObjectAt(text, at)) return { source: NOTHING, end: walk(text, at, path, found, false) };
  const source = { ...NOTHING };
  const end = fields(text, at, path, found, (name, value) => {
    if (name !== "body" && name !== "metadata") return walk(text, value, [...path, name], found, false);
    const valueEnd = pastValue(text, value);
    source[name] = text.slice(value, valueEnd);
    return valueEnd;
  });
  return { source, end };
}

/** Looks for repeated names in a value, taking the tasks of a batch at its first level. Gives where the value ends. */
function walk(text: string, at: number, path: RepeatedName, found: RequestSource, isBatch: boolean): number {
  if (isListAt(text, at)) {
    return eachItem(text, at, (item, i) => walk(text, item, [...path, i], found, false));
  }
  if (!isObjectAt(text, at)) return pastValue(text, at);
  return fields(text, at, path, found, (name, value) => {
    if (!isBatch || name !== "tasks" || !isListAt(text, value)) {
      return walk(text, value, [...path, name], found, false);
    }
    found.tasks = [];
    return eachItem(text, value, (item, i) => {
      const { source, end } = takeTask(text, item, [...path, name, i], found);
      found.tasks.push(source);
      return end;
    });
  });
}

function fields(
  text: string,
  at: number,
  path: RepeatedName,
  found: RequestSource,
  visit: (name: string, at: number) => number,
): number {
  const names = new Set<string>();
  return eachField(text, at, (name, value) => {
    if (names.has(name)) found.repeated ??= [...path, name];
    names.add(name);
    return visit(name, value);
  });
}

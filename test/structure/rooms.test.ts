import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Every folder of `src`, lowest first: a file imports from its own folder and from those above it in this list only. */
const ROOMS = [
  "schema",
  "core",
  "core/text",
  "core/json",
  "core/address",
  "core/expression",
  "core/call",
  "core/policy",
  "core/breaker",
  "core/task",
  "core/pressure",
  "core/view",
  "protocol",
  "platform",
  "callback",
  "sealing",
  "runner",
  "breaker",
  "catalog",
  "sandbox",
  "shard/storage",
  "shard/lanes",
  "shard/targets",
  "shard/bounds",
  "shard/state",
  "shard/lease",
  "shard/probe",
  "shard/claim",
  "shard/view",
  "shard/tell",
  "shard/upkeep",
  "shard/settle",
  "shard/intake",
  "shard",
  "intake",
  "api/http",
  "api/access",
  "api/reference",
  "api/keys",
  "api/queues",
  "api/breakers",
  "api/tasks",
  "api/service",
  "api",
  "client",
  "standalone/reasons",
  "standalone",
  "standalone/demo",
  "",
];

/** The halls beside its own that the rooms of a hall may import from; their order is ROOMS'. */
const HALLS: Record<string, readonly string[]> = {
  schema: [],
  core: ["schema"],
  protocol: ["schema", "core"],
  platform: ["schema", "core", "protocol"],
  callback: ["schema", "core"],
  sealing: ["core", "platform", "callback"],
  runner: ["schema", "core", "protocol", "platform", "callback", "sealing"],
  breaker: ["schema", "core", "protocol", "platform"],
  catalog: ["schema", "core", "protocol", "platform", "sealing"],
  sandbox: ["schema", "core", "platform", "callback"],
  shard: ["schema", "core", "protocol", "platform", "callback"],
  intake: ["schema", "core", "protocol", "platform", "callback", "sealing", "runner"],
  api: ["schema", "core", "protocol", "platform", "runner", "sandbox", "sealing", "intake"],
  client: ["schema"],
  standalone: ["schema", "core", "callback", "client"],
  "": ["protocol", "platform", "runner", "breaker", "catalog", "sandbox", "shard", "api"],
};

const MAX_FILES = 16;

interface Import {
  from: string;
  to: string;
}

const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"));
const imports = files.flatMap((file) => importsOf(file, readFileSync(join(ROOT, "src", file), "utf8")));

/** What a file imports from `src`, types included. */
function importsOf(file: string, text: string): Import[] {
  return Array.from(text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+\.ts)"/g), ([, path = ""]) => {
    return { from: file, to: posix.normalize(posix.join(dirname(file), path)) };
  });
}

function roomOf(file: string): string {
  const room = posix.dirname(file);
  return room === "." ? "" : room;
}

function hallOf(file: string): string {
  return roomOf(file).split("/")[0] ?? "";
}

/** Imports against the order of ROOMS. */
function upward(all: readonly Import[]): string[] {
  return all
    .filter(({ from, to }) => ROOMS.indexOf(roomOf(to)) > ROOMS.indexOf(roomOf(from)))
    .map(({ from, to }) => `${from} -> ${to}`);
}

/** Imports from halls that a hall may not know. */
function foreign(all: readonly Import[]): string[] {
  return all
    .filter(({ from, to }) => hallOf(from) !== hallOf(to) && !HALLS[hallOf(from)]?.includes(hallOf(to)))
    .map(({ from, to }) => `${from} -> ${to}`);
}

/** Files in circles, and those that lead into one: what is left once all that import nothing left are gone. */
function circles(all: readonly Import[]): string[] {
  let left = new Set(all.map(({ from }) => from));
  for (;;) {
    const next = new Set(
      all.filter(({ from, to }) => left.has(from) && left.has(to)).map(({ from }) => from),
    );
    if (next.size === left.size) return [...left].sort();
    left = next;
  }
}

describe("the rooms of src", () => {
  test("are all in the list, each once", () => {
    expect([...new Set(files.map(roomOf))].sort()).toEqual([...ROOMS].sort());
    expect([...new Set(files.map(hallOf))].sort()).toEqual(Object.keys(HALLS).sort());
  });

  test("import from lower rooms only, types included", () => {
    expect(imports.length).toBeGreaterThan(500);
    expect(upward(imports)).toEqual([]);
  });

  test("import from no hall that theirs may not know", () => {
    expect(foreign(imports)).toEqual([]);
  });

  test("have no files in circles", () => {
    expect(circles(imports)).toEqual([]);
  });

  test(`have at most ${MAX_FILES} files each`, () => {
    const sizes = ROOMS.map((room) => [room, files.filter((file) => roomOf(file) === room).length] as const);
    expect(sizes.filter(([, size]) => size > MAX_FILES)).toEqual([]);
  });
});

describe("the checks", () => {
  test("see an import upward, a foreign one, and a circle", () => {
    const text = 'import type { A } from "../../shard/shard.ts";\nconst b = await import("../text/hash.ts");';
    const found = importsOf("core/task/a.ts", text);
    expect(found).toEqual([
      { from: "core/task/a.ts", to: "shard/shard.ts" },
      { from: "core/task/a.ts", to: "core/text/hash.ts" },
    ]);
    expect(upward(found)).toEqual(["core/task/a.ts -> shard/shard.ts"]);
    expect(foreign(found)).toEqual(["core/task/a.ts -> shard/shard.ts"]);
    const circle = [
      { from: "a.ts", to: "b.ts" },
      { from: "b.ts", to: "c.ts" },
      { from: "c.ts", to: "b.ts" },
    ];
    expect(circles([...circle, { from: "d.ts", to: "e.ts" }])).toEqual(["a.ts", "b.ts", "c.ts"]);
  });
});

import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** What somebody may add: a line after another, and the files to which the compiler must lead them from there. */
interface Addition {
  /** In no other line of the source. */
  name: string;
  file: string;
  after: string;
  line: string;
  leadsTo: readonly string[];
}

const ADDITIONS = {
  "a fault type": {
    name: "moonlight",
    file: "src/schema/task.ts",
    after: '  "rate_limited",\n',
    line: '  "moonlight",\n',
    leadsTo: ["src/core/call/fault-facts.ts"],
  },
  "a waiting reason": {
    name: "thunder",
    file: "src/schema/task.ts",
    after: '  "capacity",\n',
    line: '  "thunder",\n',
    leadsTo: ["src/core/view/waiting-facts.ts"],
  },
  "a task state": {
    name: "dreaming",
    file: "src/schema/task.ts",
    after: 'export const TASK_STATES = [\n  "pending",\n',
    line: '  "dreaming",\n',
    leadsTo: ["src/schema/state-facts.ts", "src/core/view/summary.ts", "src/shard/state/task-counts.ts"],
  },
  "a setting of breakers": {
    name: "patience",
    file: "src/schema/breaker.ts",
    after: "  half_open_successes: z.int().min(1).max(100).default(3),\n",
    line: "  patience: z.int().default(1),\n",
    leadsTo: ["src/core/breaker/policy.ts"],
  },
  "a field for each attempt": {
    name: "weather",
    file: "src/core/task/task.ts",
    after: "export interface Attempt {\n",
    line: "  weather: string | null;\n",
    leadsTo: ["src/core/task/transition.ts", "src/core/view/view.ts", "src/shard/storage/row-codec.ts"],
  },
} satisfies Record<string, Addition>;

describe("the compiler", () => {
  let folder = "";
  let errors: readonly string[] = [];

  // All of them in one copy: a run of the compiler takes seconds.
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "redrive-additions-"));
    await copySource(folder);
    for (const addition of Object.values(ADDITIONS)) await add(folder, addition);
    errors = await compile(folder);
  }, 60_000);

  afterAll(() => rm(folder, { recursive: true }));

  test.each(Object.entries(ADDITIONS))("leads whoever adds %s to all that must know it", (_, addition) => {
    const files = new Set(errors.filter((error) => isOf(addition, error)).map(fileOf));
    expect([...files]).toEqual(expect.arrayContaining(addition.leadsTo));
  });

  test("complains of nothing else", () => {
    const additions = Object.values(ADDITIONS);
    expect(errors.filter((error) => !additions.some((addition) => isOf(addition, error)))).toEqual([]);
  });
});

async function copySource(to: string): Promise<void> {
  await cp(join(ROOT, "src"), join(to, "src"), { recursive: true });
  for (const linked of ["node_modules", "migrations", "package.json"])
    await symlink(join(ROOT, linked), join(to, linked));
  const config = {
    extends: join(ROOT, "tsconfig.json"),
    include: [join(to, "src")],
    exclude: [join(to, "src/standalone"), join(to, "src/client")],
  };
  await writeFile(join(to, "tsconfig.json"), JSON.stringify(config));
}

async function add(to: string, { file, after, line }: Addition): Promise<void> {
  const path = join(to, file);
  const source = await readFile(path, "utf8");
  const parts = source.split(after);
  if (parts.length !== 2) throw new Error(`expected ${JSON.stringify(after)} once in ${file}`);
  await writeFile(path, parts.join(after + line));
}

/** The compiler's errors, each with the lines that explain it. */
function compile(at: string): Promise<string[]> {
  return new Promise((resolve) => {
    // It ends with another status than 0 for any error: its output says all.
    execFile(process.execPath, [TSC, "--noEmit", "--pretty", "false", "-p", at], { cwd: at }, (_, output) => {
      resolve(output.split(/\n(?=\S)/).filter((error) => error.trim() !== ""));
    });
  });
}

/** Whether an error is about what was added. That a switch lacks a case is said without a name. */
function isOf({ name }: Addition, error: string): boolean {
  return error.includes(name) || error.includes("error TS2366");
}

function fileOf(error: string): string {
  return error.slice(0, error.indexOf("("));
}

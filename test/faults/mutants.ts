import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS, type Mutant } from "./mutant-list.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["src", "migrations", "test/faults", "test/support", "package.json"];
/** A mutant survives where so many seeds of so many hours do not find it. */
const SEEDS = 40;
const HOURS = 2;
const LONGEST_MS = 600_000;

/** `npm run simulate:mutants [part of a name]`: puts each fault into a copy of the source, and simulates. */
function main(wanted: string): number {
  const mutants = MUTANTS.filter(({ name }) => name.includes(wanted));
  const folder = mkdtempSync(join(tmpdir(), "redrive-mutants-"));
  try {
    for (const part of COPIED) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const survivors = mutants.filter((mutant) => !isCaught(folder, mutant));
    console.log(`\n${mutants.length - survivors.length} of ${mutants.length} were caught`);
    return survivors.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Simulates with one fault until a seed finds it; prints what came of it. Throws where an edit does not fit the source. */
function isCaught(folder: string, { name, edits }: Mutant): boolean {
  const before = new Map(edits.map(({ file }) => [file, readFileSync(join(folder, file), "utf8")]));
  for (const { file, find, put } of edits) edit(name, join(folder, file), find, put);
  try {
    const run = spawnSync(
      process.execPath,
      ["test/faults/main.ts", "--seed", "1", "--seeds", String(SEEDS), "--hours", String(HOURS)],
      { cwd: folder, encoding: "utf8", timeout: LONGEST_MS, maxBuffer: 64 * 1_048_576 },
    );
    const found = /^seed (\d+), after ([\d.]+) h: ([^\n]*)/m.exec(run.stdout);
    const [, seed, hours, violation = ""] = found ?? [];
    // A copy that does not run at all has not been caught, and neither has one that never ends.
    const told =
      found === null ? `SURVIVED (exit ${run.status}) ${run.stderr.slice(0, 500)}` : violation.slice(0, 160);
    console.log(`| ${name} | ${seed ?? ""} | ${hours ?? ""} | ${told} |`);
    return found !== null;
  } finally {
    for (const [file, text] of before) writeFileSync(join(folder, file), text);
  }
}

function edit(mutant: string, path: string, find: string, put: string): void {
  const text = readFileSync(path, "utf8");
  const found = text.split(find).length - 1;
  if (found !== 1)
    throw new Error(`${mutant}: expected to find ${JSON.stringify(find)} once in ${path}, got ${found}`);
  writeFileSync(
    path,
    text.replace(find, () => put),
  );
}

process.exitCode = main(process.argv[2] ?? "");

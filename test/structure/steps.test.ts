import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STEP = /^\| ([^|]+?) +\| `(src\/[^`]+\.ts)` +\| `(\w+)` +\|$/gm;
const steps = [...readFileSync(join(ROOT, "docs/architecture.md"), "utf8").matchAll(STEP)].map(
  ([, step = "", file = "", name = ""]) => ({ step, file, name }),
);

describe("the steps of a task's way in docs/architecture.md", () => {
  test("are found", () => {
    expect(steps.length).toBeGreaterThan(20);
  });

  test.each(steps)("$step: $file has $name", ({ file, name }) => {
    const source = readFileSync(join(ROOT, file), "utf8");
    expect(source).toMatch(new RegExp(`^(?:export )?(?:async )?function ${name}\\b`, "m"));
  });
});

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { MUTANTS } from "./mutant-list.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

describe("the list of mutants", () => {
  test.each(MUTANTS)("fits the source: $name", ({ edits }) => {
    for (const { file, find } of edits) {
      const found = readFileSync(ROOT + file, "utf8").split(find).length - 1;
      expect(found, `${JSON.stringify(find)} in ${file}`).toBe(1);
    }
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const CORE = new URL("../../src/core/", import.meta.url);
/** Time, chance and I/O that the linter's rules cannot name. */
const IMPURE = /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bcrypto\.|\bsetTimeout\b|\bawait fetch\b/;

/** A source text without its comments. */
function codeOf(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

describe("src/core", () => {
  test.each(readdirSync(CORE, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts")))(
    "%s asks nothing of the world",
    (file) => {
      expect(codeOf(readFileSync(new URL(file, CORE), "utf8"))).not.toMatch(IMPURE);
    },
  );

  test.each(["const at = Date.now();", "Math.random() * 2", "new Date()", "crypto.randomUUID()"])(
    "the check sees %s",
    (code) => {
      expect(codeOf(code)).toMatch(IMPURE);
    },
  );
});

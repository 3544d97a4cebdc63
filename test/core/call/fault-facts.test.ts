import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FAULTS } from "../../../src/core/call/fault-facts.ts";
import { ERROR_TYPES } from "../../../src/schema/task.ts";

const PAGE = readFileSync(new URL("../../../docs/state-machine.md", import.meta.url), "utf8");

/** The cells of a fault's row in the table of the docs. */
function rowOf(fault: string): string[] {
  const row = PAGE.split("\n").find(
    (line) => line.startsWith(`| \`${fault}\` `) && line.split("|").length === 6,
  );
  return (row ?? "").split("|").map((cell) => cell.trim());
}

describe("FAULTS", () => {
  test.each(ERROR_TYPES)("are in the docs as in the code: %s", (fault) => {
    const { sentence, mayHaveArrived } = FAULTS[fault];
    const [, , from, kind, arrived] = rowOf(fault);
    expect(from).toBe(sentence);
    expect(kind).toMatch(new RegExp(`^${FAULTS[fault].class}(;|$)`));
    expect(arrived).toBe(mayHaveArrived ? "yes" : "no");
  });

  test.each(ERROR_TYPES)("say of a target that was not reached no more than that: %s", (fault) => {
    const { mayHaveArrived, target } = FAULTS[fault];
    if (!mayHaveArrived) expect(["nothing", "unreached"]).toContain(target);
    if (FAULTS[fault].isOverload) expect(FAULTS[fault].class).toBe("transient");
  });
});

import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

/** `npm run simulate:faults -- --seed 7 --hours 1000`: exits with 1 where an invariant does not hold. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      hours: { type: "string" },
      seeds: { type: "string" },
      slowness: { type: "string" },
    },
  });
  const first = wholeNumber("seed", values.seed ?? "1");
  const hours = Number(values.hours ?? "10");
  const seeds = wholeNumber("seeds", values.seeds ?? "1");
  const slowness = wholeNumber("slowness", values.slowness ?? "1");
  for (let seed = first; seed < first + seeds; seed++) {
    const beganAt = performance.now();
    const { violation, totals, ...outcome } = await simulate(seed, hours, slowness);
    const seconds = (performance.now() - beganAt) / 1_000;
    if (violation !== null) {
      console.log(
        `${violation.history}\n\nseed ${seed}, after ${outcome.hours.toFixed(2)} h: ${violation.message}`,
      );
      const more = slowness === 1 ? "" : ` --slowness ${slowness}`;
      console.log(`Again: npm run simulate:faults -- --seed ${seed} --hours ${hours}${more}`);
      return 1;
    }
    const speed = `${outcome.hours.toFixed(1)} simulated hours in ${seconds.toFixed(1)} s`;
    console.log(
      `seed ${seed}, calls ${outcome.calls}: ${speed}, ${JSON.stringify(totals)}, ${outcome.events} lines, ${outcome.hash.slice(0, 16)}`,
    );
  }
  return 0;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`expected a whole number for --${name}, got ${text}`);
  return value;
}

process.exitCode = await main();

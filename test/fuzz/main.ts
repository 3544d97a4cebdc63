/**
 * `npm run fuzz -- --count 1000000 --seed 1`: hostile inputs through every parser, and one in twenty as a request to the
 * real server. `--only 4711` tries that one input again. Ends with 1 where an input did what none may.
 */
import { parseArgs } from "node:util";
import { fuzzServer, type HttpReport, hasGrown } from "./http.ts";
import { type Finding, MAX_HEAP_GROWTH, type ParserReport } from "./in-process.ts";
import { fuzzParsersWatched } from "./watched.ts";

const REST_MS = 15_000;
const MB = 1_048_576;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const seed = Number(values.seed);
process.exitCode =
  values.only === undefined ? await all(Number(values.count)) : await one(Number(values.only));

async function all(count: number): Promise<number> {
  const overHttp = Math.floor(count / 20);
  const startedAt = Date.now();
  const parsers = await fuzzParsersWatched(seed, 0, count - overHttp);
  const faults = [...parsers.findings.map(told), ...tellParsers(parsers, Date.now() - startedAt)];
  const httpAt = Date.now();
  const http = await fuzzServer(seed, { count: overHttp, warmUp: Math.floor(overHttp / 5), restMs: REST_MS });
  faults.push(...http.findings.map(told), ...tellHttp(http, Date.now() - httpAt));
  for (const fault of faults) process.stdout.write(`${fault}\n`);
  return faults.length === 0 ? 0 : 1;
}

async function one(index: number): Promise<number> {
  const { findings, slowestMs, slowest } = await fuzzParsersWatched(seed, index, index + 1);
  process.stdout.write(`${slowest}: ${slowestMs.toFixed(1)} ms\n${findings.map(told).join("\n")}\n`);
  return findings.length === 0 ? 0 : 1;
}

/** Prints what came of the parsers' run, and gives the faults that are of the run as a whole. */
function tellParsers(report: ParserReport, tookMs: number): string[] {
  const { inputs, accepted, refused, slowestMs, slowest, heapBefore, heapAfter } = report;
  const growth = heapAfter - heapBefore;
  process.stdout.write(
    `seed ${seed}, parsers: ${inputs} inputs in ${(tookMs / 1_000).toFixed(0)} s, ${accepted} accepted, ${refused} refused\n` +
      `  slowest ${slowestMs.toFixed(0)} ms (${slowest}); live heap ${mb(heapBefore)} MB, then ${mb(heapAfter)} MB\n`,
  );
  return growth > MAX_HEAP_GROWTH ? [`the live heap grew by ${mb(growth)} MB`] : [];
}

function tellHttp(report: HttpReport, tookMs: number): string[] {
  const { requests, countByStatus, slowestMs, slowest, memoryBeforeMb, memoryAfterMb } = report;
  const statuses = Object.entries(countByStatus).map(([status, count]) => `${status}: ${count}`);
  process.stdout.write(
    `seed ${seed}, server: ${requests} requests in ${(tookMs / 1_000).toFixed(0)} s; ${statuses.join(", ")}\n` +
      `  slowest ${slowestMs.toFixed(0)} ms (${slowest}); resident ${memoryBeforeMb.toFixed(0)} MB, then ${memoryAfterMb.toFixed(0)} MB\n`,
  );
  return hasGrown(report) ? ["the server's memory grew"] : [];
}

function told({ index, where, fault, input }: Finding): string {
  return `seed ${seed}, ${index}, ${where.slice(0, 500)}: ${fault}\n  ${JSON.stringify(input.slice(0, 1_000))}`;
}

function mb(bytes: number): string {
  return (bytes / MB).toFixed(1);
}

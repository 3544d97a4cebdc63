import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AppError, PROBLEM_KINDS, problemOf } from "../../src/api/http/app-error.ts";
import { type Chance, chanceOf } from "./kinds/chance.ts";
import { SURFACES, type Surface } from "./kinds/surfaces.ts";
import { minimise } from "./minimise.ts";

/** An input that did what none may; `input` is as short as cutting made it. */
export interface Finding {
  /** The number of the input: with the seed, all that is needed to make it again. */
  index: number;
  where: string;
  fault: string;
  input: string;
}

/** What came of a run of inputs through the parsers. */
export interface ParserReport {
  inputs: number;
  accepted: number;
  refused: number;
  findings: Finding[];
  slowestMs: number;
  /** What the slowest input was for. */
  slowest: string;
  /** The live heap once a tenth of the inputs was through, and at the end; bytes. */
  heapBefore: number;
  heapAfter: number;
}

/** No input may take longer (of processor time), nor may the live heap grow by more between a tenth of the inputs and all. */
export const MAX_INPUT_MS = 1_000;
export const MAX_HEAP_GROWTH = 16 * 1_048_576;
const MAX_FINDINGS = 10;
/** A problem may repeat names of the request, not multiply them. */
const MAX_PROBLEM_LENGTH = 20_000;

/** Sends inputs `from` to below `to` through the parsers. `note` is told each index before its input is tried. */
export async function fuzzParsers(
  seed: number,
  from: number,
  to: number,
  note: (index: number) => void,
): Promise<ParserReport> {
  const report: ParserReport = {
    ...{ inputs: 0, accepted: 0, refused: 0, findings: [], slowestMs: 0, slowest: "" },
    ...{ heapBefore: 0, heapAfter: 0 },
  };
  const warmAt = from + Math.floor((to - from) / 10);
  for (let index = from; index < to && report.findings.length < MAX_FINDINGS; index++) {
    note(index);
    await tryInput(seed, index, report);
    if (index === warmAt) report.heapBefore = liveHeap();
  }
  report.heapAfter = liveHeap();
  return report;
}

/** The surface and text of one input. */
export function inputOf(seed: number, index: number): { where: string; surface: Surface; text: string } {
  const chance = chanceOf(seed, index);
  const [where, surface] = pickSurface(chance);
  return { where, surface, text: surface.make(chance) };
}

const TOTAL_WEIGHT = Object.values(SURFACES).reduce((sum, { weight }) => sum + weight, 0);

function pickSurface(chance: Chance): [string, Surface] {
  let left = chance.below(TOTAL_WEIGHT);
  for (const entry of Object.entries(SURFACES)) {
    left -= entry[1].weight;
    if (left < 0) return entry;
  }
  throw new Error("expected the weights to add up");
}

async function tryInput(seed: number, index: number, report: ParserReport): Promise<void> {
  const { where, surface, text } = inputOf(seed, index);
  const taken = await take(surface, text);
  report.inputs++;
  report[taken.accepted ? "accepted" : "refused"]++;
  if (taken.tookMs > report.slowestMs) {
    Object.assign(report, { slowestMs: taken.tookMs, slowest: `${where}, input ${index}` });
  }
  const finding = await findingOf(surface, text, taken);
  if (finding !== null) report.findings.push({ index, where, ...finding });
}

/** What an input did that none may, and the shortest text found that does it too; null: nothing. */
export async function findingOf(
  surface: Pick<Surface, "take">,
  text: string,
  taken?: Taken,
): Promise<Pick<Finding, "fault" | "input"> | null> {
  const { fault, tookMs } = taken ?? (await take(surface, text));
  const confirmed = fault ?? (tookMs > MAX_INPUT_MS ? await slowAgain(surface, text) : null);
  if (confirmed === null) return null;
  const fails = async (shorter: string) => {
    const again = await take(surface, shorter);
    return fault === null ? again.tookMs > MAX_INPUT_MS : again.fault !== null;
  };
  return { fault: confirmed, input: await minimise(text, fails, fault === null ? 20 : 2_000) };
}

interface Taken {
  fault: string | null;
  accepted: boolean;
  tookMs: number;
}

/** What an input did: a refusal in good order is no fault. */
async function take(surface: Pick<Surface, "take">, text: string): Promise<Taken> {
  const startedAt = process.threadCpuUsage();
  // Time of this thread's own: how busy the machine is beside does not count.
  const tookMs = () => {
    const { user, system } = process.threadCpuUsage(startedAt);
    return (user + system) / 1_000;
  };
  try {
    await surface.take(text);
    return { fault: null, accepted: true, tookMs: tookMs() };
  } catch (error) {
    return { fault: faultOf(error), accepted: false, tookMs: tookMs() };
  }
}

function faultOf(error: unknown): string | null {
  if (!(error instanceof AppError))
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (PROBLEM_KINDS[error.code].status >= 500)
    return `status ${PROBLEM_KINDS[error.code].status}: ${error.message}`;
  const { length } = JSON.stringify(problemOf(error, "request"));
  return length > MAX_PROBLEM_LENGTH ? `a problem of ${length} characters` : null;
}

/** A collection may have come in between: only what is slow three times is. */
async function slowAgain(surface: Pick<Surface, "take">, text: string): Promise<string | null> {
  const again = [await take(surface, text), await take(surface, text)].map(({ tookMs }) => tookMs);
  const least = Math.min(...again);
  return least > MAX_INPUT_MS ? `took ${least.toFixed(0)} ms` : null;
}

let collect: (() => void) | null = null;

/** Bytes in use after a full collection. */
function liveHeap(): number {
  if (collect === null) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  return process.memoryUsage().heapUsed;
}

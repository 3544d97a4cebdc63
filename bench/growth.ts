import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Grant } from "../src/protocol/grant.ts";
import { copyTask } from "../test/support/shard/copy-task.ts";
import { settleMessage } from "../test/support/shard/shard-messages.ts";
import { ShardWorld } from "../test/support/shard/shard-world.ts";
import { fileSql } from "../test/support/shard/sqlite.ts";
import { quantile } from "./stats.ts";

/** Operations of one kind that a round measures. */
const OPERATIONS = 200;
const ROUNDS = 25;
/** Before anything is measured, so that all code is compiled. */
const WARM_UP_ROUNDS = 3;
const DELAY_MS = 30 * 24 * 3_600_000;
/** What else the machine does only ever adds. */
const QUARTILE = 0.25;
const KINDS = ["submit", "claim", "settle"] as const;

interface Size {
  waiting: number;
  targets: number;
}

const BY_WAITING: Size[] = [0, 10_000, 100_000, 1_000_000].map((waiting) => ({ waiting, targets: 100 }));
const BY_TARGETS: Size[] = [1, 100, 10_000].map((targets) => ({ waiting: 100_000, targets }));

type Times = Record<(typeof KINDS)[number], number[]>;

/**
 * What a submit, a claim and a settle take in a shard where more and more tasks wait, for more and more targets, as
 * rows of a table: the shard itself with the SQL of production on SQLite files, in this process. Sizes are
 * measured in turn in each round, so that a change of the machine's pace meets all of them.
 */
export async function growth(): Promise<string[][]> {
  const folder = await mkdtemp(join(tmpdir(), "redrive-growth-"));
  try {
    return [...(await compare(BY_WAITING, folder)), ...(await compare(BY_TARGETS, folder)).slice(1)];
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function compare(sizes: Size[], folder: string): Promise<string[][]> {
  const shards = await Promise.all(
    sizes.map(async (size) => ({ size, world: await filled(size, folder), times: noTimes() })),
  );
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    process.stderr.write(`growth: round ${round + 1} of ${WARM_UP_ROUNDS + ROUNDS}\n`);
    for (const { size, world, times } of shards) {
      await measure(world, size, round < WARM_UP_ROUNDS ? NOT_MEASURED : times);
    }
  }
  const smallest = shards[0]?.times ?? noTimes();
  const rows = shards.map(({ size, world, times }) => [
    `${size.waiting.toLocaleString("en")} waiting, ${size.targets.toLocaleString("en")} targets`,
    ...KINDS.flatMap((kind) => {
      const us = quantile(times[kind], QUARTILE);
      return [us.toFixed(1), (us / quantile(smallest[kind], QUARTILE)).toFixed(2)];
    }),
    (heapBytesOf(world) / 2 ** 20).toFixed(1),
  ]);
  return [["processor microseconds each", ...KINDS.flatMap((kind) => [kind, "ratio"]), "heap MB"], ...rows];
}

const NOT_MEASURED = noTimes();

/** What a shard keeps in memory once it has started on its rows. */
function heapBytesOf(world: ShardWorld): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { shard } = world;
  collect();
  const before = process.memoryUsage().heapUsed;
  world.restart();
  collect();
  const bytes = process.memoryUsage().heapUsed - before;
  world.shard = shard;
  return bytes;
}

function noTimes(): Times {
  return { submit: [], claim: [], settle: [] };
}

/**
 * One round: tasks are submitted and granted one by one, settled, and, delayed, become due and are claimed one by
 * one. A shard that has just started asks the rows of each lane once, and may keep a task waiting for that.
 */
async function measure(world: ShardWorld, { targets }: Size, times: Times): Promise<void> {
  const hosts = Array.from({ length: OPERATIONS }, (_, i) => `h${(i * 7_919) % targets}`);
  const grants: Grant[] = [];
  const submitUs = await timed(hosts, async (host) => {
    const { grant } = await world.submit(world.taskTo(host, { edge: true }));
    if (grant !== null) grants.push(grant);
  });
  const settleUs = await timed(
    grants.map((grant) => settleMessage(grant)),
    async (message) => {
      await world.shard.settle(message);
    },
  );
  await world.serveRunners();
  await world.submitAll(hosts.map((host, i) => world.taskTo(host, { delayMs: 2 * i + 2 })));
  const claimUs = await timed(hosts, async () => {
    world.now += 2;
    await world.alarm();
  });
  const claims = world.handed.length;
  await world.serveRunners();
  if (times === NOT_MEASURED) return;
  if (grants.length < OPERATIONS || claims < OPERATIONS)
    throw new Error(`expected ${OPERATIONS} grants and claims, got ${grants.length} and ${claims}`);
  times.submit.push(submitUs);
  times.settle.push(settleUs);
  times.claim.push(claimUs);
}

/** Microseconds of processor time for each: what else runs on the machine takes no part in it. */
async function timed<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  for (const item of items) await run(item);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / items.length;
}

/** A shard in which so many tasks wait for next month, spread over the targets. Its rows are copies of one that it wrote. */
async function filled({ waiting, targets }: Size, folder: string): Promise<ShardWorld> {
  const world = new ShardWorld({ concurrency: 2_000, retention: { succeeded: "90d", failed: "90d" } });
  world.storage = fileSql(join(folder, crypto.randomUUID()));
  world.restart();
  if (waiting === 0) return world;
  const { id } = await world.submit(world.taskTo("h0", { delayMs: DELAY_MS }));
  copyTask(world.storage.sql, { id, copies: waiting - 1, targets });
  // It learns its lanes anew, as after any eviction.
  world.restart();
  return world;
}

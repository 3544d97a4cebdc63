import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyTask } from "../test/support/shard/copy-task.ts";
import { ShardWorld } from "../test/support/shard/shard-world.ts";
import { fileSql } from "../test/support/shard/sqlite.ts";
import { quantile } from "./stats.ts";

/** Settles that a round measures. */
const SETTLES = 100;
const ROUNDS = 20;
/** Before anything is measured, so that all code is compiled. */
const WARM_UP_ROUNDS = 3;
/** Tasks that are called at once; all others wait for one of these slots. */
const SLOTS = 64;
/** What else the machine does only ever adds. */
const QUARTILE = 0.25;

interface Size {
  due: number;
  targets: number;
}

const SIZES: Size[] = [
  { due: 10_000, targets: 1 },
  { due: 10_000, targets: 100 },
  { due: 100_000, targets: 100 },
  { due: 1_000_000, targets: 100 },
  { due: 100_000, targets: 1 },
  { due: 100_000, targets: 10_000 },
];

/**
 * What it takes to settle a call and to claim the next task for its slot, in a shard where more and more tasks are due
 * and wait for a slot, for more and more targets, as rows of a table. Breakers, limits and budgets are on. Made as `growth`.
 */
export async function backlog(): Promise<string[][]> {
  const folder = await mkdtemp(join(tmpdir(), "redrive-backlog-"));
  try {
    const shards: { size: Size; world: ShardWorld; us: number[] }[] = [];
    for (const size of SIZES) shards.push({ size, world: await filled(size, folder), us: [] });
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      for (const { world, us } of shards) {
        const took = await settled(world);
        if (round >= WARM_UP_ROUNDS) us.push(took);
      }
    }
    const smallest = quantile(shards[0]?.us ?? [], QUARTILE);
    const rows = shards.map(({ size, us }) => [
      `${size.due.toLocaleString("en")} due, ${size.targets.toLocaleString("en")} targets`,
      quantile(us, QUARTILE).toFixed(1),
      (quantile(us, QUARTILE) / smallest).toFixed(2),
    ]);
    return [["processor microseconds each", "settle, and claim the next", "ratio"], ...rows];
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Microseconds of processor time for each; throws where a slot was left empty. */
async function settled(world: ShardWorld): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < SETTLES; i++) await world.settle(world.nextHanded());
  const { user, system } = process.cpuUsage(before);
  if (world.handed.length < SLOTS) throw new Error(`expected ${SLOTS} calls, got ${world.handed.length}`);
  return (user + system) / SETTLES;
}

/** A shard with so many due tasks, all but those in its slots waiting. */
async function filled({ due, targets }: Size, folder: string): Promise<ShardWorld> {
  const world = new ShardWorld({
    concurrency: SLOTS,
    retention: { succeeded: "90d", failed: "90d" },
    breaker: {},
    retry_budget: {},
    // One target would not get all slots at first.
    adaptive_concurrency: targets > 1,
  });
  world.storage = fileSql(join(folder, crypto.randomUUID()));
  world.restart();
  const { id } = await world.submit(world.taskTo("h0", { delayMs: 1_000 }));
  copyTask(world.storage.sql, { id, copies: due - 1, targets });
  world.rows("UPDATE tasks SET due_at = ?", world.now + 1_000);
  world.restart();
  world.now += 1_000;
  while (world.handed.length < SLOTS) await world.alarm();
  return world;
}

import { setTimeout as delay } from "node:timers/promises";
import { audit, type Result } from "./audit.ts";
import type { Disk } from "./disks.ts";
import { asked, type Effort, openStory, type Story, submitAll, submitBatches, warmUp } from "./story.ts";
import type { Kind } from "./witness.ts";

const KINDS: readonly Kind[] = ["plain", "flaky", "slow"];
const SUBMITS_IN_FLIGHT = 10;
/** Submitted while the disk has room; due while it is full. */
const BACKLOG = 100;
const BACKLOG_DUE_MS = 1_500;
const ROOM_MS = 500;
const READ_EVERY_MS = 100;
/** Reads while the disk is full that have to be answered; a write beside one may take its shard down under it. */
const LEAST_READS = 0.8;

/** How long and hard it is. */
export interface FullDiskSize extends Effort {
  rounds: number;
  fullMs: number;
}

/** The disk becomes full under load, for so long each time, and has room again. */
export async function fullDisk(disk: Disk, size: FullDiskSize): Promise<Result> {
  const { rounds, fullMs } = size;
  const story = await openStory(size, disk.options);
  try {
    const memoryBeforeMb = await warmUp(story);
    const { pid } = story.world.server;
    const reads = { answered: 0, all: 0 };
    const backAfterMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const backlog = Array.from({ length: BACKLOG }, () => story.task("plain", { delay: BACKLOG_DUE_MS }));
      await submitBatches(story, backlog);
      await disk.fill(pid);
      await whileFull(story, fullMs, reads);
      await disk.free(pid);
      backAfterMs.push(await untilAccepted(story));
    }
    const refused = [...story.ledger.refusals].map(([refusal, count]) => `${count} x ${refusal}`);
    const notes = [
      `while full ${reads.answered} of ${reads.all} reads were answered; ${refused.join(", ")}`,
      `first 202 after room again: ${backAfterMs.map((ms) => `${ms} ms`).join(", ")}`,
    ];
    const scenario = `disk full (${disk.name})`;
    const refusals = story.ledger.refusals.get("503 storage_unavailable") ?? 0;
    const faults = [
      ...(refusals === 0 ? ["the disk was never full"] : []),
      ...(reads.answered < reads.all * LEAST_READS
        ? [`${reads.answered} of ${reads.all} reads answered`]
        : []),
    ];
    return await audit(story, { scenario, rounds, memoryBeforeMb, storageWasAway: true, notes, faults });
  } finally {
    await story.close();
    await disk.close();
  }
}

async function whileFull(story: Story, fullMs: number, reads: { answered: number; all: number }) {
  const untilAt = Date.now() + fullMs;
  const isOver = () => Date.now() >= untilAt;
  const tasks = Array.from({ length: fullMs / 2 }, (_, i) => story.task(KINDS[i % KINDS.length] ?? "plain"));
  const reading = async () => {
    const [known = ""] = story.ledger.accepted.keys();
    const paths = [`/v1/tasks/${known}`, `/v1/tasks?queue=${story.queue}`, `/v1/queues/${story.queue}`];
    for (let i = 0; !isOver(); i++) {
      const { status } = await asked(story, "GET", paths[i % paths.length] ?? "");
      reads.all++;
      if (status === 200) reads.answered++;
      await delay(READ_EVERY_MS);
    }
  };
  await Promise.all([submitAll(story, tasks, SUBMITS_IN_FLIGHT, isOver), reading()]);
}

/** How long (ms) it takes until a submit is taken again; what was refused meanwhile is sent again at the end. */
async function untilAccepted(story: Story): Promise<number> {
  const freedAt = Date.now();
  const before = story.ledger.accepted.size;
  while (story.ledger.accepted.size === before) await submitAll(story, [story.task("plain")], 1);
  const tookMs = Date.now() - freedAt;
  await delay(ROOM_MS);
  return tookMs;
}

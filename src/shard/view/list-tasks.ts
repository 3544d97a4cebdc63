import { PAGE_ROWS, pauseBeforeSlice, SLICE_MATCHES, SLICE_ROWS } from "../../core/pressure/page-work.ts";
import type { UnderWay } from "../../core/under-way.ts";
import { taskSummary } from "../../core/view/view.ts";
import type { ListAnswer, ListMessage } from "../../protocol/shard-api.ts";
import type { ShardContext } from "../state/context.ts";
import { pageStart, withSlice } from "../storage/list-page.ts";
import { viewContext } from "./task-situation.ts";

/** What a list needs of the world. */
export interface ListPorts {
  now(): number;
  wait(ms: number): Promise<void>;
  /** The lists of this process that look for more rows. */
  lists: UnderWay;
  /** Runs one slice's work. */
  read<T>(work: () => T): Promise<T>;
}

/**
 * One page of a shard's tasks, newest first, in slices between which all else in the process has its turn. It ends once
 * it is full, and with the rows and the time that a page may take: it may then be short, even empty.
 */
export async function listTasks(
  ctx: ShardContext,
  message: ListMessage,
  ports: ListPorts,
): Promise<ListAnswer> {
  const startedAt = ports.now();
  const tasks: ListAnswer["tasks"] = [];
  let page = pageStart(message);
  let end: (() => void) | null = null;
  try {
    for (;;) {
      const slice = await ports.read(() => {
        const rows = Math.min(SLICE_ROWS, PAGE_ROWS - page.examined);
        const next = withSlice(ctx.sql, message, page, { rows, matches: SLICE_MATCHES });
        const found = next.rows.slice(page.rows.length).map((row) => ctx.rows.toTaskWithoutBodies(row));
        return { next, found: found.map((task) => taskSummary(task, viewContext(ctx, task))) };
      });
      page = slice.next;
      tasks.push(...slice.found);
      if (page.isWhole) break;
      const now = ports.now();
      end ??= ports.lists.begin(now);
      const work = { examined: page.examined, elapsedMs: now - startedAt, underWay: ports.lists.count(now) };
      const pauseMs = pauseBeforeSlice(work);
      if (pauseMs === null) break;
      await ports.wait(pauseMs);
    }
  } finally {
    end?.();
  }
  return { tasks, examinedTo: page.examinedTo, examined: page.examined };
}

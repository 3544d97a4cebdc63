import { runInDurableObject } from "cloudflare:test";
import { vi } from "vitest";
import type { RemoteShard } from "./remote-shard.ts";

/** Rows by the platform's own counter, which is the bill. */
export interface CountedRows {
  read: number;
  written: number;
}

/** What the shard's own statements read and wrote meanwhile; alarms come on top. */
export async function countedRows(shard: RemoteShard, run: () => Promise<unknown>): Promise<CountedRows> {
  const counted: CountedRows = { read: 0, written: 0 };
  const spy = await runInDurableObject(shard.stub, (_, { storage }) => {
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    return vi.spyOn(sql, "exec").mockImplementation(((query: string, ...values: unknown[]) => {
      const cursor = exec(query, ...values);
      // Only once all rows are read are the counters those of the whole statement.
      const rows = cursor.toArray();
      const { rowsRead, rowsWritten } = cursor;
      counted.read += rowsRead;
      counted.written += rowsWritten;
      return { toArray: () => rows, rowsWritten };
    }) as typeof sql.exec);
  });
  await run();
  spy.mockRestore();
  return counted;
}

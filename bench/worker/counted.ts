/**
 * The product with counters, for `npm run bench -- cost`: the same app and the same objects, their storage and their
 * calls counted. On plain workerd all objects live in the Worker's isolate, so one set of counters sees them all.
 */
import type { SqlPort } from "../../src/core/sql-port.ts";
import * as product from "../../src/index.ts";
import type { Counters } from "../counters.ts";

const counters: Counters = {
  rowsWritten: 0,
  rowsRead: 0,
  alarmsSet: 0,
  commits: 0,
  rowsByStatement: {},
  objectCalls: {},
};

export const { Sandbox } = product;
export const Breaker = counted("Breaker", product.Breaker);
export const Catalog = counted("Catalog", product.Catalog);
export const Runner = counted("Runner", product.Runner);
export const QueueShard = counted("QueueShard", product.QueueShard);

export default {
  fetch(request: Request, env: Parameters<typeof product.default.fetch>[1], ctx: ExecutionContext) {
    if (new URL(request.url).pathname === "/bench/counters") return Response.json(counters);
    return product.default.fetch(request, env, ctx);
  },
};

type ObjectClass = new (ctx: DurableObjectState, env: never) => object;

function counted<Class extends ObjectClass>(name: string, original: Class): Class {
  countCalls(name, original.prototype);
  // The platform asks for the very class that is exported: its constructor is given counting storage.
  return new Proxy(original, {
    construct: (target, [ctx, env], newTarget) => {
      countStorage(ctx.storage);
      return Reflect.construct(target, [ctx, env], newTarget);
    },
  });
}

function countCalls(name: string, prototype: object): void {
  for (const method of Object.getOwnPropertyNames(prototype)) {
    const original: unknown = Reflect.get(prototype, method);
    if (method === "constructor" || typeof original !== "function") continue;
    const key = `${name}.${method}`;
    Reflect.set(prototype, method, function (this: unknown, ...args: unknown[]) {
      add(counters.objectCalls, key, 1);
      return original.apply(this, args);
    });
  }
}

function countStorage(storage: DurableObjectStorage): void {
  const { sql } = storage;
  let wroteThisTurn = false;
  const noteWritten = (rows: number) => {
    counters.rowsWritten += rows;
    if (rows === 0 || wroteThisTurn) return;
    wroteThisTurn = true;
    counters.commits++;
    queueMicrotask(() => {
      wroteThisTurn = false;
    });
  };
  const counting: SqlPort = {
    exec: (query, ...bindings) => {
      const cursor = sql.exec(query, ...bindings);
      const rows = cursor.toArray() as ReturnType<ReturnType<SqlPort["exec"]>["toArray"]>;
      const { rowsRead, rowsWritten } = cursor;
      counters.rowsRead += rowsRead;
      noteWritten(rowsWritten);
      if (rowsWritten > 0) add(counters.rowsByStatement, startOf(query), rowsWritten);
      return { toArray: () => rows, rowsWritten };
    },
  };
  Object.defineProperty(storage, "sql", { value: counting });
  const setAlarm = storage.setAlarm.bind(storage);
  const countingSetAlarm: typeof setAlarm = (...args) => {
    counters.alarmsSet++;
    noteWritten(1);
    return setAlarm(...args);
  };
  Object.defineProperty(storage, "setAlarm", { value: countingSetAlarm });
}

function add(counts: Record<string, number>, key: string, by: number): void {
  counts[key] = (counts[key] ?? 0) + by;
}

/** Enough of a statement to know it by: its verb and its table. */
function startOf(query: string): string {
  return query.trim().split(/\s+/).slice(0, 5).join(" ");
}

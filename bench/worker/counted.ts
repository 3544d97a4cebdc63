/**
 * The product with counters, for `npm run bench -- cost`: the same app and the same objects, their storage and their
 * calls counted. On plain workerd all objects live in the Worker's isolate, so one set of counters sees them all.
 */
import { DurableObject } from "cloudflare:workers";
import * as product from "../../src/index.ts";
import type { SqlPort } from "../../src/platform/sql-port.ts";
import type { Counters } from "../counters.ts";

const counters: Counters = {
  rowsWritten: 0,
  rowsRead: 0,
  alarmsSet: 0,
  commits: 0,
  rowsByStatement: {},
  rowsReadByStatement: {},
  workerRequests: 0,
  objectCalls: {},
  objectMs: {},
};

/** How long one object has been awake: time in which several things were under way counts once. */
class Meter {
  readonly #name: string;
  #underWay = 0;
  #since = 0;

  constructor(name: string) {
    this.#name = name;
  }

  begin(): void {
    if (this.#underWay++ === 0) this.#since = Date.now();
  }

  end(): void {
    if (--this.#underWay === 0) add(counters.objectMs, this.#name, Date.now() - this.#since);
  }

  /** Counts until the promise is settled; gives it back. */
  during<T>(promise: Promise<T>): Promise<T> {
    this.begin();
    const end = () => this.end();
    promise.then(end, end);
    return promise;
  }
}

/** What only the objects' own code calls. */
const NO_CALLS = new Set(["constructor", "runner"]);
const meters = new WeakMap<object, Meter>();

export const { Sandbox } = product;
export const Breaker = counted("Breaker", product.Breaker);
export const Catalog = counted("Catalog", product.Catalog);
export const Runner = counted("Runner", product.Runner);
export const QueueShard = counted("QueueShard", product.QueueShard);

export default {
  fetch(request: Request, env: Parameters<typeof product.default.fetch>[1], ctx: ExecutionContext) {
    if (new URL(request.url).pathname === "/bench/counters") return Response.json(counters);
    counters.workerRequests++;
    return product.default.fetch(request, env, ctx);
  },
};

type ObjectClass = new (ctx: DurableObjectState, env: never) => object;

function counted<Class extends ObjectClass>(name: string, original: Class): Class {
  countCalls(name, original.prototype);
  // The platform asks for the very class that is exported: its constructor is given counting storage.
  return new Proxy(original, {
    construct: (target, [ctx, env], newTarget) => {
      const meter = new Meter(name);
      countStorage(ctx.storage);
      countWaitUntil(ctx, meter);
      const object = Reflect.construct(target, [ctx, env], newTarget);
      meters.set(object, meter);
      return object;
    },
  });
}

/** Methods of the class and of those it extends, each counted where the platform calls it. */
function countCalls(name: string, prototype: object): void {
  for (const method of methodsOf(prototype)) {
    const original: unknown = Reflect.get(prototype, method);
    if (typeof original !== "function") continue;
    const key = `${name}.${method}`;
    Reflect.set(prototype, method, function (this: object, ...args: unknown[]) {
      add(counters.objectCalls, key, 1);
      const answer: unknown = original.apply(this, args);
      return answer instanceof Promise ? (meters.get(this)?.during(answer) ?? answer) : answer;
    });
  }
}

function methodsOf(prototype: object): Set<string> {
  const parent: object | null = Object.getPrototypeOf(prototype);
  const inherited = parent === null || parent === DurableObject.prototype ? [] : methodsOf(parent);
  return new Set(
    [...inherited, ...Object.getOwnPropertyNames(prototype)].filter((name) => !NO_CALLS.has(name)),
  );
}

function countWaitUntil(ctx: DurableObjectState, meter: Meter): void {
  const waitUntil = ctx.waitUntil.bind(ctx);
  const counting: typeof waitUntil = (promise) => waitUntil(meter.during(promise));
  Object.defineProperty(ctx, "waitUntil", { value: counting });
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
      if (rowsRead > 0) add(counters.rowsReadByStatement, startOf(query), rowsRead);
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
  return query.trim().split(/\s+/).slice(0, 8).join(" ");
}

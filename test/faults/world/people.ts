import type { NewTask } from "../../../src/core/task/new-task.ts";
import type { TaskCallback } from "../../../src/core/task/task.ts";
import { makeTaskId, parseTaskId } from "../../../src/core/task/task-id.ts";
import { hashText } from "../../../src/core/text/hash.ts";
import { callObject } from "../../../src/platform/call-object.ts";
import type { Grant } from "../../../src/protocol/grant.ts";
import { shardName } from "../../../src/protocol/names.ts";
import type { OperateAction, SubmitResult } from "../../../src/protocol/shard-api.ts";
import { runGrant } from "../../../src/runner/run-grant.ts";
import type { Rule } from "../../../src/schema/policy.ts";
import { buildCall } from "../../support/shard/build-task.ts";
import type { KnownTask } from "../ledger.ts";
import { takenWith } from "./actors.ts";
import { callPorts } from "./call-ports.ts";
import type { Life } from "./host.ts";
import { Operators } from "./operators.ts";
import { HOOK, LEAST_ATTEMPTS, type Queue, READY_ORIGIN } from "./queues.ts";
import type { World } from "./world.ts";

/** The platform ends what a Worker does this long after it has answered. */
const EDGE_ENDS_MS = 30_000;
/** As in src/api/tasks/routes.ts. */
const MAX_EDGE_TASKS = 5;
const HOSTS = ["api", "pay", "mail", "slow"];
const ENDS = ["succeeded", "failed", "cancelled"] as const;

/** What a client asks for. */
interface Wish {
  task: KnownTask;
  request: NewTask;
}

/** URLs of one origin that tasks wait for, each for its own. */
const READY_URLS = 60;

/** Bursts over more than this are of large bodies instead: one of 20; and how many these are. */
const HEAVY_FROM_MS = 19_000;
const HEAVY_TASKS = 10;

/** A submit is repeated with its id within this: well before the task may be pruned. */
const SAME_ID_MS = 5 * 60_000;

/** Clients and operators: submits, repeats, operations, each through a Worker invocation of its own. */
export class People {
  readonly #world: World;
  readonly #operators: Operators;
  /** Wishes with a key, to be repeated. */
  #keyed: Wish[] = [];
  #keys = 0;

  constructor(world: World) {
    this.#world = world;
    this.#operators = new Operators(world);
  }

  /** Does one thing that people do. */
  act(): void {
    const { chance } = this.#world;
    const dice = chance.next();
    if (dice < 0.5) this.submit(1);
    else if (dice < 0.56) this.#burst();
    else if (dice < 0.61) this.submit(chance.between(2, 12));
    else if (dice < 0.7) this.#repeat();
    else if (dice < 0.78) this.#operate("cancel");
    else if (dice < 0.87) this.#operate("retry");
    else if (dice < 0.92) this.#operate("resume");
    else if (dice < 0.94) this.#operators.pause();
    else if (dice < 0.96) this.#operators.holdTarget();
    else if (dice < 0.98) this.#operators.change();
    else if (dice < 0.99) this.#operators.rekey();
    else this.#world.endSomebody();
  }

  /** Submits so many tasks in one request. Resolves with their answers; null: the client heard none. */
  async submit(count: number, host?: string, bytes = 0): Promise<SubmitResult[] | null> {
    const { chance } = this.#world;
    const queue = chance.pick(this.#world.queues);
    const edge = this.#world.edge();
    return this.#send(
      edge,
      Array.from({ length: count }, (_, i) => this.#wish(edge, queue, i, { host, bytes })),
    );
  }

  /** Queues go on, and nobody holds a target. */
  makeWell(): void {
    this.#operators.makeWell();
  }

  async #send(edge: Life, wishes: readonly Wish[]): Promise<SubmitResult[] | null> {
    const { time, chance, weather } = this.#world;
    if (chance.is(weather.edgeEnds))
      time.after(chance.between(1, 3_000), () => {
        edge.alive = false;
      });
    const groups = Map.groupBy(wishes, ({ task }) => task.shard);
    const answers = await Promise.all(
      Array.from(groups, ([shard, group]) => this.#sendGroup(edge, shard, group)),
    );
    time.after(EDGE_ENDS_MS, () => {
      edge.alive = false;
    });
    const results = answers.flat();
    const answeredAt = edge.now();
    const grants = results.flatMap((result) => (result.ok && result.grant !== null ? [result.grant] : []));
    for (const grant of grants) void this.#runGrant(edge, grant, answeredAt);
    return results;
  }

  async #sendGroup(edge: Life, shard: string, group: readonly Wish[]): Promise<SubmitResult[]> {
    const tasks = group.map(({ request }) => request);
    const [first] = group;
    const queueVersion = first?.task.queue.config.version ?? 0;
    try {
      const results = await callObject(() =>
        this.#world.callShard(edge, shard, `submit ${tasks.map(({ id }) => id).join(" ")}`, (inner) =>
          inner.submit({ queueVersion, tasks: structuredClone(tasks) }),
        ),
      );
      for (const [i, { task }] of group.entries()) {
        const result = results[i];
        if (result !== undefined) this.#world.ledger.accepted(task, result);
      }
      return results;
    } catch (error) {
      this.#world.note(edge.name, `its submit fails: ${String(error)}`);
      return tasks.map(() => ({ ok: false, code: "unavailable", detail: "storage did not answer" }));
    }
  }

  async #runGrant(edge: Life, first: Grant, answeredAt: number): Promise<void> {
    const { ledger } = this.#world;
    ledger.started(first);
    const ports = {
      ...callPorts(this.#world, edge),
      want: () => 0,
      shard: (name: string) => ({
        settle: async (message: Parameters<World["settle"]>[2]) =>
          takenWith(ledger, await this.#world.settle(edge, name, message)),
      }),
    };
    await runGrant(first, ports, { answeredAt });
  }

  #wish(
    edge: Life,
    queue: Queue,
    index: number,
    special: { host?: string | undefined; bytes: number },
  ): Wish {
    const { chance, ledger } = this.#world;
    const { host, bytes } = special;
    const { config } = queue;
    const key = chance.is(0.3) ? `key-${++this.#keys}` : null;
    const shard =
      key === null
        ? chance.between(0, config.shards - 1)
        : hashText(`${config.name}\n${key}`) % config.shards;
    const id = makeTaskId({ createdAt: edge.now(), shard, queueRef: config.ref }, chance.next);
    const url = `https://${host ?? chance.pick(HOSTS)}.example.com${queue.path ?? "/charge"}`;
    const own = this.#own(queue);
    const isLate = chance.is(0.15);
    const delayMs = isLate ? chance.between(1, 600_000) : 0;
    const target = chance.is(0.2) ? `key:${config.name}/x` : new URL(url).origin;
    const request: NewTask = {
      id,
      target,
      priority: chance.between(0, 9),
      delayMs,
      runAt: null,
      call: buildCall({ url, idempotencyKey: key, body: bytes > 0 ? "x".repeat(bytes) : null, ...own.call }),
      idempotencyKey: key,
      requestHash: key === null ? null : `hash of ${key}`,
      edge: index < MAX_EDGE_TASKS && delayMs === 0 && chance.is(0.9),
    };
    const { maxAttempts, leastAttempts, maxAgeMs, maxRetryAfterMs, callbackOn } = own;
    const redrives = { arrived: 0, forced: 0 };
    const task: KnownTask = {
      ...{
        id,
        queue,
        shard: shardName(config.ref, shard),
        maxAttempts,
        leastAttempts,
        maxAgeMs,
        maxRetryAfterMs,
        delayMs,
        bytes,
        callbackOn,
        key,
      },
      acked: false,
      redrives,
      ends: new Map(),
    };
    ledger.tasks.set(id, task);
    const wish = { task, request };
    if (key !== null) this.#keyed = [...this.#keyed.slice(-20), wish];
    return wish;
  }

  /** What a task says for itself. */
  #own(queue: Queue) {
    const { chance } = this.#world;
    const { mostAttempts, mostAgeMs, callbackOn } = queue;
    const maxAttempts = chance.is(0.3) ? chance.between(1, 6) : null;
    const maxAgeMs = chance.is(0.3) ? chance.between(20_000, 1_200_000) : null;
    const maxRetryAfterMs = chance.is(0.2) ? chance.pick([0, 5_000, 40_000, 2 * 3_600_000]) : null;
    const rules = queue.holds && chance.is(0.4) ? [heldOnOwn(chance.between(1, READY_URLS))] : null;
    const says = {
      ...(maxAttempts === null ? {} : { max_attempts: maxAttempts }),
      ...(maxAgeMs === null ? {} : { max_age: maxAgeMs }),
      ...(maxRetryAfterMs === null ? {} : { max_retry_after: maxRetryAfterMs }),
      ...(rules === null ? {} : { rules }),
    };
    const retry = Object.keys(says).length === 0 ? null : says;
    const timeoutMs = chance.is(0.2) ? chance.between(1_000, this.#world.longestTimeoutMs) : null;
    const wants = chance.next();
    const on = ENDS.filter(() => chance.is(0.7));
    const callback: TaskCallback | null | undefined =
      wants < 0.2
        ? null
        : wants < 0.4
          ? { url: HOOK, on, retry: { max_attempts: 3, max_age: 1_200_000 }, ...this.#ownWait() }
          : undefined;
    const policy = callback === undefined ? {} : { callback };
    return {
      call: { retry, timeoutMs, ...policy },
      maxAttempts: maxAttempts ?? mostAttempts,
      leastAttempts: maxAttempts ?? LEAST_ATTEMPTS,
      maxAgeMs: maxAgeMs ?? mostAgeMs,
      maxRetryAfterMs,
      callbackOn: callback === undefined ? callbackOn : callback === null ? null : on,
    };
  }

  /** Where shards make calls, some deliveries may take longer than what follows a call in a shard's object. */
  #ownWait(): { timeoutMs?: number } {
    const { chance, callsInShards } = this.#world;
    return callsInShards && chance.is(0.5) ? { timeoutMs: chance.between(5_000, 45_000) } : {};
  }

  /** Many tasks for one target within seconds: what trips breakers and fills slots. */
  #burst(): void {
    const { chance, time } = this.#world;
    const host = chance.pick(HOSTS);
    const spreadMs = chance.between(10, 20_000);
    if (spreadMs > HEAVY_FROM_MS) {
      this.#heavyBurst(host);
      return;
    }
    for (let left = chance.between(10, 40); left > 0; left--)
      time.after(chance.between(0, spreadMs), () => void this.submit(1, host));
  }

  /** A batch of large bodies for one target, of one queue: more than a shard may have in flight at once. */
  #heavyBurst(host: string): void {
    void this.submit(HEAVY_TASKS, host, this.#world.chance.between(400_000, 2_000_000));
  }

  /** The client heard nothing, or is not sure: the same request again, by another invocation, sometimes at once. */
  #repeat(): void {
    const { chance } = this.#world;
    if (this.#keyed.length === 0) return;
    const { task, request } = chance.pick(this.#keyed);
    const edge = this.#world.edge();
    // Repeats with an id are the API's own, at once; days later, after pruning, it would be a new task.
    const isYoung = edge.now() - (parseTaskId(request.id)?.createdAt ?? 0) < SAME_ID_MS;
    const id =
      isYoung && chance.is(0.4)
        ? request.id
        : makeTaskId(
            { createdAt: edge.now(), shard: shardOf(task), queueRef: task.queue.config.ref },
            chance.next,
          );
    const { tasks } = this.#world.ledger;
    const fresh = { ...task, id, acked: false, redrives: { arrived: 0, forced: 0 }, ends: new Map() };
    const again = tasks.get(id) ?? fresh;
    tasks.set(id, again);
    const wish = { task: again, request: { ...request, id } };
    if (chance.is(0.2)) this.#contradict(edge, wish);
    else void this.#send(edge, [wish]);
  }

  /** Another request under a key that is in use: it is refused, or repeats a call of its own id. */
  #contradict(edge: Life, { task, request }: Wish): void {
    const { ledger } = this.#world;
    const first = ledger.holderOf(task);
    if (first === null || first === request.id) return;
    const other = { ...request, requestHash: "hash of another request" };
    void this.#send(edge, [{ task, request: other }]).then((results) => {
      const [result] = results ?? [];
      if (result?.ok && ledger.holderOf(task) === first && result.task.id === first)
        ledger.violate("a key is of one request", `${first} was given for another`, first);
    });
  }

  #operate(action: OperateAction): void {
    const { chance, ledger } = this.#world;
    const held = action === "resume" && chance.is(0.8) ? ledger.held() : [];
    const all = held.length > 0 ? held : [...ledger.tasks.values()].slice(-80);
    if (all.length === 0) return;
    const task = chance.pick(all);
    const force = action === "retry" && chance.is(0.3);
    const edge = this.#world.edge();
    void callObject(() =>
      this.#world.callShard(edge, task.shard, `${action} ${task.id}`, (shard) => {
        if (action === "retry") task.redrives.arrived++;
        if (force) task.redrives.forced++;
        return shard.operate(task.id, action, force);
      }),
    ).then(
      (answer) => {
        if (action === "resume" && answer.ok && answer.task.state === "held")
          ledger.violate(
            "a task that may run does not starve",
            `${task.id} is held after its resume`,
            task.id,
          );
      },
      () => undefined,
    );
  }
}

function shardOf({ shard }: KnownTask): number {
  return Number(shard.split("-").at(-1));
}

/** A rule that holds a task on a URL of its own, often enough for the rate of its queue to matter. */
function heldOnOwn(number: number): Rule {
  const probe = {
    url: `${READY_ORIGIN}/${number}`,
    period: 1_000,
    timeout: 5_000,
    success_threshold: 1 + (number % 2),
  };
  return { when: "status == 401", do: "hold", until: { probe } };
}

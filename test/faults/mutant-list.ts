/** A deliberate fault: exact pieces of the source, each found once, and what takes their place. */
export interface Mutant {
  name: string;
  edits: readonly { file: string; find: string; put: string }[];
}

/** Faults such as a hurried change might bring; the simulation has to find each. */
export const MUTANTS: readonly Mutant[] = [
  one(
    "a settle's lease is not checked",
    "src/shard/settle/settle.ts",
    "const inFlight = task.leaseUntil !== null && task.lease === message.lease;",
    "const inFlight = task.leaseUntil !== null;",
  ),
  one(
    "a lease that lapsed is not ended",
    "src/shard/settle/lapse-leases.ts",
    "filter(({ leaseUntil }) => leaseUntil <= now);",
    "filter(({ leaseUntil }) => leaseUntil <= 0);",
  ),
  one("the alarm is not armed again", "src/shard/alarm.ts", "    this.#armedAt = null;\n", ""),
  one(
    "the alarm is not moved to an earlier time",
    "src/shard/alarm.ts",
    "return this.#armedAt <= at;",
    "return true;",
  ),
  one(
    "a settled attempt's slot is not given back",
    "src/shard/settle/settle.ts",
    "    tx.after(() => ctx.flights.remove(settled.id));\n",
    "",
  ),
  one(
    "a settled delivery's slot is not given back",
    "src/shard/settle/settle.ts",
    "  tx.after(() => ctx.flights.remove(task.id));\n}\n\n/** What is kept of",
    "}\n\n/** What is kept of",
  ),
  {
    name: "a settle is applied twice",
    edits: [
      {
        file: "src/shard/settle/settle.ts",
        find: "const inFlight = task.leaseUntil !== null && task.lease === message.lease;",
        put: "const inFlight = task.lease === message.lease;",
      },
      {
        file: "src/core/task/transition.ts",
        find: 'if (task.leaseUntil === null || task.callback?.state === "running") return refused(task, "settle");',
        put: 'if (task.callback?.state === "running") return refused(task, "settle");',
      },
      {
        file: "src/core/task/transition.ts",
        find: 'if (task.state !== "running") return done(noteLate(',
        put: 'if (task.state === "cancelled") return done(noteLate(',
      },
    ],
  },
  one(
    "an attempt that never began is not given back",
    "src/core/task/transition.ts",
    "    attempt: task.attempt - 1,\n",
    "",
  ),
  one(
    "a hand-over that may have arrived is taken back",
    "src/shard/claim/hand-over.ts",
    "return neverArrived(error) ? batch.grants : [];",
    "return batch.grants;",
  ),
  {
    name: "the retry budget is never restored",
    edits: [
      {
        file: "src/core/pressure/sliding-counts.ts",
        find: "if (steps <= 0) return window;",
        put: "if (steps !== 0) return window;",
      },
    ],
  },
  one(
    "a breaker's report is added instead of merged",
    "src/core/breaker/counts.ts",
    "byStart.set(bucket.start, larger(bucket, byStart.get(bucket.start) ?? bucket));",
    "{ const was = byStart.get(bucket.start); byStart.set(bucket.start, was ? { ...bucket, ok: bucket.ok + was.ok, failed: bucket.failed + was.failed } : bucket); }",
  ),
  one(
    "Retry-After does not make a retry wait",
    "src/core/policy/backoff.ts",
    "if (retryAfterMs === null) return delayMs;",
    "if (retryAfterMs !== -1) return delayMs;",
  ),
  one(
    "Retry-After does not hold its target",
    "src/core/pressure/admission.ts",
    "if (heldUntil > now)",
    "if (heldUntil < 0)",
  ),
  one(
    "a Retry-After is forgotten with the memory",
    "src/shard/storage/target-rows.ts",
    "target.heldUntil > now ? target.heldUntil : null,",
    "null,",
  ),
  one(
    "a reset leaves holds as they are",
    "src/breaker/target-breaker.ts",
    "turn.holds = releaseHolds(turn.holds, now);",
    "",
  ),
  one(
    "a hold outlives what its queue allows now",
    "src/shard/upkeep/settings.ts",
    "    this.#ctx.targets.cutHolds(tx, mostMs);\n",
    "",
  ),
  one(
    "a task's own max_retry_after holds the whole target",
    "src/core/policy/hold.ts",
    "cutHold({ heldFrom: now, heldUntil: now + askedMs }, mostMs)",
    "{ heldFrom: now, heldUntil: now + askedMs }",
  ),
  one(
    "a call is held against a target that its task was given later",
    "src/shard/settle/settle.ts",
    "(flight?.lane ?? task.target)",
    "task.target",
  ),
  one(
    "a task is given another target and left in its line",
    "src/core/task/rekey.ts",
    "return { ...task, target, lane: target };",
    "return { ...task, target };",
  ),
  one(
    "calls go to an open target",
    "src/core/pressure/admission.ts",
    'if (may !== "yes") return',
    'if (may === "probe") return',
  ),
  one(
    "a probe lease of another shard is used",
    "src/core/breaker/local-breaker.ts",
    "return probe.shard === shard && probe.until > now",
    "return probe.until > now",
  ),
  one(
    "the lookup of an idempotency key is skipped",
    "src/shard/intake/submit.ts",
    "if (first !== null) return sameKey(ctx, request, first);",
    "if (first !== null) return submitOne(ctx, tx, { ...request, idempotencyKey: null }, batch);",
  ),
  one(
    "a callback is dropped at the end of a failed round",
    "src/core/task/transition.ts",
    "const wanted = context.callbackFor(state);",
    'const wanted = reason === "max_age" ? null : context.callbackFor(state);',
  ),
  one(
    "a delivery that fails for good is taken for delivered",
    "src/core/task/deliver.ts",
    'return { state: "failed", nextAt: null, reason: decision.do',
    'return { state: "delivered", nextAt: null, reason: decision.do',
  ),
  {
    name: "parked tasks are not woken",
    edits: [
      {
        file: "src/shard/lanes/lanes.ts",
        find: "if (this.#parked.delete(lane)) this.#ready.add(lane);",
        put: "",
      },
      {
        file: "src/shard/lanes/lanes.ts",
        find: "for (const lane of this.#parked.keys()) this.#ready.add(lane);",
        put: "",
      },
    ],
  },
  one(
    "a kept round is overwritten",
    "src/shard/intake/operate.ts",
    "if (result.kept !== null) keepRound(ctx, tx, task.id, result.kept);",
    "",
  ),
  one(
    "the watermark passes leases in flight",
    "src/shard/upkeep/sweep.ts",
    "lowest !== null && lowest < safe ? lowest : safe;",
    'lowest === "" ? lowest : safe;',
  ),
  one(
    "a row of flights is dropped early",
    "src/shard/storage/flights.ts",
    "if (left > 0) {\n      this.#perSeq",
    "if (left > 1) {\n      this.#perSeq",
  ),
  one(
    "a restart does not look for young leases",
    "src/shard/upkeep/restore.ts",
    "  for (const id of ctx.rows.leasedFrom(ctx.own.watermark)) loadFlight(ctx, id, null);\n",
    "",
  ),
  one(
    "one attempt too many is made",
    "src/core/policy/decide.ts",
    "if (attempt >= terms.maxAttempts)",
    "if (attempt > terms.maxAttempts)",
  ),
  one(
    "parked tasks do not end with their max_age",
    "src/shard/upkeep/sweep.ts",
    "const ids = ctx.laneRows.expired(lane, now, SLICE);",
    "const ids = ctx.laneRows.expired(lane, 0, SLICE);",
  ),
  one(
    "a redrive begins no new round",
    "src/core/task/transition.ts",
    "round: task.round + 1,",
    "round: task.round,",
  ),
  one(
    "a final task can be cancelled",
    "src/core/task/transition.ts",
    'if (isFinal(task.state)) return refused(task, "cancel");',
    "",
  ),
  one(
    "counts forget what a task was",
    "src/shard/state/task-counts.ts",
    "if (before !== null) this.#counts[before]--;",
    "",
  ),
  one(
    "pruning forgets the retention",
    "src/shard/upkeep/prune.ts",
    "if (endsAt > now) {",
    "if (endsAt > now + 600_000) {",
  ),
  one(
    "a row is written over before its retention is over",
    "src/shard/state/retention.ts",
    "return endsAt !== null && endsAt <= this.#port.now();",
    "return endsAt !== null;",
  ),
  one(
    "a row that is written over is still counted",
    "src/shard/state/task-store.ts",
    "tx.after(() => counts.note(spare.id, spare.state, null));",
    "",
  ),
  one(
    "a round ends with attempts left",
    "src/core/policy/decide.ts",
    "if (attempt >= terms.maxAttempts)",
    "if (attempt >= 1)",
  ),
  one(
    "a success is taken for a failure",
    "src/core/policy/decide.ts",
    "if (outcome.ok) return succeed(input, inquiry",
    'if (outcome.ok) return fail("permanent", "table");\n  if (outcome.ok) return succeed(input, inquiry',
  ),
  {
    name: "a probe is leased while another has one",
    edits: [
      {
        file: "src/breaker/turn.ts",
        find: "if (held !== null && held.until > now) return;",
        put: "if (held !== null && asking === null) return;",
      },
      {
        file: "src/core/breaker/breaker.ts",
        find: "if (held !== null && held.until > now) {",
        put: "if (held !== null && held.until < 0) {",
      },
    ],
  },
  one(
    "others' word stops a queue without failures of its own",
    "src/core/breaker/breaker.ts",
    "  if (failures < AGREEING_FAILURES) return unchanged(breaker);\n",
    "",
  ),
  one(
    "others' success closes a queue's breaker",
    "src/core/breaker/breaker.ts",
    'return halfOpened(breaker, "another queue\'s probes succeeded", now);',
    'return moved(breaker, { ...common(breaker, now), state: "closed", ramp: true }, "others", "probe");',
  ),
  one(
    "others' word is ignored by a queue whose calls fail",
    "src/breaker/target-breaker.ts",
    "if (othersAreDown) follow(turn, onOthersDown(turn.breaker, turn.counts, policy, now));",
    "",
  ),
  one(
    "others' word is believed by all who share a breaker",
    "src/breaker/shared-breaker.ts",
    "isTrusted(this.#key, breakerPolicy(settings)) ? TRUSTED_PART : queueRef",
    "breakerPolicy(settings).enabled ? TRUSTED_PART : queueRef",
  ),
  one(
    "the weight of large bodies in flight is not bounded",
    "src/core/pressure/weight.ts",
    "return weight === 0 || inFlight === 0 || inFlight + reserved + weight <= allowed;",
    "return true;",
  ),
  one(
    "much is in flight by large bodies though no mark is on disk",
    "src/shard/bounds/weights.ts",
    'return this.#mark === "there" ? weightAllowed(this.#cutOff) : PLAIN_WEIGHT;',
    "return weightAllowed(this.#cutOff);",
  ),
  one(
    "age gives no row of a lane its turn",
    "src/core/pressure/ageing.ts",
    "return Math.min(count, Math.floor((since + count) / AGED_EVERY));",
    "return 0;",
  ),
  one(
    "the grants of a lane are not counted",
    "src/shard/lanes/lane-turns.ts",
    "if (count > 0) this.#since.set(lane, sinceAged(this.#since.get(lane) ?? 0, count, aged));",
    "",
  ),
  one(
    "a shard has the slots of its whole queue",
    "src/shard/bounds/slots.ts",
    "return shareOf(settings.concurrency, shards, this.#port.index);",
    "return shards > 0 ? settings.concurrency : 0;",
  ),
  one(
    "tasks of a paused queue are called",
    "src/shard/state/callable-lanes.ts",
    'return lane !== HELD_LANE && (!ctx.queue.paused || !barApplies(kindOfLane(lane), "pause"));',
    "return lane !== HELD_LANE;",
  ),
  one(
    "the queue's rate is not taken from",
    "src/shard/bounds/queue-rate.ts",
    "if (rate !== null) this.#freeAt = rateTake(rate, this.#freeAt, this.#port.now());",
    "",
  ),
  one(
    "a poll goes to a target that is down",
    "src/shard/state/callable-lanes.ts",
    "    if (gate.room > 0) found.push({ lane, gate });",
    "    if (lanes === ctx.polls.lanes) found.push({ lane, gate: { ...gate, room: 1, limit: 1 } });\n    else if (gate.room > 0) found.push({ lane, gate });",
  ),
  one(
    "a poll that was ready is forgotten",
    "src/shard/probe/polls.ts",
    "  if (ready) {\n    setFree(ctx, tx, ended, durationMs);\n    return;\n  }\n",
    "",
  ),
  one(
    "a key is not held against its request",
    "src/shard/intake/submit.ts",
    "const isSame = first.requestHash === request.requestHash ||",
    "const isSame = first.requestHash !== null ||",
  ),
  one(
    "a resume is forgotten",
    "src/core/task/transition.ts",
    "return done(goNow(task, event.trigger, context.now));",
    "return done(task);",
  ),
  one(
    "a shard's object makes a second call for a repeated submit",
    "src/runner/local-runner.ts",
    "if (this.#underWay.get(id) === lease) return;",
    "",
  ),
  one(
    "a shard's object leaves a grant to the caller as well",
    "src/runner/local-runner.ts",
    "return { ...result, grant: null };",
    "return result;",
  ),
  one(
    "a shard's object makes long calls too",
    "src/runner/local-runner.ts",
    "if (message.grants.some(({ leaseMs }) => leaseMs > LONGEST_LEASE_MS)) return remote().run(message);",
    "",
  ),
  one(
    "a shard's object lets a long delivery follow a call",
    "src/runner/local-runner.ts",
    "edgeElapsedMs: 0 }",
    "edgeElapsedMs: null }",
  ),
  one(
    "a settle in a shard's object is dropped",
    "src/runner/local-runner.ts",
    "return shard.settle({ ...message, edgeElapsedMs: 0 });",
    'return Promise.reject(new Error("dropped"));',
  ),
];

function one(name: string, file: string, find: string, put: string): Mutant {
  return { name, edits: [{ file, find, put }] };
}

import type { TargetAnswer, TargetCall } from "../support/server/target.ts";

/** What the target does with a call, by the last part of its path. */
export type Kind = "plain" | "flaky" | "slow" | "hang";

const SLOW_MS = 300;

/** What the target and the receiver of callbacks saw, over all lives of the server. */
export class Witness {
  /** Calls of the target, by task. */
  readonly callsById = new Map<string, number>();
  /** The states that callbacks told, by task, in the order in which they came. */
  readonly toldById = new Map<string, string[]>();
  /** Calls that the target has not answered yet. */
  open = 0;

  /** Answers a call of the target: `flaky` is 503 at first, `slow` takes its time, `hang` never answers. */
  async answer(call: TargetCall): Promise<TargetAnswer> {
    const kind = call.path.split("/").at(-1) as Kind;
    const before = this.noteCall(call.headers["redrive-task-id"] ?? "");
    if (kind === "hang") return "hang";
    this.open++;
    if (kind === "slow") await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    this.open--;
    return { status: kind === "flaky" && before === 0 ? 503 : 200 };
  }

  /** Counts a call of a task; answers how many came before it. */
  noteCall(id: string): number {
    const before = this.callsById.get(id) ?? 0;
    this.callsById.set(id, before + 1);
    return before;
  }

  /** Takes a callback. */
  take(call: TargetCall): TargetAnswer {
    const { id, state } = JSON.parse(call.body).data.task as { id: string; state: string };
    this.toldById.set(id, [...(this.toldById.get(id) ?? []), state]);
    return { status: 200 };
  }
}

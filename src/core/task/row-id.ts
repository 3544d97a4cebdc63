const EVENT_SUFFIX = "~event";

/** The id of the row that a redrive keeps for an ended round whose callback is not delivered yet. */
export function keptRoundId(id: string, round: number): string {
  return `${id}~${round}`;
}

/** The id of the row that delivers an operator event, which is no task. */
export function eventRoundId(id: string): string {
  return id + EVENT_SUFFIX;
}

/** True for an id made by `eventRoundId`: its row's body is the message. */
export function isEventId(id: string): boolean {
  return id.endsWith(EVENT_SUFFIX);
}

/** True for a task's own row, false for one that only delivers: an ended round, or an operator event. */
export function isTaskRow(id: string): boolean {
  return ownerId(id) === id;
}

/** The task that a row belongs to: its own id, or that of the task whose ended round it keeps. */
export function ownerId(id: string): string {
  const end = id.indexOf("~");
  return end === -1 ? id : id.slice(0, end);
}

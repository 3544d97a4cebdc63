/** What the counters of this isolate stand at. */
export interface Counters {
  /** Rows written as the platform bills them: what statements report, and one for each alarm set. */
  rowsWritten: number;
  rowsRead: number;
  alarmsSet: number;
  /** Turns of the event loop in which an object wrote: the runtime commits each as one. */
  commits: number;
  /** Rows written by the start of the statement that wrote them. */
  rowsByStatement: Record<string, number>;
  /** Rows read, in the same way. */
  rowsReadByStatement: Record<string, number>;
  /** Requests of the API. */
  workerRequests: number;
  /** Calls of objects, by class and method; an alarm that runs is one too. */
  objectCalls: Record<string, number>;
  /** Milliseconds in which objects could not sleep, by class: some call or some `waitUntil` of theirs was under way. */
  objectMs: Record<string, number>;
}

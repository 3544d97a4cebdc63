/** A task under simulation. */
export interface SimTask {
  id: string;
  /** Attempts made. */
  attempts: number;
  previousDelayMs: number | null;
  dueAt: number;
  /** Runs once, when it is final. */
  ended: (ok: boolean) => void;
}

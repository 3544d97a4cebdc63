import { afterEach, beforeEach, vi } from "vitest";

/** For a whole file: each test begins at `start`, far from the real clock, so that only tests run alarms; every target answers 200. */
export function stubWorld(start: number): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(start);
    vi.stubGlobal("fetch", async () => new Response("ok"));
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });
}

/** `npm run demo`: the whole product on a temporary folder, told by a handful of tasks. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RedriveClient } from "../../client/index.ts";
import { callbackPhase } from "../../schema/state-facts.ts";
import { launch, type RunningServer } from "../launch.ts";
import { parseSettings } from "../settings.ts";
import { StartError } from "../start-error.ts";
import { untilSignalled } from "../until-signalled.ts";
import { Screen } from "./screen.ts";
import { differences, Inbox, type InboxCallback, type Story, storiesOn } from "./stories.ts";

/** The stories end within 6 s; beyond this something is wrong. */
const PATIENCE_MS = 14_000;
const POLL_MS = 120;
const NAME_WIDTH = 18;
const INTERRUPTED_STATUS = 130;

interface Told {
  story: Story;
  task: Awaited<ReturnType<RedriveClient["get"]>>;
}

process.exitCode = await demo();

async function demo(): Promise<number> {
  const interrupted = untilSignalled().then(() => INTERRUPTED_STATUS);
  const dataDir = await mkdtemp(join(tmpdir(), "redrive-demo-"));
  try {
    const server = await launch(settingsFor(dataDir), true);
    const leaving = new AbortController();
    try {
      const ended = server.ended.then(() => 1);
      return await Promise.race([tellStories(server, leaving.signal), interrupted, ended]);
    } finally {
      leaving.abort();
      await server.stop();
    }
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function settingsFor(dataDir: string) {
  const parsed = parseSettings({ PORT: "0", REDRIVE_DATA: dataDir }, process.cwd());
  if (!parsed.ok) throw new StartError(parsed.problems.join("\n"));
  return parsed.settings;
}

async function tellStories(server: RunningServer, signal: AbortSignal): Promise<number> {
  console.log(`Redrive listens on ${server.url}, its data in a temporary folder.\n`);
  const client = new RedriveClient(server);
  const stories = storiesOn(server.url, Date.now());
  const accepted = await Promise.all(stories.map(({ task }) => client.submit(task, { signal })));
  const told = await watch(
    client,
    stories,
    accepted.map(({ id }) => id),
    signal,
  );
  const callbacks = await readInbox(server);
  console.log(`\nCallbacks in the inbox:\n${told.map((one) => callbackLine(one, callbacks)).join("\n")}\n`);
  const wrong = told.flatMap(({ story, task }) => differences(story, task, callbacks));
  console.log(wrong.length === 0 ? "Every outcome was the expected one." : wrong.join("\n"));
  return wrong.length === 0 ? 0 : 1;
}

/** Shows the tasks until all are final and their callbacks delivered, or patience ends. */
async function watch(
  client: RedriveClient,
  stories: Story[],
  ids: string[],
  signal: AbortSignal,
): Promise<Told[]> {
  const screen = new Screen(process.stdout, (process.env.NO_COLOR ?? "") === "");
  const startedAt = Date.now();
  for (;;) {
    const tasks = await Promise.all(ids.map((id) => client.get(id, { signal })));
    const told = stories.flatMap((story, i) => tasks.slice(i, i + 1).map((task) => ({ story, task })));
    const elapsedMs = Date.now() - startedAt;
    screen.show(
      told.map(({ story, task }) => ({ name: story.name, task })),
      elapsedMs,
    );
    if (tasks.every(isOver) || elapsedMs > PATIENCE_MS) return told;
    await delay(POLL_MS, undefined, { signal });
  }
}

function isOver({ finalized_at, callback }: Told["task"]): boolean {
  return finalized_at !== null && callback !== null && callbackPhase(callback.state) === "ended";
}

async function readInbox(server: RunningServer): Promise<InboxCallback[]> {
  const headers = { authorization: `Bearer ${server.apiKey}` };
  const response = await fetch(`${server.url}/sandbox/inbox`, { headers });
  return Inbox.parse(await response.json()).callbacks;
}

function callbackLine({ story, task }: Told, callbacks: readonly InboxCallback[]): string {
  const callback = callbacks.find(({ task_id }) => task_id === task.id);
  if (callback === undefined) return `  ${story.name.padEnd(NAME_WIDTH)}none`;
  const signature = callback.verified ? "signature verified" : "SIGNATURE DOES NOT HOLD";
  const attempts = `${task.attempt_count} ${task.attempt_count === 1 ? "attempt" : "attempts"}`;
  return `  ${story.name.padEnd(NAME_WIDTH)}${(callback.type ?? "").padEnd(16)}${attempts.padEnd(12)}${signature}`;
}

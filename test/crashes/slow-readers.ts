import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { ask, type World } from "../support/server/stories.ts";
import { audit, type Result } from "./audit.ts";
import { type Effort, isDone, openStory, restingMemory, type Story, submitAll, warmUp } from "./story.ts";

const SUBMITS_IN_FLIGHT = 20;
/** A body that does not fit into what the kernel holds for a connection at once. */
const BODY_LENGTH = 500_000;
const READ_EVERY_MS = 20;
const DRIPS = 20;
const DRIP_EVERY_MS = 50;
/** Makes a page of a list as large as a megabyte, so that the kernel cannot hold what is not read. */
const METADATA = { note: "x".repeat(4_000) };
const READERS = 10;
/** Pages that each reader asks for in one go. */
const PAGES = 8;
const HELD_MS = 3_000;

/** How long and hard it is. */
export interface SlowReadersSize extends Effort {
  rounds: number;
  slowTasks: number;
  /** Sent at the same time, with nothing in their way. */
  otherTasks: number;
}

/** A target that reads bodies slowly and drips its answers, and clients that do not read the lists they ask for. */
export async function slowReaders(size: SlowReadersSize): Promise<Result> {
  const story = await openStory(size);
  const target = await startSlowTarget(story);
  try {
    await warmUp(story);
    let pages = 0;
    let memoryBeforeMb = 0;
    for (let round = 0; round < size.rounds; round++) {
      pages += await playRound(story, target.url, size);
      await isDone(story);
      // Large bodies and pages take memory of their own kind, now more and now less: it must not rise with the rounds.
      if (round < size.rounds - 1) memoryBeforeMb = Math.max(memoryBeforeMb, await restingMemory(story));
    }
    const notes = [
      `${size.rounds * size.slowTasks} bodies read slowly, their answers dripped; ${READERS} clients held ${PAGES} pages each`,
    ];
    const wanted = size.rounds * READERS * PAGES;
    const faults = pages === wanted ? [] : [`${pages} of ${wanted} pages came whole`];
    const scenario = "slow readers";
    return await audit(story, { scenario, rounds: size.rounds, memoryBeforeMb, notes, faults });
  } finally {
    await story.close();
    await target.stop();
  }
}

/** Answers how many pages came whole. */
async function playRound(
  story: Story,
  url: string,
  { slowTasks, otherTasks }: SlowReadersSize,
): Promise<number> {
  const body = "x".repeat(BODY_LENGTH);
  const slow = Array.from({ length: slowTasks }, () => story.task("plain", { url, body, timeout: "20s" }));
  const others = Array.from({ length: otherTasks }, () => story.task("plain", { metadata: METADATA }));
  await submitAll(story, others.splice(0, otherTasks / 2), SUBMITS_IN_FLIGHT);
  const [pages] = await Promise.all([
    readListsSlowly(story.world, story.queue),
    submitAll(story, slow, SUBMITS_IN_FLIGHT),
    submitAll(story, others, SUBMITS_IN_FLIGHT),
  ]);
  return pages;
}

async function startSlowTarget({ witness }: Story) {
  const server = createServer(async (request, response) => {
    witness.noteCall(String(request.headers["redrive-task-id"]));
    try {
      await readSlowly(request);
      await drip(response);
    } catch (error) {
      // A caller that gave up; it has an attempt to show for it.
      if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/slow`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A chunk, 16 to 64 KB, every 20 ms. */
async function readSlowly(request: IncomingMessage): Promise<void> {
  for await (const _ of request) await delay(READ_EVERY_MS);
}

/** One byte every 50 ms, for a second. */
async function drip(response: ServerResponse): Promise<void> {
  response.writeHead(200);
  for (let i = 0; i < DRIPS; i++) {
    response.write(".");
    await delay(DRIP_EVERY_MS);
  }
  response.end();
}

/** Asks for many pages, lets the server wait with them, then reads all; answers how many came whole. */
async function readListsSlowly(world: World, queue: string): Promise<number> {
  // A key of its own for each: one key has few lists under way at a time.
  const counts = await Promise.all(
    Array.from({ length: READERS }, async () => readPages(world, queue, await makeReader(world))),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function makeReader({ server }: World): Promise<string> {
  const { body } = await ask(server, "POST", "/v1/keys", { body: { name: "reader", scopes: ["read"] } });
  return String(body.key);
}

async function readPages({ server }: World, queue: string, apiKey: string): Promise<number> {
  const { hostname, port, host } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const request = (connection: string) =>
    `GET /v1/tasks?limit=200&queue=${queue} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${apiKey}\r\nconnection: ${connection}\r\n\r\n`;
  socket.pause();
  socket.write(request("keep-alive").repeat(PAGES - 1) + request("close"));
  await delay(HELD_MS);
  let text = "";
  for await (const chunk of socket) text += chunk;
  const whole = text.match(/"next_cursor":/g) ?? [];
  const ok = text.match(/HTTP\/1\.1 200 OK/g) ?? [];
  return Math.min(whole.length, ok.length);
}

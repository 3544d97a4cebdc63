import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { PROBLEM_KINDS } from "../../src/api/http/app-error.ts";
import { parseYaml } from "../../src/api/http/yaml-text.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { checkPolicy } from "../../src/core/policy/check-policy.ts";
import { formatDuration } from "../../src/schema/duration.ts";
import * as limits from "../../src/schema/limits.ts";
import { RetryPolicy } from "../../src/schema/policy.ts";
import { ERROR_CODES } from "../../src/schema/problem.ts";
import { QueueSettings } from "../../src/schema/queue.ts";
import { CALLBACK_STATES, ERROR_TYPES, TASK_STATES, TaskRequest, WaitingOn } from "../../src/schema/task.ts";
import { anchorsOf, fencedBlocks, proseOf } from "../support/markdown.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = await markdownPages();
const API = unpadded(await readPage("docs/api.md"));
const STATES = unpadded(await readPage("docs/state-machine.md"));
const OPERATIONS = unpadded(await readPage("docs/operations.md"));

describe("links", () => {
  const links = PAGES.flatMap(({ path, text }) =>
    [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => ({ from: path, link: link ?? "" })),
  ).filter(({ link }) => !/^[a-z]+:/.test(link));

  test("are found", () => {
    expect(links.length).toBeGreaterThan(50);
  });

  test("lead to files that are there, and to headings in them", async () => {
    const broken: string[] = [];
    for (const { from, link } of links) {
      const [file = "", anchor] = link.split("#", 2);
      const path = file === "" ? from : relative(ROOT, resolve(ROOT, dirname(from), file));
      if (!existsSync(join(ROOT, path))) broken.push(`${from}: ${link}`);
      else if (anchor !== undefined && !anchorsOf(await readPage(path)).has(anchor))
        broken.push(`${from}: ${link}`);
    }
    expect(broken).toEqual([]);
  });
});

describe("docs/api.md", () => {
  test.each(ROUTES.map(({ method, path }) => `${method} ${path}`))("has a heading for %s", (route) => {
    expect(API).toContain(`\n### ${route}\n`);
  });

  test("has a heading for no route that is not there", () => {
    const headings = [...API.matchAll(/^### ([A-Z]+ \/.*)$/gm)].map(([, route]) => route);
    expect(headings.toSorted()).toEqual(ROUTES.map(({ method, path }) => `${method} ${path}`).toSorted());
  });

  test.each(ROUTES.filter(({ scope }) => scope !== null && scope !== "admin"))(
    "names the scope of $method $path",
    ({ method, path, scope }) => {
      expect(sectionOf(API, `### ${method} ${path}`)).toContain(`Scope \`${scope}\``);
    },
  );

  test.each(ERROR_CODES)("says the status of the problem %s", (code) => {
    expect(API).toMatch(new RegExp(`^\\| \`${code}\` \\| ${PROBLEM_KINDS[code].status} \\| \\S`, "m"));
  });

  test.each(Object.entries(limits).filter(([name]) => /^(MAX|DEFAULT)_/.test(name)))(
    "has the limit %s with its value",
    (name, value) => {
      expect(API).toMatch(new RegExp(`^\\| .+ \\| ${limitText(name, value)} \\| \`${name}\` \\|$`, "m"));
    },
  );

  test.each(Object.keys(TaskRequest.shape))("has the field %s of a task", (field) => {
    expect(sectionOf(API, "### POST /v1/tasks")).toMatch(new RegExp(`^\\| \`${field}\` \\|`, "m"));
  });

  test.each(Object.keys(QueueSettings.shape))("has the setting %s of a queue", (field) => {
    expect(sectionOf(API, "### PUT /v1/queues/{name}")).toMatch(new RegExp(`^\\| \`${field}\` \\|`, "m"));
  });
});

describe("docs/state-machine.md", () => {
  test.each([...TASK_STATES, ...CALLBACK_STATES])("has a row for the state %s", (state) => {
    expect(STATES).toMatch(new RegExp(`^\\| \`${state}\` \\|`, "m"));
  });

  test.each([...ERROR_TYPES])("has a row for the fault %s", (errorType) => {
    expect(STATES).toMatch(new RegExp(`^\\| \`${errorType}\` \\| .+ \\| (?:transient|permanent)`, "m"));
  });

  test.each(WaitingOn.options)("says what waiting on %s is", (waitingOn) => {
    expect(sectionOf(STATES, "### What a task waits for")).toContain(`\`${waitingOn}\``);
  });

  test("shows policies that are taken as they stand", () => {
    const policies = fencedBlocks(STATES)
      .filter(({ language, text }) => language === "yaml" && text.startsWith("retry:"))
      .map(({ text }) => RetryPolicy.parse((parseYaml(text) as { retry: unknown }).retry));

    expect(policies).toHaveLength(2);
    expect(policies.flatMap((policy) => checkPolicy(policy, "retry"))).toEqual([]);
  });
});

describe("docs/operations.md", () => {
  test("has a row for each event that is logged", async () => {
    const source = (await Promise.all((await sourceFiles()).map((path) => readFile(path, "utf8")))).join(
      "\n",
    );
    const events = [...source.matchAll(/(?:\.log\(|event: )"([a-z]+[._][a-z_.]+)"/g)].map(
      ([, event]) => event ?? "",
    );

    expect(new Set(events).size).toBeGreaterThan(5);
    expect(events.filter((event) => !OPERATIONS.includes(`| \`${event}\` |`))).toEqual([]);
  });

  test("has a row for each setting of the Worker", async () => {
    const env = await readFile(join(ROOT, "src/platform/env.ts"), "utf8");
    const settings = [...env.matchAll(/^ {2}(REDRIVE_\w+)\?: string;$/gm)].map(([, name]) => name);

    expect(settings.length).toBeGreaterThan(3);
    for (const name of settings) expect(sectionOf(OPERATIONS, "## Settings")).toContain(`| \`${name}\` |`);
  });
});

/** A page whose table cells end with one space, however wide their column is. */
function unpadded(page: string): string {
  return page.replace(/ +\|/g, " |");
}

function limitText(name: string, value: number): string {
  if (name.endsWith("_MS")) return formatDuration(value);
  return `${value.toLocaleString("en-US")}${name.endsWith("_BYTES") ? " bytes" : ""}`;
}

/** From a heading to the next one of its level or a higher one. */
function sectionOf(page: string, heading: string): string {
  const from = page.indexOf(`\n${heading}\n`);
  if (from === -1) throw new Error(`there is no heading ${heading}`);
  const level = heading.indexOf(" ");
  const rest = page.slice(from + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, "m"));
  return end === -1 ? rest : rest.slice(0, end);
}

async function markdownPages(): Promise<{ path: string; text: string }[]> {
  const top = (await readdir(ROOT)).filter((name) => name.endsWith(".md"));
  const below = await Promise.all(
    ["docs", "bench", "test"].map(async (folder) => {
      const names = await readdir(join(ROOT, folder), { recursive: true });
      return names.filter((name) => name.endsWith(".md")).map((name) => join(folder, name));
    }),
  );
  return Promise.all([...top, ...below.flat()].map(async (path) => ({ path, text: await readPage(path) })));
}

async function sourceFiles(): Promise<string[]> {
  const names = await readdir(join(ROOT, "src"), { recursive: true });
  return names
    .filter((name) => name.endsWith(".ts") && !name.startsWith("standalone"))
    .map((name) => join(ROOT, "src", name));
}

function readPage(path: string): Promise<string> {
  return readFile(join(ROOT, path), "utf8");
}

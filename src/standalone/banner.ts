import type { RunningServer } from "./launch.ts";
import { isLoopback, type Settings } from "./settings.ts";

/** What `npm start` prints once the server listens; its first command works when pasted into a shell. */
export function banner(
  server: Pick<RunningServer, "url" | "apiKey" | "signingSecret" | "openFiles">,
  settings: Settings,
): string {
  return `Redrive listens on ${server.url}
  API key         ${server.apiKey}
  signing secret  ${server.signingSecret}
  data folder     ${settings.dataDir}
  open files      ${server.openFiles ?? "no limit"}
  API reference   ${localUrl(server.url)}/docs

${hasLocalSandbox(settings) ? sandboxExample(server) : publicExample(server)}
Ctrl-C stops it.
`;
}

/** Tasks may call the server's own sandbox only while it listens on loopback. */
function hasLocalSandbox(settings: Settings): boolean {
  return settings.sandbox && isLoopback(settings.host);
}

function sandboxExample({ url, apiKey }: Pick<RunningServer, "url" | "apiKey">): string {
  const task = {
    url: `${url}/sandbox/target?script=503,503,200`,
    callback: { url: `${url}/sandbox/inbox` },
  };
  return `Submit a task whose target fails twice, then read its signed callback:
  ${submitCommand(url, apiKey, task)}
  curl -sS '${url}/sandbox/inbox'
`;
}

function publicExample({ url, apiKey }: Pick<RunningServer, "url" | "apiKey">): string {
  return `Submit a task:
  ${submitCommand(localUrl(url), apiKey, { url: "https://example.com/", method: "GET" })}
`;
}

function submitCommand(url: string, apiKey: string, task: object): string {
  const headers = [`authorization: Bearer ${apiKey}`, "content-type: application/json"];
  const options = headers.map((header) => `-H ${shellQuote(header)}`).join(" ");
  return `curl -sS ${shellQuote(`${url}/v1/tasks`)} ${options} -d ${shellQuote(JSON.stringify(task))}`;
}

/** A server on all addresses is reached from here on the loopback one. */
function localUrl(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

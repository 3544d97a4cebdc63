import type { RunningServer } from "./launch.ts";
import { secretsPath } from "./secrets.ts";
import type { Settings } from "./settings.ts";

/**
 * What `npm start` prints once the server listens; its commands work when pasted into a shell. It has no secret, since
 * what a service prints is kept in logs: it says where they are.
 */
export function banner(server: Pick<RunningServer, "url" | "openFiles">, settings: Settings): string {
  const url = localUrl(server.url);
  return `Redrive listens on ${server.url}
  API key         ${placeOf("api_key", settings)}
  signing secret  ${placeOf("signing_secret", settings)}
  data folder     ${settings.dataDir}
  open files      ${server.openFiles ?? "no limit"}
  API reference   ${url}/docs

${hasLocalSandbox(settings) ? sandboxExample(url, settings) : publicExample(url, settings)}
Ctrl-C stops it.
`;
}

function placeOf(name: "api_key" | "signing_secret", settings: Settings): string {
  const given = name === "api_key" ? settings.apiKey : settings.signingSecret;
  if (given === null) return `${name} in ${secretsPath(settings.dataDir)}`;
  return `as given by REDRIVE_${name.toUpperCase()}`;
}

/** Whether tasks may call the server's own sandbox. */
function hasLocalSandbox(settings: Settings): boolean {
  return settings.sandbox && settings.allowTargets.loopback;
}

function sandboxExample(url: string, settings: Settings): string {
  const task = {
    url: `${url}/sandbox/target?script=503,503,200`,
    callback: { url: `${url}/sandbox/inbox` },
  };
  return `Submit a task whose target fails twice, then read its signed callback:
${exportKey(settings)}  ${submitCommand(url, task)}
  curl -sS '${url}/sandbox/inbox' ${AUTHORIZATION}
`;
}

function publicExample(url: string, settings: Settings): string {
  return `Submit a task:
${exportKey(settings)}  ${submitCommand(url, { url: "https://example.com/", method: "GET" })}
`;
}

const AUTHORIZATION = '-H "authorization: Bearer $REDRIVE_API_KEY"';

/** Sets the variable that the other commands take the key from; nothing where it is one already. */
function exportKey({ apiKey, dataDir }: Settings): string {
  if (apiKey !== null) return "";
  const script = `JSON.parse(fs.readFileSync(${JSON.stringify(secretsPath(dataDir))})).api_key`;
  return `  export REDRIVE_API_KEY=$(node -p ${shellQuote(script)})\n`;
}

function submitCommand(url: string, task: object): string {
  const options = `${AUTHORIZATION} -H 'content-type: application/json'`;
  return `curl -sS ${shellQuote(`${url}/v1/tasks`)} ${options} -d ${shellQuote(JSON.stringify(task))}`;
}

/** A server on all addresses is reached from here on the loopback one. */
function localUrl(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runMain, type StartOptions, startServer, type TestServer } from "../../support/server/server.ts";
import { startTarget } from "../../support/server/target.ts";

const STAND_IN = fileURLToPath(new URL("../../support/workers/stand-in.ts", import.meta.url));
const KEY = "a-root-key-of-this-test";

let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "redrive-start-"));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

describe("npm start", () => {
  test("prints where it listens, where the key is kept, and commands that are taken when pasted", async () => {
    const server = await start({ build: undefined });
    const { stdout } = server.output();

    expect(stdout).toMatch(/^Redrive listens on http:\/\/127\.0\.0\.1:\d+$/m);
    expect(stdout).toContain(`  API key         api_key in ${join(dataDir, "secrets.json")}\n`);
    expect(server.apiKey).toMatch(/^root_[\w-]{32}$/);
    expect(server.signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const [submitted = "", inbox = ""] = (await paste(commandsIn(stdout))).split(/(?<=\})(?=\{)/);
    expect(JSON.parse(submitted)).toMatchObject({ id: expect.stringMatching(/^tsk_/), queue: "default" });
    expect(JSON.parse(inbox)).toMatchObject({ callbacks: expect.any(Array) });
  });

  test("makes the key and the secret once, readable by their owner only", async () => {
    const first = await start();
    await first.stop();
    const second = await start();

    expect([second.apiKey, second.signingSecret]).toEqual([first.apiKey, first.signingSecret]);
    expect((await stat(join(dataDir, "secrets.json"))).mode & 0o777).toBe(0o600);
  });

  test("prints no secret, neither one that it has just made nor one that it had", async () => {
    const first = await start();
    await first.stop();
    const second = await start();

    for (const server of [first, second]) {
      for (const secret of [server.apiKey, server.signingSecret.slice("whsec_".length)]) {
        const { stdout, stderr } = server.output();
        expect(stdout + stderr).not.toContain(secret);
      }
    }
  });

  test("takes the key from the environment and writes and prints it nowhere", async () => {
    const server = await start({
      env: {
        REDRIVE_API_KEY: KEY,
        REDRIVE_SIGNING_SECRET: `whsec_${"A".repeat(32)}`,
        REDRIVE_ENCRYPTION_KEY: "k".repeat(32),
      },
    });

    expect((await ask(server)).REDRIVE_API_KEY).toBe(KEY);
    expect(server.signingSecret).toBe(`whsec_${"A".repeat(32)}`);
    for (const name of ["workerd.capnp", "server.json"]) {
      expect(await readFile(join(dataDir, name), "utf8")).not.toContain(KEY);
    }
    expect(await readdir(dataDir)).not.toContain("secrets.json");
    const { stdout } = server.output();
    expect(stdout).not.toContain(KEY);
    expect(stdout).not.toContain("A".repeat(32));
    expect(stdout).toContain("  API key         as given by REDRIVE_API_KEY\n");
  });

  test("keeps what is stored over a stop and a start", async () => {
    const first = await start();
    expect((await ask(first)).count).toBe(1);
    await first.stop();

    expect((await ask(await start())).count).toBe(2);
  });

  test("ends with 0 on Ctrl-C, after what is under way, and takes its processes with it", async () => {
    const server = await start();
    const answer = await fetch(`${server.url}/slow?ms=700`);
    process.kill(server.launcherPid, "SIGINT");
    process.kill(server.launcherPid, "SIGINT");

    expect(await answer.text()).toBe("begun count 1");
    expect(await server.exited).toBe(0);
    await expectDeaf(server.url);
    expect(await readdir(dataDir)).not.toContain("server.json");
  });

  test("ends with 1 and says so when workerd dies", async () => {
    const server = await start();
    server.kill();

    expect(await server.exited).toBe(1);
    expect(server.output().stderr).toContain("workerd ended unasked: signal SIGKILL");
  });

  test("takes a folder over from a workerd that was killed", async () => {
    const first = await start();
    await ask(first);
    first.kill();
    const second = await first.restart();
    cleanups.push(second.stop);

    expect(second.url).toBe(first.url);
    expect((await ask(second)).count).toBe(2);
  });
});

describe("a data folder", () => {
  test("that is served is refused, by its name and the pid", async () => {
    const server = await start();
    const { code, stderr } = await run();

    expect(code).toBe(1);
    expect(stderr).toContain(
      `Another process (pid ${server.pid}) serves the data folder ${dataDir}. Stop it`,
    );
    expect((await ask(server)).count).toBe(1);
  });

  test("goes to one of two starts at the same moment", async () => {
    const attempts = await Promise.allSettled([start(), start()]);

    const started = attempts.filter(({ status }) => status === "fulfilled");
    const refused = attempts.flatMap((attempt) => (attempt.status === "rejected" ? [attempt.reason] : []));
    expect(started).toHaveLength(1);
    expect(String(refused[0])).toContain("serves the data folder");
  });

  test("is taken over once the workerd of a killed launcher has ended what is under way", async () => {
    const first = await start();
    // Longer than a busy machine takes to start the second.
    const answer = await fetch(`${first.url}/slow?ms=5000`);
    process.kill(first.launcherPid, "SIGKILL");
    const second = await start();

    expect(await answer.text()).toBe("begun count 1");
    expect(second.output().stderr).toContain(
      `Waiting for the last server on ${dataDir} (pid ${first.pid}) to end.`,
    );
    await expectDeaf(first.url);
    expect((await ask(second)).count).toBe(2);
  });

  test("whose path is longer than a socket's may be is served", async () => {
    const long = join(dataDir, "long-".repeat(30), "data folder with 'quotes'");
    const server = await start({ dataDir: long });

    expect((await ask(server)).count).toBe(1);
  });

  test("that cannot be made is refused", async () => {
    await writeFile(join(dataDir, "file"), "");
    const { code, stderr } = await run({ REDRIVE_DATA: join(dataDir, "file", "data") });

    expect(code).toBe(1);
    expect(stderr).toContain("cannot be made");
  });

  test("with secrets that cannot be read is refused and left as it is", async () => {
    await writeFile(join(dataDir, "secrets.json"), "{");
    await chmod(join(dataDir, "secrets.json"), 0o600);
    const { code, stderr } = await run();

    expect(code).toBe(1);
    expect(stderr).toContain("secrets.json does not hold an api_key and a signing_secret. Repair it");
    expect(await readFile(join(dataDir, "secrets.json"), "utf8")).toBe("{");
  });
});

describe("settings", () => {
  test("PORT that is taken is answered with another to try", async () => {
    const { port, close } = await takePort();
    cleanups.push(close);
    const { code, stderr } = await run({ PORT: String(port) });

    expect(code).toBe(1);
    const next = port < 65_535 ? port + 1 : port - 1;
    expect(stderr).toBe(
      `Port ${port} of 127.0.0.1 is taken by another program. Choose another port: PORT=${next} npm start\n`,
    );
  });

  test.each([
    ["PORT", "80a", 'PORT must be a whole number from 0 to 65535, got "80a".'],
    ["PORT", "65536", 'PORT must be a whole number from 0 to 65535, got "65536".'],
    ["PORT", "-1", 'PORT must be a whole number from 0 to 65535, got "-1".'],
    ["HOST", "example.com", 'HOST must be an IP address or localhost, got "example.com".'],
    ["REDRIVE_SANDBOX", "yes", 'REDRIVE_SANDBOX must be on or off, got "yes".'],
    [
      "REDRIVE_PUBLIC_URL",
      "example.com",
      'REDRIVE_PUBLIC_URL must be an http or https URL without a path, got "example.com".',
    ],
    [
      "REDRIVE_PUBLIC_URL",
      "https://x.example/redrive",
      'REDRIVE_PUBLIC_URL must be an http or https URL without a path, got "https://x.example/redrive".',
    ],
    [
      "REDRIVE_OWN_HOSTS",
      "a.example,b.example:80",
      'REDRIVE_OWN_HOSTS must be a comma list of host names, got "a.example,b.example:80".',
    ],
    [
      "REDRIVE_ALLOW_TARGETS",
      "all",
      'REDRIVE_ALLOW_TARGETS must be a comma list of loopback and private, got "all".',
    ],
    ["REDRIVE_CALLS", "both", 'REDRIVE_CALLS must be shard or edge, got "both".'],
    [
      "REDRIVE_EVIDENCE_FLOOR",
      "5 seconds",
      'REDRIVE_EVIDENCE_FLOOR must be a duration such as 5s, got "5 seconds".',
    ],
    ["REDRIVE_API_KEY", "hush", "REDRIVE_API_KEY must be 16 to 256 visible ASCII characters."],
    ["REDRIVE_ENCRYPTION_KEY", "hush", "REDRIVE_ENCRYPTION_KEY must be 32 to 256 visible ASCII characters."],
    ["REDRIVE_SIGNING_SECRET", "hush", "REDRIVE_SIGNING_SECRET must be whsec_ and 24 to 64 bytes in base64."],
  ])("%s=%s is refused, and a secret is not repeated", async (name, value, message) => {
    expect(await run({ [name]: value })).toEqual({ code: 1, stdout: "", stderr: `${message}\n` });
  });

  test.each([
    ["is not there", null],
    ["holds no certificate", "none"],
    ["holds one that is broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
  ])("a file of certificate authorities that %s is refused", async (_, text) => {
    const path = join(dataDir, "ca.pem");
    if (text !== null) await writeFile(path, text);

    const { code, stderr } = await run({ NODE_EXTRA_CA_CERTS: path });

    expect(code).toBe(1);
    // Node has a warning of its own about it.
    expect(stderr).toContain(`NODE_EXTRA_CA_CERTS must be a file with certificates as PEM, got "${path}".\n`);
  });

  test("an option that there is not is refused", async () => {
    expect(await runMain({}, ["--port"])).toMatchObject({
      code: 1,
      stderr: "There is no option --port. See: npm start -- --help\n",
    });
  });

  test("--help names every setting", async () => {
    const { code, stdout } = await runMain({}, ["--help"]);

    expect(code).toBe(0);
    for (const name of [
      "PORT",
      "HOST",
      "REDRIVE_DATA",
      "REDRIVE_API_KEY",
      "REDRIVE_SIGNING_SECRET",
      "REDRIVE_PUBLIC_URL",
      "REDRIVE_OWN_HOSTS",
      "REDRIVE_ALLOW_TARGETS",
      "REDRIVE_CALLS",
      "REDRIVE_EVIDENCE_FLOOR",
      "NODE_EXTRA_CA_CERTS",
    ])
      expect(stdout).toContain(`  ${name} `);
  });

  test("a loopback HOST serves the sandbox and lets tasks call this machine, and no other private address", async () => {
    const target = await startTarget();
    cleanups.push(target.stop);
    const server = await start();

    expect(await ask(server)).toMatchObject({ REDRIVE_SANDBOX: "on", REDRIVE_ALLOW_TARGETS: "loopback" });
    expect(await ask(server, `/fetch?url=${target.url}/`)).toEqual({ status: 200 });
    expect(await ask(server, "/fetch?url=http://10.0.0.1/")).toEqual({ status: null });
  });

  test("any other HOST serves no sandbox unless told to and lets tasks call public addresses only", async () => {
    const target = await startTarget();
    cleanups.push(target.stop);
    const server = await start({ env: { HOST: "0.0.0.0" } });
    const local = { url: server.url.replace("0.0.0.0", "127.0.0.1") };

    const told = await ask(local);
    expect(told).not.toHaveProperty("REDRIVE_SANDBOX");
    expect(told).not.toHaveProperty("REDRIVE_ALLOW_TARGETS");
    expect(await ask(local, `/fetch?url=${target.url}/`)).toEqual({ status: null });
    expect(target.callCount).toBe(0);
    expect(server.output().stdout).not.toContain("/sandbox/");
  });

  test("REDRIVE_PUBLIC_URL on a loopback HOST switches the sandbox and loopback targets off", async () => {
    const target = await startTarget();
    cleanups.push(target.stop);
    const server = await start({ env: { REDRIVE_PUBLIC_URL: "https://Redrive.example.com/" } });

    const told = await ask(server);
    expect(told).toMatchObject({ REDRIVE_PUBLIC_URL: "https://redrive.example.com" });
    expect(told).not.toHaveProperty("REDRIVE_SANDBOX");
    expect(told).not.toHaveProperty("REDRIVE_ALLOW_TARGETS");
    expect(await ask(server, `/fetch?url=${target.url}/`)).toEqual({ status: null });
  });

  test("an empty REDRIVE_ALLOW_TARGETS lets tasks call public addresses only", async () => {
    const target = await startTarget();
    cleanups.push(target.stop);
    const server = await start({ env: { REDRIVE_ALLOW_TARGETS: "" } });

    expect(await ask(server)).not.toHaveProperty("REDRIVE_ALLOW_TARGETS");
    expect(await ask(server, `/fetch?url=${target.url}/`)).toEqual({ status: null });
  });

  test("REDRIVE_ALLOW_TARGETS and REDRIVE_OWN_HOSTS hold whatever HOST is", async () => {
    const target = await startTarget();
    cleanups.push(target.stop);
    const given = { REDRIVE_ALLOW_TARGETS: "loopback,private", REDRIVE_OWN_HOSTS: "build.lan, fd00::9" };
    const server = await start({ env: { HOST: "0.0.0.0", ...given } });
    const local = { url: server.url.replace("0.0.0.0", "127.0.0.1") };

    expect(await ask(local)).toMatchObject({ ...given, REDRIVE_OWN_HOSTS: "build.lan,[fd00::9]" });
    expect(await ask(local, `/fetch?url=${target.url}/`)).toEqual({ status: 200 });
  });

  test("a bundle that cannot be built is told with its place", async () => {
    const entry = join(dataDir, "broken.ts");
    await writeFile(entry, "export default {");
    const { code, stderr } = await run({ REDRIVE_ENTRY: entry });

    expect(code).toBe(1);
    expect(stderr).toContain("The bundle could not be built.");
    expect(stderr).toContain("broken.ts:1:");
  });

  test("a Worker that throws at its start is told with what workerd said", async () => {
    const entry = join(dataDir, "throws.ts");
    await writeFile(entry, 'throw new Error("no such luck");');
    const { code, stderr } = await run({ REDRIVE_ENTRY: entry });

    expect(code).toBe(1);
    expect(stderr).toContain("workerd did not start: exit status 1.");
    expect(stderr).toContain("no such luck");
  });
});

/** Starts the stand-in on this test's folder; `build: undefined` starts the real Worker. */
async function start(options: Omit<StartOptions, "build"> & { build?: undefined } = {}): Promise<TestServer> {
  const build = "build" in options ? {} : { build: STAND_IN };
  const { env, dataDir: folder = dataDir } = options;
  const server = await startServer({ dataDir: folder, ...build, ...(env && { env }) });
  cleanups.push(server.stop);
  return server;
}

function run(env: Record<string, string> = {}) {
  return runMain({ PORT: "0", REDRIVE_DATA: dataDir, REDRIVE_ENTRY: STAND_IN, ...env });
}

async function ask({ url }: { url: string }, path = "/"): Promise<Record<string, unknown>> {
  return (await fetch(`${url}${path}`)).json() as Promise<Record<string, unknown>>;
}

async function expectDeaf(url: string): Promise<void> {
  await expect(fetch(url)).rejects.toThrow("fetch failed");
}

/** The commands that the server printed, in order. */
function commandsIn(stdout: string): string {
  const lines = stdout.split("\n").filter((text) => /^ {2}(export|curl) /.test(text));
  if (lines.length < 2) throw new Error(`no commands in ${stdout}`);
  return lines.join("\n");
}

async function paste(command: string): Promise<string> {
  return (await promisify(execFile)("sh", ["-c", command])).stdout;
}

async function takePort(): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("expected a port");
  return { port: address.port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

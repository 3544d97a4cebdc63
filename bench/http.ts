import { Agent, request as httpRequest } from "node:http";

const TIMEOUT_MS = 60_000;

/** An answer; its body is text. */
export interface Answer {
  status: number;
  body: string;
}

/** Keep-alive connections to one origin, as many as are asked for. */
export class Connections {
  readonly #agent: Agent;
  readonly #options: { hostname: string; port: string };

  constructor(origin: string, count: number) {
    const { hostname, port } = new URL(origin);
    this.#agent = new Agent({ keepAlive: true, maxSockets: count, scheduling: "lifo" });
    this.#options = { hostname, port };
  }

  /** Sends one request. Rejects where there is no whole answer within a minute. */
  send(method: string, path: string, headers: Record<string, string>, body = ""): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const length = { "content-length": Buffer.byteLength(body) };
      const options = {
        ...this.#options,
        agent: this.#agent,
        method,
        path,
        headers: { ...headers, ...length },
      };
      const request = httpRequest(options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.once("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.once("error", reject);
      });
      request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`no answer to ${method} ${path}`)));
      request.once("error", reject);
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

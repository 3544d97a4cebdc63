// What src/platform/env.ts names of the Workers runtime, for tests that run in Node and read the API's routes.
interface DurableObjectNamespace {
  getByName(name: string): DurableObjectStub;
}
interface DurableObjectStub {
  fetch: typeof fetch;
}
interface Fetcher {
  fetch: typeof fetch;
}
type RequestInfo = Request | string | URL;
interface Socket {
  readable: ReadableStream;
  writable: WritableStream;
  opened: Promise<unknown>;
  closed: Promise<void>;
  close(): Promise<void>;
}
declare module "cloudflare:sockets" {
  export function connect(
    address: { hostname: string; port: number },
    options: { secureTransport: "on" | "off"; allowHalfOpen: boolean },
  ): Socket;
}

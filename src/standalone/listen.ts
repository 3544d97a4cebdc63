import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { hostAndPort } from "./settings.ts";

/** A port of this address that is free now. Another program may yet take it first. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a listening socket has no port");
  return address.port;
}

/**
 * Every `address:port` at which a server on this host is reached, addresses as `URL.hostname` spells them: those of all
 * interfaces where the host stands for all.
 */
export function listenPlaces(host: string, port: number): string[] {
  const isAny = /^[0:.]+$/.test(host);
  const addresses = isAny ? Object.values(networkInterfaces()).flatMap(addressesOf) : [host];
  return addresses.flatMap((address) => {
    const hostname = URL.parse(`http://${hostAndPort(address, port)}`)?.hostname;
    return hostname === undefined ? [] : [`${hostname}:${port}`];
  });
}

function addressesOf(found: { address: string }[] | undefined): string[] {
  return (found ?? []).map(({ address }) => address);
}

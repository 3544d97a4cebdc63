import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { StartError } from "./start-error.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM file, each by itself; none where there is no file. Throws a StartError where it cannot be
 * read or holds none that is valid PEM: workerd would end with a message of its own.
 */
export async function readExtraCas(path: string | null): Promise<string[]> {
  if (path === null) return [];
  const blocks = await certificatesIn(path);
  if (blocks.length > 0) return blocks;
  throw new StartError(`NODE_EXTRA_CA_CERTS must be a file with certificates as PEM, got "${path}".`);
}

async function certificatesIn(path: string): Promise<string[]> {
  try {
    const blocks = (await readFile(path, "utf8")).match(PEM) ?? [];
    for (const block of blocks) new X509Certificate(block);
    return blocks;
  } catch {
    return [];
  }
}

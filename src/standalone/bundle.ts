import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";
import { StartError } from "./start-error.ts";

/** The Worker's entry, as wrangler.toml names it too. */
export const DEFAULT_ENTRY = fileURLToPath(new URL("../index.ts", import.meta.url));

/**
 * Bundles a Worker's entry into the one ES module that workerd loads, SQL files within it as text.
 * Throws a StartError that lists what esbuild found wrong.
 */
export async function bundle(entry: string, outfile: string): Promise<void> {
  try {
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      format: "esm",
      target: "es2024",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["workerd", "worker", "browser", "import"],
      external: ["cloudflare:*", "node:*"],
      // Wrangler's own text modules: both ways to run the Worker import the same files.
      loader: { ".sql": "text", ".txt": "text", ".html": "text" },
      logLevel: "silent",
    });
  } catch (error) {
    throw new StartError(`The bundle could not be built. ${(error as Error).message}`, { cause: error });
  } finally {
    await stop(); // Else its helper process would stay as long as the server.
  }
}
